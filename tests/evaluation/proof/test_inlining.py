"""Inlining compares before it gives a result, and says what it could not compare."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import small_models

from reluflow.errors import EquivalenceError
from reluflow.evaluation import Equivalence, OutputDifference, inline
from reluflow.evaluation.inlining import same
from reluflow.evaluation.proof.difference import compare_outputs
from reluflow.graph import Model, PsbOptions, load, to_psb
from reluflow.sessions import has_library


def converted(**options: str) -> Model:
    return to_psb(load(small_models.dense()), PsbOptions(**options)).model  # type: ignore[arg-type]


def test_both_comparisons_are_made_and_said() -> None:
    made = inline(converted())
    assert made.nearest is not None and made.nearest.largest == 0
    assert (made.draws is not None) == has_library()
    told = "\n".join(made.sentences())
    assert "Inlined: 3 PsbMatMul." in told and "nearest mode: no number differs." in told
    assert "Every run has to give samples and seed" in told
    before, after = made.size_bytes
    assert f"bytes: {before:,} before, {after:,} after" in told and after > before
    assert made.model.size_bytes == after and made.to_dict()["draws"] is not None


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({"nearest": True}, {}, "not compared: nothing draws"),
        ({}, {"sampler": "nearest"}, "not compared: nothing draws"),
        ({"check": False}, {}, "not compared: it was not asked for"),
        ({}, {"sampler": "binomial"}, "not compared: nothing draws"),
        ({}, {"draws": "product"}, "it draws for every product, so it rounds to nearest here"),
    ],
)
def test_what_is_not_compared_is_said(
    given: dict[str, bool], options: dict[str, str], words: str
) -> None:
    made = inline(converted(**options), **given)
    assert made.draws is None
    assert words in "\n".join(made.sentences())


def test_operators_that_draw_only_there_are_not_compared() -> None:
    proto = onnx.ModelProto.FromString(converted().serialize())
    node = next(node for node in proto.graph.node if node.op_type == "PsbMatMul")
    node.attribute.append(onnx.helper.make_attribute("sampler", "binomial"))
    made = inline(load(proto))
    assert len(made.result.done.drawn) == 2 and made.draws is None
    assert "some operators round to nearest here, but draw there" in made.sentences()[-1]


def test_other_numbers_are_a_fault() -> None:
    one = np.ones((2, 3), np.float32)
    found: tuple[OutputDifference, ...] = compare_outputs(("y",), [one], [one + np.float32(0.5)])
    differs = Equivalence(found, 0.0, ("x",))
    with pytest.raises(EquivalenceError, match="inlining went wrong, its result was not kept: in"):
        same(differs, "in nearest mode")
    fits = Equivalence(compare_outputs(("y",), [one], [one]), 0.0, ("x",))
    assert same(fits, "in nearest mode") is fits
