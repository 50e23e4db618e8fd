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


ROUNDING = 1e-5


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
    states = [tapped.read(batch)]
    export(model, tmp_path / "before.onnx", batch)
    model.optimizer.learning_rate = rate = float(np.median(cooling.rates))
    model.train_on_batch(batch, labels[:256])
    states.append(tapped.read(batch))
    export(model, tmp_path / "after.onnx", batch)
    # Where no pre-activation lies within rounding of 0 all counts are equal, whoever adds it up.
    clear = np.full(256, True)
    for values in (each for state in states for each in state.values()):
        clear &= np.abs(values).min(1).reshape(256, -1).min(1) > ROUNDING
    assert clear.sum() > 200
    batch = batch[clear]
    before, after = (
        {name: each[np.repeat(clear, len(each) // 256)] for name, each in state.items()}
        for state in states
    )

    report = reluflow.analyze(tmp_path / "after.onnx", images, tmp_path / "report")
    assert [site.site.units for site in report] == [8, 32]
    ours = distance_of(before, after)
    compared = reluflow.compare(tmp_path / "before.onnx", tmp_path / "after.onnx", batch)
    assert ours.mean_distance > 0
    assert [site.distance for site in ours.sites] == [seen.distance for seen in compared]
    meter = reluflow.StepMeter(tmp_path / "before.onnx")
    one, other = (
        reluflow.StepMeter(tmp_path / f"{name}.onnx").file_weights for name in ("before", "after")
    )
    through = meter.distance(one, other, batch)
    assert [site.changed for site in ours.sites] == [site.changed for site in through.sites]
    wanted = curves_along(before, [(rate, after)])
    rates = rate * np.geomspace(0.1, 10.0, 15)
    for found, own in zip(
        meter.curves(one, other, batch, rate).values(), wanted.values(), strict=True
    ):
        assert found.samples == own.samples
        assert np.allclose(found.distance(rates), own.distance(rates), atol=0.01)
    psb = reluflow.convert(tmp_path / "after.onnx", tmp_path / "psb.onnx")
    psb_found = reluflow.evaluate(
        psb.model,
        images[1300:],
        labels[1300:],
        float_model=tmp_path / "after.onnx",
        options=reluflow.EvaluationOptions(samples=(16,), seeds=1),
    )
    assert psb_found.float_value is not None and psb_found.float_value > 0.88
    assert psb_found.points[0].mean > psb_found.float_value - 0.03


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
