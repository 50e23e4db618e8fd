"""ONNX Runtime's int8 of a model: it runs, it is smaller, and what it cannot do is one sentence."""

from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import ModelError
from reluflow.graph import fold_batchnorm, load
from reluflow.runtime import open_session, static_int8

MODELS = Path(__file__).parents[2] / "models"


def test_int8_answers_nearly_as_the_float_model() -> None:
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:128]
    model = fold_batchnorm(load(MODELS / "fashion_resnet8.onnx")).model
    small = static_int8(model, [{"image": images[:64]}, {"image": images[64:]}])
    assert small.size_bytes < 0.4 * model.size_bytes
    before, after = (
        open_session(m, threads=1).run({"image": images})[0].argmax(1) for m in (model, small)
    )
    assert np.mean(before == after) > 0.97


def test_without_data_it_is_refused() -> None:
    model = load(MODELS / "fashion_resnet8.onnx")
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot quantise the model to int8"):
        static_int8(model, [])
