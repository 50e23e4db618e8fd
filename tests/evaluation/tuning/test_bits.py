"""Bits of each layer: within size and samples of equal ones, and closer to the float model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from rewriting import N, build, weights

from reluflow.data import DataSource, open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import ChosenBits, TuningOptions, choose_bits, tune
from reluflow.graph import Model, PsbOptions, find_psb, load, plan_psb, read_layers, to_psb
from reluflow.psb import decode, encode
from reluflow.sessions import open_session

PLAIN: dict[str, Any] = {"feedback": False, "follow": False, "correct_bias": False}
MODELS = Path(__file__).parents[3] / "models"
RESNET = load(MODELS / "fashion_resnet8.onnx")
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"]
SHAPE = (4, 12, 12)


def network() -> Model:
    """Layers of very different sensitivity: a few depthwise weights, and many that matter less."""
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"]),
        N("Conv", ["r", "w2", "b2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        N("Relu", ["d"], ["e"]),
        N("Conv", ["e", "w3"], ["c"], name="pointwise"),
        N("Add", ["c", "r"], ["s"]),
        N("Conv", ["s", "w4"], ["q"], name="dilated", dilations=[2, 2], strides=[2, 2]),
        N("Relu", ["q"], ["t"]),
        N("GlobalAveragePool", ["t"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("MatMul", ["f", "w5"], ["m"], name="matrix"),
        N("Relu", ["m"], ["o"]),
        N("Gemm", ["o", "w6", "b6"], ["y"], name="last", alpha=0.5, transB=1),
    ]
    tensors = {
        "w1": weights(8, 4, 3, 3),
        "w2": weights(8, 1, 3, 3),
        "b2": weights(8),
        "w3": weights(8, 8, 1, 1),
        "w4": weights(16, 8, 3, 3),
        "w5": weights(16, 10),
        "w6": weights(5, 10),
        "b6": weights(5),
    }
    return build(nodes, tensors, ("N", *SHAPE), 2)


MODEL = network()
DATA = np.random.default_rng(5).gamma(1, 1, (260, *SHAPE)).astype(np.float32)


def source(model: Model = MODEL, data: Any = DATA[:60]) -> DataSource:
    return open_data(data, model.inputs)


def answers(model: Model, x: np.ndarray = DATA[60:]) -> np.ndarray:
    return open_session(model, threads=1).run({"x": x})[0]


def converted(model: Model, found: ChosenBits | None, steps: dict[str, Any] | None) -> Model:
    plan = plan_psb(model)
    bits = {} if found is None else found.node_bits
    if steps is not None:
        options = TuningOptions(node_bits=bits, **steps)
        plan = replace(plan, model=tune(plan, images(model), options).model)
    return to_psb(plan, PsbOptions(x_bits=16, node_bits=bits)).model


def images(model: Model) -> DataSource:
    return open_data(IMAGES[:8], model.inputs)


def error(made: Model, model: Model, samples: int) -> float:
    feeds = {model.inputs[0].name: IMAGES[500:600]}
    exact = open_session(model).run(feeds)[0]
    session = open_session(made, library=True)
    found = session.run({**feeds, "samples": np.array(samples, np.int64)})[0]
    return float(np.square(found - exact).mean())


@pytest.fixture(scope="module")
def chosen() -> ChosenBits:
    """Bits for a network whose first layer and last one cost most."""
    return choose_bits(RESNET, images(RESNET))


def test_it_is_closer_than_equal_bits_at_no_more_size(chosen: ChosenBits) -> None:
    assert chosen.node_bits and chosen.mean_bits <= 4
    own, equal = (converted(RESNET, each, {}) for each in (chosen, None))
    for samples in (16, 0):
        assert error(own, RESNET, samples) < 0.8 * error(equal, RESNET, samples)
    assert own.size_bytes < equal.size_bytes + 4096  # of nodes that multiply numbers of samples


def test_bits_stay_equal_where_little_is_expected() -> None:
    model = load(MODELS / "fashion_dsconv.onnx")
    found = choose_bits(model, images(model), TuningOptions(**PLAIN), samples=16)
    assert 0 < found.gain_db < 3 and not found.node_bits and found.error == found.uniform
    assert "4 for all 12 layers; bits of their own would leave" in str(found)


def test_the_file_holds_what_was_chosen_and_draws_it_exactly(chosen: ChosenBits) -> None:
    own = {layer.name: layer.p_bits for layer in chosen.layers}
    nodes = find_psb(converted(RESNET, chosen, None))
    assert {node.name: node.p_bits for node in nodes} == own
    assert {node.name: node.samples(16) for node in nodes} == {n: 1 << b for n, b in own.items()}
    drawn = sum(node.samples(16) * (node.products or 0) for node in nodes)
    assert drawn / sum(node.products or 0 for node in nodes) == pytest.approx(
        chosen.mean_samples, rel=0.01
    )


def test_the_error_is_that_of_a_layer_alone() -> None:
    model = build(
        [
            N("MatMul", ["x", "w"], ["h"], name="first"),
            N("Relu", ["h"], ["r"]),
            N("MatMul", ["r", "v"], ["m"], name="last"),
            N("Softmax", ["m"], ["y"]),
        ],
        {"w": weights(4, 6), "v": weights(6, 3)},
        ("N", 4),
    )
    data = np.abs(weights(9, 4))
    found = choose_bits(model, source(model, data), TuningOptions(**PLAIN), size=9)
    layers = {layer.name: layer.weights.T.astype(np.float64) for layer in read_layers(model)[0]}
    x, w, v = data.astype(np.float64), layers["first"], layers["last"]
    exact = np.maximum(x @ w, 0) @ v
    for layer in found.layers:
        shares = {}
        for bits in (3, 4):
            own = dict(layers)
            own[layer.name] = np.asarray(decode(encode(own[layer.name].T, p_bits=bits)).T, float)
            made = np.maximum(x @ own["first"], 0) @ own["last"]
            shares[bits] = (
                np.square(made - exact).sum(axis=0) / np.square(exact).sum(axis=0)
            ).mean()
        shares[6] = (shares[3] / 64 + shares[4] / 16) / 2
        assert layer.error == pytest.approx(shares[layer.p_bits], rel=1e-3)
    assert found.n_inputs == 9


def test_what_flips_behind_the_last_layer_does_not_count() -> None:
    """An ArgMax as the output would be all or nothing."""
    tail = [N("ArgMax", ["m"], ["i"], axis=1), N("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
    nodes = [N("MatMul", ["x", "w"], ["m"], name="only"), *tail]
    model = build(nodes, {"w": weights(4, 6)}, ("N", 4))
    found = choose_bits(model, source(model, np.abs(weights(20, 4))))
    assert 0 < found.uniform < 0.1


@pytest.mark.parametrize("p_bits", [2, 4, 6])
@pytest.mark.parametrize("factor", [1, 1.5])
def test_other_limits(p_bits: int, factor: float) -> None:
    samples = factor * (1 << p_bits)
    found = choose_bits(MODEL, source(), TuningOptions(p_bits=p_bits), samples=samples)
    assert found.mean_bits <= p_bits and found.mean_samples <= samples
    assert found.error <= found.uniform and found.p_bits == p_bits


@pytest.mark.parametrize("samples", [15.9, 0, float("nan")])
def test_samples_are_checked(samples: float) -> None:
    with pytest.raises(OptionError, match=r"samples is .*; give a number from 16 on"):
        choose_bits(MODEL, source(), samples=samples)


def test_layers_are_tried_on_inputs_that_no_moment_holds() -> None:
    """30 inputs determine a layer of 200 weights: on these, rounding would cost nothing."""
    nodes = [N("MatMul", ["x", "w"], ["y"], name="only")]
    model = build(nodes, {"w": weights(200, 6)}, ("N", 200))
    data = np.random.default_rng(3).normal(size=(330, 200)).astype(np.float32)
    found = choose_bits(model, source(model, data[:30]))
    tuned = tune(model, source(model, data[:30])).model
    exact, made = (answers(each, data[30:]) for each in (model, tuned))
    truth = (np.square(made - exact).sum(axis=0) / np.square(exact).sum(axis=0)).mean()
    assert 0.5 < found.uniform / truth < 2 and found.n_inputs == 8


def test_the_same_data_give_the_same_bits() -> None:
    first, second = (choose_bits(MODEL, source()) for _ in range(2))
    assert first == second
    assert first.to_dict()["layers"]["depthwise"] == first.layers[1].p_bits


def test_excluded_layers_and_progress() -> None:
    told: list[tuple[str, int, int | None]] = []
    options = TuningOptions(exclude=("dilated",))
    found = choose_bits(MODEL, source(), options, progress=lambda *at: told.append(at))
    assert "dilated" not in {layer.name for layer in found.layers}
    assert told == [("measuring layers", place, 5) for place in range(1, 6)]


def test_a_model_without_layers_is_refused() -> None:
    model = build([N("Relu", ["x"], ["y"])], {}, ("N", 4))
    with pytest.raises(ModelError, match="has no layers to choose bits for; give a model with"):
        choose_bits(model, source(model, weights(9, 4)))


def test_data_that_can_be_read_once_are_refused() -> None:
    once = source()
    once.rereadable = False
    with pytest.raises(DataError, match="the data can be read once only; save them"):
        choose_bits(MODEL, once)


def test_nan_is_refused() -> None:
    data = DATA[:20].copy()
    data[11, 0, 3, 3] = np.nan
    with pytest.raises(DataError, match="the calibration data make 'x' NaN or infinite"):
        choose_bits(MODEL, source(data=data))
