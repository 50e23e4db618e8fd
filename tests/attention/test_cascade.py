"""A cascade answers as pass 2 where pass 1 is unsure, and as pass 1 elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

from reluflow.attention import open_cascade, open_pass
from reluflow.errors import DataError, OptionError
from reluflow.graph import Model, load, to_psb

SHIPPED = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def dense() -> Model:
    return load(small_models.dense(seed=3))


@pytest.fixture(scope="module")
def other() -> Model:
    return load(small_models.dense(seed=4))


def with_batch(proto: onnx.ModelProto, size: int) -> Model:
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = size
    return load(proto)


def inputs(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)


def classes(model: Model, x: np.ndarray) -> np.ndarray:
    return open_pass(model).run({"x": x})[0][0]["pre2"].argmax(axis=1)


def batches(x: np.ndarray, sizes: list[int]) -> Iterator[dict[str, np.ndarray]]:
    shared = np.empty((max(sizes), *x.shape[1:]), x.dtype)  # overwritten, as sources may
    start = 0
    for size in sizes:
        shared[:size] = x[start : start + size]
        yield {"x": shared[:size]}
        start += size


@pytest.mark.parametrize("sizes", [[50], [7, 20, 3, 20], [1] * 50, [49, 1]])
@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 1.5])
def test_each_input_has_the_answer_of_its_pass(
    dense: Model, other: Model, sizes: list[int], threshold: float
) -> None:
    x = inputs(50)
    cascade = open_cascade(dense, other, (None, None), threshold=threshold)
    found = cascade.run_all(batches(x, sizes))
    first, second = classes(dense, x), classes(other, x)
    assert (found.refined == (found.uncertainty > threshold)).all()
    assert (found.answers == np.where(found.refined, second, first)).all()
    assert (found.first == first).all()
    assert found.coverage == found.refined.mean()
    assert 0 < found.coverage < 1 or threshold > 1
    assert found.shift_adds is None
    assert found.seconds >= found.coarse_seconds + found.fine_seconds > 0


@pytest.mark.parametrize(
    ("coarse_size", "fine_size"), [(1, 4), (4, 1), (5, 3), (None, 4), (3, None)]
)
def test_models_of_a_fixed_batch(coarse_size: int | None, fine_size: int | None) -> None:
    a, b = small_models.dense(seed=3), small_models.dense(seed=4)
    x = inputs(13)
    first, second = classes(load(a), x), classes(load(b), x)
    coarse = load(a) if coarse_size is None else with_batch(a, coarse_size)
    fine = load(b) if fine_size is None else with_batch(b, fine_size)
    found = open_cascade(coarse, fine, (None, None), threshold=0.1).run({"x": x})
    assert 0 < found.coverage < 1
    assert (found.answers == np.where(found.refined, second, first)).all()


@pytest.mark.parametrize("measure", ["entropy", "margin", "ratio"])
@pytest.mark.parametrize("samples", [(1, 16), (2, 8), (4, 64)])
def test_one_file_at_two_precisions(samples: tuple[int, int], measure: str) -> None:
    psb = to_psb(load(SHIPPED / "fashion_convnet8.onnx")).model
    images = np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"][:24]
    none = open_cascade(psb, psb, samples, threshold=math.inf, measure=measure)
    all_ = open_cascade(psb, psb, samples, threshold=-math.inf, measure=measure)
    feeds = {"image": images}
    kept, gone = none.run(feeds), all_.run(feeds)
    assert (kept.answers == kept.first).all() and kept.coverage == 0
    dense = open_pass(psb, samples[1]).run(feeds)[0][0]["logits"].argmax(axis=1)
    assert (gone.answers == dense).all() and gone.coverage == 1
    unit = open_pass(psb, 1).shift_adds
    assert unit is not None
    assert kept.shift_adds == samples[0] * unit
    assert gone.shift_adds == sum(samples) * unit


def test_two_draws_cost_twice_and_decide_by_their_mean() -> None:
    psb = to_psb(load(SHIPPED / "fashion_resnet8.onnx")).model
    feeds = {"image": np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"][:16]}
    cascade = open_cascade(psb, psb, (4, 16), measure="disagreement", threshold=0.1, seed=5)
    found = cascade.run(feeds)
    once = open_pass(psb, 4, seeds=(5,))
    assert cascade.coarse.shift_adds == 2 * (once.shift_adds or 0)
    draws = [open_pass(psb, 4, seeds=(seed,)).run(feeds)[0][0]["logits"] for seed in (5, 6)]
    assert (draws[0] != draws[1]).any()
    p = [np.exp(d) / np.exp(d).sum(1, keepdims=True) for d in draws]
    assert (found.first == (p[0] + p[1]).argmax(axis=1)).all()
    again = open_cascade(psb, psb, (4, 16), measure="disagreement", threshold=0.1, seed=5)
    assert (again.run(feeds).uncertainty == found.uncertainty).all()


def test_without_the_native_library_the_answers_are_the_same() -> None:
    psb = to_psb(load(SHIPPED / "fashion_resnet8.onnx")).model
    feeds = {"image": np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"][:6]}
    found = [
        open_cascade(psb, psb, (1, 4), threshold=1.0, native=native).run(feeds)
        for native in (None, False)
    ]
    assert (found[0].answers == found[1].answers).all()
    np.testing.assert_allclose(found[0].uncertainty, found[1].uncertainty, atol=1e-3)


def test_an_input_of_nan_goes_on_first(dense: Model, other: Model) -> None:
    x = inputs(5)
    x[2] = np.nan
    found = open_cascade(dense, other, (None, None), threshold=10.0).run({"x": x})
    assert found.refined.tolist() == [False, False, True, False, False]
    assert found.answers[2] == -1 == found.first[2]


def test_inputs_of_another_name_go_by_their_order(dense: Model) -> None:
    proto = small_models.dense(seed=4)
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "picture"
    x = inputs(9)
    cascade = open_cascade(dense, load(proto), (None, None), threshold=-math.inf)
    assert (cascade.run({"x": x}).answers == classes(load(small_models.dense(seed=4)), x)).all()


def test_progress_counts_inputs(dense: Model, other: Model) -> None:
    seen: list[tuple[str, int, int | None]] = []
    cascade = open_cascade(dense, other, (None, None), threshold=0.5)
    cascade.run_all(batches(inputs(9), [4, 4, 1]), lambda *each: seen.append(each), 9)
    assert seen == [("running", 4, 9), ("running", 8, 9), ("running", 9, 9)]


def test_refusals(dense: Model, other: Model) -> None:
    psb = to_psb(dense).model
    with pytest.raises(OptionError, match="samples is 4, but model '<memory>' has no PSB operator"):
        open_pass(dense, 4)
    for wrong in (None, 3, 0):
        with pytest.raises(OptionError, match=f"samples of '<memory>' is {wrong}; accepted are 1"):
            open_pass(psb, wrong)
    for model, samples in ((psb, 1), (psb, 2), (dense, None)):
        with pytest.raises(OptionError, match="measure is 'disagreement', but '<memory>' draws no"):
            open_cascade(model, dense, (samples, None), measure="disagreement", threshold=0.1)
    with pytest.raises(OptionError, match="measure is 'x'; accepted are"):
        open_cascade(dense, other, (None, None), measure="x", threshold=0.1)
    cascade = open_cascade(dense, other, (None, None), threshold=0.1)
    with pytest.raises(DataError, match="float has 1 inputs, but 2 are given"):
        cascade.run({"x": inputs(2), "y": inputs(2)})
    with pytest.raises(DataError, match="the data hold no inputs; give at least one"):
        cascade.run_all([])
    with pytest.raises(DataError, match="NaN or infinite scores for all 3 inputs"):
        cascade.run({"x": np.full((3, 4), np.nan, np.float32)})


def test_passes_of_different_classes_are_refused(dense: Model) -> None:
    proto = small_models.dense(seed=4)
    cut = onnx.helper.make_node("Slice", ["pre2", "a", "b", "c"], ["few"])
    proto.graph.node.append(cut)
    for name, value in {"a": 0, "b": 2, "c": 1}.items():
        tensor = onnx.numpy_helper.from_array(np.array([value]), name)
        proto.graph.initializer.append(tensor)
    proto.graph.output[0].name = "few"
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    cascade = open_cascade(dense, load(proto), (None, None), threshold=-1.0)
    with pytest.raises(DataError, match="pass 1 knows 3 classes and pass 2 2; give two models"):
        cascade.run({"x": inputs(4)})


def test_a_map_is_no_classifier() -> None:
    maps = load(small_models.convolutional())
    cascade = open_cascade(maps, maps, (None, None), threshold=0.1)
    with pytest.raises(DataError, match="a cascade needs a classifier"):
        cascade.run({"x": np.zeros((2, 2, 5, 5), np.float32)})
