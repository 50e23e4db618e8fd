"""Poolings of bytes that keep the format of what they pool."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.graph import Model, keep_pooled_formats

OWN = "ai.reluflow"


def model_of(readers: list[onnx.NodeProto], outputs: list[str]) -> Model:
    pool = helper.make_node(
        "FixedGlobalAveragePool", ["x"], ["p"], name="pool", domain=OWN,
        x_exponent=3, x_zero=0, y_exponent=6, y_zero=128, y_min=3,
    )  # fmt: skip
    to = numpy_helper.from_array(np.array([0, -1], np.int64), "to")
    graph = helper.make_graph(
        [pool, *readers],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 2, 2, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [to],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OWN, 1)]
    return Model(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def ends(tensor: str, name: str) -> onnx.NodeProto:
    return helper.make_node(
        "FromFixed", [tensor], [name], name=name, domain=OWN, x_exponent=6, x_zero=128
    )


def numbers(model: Model, name: str) -> dict[str, int]:
    node = next(each for each in model._proto.graph.node if each.name == name)
    return {entry.name: entry.i for entry in node.attribute}


@pytest.mark.parametrize("form", ["direct", "reshaped", "twice"])
def test_the_pooling_and_all_that_read_it_change(form: str) -> None:
    shaped = helper.make_node("Reshape", ["p", "to"], ["r"], name="shaped")
    readers = {
        "direct": [ends("p", "y")],
        "reshaped": [shaped, ends("r", "y")],
        "twice": [ends("p", "y"), shaped, ends("r", "z")],
    }[form]
    outputs = ["y", "z"] if form == "twice" else ["y"]
    found = keep_pooled_formats(model_of(readers, outputs))
    assert found.done == ("pool",) and found.refused == ()
    held = numbers(found.model, "pool")
    assert [held[key] for key in ("y_exponent", "y_zero", "y_min", "y_max")] == [3, 0, 0, 255]
    for name in outputs:
        assert numbers(found.model, name) == {"x_exponent": 3, "x_zero": 0}


def test_a_reader_of_several_formats_is_refused() -> None:
    added = helper.make_node("FixedAdd", ["p", "x"], ["y"], name="sum", domain=OWN)
    found = keep_pooled_formats(model_of([added], ["y"]))
    assert found.done == () and numbers(found.model, "pool")["y_exponent"] == 6
    assert "what reads it has no single format to change" in found.refused[0].reason
    output = keep_pooled_formats(model_of([ends("p", "y")], ["y", "p"]))
    assert [each.node for each in output.refused] == ["pool"]
