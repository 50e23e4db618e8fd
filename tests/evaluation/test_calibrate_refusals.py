"""Data that tell nothing about ranges are refused."""

import numpy as np
import pytest
import small_models

from reluflow.data import open_data
from reluflow.errors import DataError
from reluflow.evaluation import calibrate
from reluflow.graph import load


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (np.nan, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
        (-np.inf, "NaN or infinite"),
    ],
)
def test_values_that_are_not_finite_are_refused(value, pattern):
    model = load(small_models.dense())
    x = small_models.integers((8, 4))
    x[5, 2] = value
    with pytest.raises(DataError, match=pattern):
        calibrate(model, open_data(x, model.inputs))


def test_tensors_that_are_0_throughout_are_refused():
    proto = small_models.dense()
    for tensor in proto.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    model = load(proto)
    with pytest.raises(DataError, match="make every tensor 0"):
        calibrate(model, open_data(np.zeros((8, 4), np.float32), model.inputs))


def test_the_same_data_without_them_pass():
    model = load(small_models.dense())
    assert calibrate(model, open_data(small_models.integers((8, 4)), model.inputs))
