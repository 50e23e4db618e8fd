"""Taps that read ONNX Runtime's blocked layout, seen from the graph alone."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from reluflow.graph import has_convolutions, load, read_blocked

BLOCKED = "com.microsoft.nchwc"
OWN = "ai.reluflow"


def node(op: str, inputs: list[str], outputs: list[str], domain: str, **attributes: Any):
    return helper.make_node(op, inputs, outputs, domain=domain, **attributes)


def hashed(tensor: str, number: int, **attributes: Any):
    outputs = [f"{part}{number}" for part in ("keys", "on", "bad")]
    return node("PatternHash", [tensor], outputs, OWN, seed=7, **attributes)


def written(folder: Path, nodes: list[onnx.NodeProto], outputs: list[str]) -> Path:
    """Write a graph as ONNX Runtime's optimiser leaves it."""
    values = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in outputs]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph(nodes, "optimised", [x], values)
    imports = [helper.make_opsetid(d, 1) for d in (BLOCKED, OWN)]
    imports.append(helper.make_opsetid("", 17))
    path = folder / "optimised.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=imports).SerializeToString())
    return path


def nodes_of(path: Path, block: int = 16) -> list[onnx.NodeProto] | None:
    model = read_blocked(path, block)
    if model is None:
        return None
    assert model.base_dir == path.parent
    return list(onnx.ModelProto.FromString(model.serialize()).graph.node)


def attributes(of: onnx.NodeProto) -> dict[str, object]:
    return {a.name: helper.get_attribute_value(a) for a in of.attribute}


def test_hashes_read_the_blocks_and_stand_behind_them(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], BLOCKED),
        node("Conv", ["a", "v"], ["b"], BLOCKED),
        node("ReorderOutput", ["a"], ["plain_a"], BLOCKED, channels=17),
        node("ReorderOutput", ["b"], ["plain_b"], BLOCKED, channels=5, channels_last=1),
        hashed("plain_b", 2, unit_axis=-1),
        hashed("plain_a", 1, unit_axis=1),
    ]
    found = nodes_of(written(tmp_path, nodes, ["keys1", "keys2"]))
    assert found is not None
    assert [n.op_type for n in found] == ["Conv", "PatternHash"] * 2
    assert [n.input[0] for n in found[1::2]] == ["a", "b"]
    wanted = {"seed": 7, "unit_axis": 1, "block": 16, "units": 17}
    assert attributes(found[1]) == wanted
    assert attributes(found[3]) == wanted | {"units": 5}


def test_a_plain_tensor_that_others_read_stays(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], BLOCKED),
        node("ReorderOutput", ["a"], ["plain_a"], BLOCKED, channels=17),
        hashed("plain_a", 1, unit_axis=1),
    ]
    assert nodes_of(written(tmp_path, nodes, ["keys1", "plain_a"])) is None
    inner = helper.make_graph(
        [helper.make_node("Relu", ["plain_a"], ["r"])],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    choice = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    assert nodes_of(written(tmp_path, [*nodes, choice], ["keys1", "y"])) is None


def test_units_on_another_axis_than_the_channels_stay(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], BLOCKED),
        node("ReorderOutput", ["a"], ["plain_a"], BLOCKED, channels=17),
        hashed("plain_a", 1, unit_axis=3),
    ]
    assert nodes_of(written(tmp_path, nodes, ["keys1"])) is None


def test_models_without_convolutions_are_told_apart(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    proto = helper.make_model(helper.make_graph([relu], "g", [x], [value]), ir_version=9)
    assert not has_convolutions(load(proto))
