"""The largest magnitude of every activation, which the exponents of int16 follow from."""

import numpy as np
import onnx.parser
import pytest

from reluflow.data import open_data
from reluflow.errors import DataError
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.evaluation.widths.chains16 import convert_to_chains16
from reluflow.graph import Model, load, plan_psb, to_psb

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
    { h = MatMul(x, w) r = Relu(h) y = Exp(r) }"""


@pytest.fixture
def model() -> Model:
    return load(onnx.parser.parse_model(TEXT))


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_they_are_the_largest_of_all_batches(model: Model, size: int | None, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(7, 2)).astype(np.float32)
    found = largest_activations(model, open_data(x, model.inputs), size=size)
    h = x @ np.array([[1, 2], [3, 4]], np.float32)
    wanted = {"x": x, "h": h, "r": np.maximum(h, 0), "y": np.exp(np.maximum(h, 0))}
    assert found == pytest.approx({name: np.abs(v).max() for name, v in wanted.items()}, rel=1e-6)


def test_a_converted_model_has_those_of_nearest_mode(model: Model) -> None:
    x = np.eye(2, dtype=np.float32)
    found = largest_activations(to_psb(model).model, open_data(x, model.inputs))
    assert found["x"] == 1 and found["r"] == pytest.approx(4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1000.0])  # the last one overflows in Exp
def test_what_is_not_finite_is_refused(model: Model, value: float) -> None:
    x = np.full((1, 2), value, np.float32)
    with pytest.raises(DataError, match="NaN or infinite; give data without such values"):
        largest_activations(model, open_data(x, model.inputs))


def test_data_that_end_are_refused(model: Model) -> None:
    once = open_data(iter([np.eye(2, dtype=np.float32)]), model.inputs)
    with pytest.raises(DataError, match="the data can be read once only; save them to a file"):
        convert_to_chains16(plan_psb(model), once)
