"""bfloat16 is a float: its switches are found and tapped, its weights folded and converted."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rewriting import N, build, weights

from reluflow.graph import Model, find_sites, tap, to_psb, upgrade, weights_as_inputs

BFLOAT16 = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
NOTHING = np.zeros((), np.float32)

FORMS = {
    "Relu": [N("Relu", ["h"], ["y"])],
    "Max": [N("Max", ["h", "zero"], ["y"])],
    "Clip": [N("Clip", ["h", "zero"], ["y"])],
    "Clip with a cast bound": [
        N("Cast", ["wide"], ["low"], to=TensorProto.BFLOAT16),
        N("Clip", ["h", "low"], ["y"]),
    ],
    "Where": [N("Greater", ["h", "zero"], ["c"]), N("Where", ["c", "h", "zero"], ["y"])],
    "PRelu": [N("PRelu", ["h", "slope"], ["y"])],
}


def network(name: str) -> Model:
    tensors = {
        "w": weights(4, 5),
        "zero": NOTHING,
        "slope": np.full(5, 0.25, np.float32),
        "wide": np.zeros((), np.float64),
    }
    nodes = [N("MatMul", ["x", "w"], ["h"]), *FORMS[name]]
    read = {each for node in nodes for each in node.input}
    held = {key: value for key, value in tensors.items() if key in read}
    return build(nodes, held, ("N", 4), dtype=BFLOAT16)


@pytest.mark.parametrize("name", FORMS)
def test_switches_are_found_and_tapped(name: str) -> None:
    model = network(name)
    sites = find_sites(model)
    assert [(site.tensor, site.threshold, site.units) for site in sites] == [("h", 0.0, 5)]
    tapped = tap(model, sites)
    onnx.checker.check_model(tapped.model._proto, full_check=True)
    kinds = {
        value.name: value.type.tensor_type.elem_type for value in tapped.model._proto.graph.output
    }
    assert TensorProto.FLOAT in kinds.values()  # the output of a tap can be compared in numpy


@pytest.mark.parametrize("name", FORMS)
def test_weights_convert(name: str) -> None:
    result = to_psb(network(name))
    assert [node.was for node in result.done.converted] == ["MatMul"]
    onnx.checker.check_model(result.model._proto, full_check=True)


def test_nothing_is_lost_by_the_other_rewrites() -> None:
    model = network("Max")
    assert upgrade(model).model.serialize() == model.serialize()
    assert [refused.node for refused in weights_as_inputs(model).refused] == ["w", "zero"]
