"""Tuning: codes are kept, outputs are nearer to the float model, bad data are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rewriting import SHAPE, N, build, every_layer, weights

from reluflow.data import DataSource, open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import TuningOptions, tune
from reluflow.evaluation.tuning.stream import Stream
from reluflow.graph import Model, PsbOptions, load, plan_psb, read_layers, to_psb
from reluflow.psb import decode, encode
from reluflow.sessions import open_session

PLAIN: dict[str, Any] = {"feedback": False, "follow": False, "correct_bias": False}
STEPS: dict[str, dict[str, Any]] = {
    "bias": {**PLAIN, "correct_bias": True},
    "feedback": {**PLAIN, "feedback": True},
    "follow": {**PLAIN, "follow": True},
    "all": {},
    "all, on the grid": {"grid": True},
}
MODEL = every_layer()
DATA = np.random.default_rng(5).gamma(1, 1, (260, *SHAPE)).astype(np.float32)


def source(model: Model = MODEL, data: Any = DATA[:60]) -> DataSource:
    return open_data(data, model.inputs)


def answers(model: Model, x: np.ndarray = DATA[60:]) -> np.ndarray:
    return open_session(model, threads=1).run({"x": x})[0]


def error(model: Model) -> float:
    exact = answers(MODEL)
    return float(np.square(answers(model) - exact).mean() / np.var(exact))


@pytest.mark.parametrize("p_bits", [2, 4])
@pytest.mark.parametrize("step", STEPS)
def test_each_step_brings_new_inputs_nearer_to_the_float_model(step: str, p_bits: int) -> None:
    plain = error(tune(MODEL, source(), TuningOptions(p_bits=p_bits, **PLAIN)).model)
    made = tune(MODEL, source(), TuningOptions(p_bits=p_bits, **STEPS[step]))
    share = error(made.model) / plain
    assert share < (0.25 if step.startswith("all") and "grid" not in step else 0.9)
    assert made.done.n_inputs == 60 and len(made.done.layers) == 6


def test_without_steps_it_is_the_plain_conversion() -> None:
    made = tune(MODEL, source(), TuningOptions(**PLAIN)).model
    pairs = zip(read_layers(made)[0], read_layers(plan_psb(MODEL).model)[0], strict=True)
    for layer, exact in pairs:
        np.testing.assert_array_equal(layer.weights, decode(encode(exact.weights, p_bits=4)))
        np.testing.assert_allclose(layer.bias, exact.bias, rtol=1e-6)


@pytest.mark.parametrize("p_bits", [1, 3, 4, 8])
@pytest.mark.parametrize("step", ["all", "follow", "all, on the grid"])
def test_a_conversion_stores_every_value_exactly(p_bits: int, step: str) -> None:
    made = tune(MODEL, source(), TuningOptions(p_bits=p_bits, **STEPS[step])).model
    layers, _ = read_layers(made)
    for layer in layers:
        again = decode(encode(layer.weights, p_bits=p_bits))
        np.testing.assert_array_equal(again, layer.weights)
    if p_bits > 6:  # nearest mode is that of 64 samples
        return
    converted = to_psb(made, PsbOptions(p_bits=p_bits, x_bits=16)).model
    exact = answers(made)
    session = open_session(converted, library=False)
    found = session.run({"x": DATA[60:]})[0]
    assert np.abs(found - exact).max() < 2e-3 * np.abs(exact).max()


def test_means_of_all_outputs_are_those_of_the_float_model() -> None:
    made = tune(MODEL, source(), TuningOptions(p_bits=1))
    want, found = answers(MODEL, DATA[:60]).mean(0), answers(made.model, DATA[:60]).mean(0)
    np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())


def test_the_given_model_stays_and_each_run_gives_the_same() -> None:
    before = MODEL.serialize()
    first, second = (tune(MODEL, source()).model.serialize() for _ in range(2))
    assert first == second and MODEL.serialize() == before


@pytest.mark.parametrize("size", [1, 7, 60])
@pytest.mark.parametrize("most", [0, 200_000, 2**29])
def test_what_is_kept_between_layers_changes_nothing(size: int, most: int) -> None:
    plan = plan_psb(MODEL).model
    kept, exact = Stream(source(), size, 1, most), open_session(plan, threads=1)
    for layer in read_layers(plan)[0]:
        found = [x for (x,) in kept.tensors(plan, layer.output, [layer.x])]
        assert sum(map(len, found)) == 60
        assert sum(map(len, found[:1])) == size
    np.testing.assert_allclose(np.concatenate(found).shape, (60, 10))
    assert exact.outputs == ("y",)


def test_bits_of_single_nodes() -> None:
    made = tune(MODEL, source(), TuningOptions(p_bits=4, node_bits={"dilated": 1})).model
    layers = {layer.name: layer.weights for layer in read_layers(made)[0]}
    for name, p_bits in (("dilated", 1), ("pointwise", 4)):
        same = np.array_equal(decode(encode(layers[name], p_bits=p_bits)), layers[name])
        assert same, name
    assert not np.array_equal(decode(encode(layers["pointwise"], p_bits=1)), layers["pointwise"])


def test_excluded_layers_stay() -> None:
    made = tune(MODEL, source(), TuningOptions(exclude=("dilated",)))
    assert "dilated" not in made.done.layers
    assert ("dilated", "it is excluded") in [(r.node, r.reason) for r in made.refused]
    was, now = (
        {layer.name: layer.weights for layer in read_layers(m)[0]}["dilated"]
        for m in (plan_psb(MODEL).model, made.model)
    )
    np.testing.assert_array_equal(was, now)


def test_a_layer_that_sees_too_little_is_rounded_plainly_and_says_so() -> None:
    made = tune(MODEL, source(data=DATA[:3]))
    assert made.done.layers == ("first", "depthwise", "pointwise", "dilated")
    reasons = {each.node: each.reason for each in made.refused}
    assert reasons["matrix"] == "its inputs are known at 3 places, 8 are wanted"
    assert set(reasons) == {"matrix", "last"}


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int | None]] = []
    tune(MODEL, source(), progress=lambda *at: told.append(at))
    assert told == [("tuning layers", place, 6) for place in range(1, 7)]


def test_nan_is_refused() -> None:
    data = DATA[:20].copy()
    data[11, 0, 3, 3] = np.nan
    with pytest.raises(DataError, match="the calibration data make 'x' NaN or infinite"):
        tune(MODEL, source(data=data))


def test_data_that_can_be_read_once_are_refused() -> None:
    once = source()
    once.rereadable = False
    with pytest.raises(DataError, match="the data can be read once only; save them"):
        tune(MODEL, once)


def test_too_few_inputs_are_refused() -> None:
    model = build([N("MatMul", ["x", "w"], ["y"], name="n")], {"w": weights(4, 4)}, ("N", 4))
    with pytest.raises(DataError, match=r"no layer was tuned, since its inputs .* more inputs"):
        tune(model, source(model, weights(7, 4)))


def test_a_model_without_layers_is_refused() -> None:
    model = build([N("Relu", ["x"], ["y"])], {}, ("N", 4))
    with pytest.raises(ModelError, match="has no layers to tune; give a model with Conv"):
        tune(model, source(model, weights(9, 4)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"p_bits": 5}, "p_bits is 5; accepted are 1, 2, 3"),
        ({"node_bits": {"a": 0}}, r"node_bits\['a'\] is 0; accepted are 1, 2, 3"),
        ({"damping": 0.0}, "damping is 0.0; give a share above 0"),
        ({"damping": float("nan")}, "damping is nan; give a share above 0"),
        ({"seed": -1}, "seed is -1; give a whole number of at least 0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        TuningOptions(**options)


def test_a_network_of_the_house() -> None:
    model = load("models/fashion_resnet8.onnx")
    data = np.load("models/fashion_mnist_test_2000.npz")["image"]
    made = tune(model, open_data(data[:16], model.inputs))
    session, exact = open_session(made.model), open_session(model)
    feeds = {model.inputs[0].name: data[100:200]}
    want = exact.run(feeds)[0]
    plain = tune(model, open_data(data[:16], model.inputs), TuningOptions(**PLAIN)).model
    (found,), (rounded,) = session.run(feeds), open_session(plain).run(feeds)
    assert np.square(found - want).mean() < 0.3 * np.square(rounded - want).mean()
