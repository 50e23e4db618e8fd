"""Pruning: the requested share of the smallest weights, and nothing else."""

import numpy as np
import pytest
from onnx import numpy_helper
from rewriting import N, build, run, weights

from reluflow.errors import OptionError
from reluflow.graph import Model, prune


def two_layers() -> Model:
    tensors = {"w": weights(6, 4, 3, 3, scale=0.1), "v": weights(6, 6, 1, 1, scale=1)}
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="small"),
        N("Conv", ["h", "v"], ["y"], name="large"),
    ]
    return build(nodes, tensors, (2, 4, 6, 5))


def stored(model: Model) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model._proto.graph.initializer}


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_of_each_tensor_goes(share: float) -> None:
    model = two_layers()
    result = prune(model, share)
    old, new = stored(model), stored(result.model)
    for name, record in zip(("w", "v"), result.done, strict=True):
        assert record.zeros == round(share * old[name].size) == np.count_nonzero(new[name] == 0)
        kept = new[name] != 0
        assert np.array_equal(new[name][kept], old[name][kept])
        assert np.abs(old[name][~kept]).max() <= np.abs(old[name][kept]).min()
    assert np.isfinite(run(result.model, weights(2, 4, 6, 5))[0]).all()


def test_a_global_share_takes_small_tensors_first() -> None:
    small, large = prune(two_layers(), 0.5, scope="global").done
    assert small.zeros + large.zeros == round(0.5 * (small.weights + large.weights))
    assert small.zeros / small.weights > 0.5 > large.zeros / large.weights


def test_shared_weights_are_pruned_once() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="a"),
        N("Conv", ["x", "w"], ["i"], name="b"),
        N("Add", ["h", "i"], ["y"]),
    ]
    result = prune(build(nodes, {"w": weights(4, 4, 1, 1)}, (1, 4, 3, 3)), 0.5)
    assert [p.zeros for p in result.done] == [8, 8]
    assert [t.name for t in result.model._proto.graph.initializer] == ["w/pruned"]


def test_excluded_and_computed_weights_are_left_alone() -> None:
    nodes = [
        N("Gemm", ["x", "w"], ["h"], name="first"),
        N("MatMul", ["h", "h"], ["i"], name="square"),
        N("Gemm", ["i", "w"], ["y"], name="last"),
    ]
    result = prune(build(nodes, {"w": weights(4, 4)}, (4, 4)), 0.5, exclude=["first"])
    assert [(r.node, r.reason) for r in result.refused] == [
        ("first", "it is excluded"),
        ("square", "weights 'h' are computed"),
    ]
    kept = stored(result.model)
    assert np.count_nonzero(kept["w"]) == 16 and np.count_nonzero(kept["w/pruned"]) == 8


@pytest.mark.parametrize("share", [1.0, -0.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(OptionError, match=r"share=.* is out of range"):
        prune(two_layers(), share)
