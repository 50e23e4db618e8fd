"""A cascade as it is measured: points, what is right, the chosen threshold, notes."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from onnx import helper
from rich.console import Console

import reluflow
from reluflow.attention import CascadeOptions, CascadeReport, measure_cascade
from reluflow.data import open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, load, to_psb
from reluflow.report import print_cascade

SHIPPED = Path(__file__).parents[2] / "models"
IMAGES = SHIPPED / "fashion_mnist_test_2000.npz"
N = 200


@pytest.fixture(scope="module")
def resnet() -> Model:
    return load(SHIPPED / "fashion_resnet8.onnx")


@pytest.fixture(scope="module")
def psb(resnet: Model) -> Model:
    return to_psb(resnet).model


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.asarray(np.load(IMAGES)["label"][:N])


@pytest.fixture(scope="module")
def found(resnet: Model, psb: Model, labels: np.ndarray) -> CascadeReport:
    options = CascadeOptions((1, 16), coverages=(0.0, 0.1, 0.2, 0.5, 1.0), loss=0.05)
    source = open_data(IMAGES, resnet.inputs, limit=N)
    return measure_cascade(psb, psb, source, labels, float_model=resnet, options=options)


def test_the_points_lie_between_the_passes(found: CascadeReport) -> None:
    assert found.metric == "accuracy" and found.n_inputs == N and found.output == "logits"
    assert [point.coverage for point in found.points] == [0.0, 0.1, 0.2, 0.5, 1.0]
    assert found.points[0].value == found.coarse.value < found.fine.value
    assert found.points[-1].value == found.fine.value
    assert all(a.threshold > b.threshold for a, b in pairwise(found.points))
    # unsure inputs are where pass 1 errs: a fifth of the inputs brings most of the gain
    gain = found.fine.value - found.coarse.value
    assert found.points[2].value - found.coarse.value > 0.5 * gain


def test_costs_are_counted_and_time_is_measured(found: CascadeReport) -> None:
    assert found.fine.shift_adds == 16 * (found.coarse.shift_adds or 0)
    for point in found.points:
        cost = found.cost(point)
        assert cost is not None
        assert cost == pytest.approx(1 / 16 + point.coverage)
        assert found.speed(point) == found.fine.ms / point.ms > 0
    assert found.to_dict()["points"][0]["threshold"] is None  # infinite


def test_the_chosen_threshold_is_tested_on_other_inputs(found: CascadeReport) -> None:
    chosen = found.chosen
    assert chosen is not None and chosen.n_tuning == chosen.n_test == N // 2
    assert chosen.sentence().startswith("For a loss of at most 5 points against pass 2 with conf")
    assert "on the other 100 it sends on" in chosen.sentence()
    assert chosen.fine_value - chosen.value <= 0.05


def test_too_few_inputs_guarantee_nothing(psb: Model, labels: np.ndarray) -> None:
    source = open_data(IMAGES, psb.inputs[:1], limit=40)
    options = CascadeOptions((4, 16), coverages=(0.1,), loss=0.003)
    found = measure_cascade(psb, psb, source, labels[:40], options=options)
    assert found.chosen is not None and found.chosen.threshold == -math.inf
    assert found.chosen.coverage == 1 and found.chosen.value == found.chosen.fine_value
    assert "20 inputs are too few to let pass 1 keep any" in found.chosen.sentence()


@pytest.mark.parametrize("measure", ["margin", "ratio", "disagreement"])
def test_other_measures(psb: Model, labels: np.ndarray, measure: str) -> None:
    source = open_data(IMAGES, psb.inputs[:1], limit=60)
    options = CascadeOptions((4, 16), measure=measure, coverages=(0.0, 0.25))
    found = measure_cascade(psb, psb, source, labels[:60], options=options)
    assert found.measure == measure and found.points[1].coverage == 0.25
    assert found.points[1].value >= found.points[0].value
    assert found.chosen is None


def test_without_labels_the_float_model_or_pass_2_is_right(resnet: Model, psb: Model) -> None:
    source = open_data(IMAGES, resnet.inputs, limit=50)
    options = CascadeOptions((1, 16), coverages=(1.0,))
    by_float = measure_cascade(psb, psb, source, float_model=resnet, options=options)
    assert by_float.metric == "agreement with float" and by_float.float_value is None
    by_itself = measure_cascade(psb, psb, source, options=options)
    assert by_itself.metric == "agreement with pass 2"
    assert by_itself.fine.value == by_itself.points[0].value == 1


def test_rows_with_one_1_are_labels(psb: Model, labels: np.ndarray, found: CascadeReport) -> None:
    source = open_data(IMAGES, psb.inputs[:1], limit=N)
    options = CascadeOptions((1, 16), coverages=(0.1,))
    rows = np.eye(10)[labels]
    assert measure_cascade(psb, psb, source, rows, options=options).fine.value == found.fine.value


def test_the_notes_say_what_is_odd(psb: Model) -> None:
    images = np.load(IMAGES)["image"][:8].astype(np.float32)
    model = load(SHIPPED / "fashion_resnet8.onnx")
    images[3] = np.nan
    options = CascadeOptions((None, None), coverages=(0.0, 0.25, 1.0))
    found = measure_cascade(model, model, open_data(images, model.inputs), options=options)
    assert found.notes[0].startswith("Pass 1 gives NaN or infinite scores for 1 of 8 inputs;")
    assert any("At coverage 0 nothing goes on" in note for note in found.notes)
    assert any("pass 1 is made in vain" in note for note in found.notes)
    source = open_data(np.load(IMAGES)["image"][:8], psb.inputs[:1])
    found = measure_cascade(psb, psb, source, options=CascadeOptions((1, 4), coverages=(0.5,)))
    assert [note for note in found.notes if "scales of activations from each run" in note]


def test_the_table_says_all(found: CascadeReport) -> None:
    text = io.StringIO()
    print_cascade(found, Console(file=text, width=80))
    shown = text.getvalue()
    for words in ("1: 1 sample", "2: 16 samples", "20.0 %", "0.06", "float32:", "entropy in bits"):
        assert words in shown
    assert max(map(len, shown.splitlines()[:12])) <= 80


def call(*given: Any, **more: Any) -> CascadeReport:
    return reluflow.evaluate_cascade(*given, limit=30, **more)


def test_the_call_converts_and_chooses_passes(tmp_path: Path) -> None:
    net = SHIPPED / "fashion_resnet8.onnx"
    small = SHIPPED / "fashion_dsconv.onnx"
    converted = tmp_path / "psb.onnx"
    reluflow.convert(net, converted)
    names = [
        (call(net, IMAGES, cascade="1/float"), ("1 sample", "float")),
        (call(converted, IMAGES, cascade="2/float", float_model=net), ("2 samples", "float")),
        (call(converted, IMAGES, cascade="4/16", coarse=small), ("4 samples", "16 samples")),
        (call(net, IMAGES, cascade="float/16", coarse=small), ("float", "16 samples")),
        (call(net, IMAGES, cascade="float/float", coarse=small), ("float", "float")),
    ]
    for found, expected in names:
        assert (found.coarse.name, found.fine.name) == expected
        assert found.metric == "accuracy"
    assert names[2][0].coarse.shift_adds != 4 * (names[2][0].fine.shift_adds or 0) // 16
    unlabelled = np.load(IMAGES)["image"]
    by_itself = call(converted, unlabelled, cascade="1/16")
    assert by_itself.notes[0].startswith("There are no labels and no float model")


def test_refusals(resnet: Model, psb: Model, labels: np.ndarray, tmp_path: Path) -> None:
    source = open_data(IMAGES, psb.inputs[:1], limit=10)
    with pytest.raises(DataError, match="there are 200 labels for 10 inputs; give one for each"):
        measure_cascade(psb, psb, source, labels)
    with pytest.raises(DataError, match=r"labels are \[10, 10\] of int64, which are no classes"):
        measure_cascade(psb, psb, source, np.ones((10, 10), np.int64))
    with pytest.raises(DataError, match="has zero samples; give at least one"):
        call(SHIPPED / "fashion_resnet8.onnx", np.zeros((0, 1, 28, 28), np.float32))
    once = open_data(iter([np.zeros((2, 1, 28, 28), np.float32)]), resnet.inputs)
    with pytest.raises(DataError, match="the data can be read once only"):
        measure_cascade(psb, psb, once)
    one = open_data(IMAGES, psb.inputs[:1], limit=1)
    with pytest.raises(OptionError, match="there is 1 input, which cannot be halved"):
        measure_cascade(psb, psb, one, labels[:1], options=CascadeOptions(loss=0.1))
    converted = tmp_path / "psb.onnx"
    psb.save(converted)
    with pytest.raises(OptionError, match="float_model is missing, which is needed for a pass in"):
        call(converted, IMAGES, cascade="1/float")
    with pytest.raises(OptionError, match="coarse is missing, which is needed for a first pass"):
        call(converted, IMAGES, cascade="float/16")
    with pytest.raises(OptionError, match="psb is given, but the models are converted already"):
        call(converted, IMAGES, psb=reluflow.PsbOptions())
    nothing = tmp_path / "relu.onnx"
    nothing.write_bytes(
        small_models.model(
            [helper.make_node("Relu", ["x"], ["y"])],
            {},
            {"x": ["N", 3]},
            {"y": ["N", 3]},
        ).SerializeToString()
    )
    with pytest.raises(ModelError, match="convert"):
        call(nothing, np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("text", ["", "1", "1/2/3", "a/b", "1/", "-1/4", "1.5/4", "half/float"])
def test_a_text_that_is_no_cascade(text: str) -> None:
    with pytest.raises(OptionError, match=r"cascade is '.*'; give the samples of both passes"):
        CascadeOptions.of(text)


def test_options_are_checked() -> None:
    assert CascadeOptions.of(" 1 / float ").samples == (1, None)
    with pytest.raises(OptionError, match="samples of a pass are 3; accepted are 1, 2"):
        CascadeOptions.of("3/16")
    with pytest.raises(OptionError, match="coverages are empty; give at least one share"):
        CascadeOptions(coverages=())
    with pytest.raises(OptionError, match=r"coverages hold 1\.2; give shares from 0 to 1"):
        CascadeOptions(coverages=(0.1, 1.2))
    with pytest.raises(OptionError, match="loss is 2; give a share"):
        CascadeOptions(loss=2)
    with pytest.raises(OptionError, match="confidence is 0; give a number between 0 and 1"):
        CascadeOptions(confidence=0)
    with pytest.raises(OptionError, match="measure is 'x'"):
        CascadeOptions(measure="x")
