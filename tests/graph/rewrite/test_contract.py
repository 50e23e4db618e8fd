"""A reason is a type, so that no function has to recognise it by its text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from onnx import helper

import reluflow
from reluflow.graph.proto.model import load
from reluflow.graph.rewrite.contract import EXCLUDED, Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import fold_batchnorm
from reluflow.graph.rewrite.linear import read_linear

FILES = sorted((Path(reluflow.__file__).parent / "graph").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_text_stands_for_a_reason(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            assert ast.unparse(node.args[1]) != "str", ast.unparse(node)
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            parts = ast.unparse(node.returns).split(" | ")
            assert len(parts) == 1 or "str" not in parts or set(parts) == {"str", "None"}, node.name


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), "Relu is no linear operator with weights"),
        (helper.make_node("MatMul", ["x", "x"], ["y"]), "weights 'x' are computed"),
        (helper.make_node("Gemm", ["x", "x"], ["y"], domain="other"), "Gemm is no linear operator"),
    ],
)
def test_a_reader_answers_with_a_reason(node, text) -> None:
    value = helper.make_tensor_value_info("x", 1, [2, 2])
    result = helper.make_tensor_value_info("y", 1, [2, 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [result])
    imports = [helper.make_opsetid("", 17)]
    editor = Editor(load(helper.make_model(graph, opset_imports=imports, ir_version=8)))
    found = read_linear(editor, node)
    assert isinstance(found, Reason) and found.text.startswith(text)


def test_a_record_shows_the_reason_as_text() -> None:
    model = load("models/fashion_resnet8_bn_after_add.onnx")
    refused = fold_batchnorm(model).refused
    assert refused and all(type(each.reason) is str and each.reason for each in refused)
    assert str(EXCLUDED) == EXCLUDED.text == "it is excluded"
