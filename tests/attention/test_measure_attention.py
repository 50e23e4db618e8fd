"""Attention as it is measured: pairs of samples, ways to select, what is right, refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import small_models
from rich.console import Console

import reluflow
from reluflow.attention import (
    AttentionOptions,
    AttentionReport,
    AttentionSession,
    measure_attention,
    open_pass,
)
from reluflow.data import open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, load, to_psb
from reluflow.report import print_attention

SHIPPED = Path(__file__).parents[2] / "models"
IMAGES = SHIPPED / "fashion_mnist_test_2000.npz"
N = 30


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
def found(resnet: Model, psb: Model, labels: np.ndarray) -> AttentionReport:
    source = open_data(IMAGES, resnet.inputs, limit=N)
    options = AttentionOptions((1, 16), (16,), batch_size=12)
    return measure_attention(psb, source, labels, float_model=resnet, options=options)


def test_every_pair_meets_every_way_to_select(found: AttentionReport) -> None:
    assert found.metric == "accuracy" and found.n_inputs == N and found.float_value is not None
    assert list(found.passes) == [1, 16]
    ways = ["entropy", "random", "entropy + margin 1", "random, as with margin 1"]
    assert [point.selection for point in found.points] == ways * 2
    assert [point.samples for point in found.points] == [(1, 16)] * 4 + [(16, 16)] * 4
    for unsure, random in zip(found.points[::2], found.points[1::2], strict=True):
        assert unsure.coverage == random.coverage
    assert found.points[0].coverage < found.points[2].coverage < 1


def test_values_and_costs_are_those_of_the_passes(
    found: AttentionReport, psb: Model, labels: np.ndarray
) -> None:
    images = np.load(IMAGES)["image"][:N]
    for n, each in found.passes.items():
        alone = open_pass(psb, n)
        assert each.shift_adds == alone.shift_adds
        pieces = [alone.run({"image": images[at : at + 12]})[0][0] for at in range(0, N, 12)]
        scores = np.concatenate([piece["logits"] for piece in pieces])
        assert each.value == np.mean(scores.argmax(axis=1) == labels)
    # equal samples in both passes: the region changes nothing, and costs what it covers
    equal = [point for point in found.points if point.samples == (16, 16)]
    assert {point.value for point in equal} == {found.passes[16].value}
    assert all(1 < (found.cost(point) or 0) < 2 and found.speed(point) > 0 for point in equal)


def test_a_point_is_what_a_session_answers(
    found: AttentionReport, psb: Model, labels: np.ndarray
) -> None:
    images = np.load(IMAGES)["image"][:N]
    session = AttentionSession(psb)
    runs = [session.run({"image": images[at : at + 12]}, (1, 16)) for at in range(0, N, 12)]
    scores = np.concatenate([run.answers["logits"] for run in runs])
    assert found.points[0].value == np.mean(scores.argmax(axis=1) == labels)
    sizes = [len(run.region) for run in runs]
    covered = np.average([run.coverage for run in runs], weights=sizes)
    assert found.points[0].coverage == pytest.approx(covered)


def test_the_table_says_all(found: AttentionReport) -> None:
    text = io.StringIO()
    print_attention(found, Console(file=text, width=100))
    shown = text.getvalue()
    for words in ("psb 1/16", "psb 16 ", "random, as with margin 1", "float32:", "GlobalAverage"):
        assert words in shown
    assert max(map(len, shown.splitlines()[:14])) <= 100
    assert json.loads(json.dumps(found.to_dict()))["passes"]["16"]["name"] == "16 samples"


def test_the_call_converts_and_names_what_is_right(resnet: Model, psb: Model) -> None:
    images = np.load(IMAGES)["image"][:6]
    options = AttentionOptions((1,), (4,), margins=(0,), random=False)
    by_float = reluflow.evaluate_attention(resnet, images, attention=options)
    assert by_float.metric == "agreement with float" and len(by_float.points) == 1
    by_pass = reluflow.evaluate_attention(psb, images, attention=options)
    assert by_pass.metric == "agreement with pass 2" and by_pass.passes[4].value == 1
    assert [note for note in by_pass.notes if "answers of the most samples count" in note]
    with pytest.raises(OptionError, match="psb is given, but the model is converted already"):
        reluflow.evaluate_attention(psb, images, psb=reluflow.PsbOptions())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1", "attention is '1'; give the samples of both passes as BASE/REFINE"),
        ("1/2/4", "give the samples of both passes as BASE/REFINE"),
        ("a/4", "give the samples of both passes as BASE/REFINE"),
        ("1,/4", "give the samples of both passes as BASE/REFINE"),
        ("3/4", "samples of a pass are 3; accepted are"),
        ("16/4", "no refine is as large as a base; give more samples to pass 2"),
    ],
)
def test_samples_that_say_no_pairs_are_refused(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        AttentionOptions.of(text)


def test_margins_are_pixels() -> None:
    for margins in ((), (-1,)):
        with pytest.raises(OptionError, match="give numbers of pixels from 0 on"):
            AttentionOptions(margins=margins)


def test_what_cannot_be_measured_is_refused(resnet: Model, psb: Model) -> None:
    images = np.load(IMAGES)["image"][:4]
    source = open_data(images, psb.inputs[:1])
    with pytest.raises(ModelError, match="has no PSB operator"):
        measure_attention(resnet, open_data(images, resnet.inputs))
    with pytest.raises(DataError, match="there are 3 labels for 4 inputs; give one for each"):
        measure_attention(psb, source, np.zeros(3, np.int64), options=AttentionOptions((1,), (4,)))
    flat = to_psb(load(small_models.dense())).model
    rows = np.zeros((2, 4), np.float32)
    with pytest.raises(DataError, match="of which none has pixels"):
        measure_attention(flat, open_data(rows, flat.inputs[:1]))
