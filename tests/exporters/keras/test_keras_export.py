"""From Keras to ONNX and on: analysis, comparison, shift-adds, and the same D."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

import reluflow
from reluflow.errors import DataError, EquivalenceError, ModelError
from reluflow.temperature import curves_along, distance_of
from reluflow_keras import ActCool, Tapped, export

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    return (images / 16.0).astype(np.float32).reshape(-1, 8, 8, 1), labels


def test_a_training_on_digits_end_to_end(tmp_path: Path) -> None:
    """Trained at a temperature, exported, analysed, compared and made of shift-adds; D and the
    curves of a step are the same in Keras and through ONNX."""
    images, labels = digits()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32),
            layers.ReLU(),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    cooling = ActCool()
    batches = {"batch_size": 64, "verbose": 0}
    model.fit(images[:1300], labels[:1300], epochs=8, callbacks=[cooling], **batches)
    score = model.evaluate(images[1300:], labels[1300:], return_dict=True, **batches)
    assert score["accuracy"] > 0.88

    batch, tapped = images[:256], Tapped(model)
    before = tapped.read(batch)
    export(model, tmp_path / "before.onnx", batch)
    model.optimizer.learning_rate = rate = float(np.median(cooling.rates))
    model.train_on_batch(batch, labels[:256])
    after = tapped.read(batch)
    export(model, tmp_path / "after.onnx", batch)

    report = reluflow.analyze(tmp_path / "after.onnx", images, tmp_path / "report")
    assert [site.site.units for site in report] == [8, 32]
    ours = distance_of(before, after)
    compared = reluflow.compare(tmp_path / "before.onnx", tmp_path / "after.onnx", batch)
    assert ours.mean_distance > 0
    for site, seen in zip(ours.sites, compared, strict=True):
        assert abs(site.changed - round(seen.distance * site.samples)) <= 1  # rounding near 0
    meter = reluflow.StepMeter(tmp_path / "before.onnx")
    one, other = (
        reluflow.StepMeter(tmp_path / f"{name}.onnx").file_weights for name in ("before", "after")
    )
    wanted = curves_along(before, [(rate, after)])
    rates = rate * np.geomspace(0.1, 10.0, 15)
    for found, own in zip(
        meter.curves(one, other, batch, rate).values(), wanted.values(), strict=True
    ):
        assert found.samples == own.samples
        assert np.allclose(found.distance(rates), own.distance(rates), atol=0.01)
    reluflow.convert(tmp_path / "after.onnx", tmp_path / "psb.onnx")
    assert (tmp_path / "psb.onnx").is_file()


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    layer = keras.layers.Dense(3, "relu", kernel_initializer="ones")  # its outputs are not 0
    model = keras.Sequential([keras.Input((4,)), layer])
    x, path = np.ones((5, 4), np.float32), tmp_path / "model.onnx"
    with pytest.raises(DataError, match="x has 2 arrays"):
        export(model, path, [x, x])
    with pytest.raises(EquivalenceError, match="nothing is written"):
        export(model, path, x, tolerance=-1.0)
    with pytest.raises(ModelError, match="Keras cannot export model"):
        export(model, path, x, input_signature=3)
    assert not path.exists()
