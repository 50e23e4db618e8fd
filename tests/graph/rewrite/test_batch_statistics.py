import numpy as np
import onnx
import pytest
from rewriting import N, build, norm, run

from reluflow.graph import use_batch_statistics

X = np.random.default_rng(0).normal(2, 3, (5, 3, 4, 4)).astype(np.float32)


def of_batch(x: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    scale, bias = (tensors[f"bn.{part}"][:, None, None] for part in "sb")
    mean = x.mean((0, 2, 3), keepdims=True)
    variance = x.var((0, 2, 3), keepdims=True)
    return scale * (x - mean) / np.sqrt(variance + 1e-5) + bias


def test_the_statistics_of_the_batch_are_used() -> None:
    node, tensors = norm("x", "y", 3)
    model = build([node], tensors, ("N", 3, 4, 4))
    result = use_batch_statistics(model)
    assert result.done == ("bn",) and result.refused == ()
    onnx.checker.check_model(result.model._proto)
    np.testing.assert_allclose(run(result.model, X)[0], of_batch(X, tensors), rtol=0, atol=1e-5)
    assert np.abs(run(model, X)[0] - of_batch(X, tensors)).max() > 0.1


def test_going_back_gives_the_same_bits() -> None:
    node, tensors = norm("x", "y", 3)
    model = build([node], tensors, ("N", 3, 4, 4))
    back = use_batch_statistics(use_batch_statistics(model).model, False)
    assert back.done == ("bn",)
    np.testing.assert_array_equal(run(back.model, X)[0], run(model, X)[0])
    for wanted in (False, None):
        assert use_batch_statistics(model, wanted).done == ()


@pytest.mark.parametrize("wanted", [True, False, None])
def test_dropout_is_switched_off(wanted: bool | None) -> None:
    node = N("Dropout", ["x", "ratio", "on"], ["y"], name="drop")
    constants = {"ratio": np.float32(0.5), "on": np.array(True)}
    model = build([node], constants, ("N", 3, 4, 4))
    assert np.count_nonzero(run(model, X)[0]) < X.size
    result = use_batch_statistics(model, wanted)
    assert result.done == ("drop",)
    np.testing.assert_array_equal(run(result.model, X)[0], X)


def test_old_opsets_are_refused() -> None:
    node, tensors = norm("x", "y", 3)
    result = use_batch_statistics(build([node], tensors, ("N", 3, 4, 4), opset=13))
    (refused,) = result.refused
    assert (refused.node, refused.op) == ("bn", "BatchNormalization")
    assert refused.reason.startswith("opset 13 has no training mode; convert the model")


def test_running_statistics_that_are_read_are_refused() -> None:
    node, tensors = norm("x", "y", 3, training_mode=1)
    node.output.extend(["mean", "variance"])
    outputs = ("y", "mean")
    model = build([node], tensors, ("N", 3, 4, 4), outputs=outputs)
    (refused,) = use_batch_statistics(model, False).refused
    assert refused.reason == "its updated running statistics are read"
