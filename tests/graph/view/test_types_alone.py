"""Types without the places of the nodes are those of the flat view; the index is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx.parser
import pytest

from reluflow.graph import Model, find_psb, load, to_psb
from reluflow.graph.rewrite.reader import read_graph
from reluflow.graph.view.index import Scope, TensorType
from reluflow.graph.view.shapes import TypedGraph, read_types
from reluflow.graph.view.structure import build_structure

MODELS = Path(__file__).parents[3] / "models"
BRANCHES = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    g (float[N,2,4,4] x, bool c) => (float[N,3,K,L] y)
    <float[3,2,1,1] v = {1,2,3,4,5,6}> {
        a = own.twice(x)
        y = If(c) <
            then_branch = t () => (float[N,3,K,L] p) { h = Conv(a, v) p = own.twice(h) },
            else_branch = e () => (float[N,3,K,L] q) {
                q = If(c) <
                    then_branch = i () => (float[N,3,K,L] r) { r = Conv(a, v) },
                    else_branch = j () => (float[N,3,K,L] s) { k = Neg(a) s = Conv(k, v) }> }> }
    <domain: "own", opset_import: ["" : 17]> twice (z) => (w) { m = Relu(z) w = Add(m, m) }"""

Types = dict[str, TensorType]


def branches() -> Model:
    return load(onnx.parser.parse_model(BRANCHES))


def resnet() -> Model:
    return load(MODELS / "fashion_resnet8.onnx")


def pairs(scope: Scope, typed: TypedGraph) -> Iterator[tuple[Types, Types]]:
    """Give the types of a graph and of all subgraphs in it as both ways find them."""
    yield scope.types, typed.types
    for node in scope.nodes:
        for inner in scope.inner.get(id(node), []):
            found = typed.body(node.outputs, inner.branch)
            assert found is not None
            yield from pairs(inner, found)


MAKERS = {
    "plain": (resnet, 1),
    "converted": (lambda: to_psb(resnet()).model, 1),
    "branches": (branches, 5),
    "converted branches": (lambda: to_psb(branches()).model, 5),
}


@pytest.mark.parametrize("name", MAKERS)
def test_types_are_those_of_the_flat_view(name: str) -> None:
    make, graphs = MAKERS[name]
    model = make()
    before = model.serialize()
    scope = build_structure(model._proto, model.base_dir).main
    found = list(pairs(scope, read_types(model._proto, model.base_dir)))
    assert len(found) == graphs
    for wanted, types in found:
        assert types == wanted and types
    assert model.serialize() == before


def test_a_graph_that_is_not_there_has_no_types() -> None:
    typed = read_types(branches()._proto, None)
    assert typed.body(["y"], "body") is None
    assert typed.body(["nothing"], "then_branch") is None


def test_the_index_of_a_model_is_made_once_and_stays_as_it_was() -> None:
    model = to_psb(branches()).model
    reader, first = read_graph(model), find_psb(model)
    assert len(first) == 3
    assert read_graph(model) is reader
    assert find_psb(model) == first == find_psb(load(model.serialize()))
