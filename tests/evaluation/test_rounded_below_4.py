"""With fewer than 4 samples weights are rounded to nearest unless a sampler was requested."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reluflow.data import open_data, read_labels
from reluflow.errors import OptionError
from reluflow.evaluation import Evaluation, EvaluationOptions, evaluate
from reluflow.graph import Model, PsbOptions, find_psb, load, to_psb, with_sampler
from reluflow.report.tables.psb_rows import precision_rows

MODELS = Path(__file__).parents[2] / "models"
IMAGES = MODELS / "fashion_mnist_test_2000.npz"
SOME = 100


@pytest.fixture(scope="module")
def float_model() -> Model:
    return load(MODELS / "fashion_resnet8.onnx")


def measured(float_model: Model, converted: str, **options: Any) -> Evaluation:
    model = to_psb(float_model, PsbOptions(p_bits=4, sampler=converted)).model
    source = open_data(IMAGES, model.inputs, limit=SOME)
    wanted = EvaluationOptions(seeds=2, threads=1, **options)
    labels = read_labels(IMAGES, limit=SOME)
    return evaluate(model, source, labels, float_model=float_model, options=wanted)


@pytest.mark.parametrize(
    ("converted", "asked", "drawn"),
    [
        ("systematic", None, ["nearest", "nearest", "systematic", "systematic"]),
        ("systematic", "systematic", ["systematic"] * 4),
        ("systematic", "binomial", ["binomial"] * 4),
        ("binomial", None, ["binomial"] * 4),
        ("nearest", None, ["nearest"] * 4),
        ("binomial", "nearest", ["nearest"] * 4),
    ],
)
def test_what_is_asked_for_draws(
    float_model: Model, converted: str, asked: str | None, drawn: list[str]
) -> None:
    result = measured(float_model, converted, samples=(1, 2, 4, 8), sampler=asked)
    assert [point.sampler for point in result.points] == drawn
    spread = [len(set(p.values)) for p in result.points]
    assert all(s == 1 for s, how in zip(spread, drawn, strict=True) if how == "nearest")
    said = [note for note in result.notes if "rounded to nearest" in note]
    given_way = converted == "systematic" and asked is None
    assert [note.split(":")[0] for note in said] == (["n = 1 and 2"] if given_way else [])
    names = [row.name for row in precision_rows(result)[:4]]
    assert names == [
        n if how == converted else f"{n}, {how}" for n, how in zip("1248", drawn, strict=True)
    ]


@pytest.mark.parametrize("native", [None, False])
def test_rounding_is_that_of_a_model_of_nearest(float_model: Model, native: bool | None) -> None:
    """Natively and with baked draws: the same errors as those of a model converted so."""
    chosen, own = (
        measured(float_model, how, samples=(1, 2), native=native)
        for how in ("systematic", "nearest")
    )
    for a, b in zip(chosen.points, own.points, strict=True):
        assert a.values == b.values and a.std == 0
        assert [o.sqnr_db for o in a.outputs] == pytest.approx([o.sqnr_db for o in b.outputs])
    drawn = measured(float_model, "systematic", samples=(1, 2), sampler="systematic", native=native)
    for a, b in zip(chosen.points, drawn.points, strict=True):
        near, drawn_db = a.outputs[0].sqnr_db, b.outputs[0].sqnr_db
        assert near is not None and drawn_db is not None
        assert near > drawn_db + 1, "no draw is as close"


def test_layers_alone_are_rounded_too(float_model: Model) -> None:
    result = measured(float_model, "systematic", samples=(8,), sensitivity=1)
    assert {row.point.sampler for row in result.sensitivity} == {"nearest"}
    assert any(note.startswith("n = 1: rounded") for note in result.notes)


def test_another_sampler_leaves_all_else(float_model: Model) -> None:
    model = to_psb(float_model, PsbOptions(sampler="binomial")).model
    other = with_sampler(model, "nearest").model
    assert {node.sampler for node in find_psb(model)} == {"binomial"}, "the given one is kept"
    for one, two in zip(find_psb(model), find_psb(other), strict=True):
        assert (two.sampler, two.name, two.zeros) == ("nearest", one.name, one.zeros)
    back = with_sampler(other, "systematic").model
    assert {node.sampler for node in find_psb(back)} == {"systematic"}
    assert np.all([node.draws == "run" for node in find_psb(back)])


@pytest.mark.parametrize("wrong", ["uniform", "", "Nearest"])
def test_unknown_samplers_are_refused(float_model: Model, wrong: str) -> None:
    with pytest.raises(OptionError, match=f"sampler is '{wrong}'; accepted are systematic"):
        EvaluationOptions(sampler=wrong)
    with pytest.raises(OptionError, match=f"sampler is '{wrong}'; accepted are systematic"):
        with_sampler(float_model, wrong)
