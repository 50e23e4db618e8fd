"""Formats of activations: least error among all, whatever the batches, for any model."""

import math

import numpy as np
import onnx.parser
import pytest
import small_models

from reluflow.data import open_data
from reluflow.errors import DataError, OptionError
from reluflow.evaluation import find_formats, measure_formats
from reluflow.graph import load, to_psb
from reluflow.psb.fixed import FixedFormat, from_fixed, squared_error, to_fixed, widest_format

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
RELU = load(
    onnx.parser.parse_model(f"{HEAD} g (float[N,50] x) => (float[N,50] y) {{ y = Relu(x) }}")
)


def error(x: np.ndarray, form: FixedFormat) -> float:
    """Return the error by the oracle of the operators."""
    stored = from_fixed(to_fixed(x, form), form)
    return float(np.sum((stored.astype(np.float64) - x) ** 2))


def values(kind: str, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = {
        "normal": rng.normal(size=(40, 50)),
        "laplace": rng.laplace(size=(40, 50)) * 3,
        "uniform": rng.uniform(-2, 2, (40, 50)),
        "rare": np.append(rng.uniform(-60, 60, 1999), 66.0).reshape(40, 50),
    }
    return drawn[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "laplace", "uniform", "rare"])
def test_no_format_has_less_error(kind: str) -> None:
    x = values(kind)
    found = find_formats(RELU, open_data(x, RELU.inputs))
    for tensor, given, zero in (("x", x, 128), ("y", np.maximum(x, 0), 0)):
        assert found[tensor].zero == zero
        every = {f: error(given, FixedFormat(f, zero)) for f in range(-10, 20)}
        assert every[found[tensor].exponent] == min(every.values())


def test_rare_values_are_clamped_by_error_and_kept_by_maximum() -> None:
    data = open_data(values("rare"), RELU.inputs)
    least, most = find_formats(RELU, data), find_formats(RELU, data, by="maximum")
    assert most == {"x": FixedFormat(0, 128), "y": FixedFormat(1, 0)}
    assert least == {"x": FixedFormat(1, 128), "y": FixedFormat(2, 0)}


@pytest.mark.parametrize("size", [1, 7, 40, None])
def test_batches_do_not_matter(size: int | None) -> None:
    data = open_data(values("laplace"), RELU.inputs)
    found = measure_formats(RELU, data, size=size)
    whole = measure_formats(RELU, data, size=40)
    assert {k: v.form for k, v in found.items()} == {k: v.form for k, v in whole.items()}
    for tensor, each in found.items():
        assert each.noise == pytest.approx(whole[tensor].noise, rel=1e-6)
        assert each.signal == pytest.approx(whole[tensor].signal, rel=1e-6)


def test_the_measured_error_is_that_of_the_operators() -> None:
    x = values("laplace")
    each = measure_formats(RELU, open_data(x, RELU.inputs))["x"]
    noise = error(x, each.form)
    assert each.noise == pytest.approx(noise, rel=1e-6)
    wanted = 10 * math.log10(float(np.sum(x.astype(np.float64) ** 2)) / noise)
    assert each.sqnr_db == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize("seed", range(5))
def test_the_sum_of_errors_is_that_of_the_oracle(zero: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(3, 70000)).astype(np.float32) * 4
    for exponent in (-3, 0, 5):
        form = FixedFormat(exponent, zero)
        assert squared_error(x, form) == pytest.approx(error(x, form), rel=1e-5)


@pytest.mark.parametrize(
    ("lowest", "highest", "zero", "exponent"),
    [
        (0.0, 255.0, 0, 0),
        (0.0, 255.5, 0, -1),
        (0.0, 127.5, 0, 1),
        (-128.0, 127.0, 128, 0),
        (-128.5, 1.0, 128, -1),
        (-0.5, 127.5, 128, -1),
        (-9.0, 0.0, 0, 0),
        (0.0, 0.0, 128, 0),
        (0.0, 1e-45, 0, 100),
        (-3e38, 3e38, 128, -121 + 21),
    ],
)
def test_the_widest_format_holds_the_range_and_no_finer_one_does(
    lowest: float, highest: float, zero: int, exponent: int
) -> None:
    assert widest_format(lowest, highest, zero) == FixedFormat(exponent, zero)


@pytest.mark.parametrize("make", [small_models.dense, small_models.convolutional])
def test_a_converted_model_has_formats_for_what_it_passes(make) -> None:
    made = to_psb(load(make()))
    shape = [size if isinstance(size, int) else 5 for size in made.model.inputs[0].shape or ()]
    data = open_data(small_models.integers(tuple(shape)), made.model.inputs[:1])
    found = find_formats(made.model, data)
    passed = {node.psb.x for node in made.done.converted}
    passed |= {node.psb.output for node in made.done.converted}
    assert passed <= set(found)


def test_tensors_of_zeros_get_a_format() -> None:
    data = open_data(np.zeros((3, 50), np.float32), RELU.inputs)
    assert find_formats(RELU, data) == {"x": FixedFormat(0, 128), "y": FixedFormat(0, 0)}


def test_a_model_without_activations_has_no_formats() -> None:
    text = f"{HEAD} g (int64[N,2] x) => (int64[N,2] y) {{ y = Neg(x) }}"
    model = load(onnx.parser.parse_model(text))
    assert find_formats(model, open_data(np.ones((3, 2), np.int64), model.inputs)) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    x = values("normal")
    x[3, 4] = value
    with pytest.raises(DataError, match="make 'x' NaN or infinite"):
        find_formats(RELU, open_data(x, RELU.inputs))


def test_data_that_can_be_read_once_only_are_refused() -> None:
    once = (row for row in [values("normal")])
    with pytest.raises(DataError, match="read once only"):
        find_formats(RELU, open_data(once, RELU.inputs))


@pytest.mark.parametrize("by", ["mse", "", None])
def test_another_rule_is_refused(by) -> None:
    data = open_data(values("normal"), RELU.inputs)
    with pytest.raises(OptionError, match="give 'error' or 'maximum'"):
        find_formats(RELU, data, by=by)
