"""Graphs whose nodes read the same tensors again and again: each is examined once.

The number of paths from the end of such a graph to its beginning is beyond 10^9, so a walk that
follows every path does not end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from onnx import NodeProto, helper

from reluflow.errors import ModelError
from reluflow.graph import load, survey_sites, to_psb

OFTEN = 60


def chain(
    op: str, length: int, often: int = OFTEN, first: str = "t0", **more: Any
) -> list[NodeProto]:
    """Return nodes that read the result before them many times, from `first` to `end`."""
    names = [first, *(f"{op}{i}" for i in range(length - 1)), "end"]
    return [
        helper.make_node(op, [before] * often, [after], name=after, **more)
        for before, after in pairwise(names)
    ]


def graph(nodes: Sequence[NodeProto], **constants: Any) -> onnx.ModelProto:
    return small_models.model(list(nodes), constants, {"x": ["N", 4]}, {"y": ["A", "B"]})


def node(op: str, inputs: str, output: str, **more: Any) -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=output, **more)


def quantised(nodes: list[NodeProto]) -> onnx.ModelProto:
    nodes += [node("Add", "end end", "sum"), node("QuantizeLinear", "sum scale zero", "q")]
    nodes.append(node("DequantizeLinear", "q scale zero", "y"))
    return graph(nodes, scale=np.float32(1), zero=np.uint8(0))


@pytest.mark.parametrize(
    ("model", "sites", "folds", "left"),
    [
        pytest.param(
            graph([node("Abs", "x", "t0"), *chain("Sum", 12), node("Relu", "end", "y")]),
            ["Relu"], ["Abs"], [], id="sums-of-abs",
        ),
        pytest.param(
            graph([node("Relu", "x", "t0"), *chain("Sum", 12), node("Abs", "end", "y")]),
            ["Relu"], ["Abs"], [], id="sums-of-relu",
        ),
        pytest.param(
            graph([*chain("Max", 6, 500, "x"), node("Abs", "end", "y")]),
            [], ["Abs"], ["Max"] * 6, id="maxima",
        ),
        pytest.param(
            quantised([node("Relu", "x", "t0"), *chain("Concat", 9, axis=1)]),
            ["Relu"], [], [], id="not-negative",
        ),
        pytest.param(
            quantised([node("Neg", "x", "t0"), *chain("Concat", 9, axis=1)]),
            ["QuantizeLinear"], [], [], id="negative",
        ),
        pytest.param(
            graph(
                [*chain("Sum", 6, first="w"), node("MatMul", "end x", "m"), node("Relu", "m", "y")],
                w=np.ones((1025, 1025), np.float32),
            ),
            ["Relu"], [], [], id="weights",
        ),
    ],
)  # fmt: skip
def test_the_survey_ends(
    model: onnx.ModelProto, sites: list[str], folds: list[str], left: list[str]
) -> None:
    found = survey_sites(load(model))
    assert [site.op for site in found.sites] == sites
    assert [fold.op for fold in found.folds] == folds
    assert [each.op for each in found.left_out] == left


@pytest.mark.parametrize(
    "constants",
    [
        chain("Max", 14, first="w"),
        chain("Concat", 15, 2, first="w", axis=1),
        [
            each
            for i in range(7)
            for each in (
                node("Neg", f"c{i}" if i else "w", f"a{i}"),
                node("Neg", f"c{i}" if i else "w", f"b{i}"),
                node("Max", f"a{i} b{i} " * 20, "end" if i == 6 else f"c{i + 1}"),
            )
        ],
    ],
    ids=["maxima", "doubled", "diamonds"],
)
def test_computed_weights_are_made_once(constants: list[NodeProto]) -> None:
    proto = graph(
        [*constants, node("MatMul", "x end", "m"), node("Relu", "m", "y")],
        w=np.ones((4, 2), np.float32),
    )
    converted = to_psb(load(proto))
    assert [layer.psb.name for layer in converted.done.converted] == ["m"]


def test_a_large_computed_weight_is_refused_at_once() -> None:
    """Doubled to 2^26 elements and more it stays a computed weight."""
    proto = graph(
        [
            *chain("Concat", 15, 2, "w", axis=1),
            node("MatMul", "x end", "m"),
            node("Relu", "m", "y"),
        ],
        w=np.ones((4, 4096), np.float32),
    )
    [refused] = to_psb(load(proto)).refused
    assert "are computed" in refused.reason


@pytest.mark.parametrize(("nots", "wanted"), [(0, 1), (1, 0), (2, 1), (14, 1), (3000, 0)])
def test_a_condition_is_followed_through_few_negations(nots: int, wanted: int) -> None:
    """An odd number lets the lower side pass; a long chain is not a switch."""
    nodes = [node("Greater", "x zero", "b0")]
    nodes += [node("Not", f"b{i}", f"b{i + 1}") for i in range(nots)]
    nodes.append(node("Where", f"b{nots} x zero", "y"))
    try:
        found = survey_sites(load(graph(nodes, zero=np.float32(0))))
    except ModelError as error:  # checked before: some nestings are too deep to be read
        pytest.fail(str(error))
    assert len(found.sites) == wanted
    assert len(found.sites) + len(found.folds) + len(found.left_out) == 1
