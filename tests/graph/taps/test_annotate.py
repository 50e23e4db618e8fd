"""Metrics in node metadata."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from reluflow.errors import OptionError
from reluflow.graph import annotate, find_sites, load

TEXT = "g (float[N,4] x) => (float[N,4] y) { [act] a = Relu(x) y = LeakyRelu(a) }"


def metadata(node):
    return {entry.key: entry.value for entry in node.metadata_props}


def test_metrics_are_written_to_the_site_node(text_model, run):
    model = text_model(TEXT)
    noted = annotate(model, {"act": {"entropy_bits": "2.5"}, "y": {"patterns": "3"}}).model
    onnx.checker.check_model(noted._proto)
    first, second = noted._proto.graph.node
    assert metadata(first) == {"reluflow.entropy_bits": "2.5"}
    assert metadata(second) == {"reluflow.patterns": "3"}
    x = np.array([[1, -1, 0, 2]], np.float32)
    assert run(noted, {"x": x})["y"].tobytes() == run(model, {"x": x})["y"].tobytes()


def test_nothing_else_changes(text_model):
    model = text_model(TEXT)
    noted = annotate(model, {"act": {"k": "v"}}).model
    assert not any(metadata(node) for node in model._proto.graph.node)
    del noted._proto.graph.node[0].metadata_props[:]
    assert noted._proto == model._proto


def test_second_annotation_replaces_the_first(text_model):
    noted = annotate(text_model(TEXT), {"act": {"k": "1"}}).model
    assert metadata(annotate(noted, {"act": {"k": "2"}}).model._proto.graph.node[0]) == {
        "reluflow.k": "2"
    }


def test_function_body_keeps_calls_apart():
    text = """
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
g (float[N,4] x) => (float[N,4] y) { [one] a = local.f(x) [two] y = local.f(a) }
<domain: "local", opset_import: ["" : 21]>
f (x) => (y) { [act] y = Relu(x) }
"""
    model = load(onnx.parser.parse_model(text))
    names = [site.name for site in find_sites(model)]
    noted = annotate(model, {name: {"k": name} for name in names}).model
    assert metadata(noted._proto.functions[0].node[0]) == {
        "reluflow.one:f.k": "one:f/act",
        "reluflow.two:f.k": "two:f/act",
    }


def test_unknown_site_is_refused(text_model):
    with pytest.raises(OptionError, match="metrics name the site 'nope'"):
        annotate(text_model(TEXT), {"nope": {}})
