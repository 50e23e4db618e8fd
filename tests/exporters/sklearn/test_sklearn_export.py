"""From scikit-learn to ONNX and on: analysis, comparison, shift-adds, and the same D."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import reluflow
from reluflow.errors import EquivalenceError, ModelError, OptionError
from reluflow_sklearn import (
    ActCoolMLPClassifier,
    ActCoolMLPRegressor,
    export,
    step_curves,
    step_distance,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient vanishes.*:UserWarning")
DIGITS, LABELS = load_digits(return_X_y=True)
NARROW = DIGITS.astype(np.float32)
NAMES = np.array(["zero", "one", *"23456789"])[LABELS]


def pipeline(**settings: Any) -> Pipeline:
    return make_pipeline(
        StandardScaler(), ActCoolMLPClassifier((32, 16), random_state=0, **settings)
    )


def test_a_pipeline_end_to_end(tmp_path: Path) -> None:
    """Trained at a temperature, exported, analysed, compared and made of shift-adds."""
    early = pipeline(max_iter=2).fit(NARROW[:1300], NAMES[:1300])
    late = pipeline(max_iter=20).fit(NARROW[:1300], NAMES[:1300])
    files = [
        export(model, tmp_path / f"{name}.onnx", NARROW, zipmap=True)
        for model, name in ((early, "early"), (late, "late"))
    ]
    report = reluflow.analyze(files[1], NARROW, tmp_path / "report")
    assert [site.site.units for site in report] == [32, 16]
    assert report[0].samples == len(NARROW)
    values = step_distance(early, late, NARROW)
    compared = reluflow.compare(files[0], files[1], NARROW)
    assert [site.distance for site in compared] == [site.distance for site in values.sites]
    psb = reluflow.convert(files[1], tmp_path / "psb.onnx")
    found = reluflow.evaluate(
        psb.model,
        NARROW[1300:],
        NAMES[1300:],
        float_model=files[1],
        options=reluflow.EvaluationOptions(samples=(16,), seeds=1),
    )
    score = late.score(NARROW[1300:], NAMES[1300:])
    assert found.float_value == pytest.approx(score, abs=1e-9) and score > 0.88
    assert found.points[0].mean > score - 0.03
    operators = [node.op_type for node in onnx.load(tmp_path / "psb.onnx").graph.node]
    assert operators.count("Relu") == 0
    assert operators.count("ZipMap") == 1  # left alone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_step_is_that_seen_through_onnx(tmp_path: Path, dtype: Any, solver: str) -> None:
    """D and the curves of one step, in scikit-learn and through a StepMeter."""
    x = (DIGITS / 16.0).astype(dtype)
    mlp = ActCoolMLPClassifier((64, 32), solver=solver, total_steps=100, random_state=0)
    for _ in range(3):
        mlp.partial_fit(x[:200], LABELS[:200], classes=np.arange(10))
    before = copy.deepcopy(mlp)
    mlp.partial_fit(x[:200], LABELS[:200])
    rate, batch = mlp.learning_rates_[-1], x[:200]
    meter = reluflow.StepMeter(export(before, tmp_path / "mlp.onnx", batch))
    weights = [dict(meter.file_weights) for _ in range(2)]
    for state, model in zip(weights, (before, mlp), strict=True):
        for number, (coefs, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
            state[f"coefficient{number or ''}"] = coefs
            state[f"intercepts{number or ''}"] = bias.reshape(1, -1)
    ours, theirs = step_distance(before, mlp, batch), meter.distance(weights[0], weights[1], batch)
    assert [site.changed for site in ours.sites] == [site.changed for site in theirs.sites]
    assert ours.mean_distance > 0
    pairs = zip(
        step_curves(before, mlp, batch, rate).values(),
        meter.curves(weights[0], weights[1], batch, rate).values(),
        strict=True,
    )
    for own, other in pairs:
        if dtype == np.float64:  # sums in another order: a sample may be at the edge of a cell
            assert np.abs(own.counts - other.counts).sum() <= 2
        rates = rate * np.geomspace(0.01, 100.0, 41)
        assert np.allclose(own.temperature(rates), other.temperature(rates), atol=0.03)


def test_a_regressor_and_a_second_export_without_zipmap(tmp_path: Path) -> None:
    mlp = ActCoolMLPRegressor((16,), max_iter=5, random_state=0).fit(NARROW, LABELS)
    file = export(mlp, tmp_path / "mlp.onnx", NARROW)
    assert reluflow.analyze(file, NARROW)[0].site.units == 16
    file = export(pipeline(max_iter=1).fit(DIGITS, LABELS), tmp_path / "wide.onnx", DIGITS)
    assert [site.site.units for site in reluflow.analyze(file, DIGITS)] == [32, 16]


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    fitted = pipeline(max_iter=1).fit(NARROW, LABELS)
    with pytest.raises(OptionError, match="a ZipMap holds float32"):
        export(fitted, path, DIGITS, zipmap=True)
    with pytest.raises(OptionError, match="x is int64"):
        export(fitted, path, DIGITS.astype(np.int64))
    with pytest.raises(ModelError, match="skl2onnx cannot convert Pipeline"):
        export(pipeline(), path, NARROW)
    with pytest.raises(EquivalenceError, match="nothing is written"):
        export(fitted, path, NARROW, tolerance=0.0)
    with pytest.raises(EquivalenceError, match="outputs of the file differ"):
        export(LinearRegression().fit(1e4 + NARROW, LABELS), path, 1e4 + NARROW, tolerance=1e-9)
    assert not path.exists()


def test_strings_are_told_and_what_stands_behind_them_is_exported(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(["red", "green", "blue"], size=(90, 2))
    model = make_pipeline(
        OneHotEncoder(sparse_output=False), ActCoolMLPClassifier((8,), max_iter=2)
    ).fit(words, words[:, 0] == "red")
    with pytest.raises(OptionError, match="only numbers can be fed"):
        export(model, tmp_path / "words.onnx", words)
    encoded = model[:1].transform(words).astype(np.float32)
    file = export(model[1:], tmp_path / "behind.onnx", encoded)
    assert reluflow.analyze(file, encoded)[0].samples == 90
