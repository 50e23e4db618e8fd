"""What is known about a tensor does not depend on earlier queries."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from reluflow.graph import Model
from reluflow.graph.sites.units import unit_axis
from reluflow.graph.view.constants import constant, is_constant, scalar
from reluflow.graph.view.index import Scope
from reluflow.graph.view.structure import build_structure


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> Model:
    graph = helper.make_graph(
        [*nodes, helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [2, 3, 5, 5])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return Model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def steps(op: str, n: int, twice: bool = False, start: str = "c0") -> list[onnx.NodeProto]:
    """Return a chain c0 -> c1 -> ... -> cn."""
    nodes = []
    for i in range(n):
        source = start if i == 0 else f"c{i}"
        nodes.append(helper.make_node(op, [source] * (1 + twice), [f"c{i + 1}"]))
    return nodes


CHAINS = {
    "one operand": lambda n: model(steps("Neg", n), {"c0": np.ones(3, np.float32)}),
    "the same twice": lambda n: model(steps("Mul", n, True), {"c0": np.ones(3, np.float32)}),
    "made by a node": lambda n: model(
        [
            helper.make_node("Constant", [], ["c0"], value_float=2.0),
            *steps("Abs", n),
        ],
        {},
    ),
    "deep beside shallow": lambda n: model(
        [
            *steps("Neg", n - 1),
            helper.make_node("Add", [f"c{n - 1}", "c0"], [f"c{n}"]),
        ],
        {"c0": np.ones(3, np.float32)},
    ),
    "not constant": lambda n: model(steps("Neg", n, start="x"), {}),
}


def scope_of(built: Model) -> Scope:
    return build_structure(built._proto, None).main


@pytest.mark.parametrize("name", CHAINS)
def test_constants_in_every_order(name: str) -> None:
    built = CHAINS[name](40)
    asked = [f"c{n}" for n in (1, 9, 15, 16, 17, 40)]
    alone = {tensor: constant(scope_of(built), tensor) for tensor in asked}
    for order in list(permutations(asked))[::31]:
        scope = scope_of(built)
        for tensor in order:
            found = constant(scope, tensor)
            wanted = alone[tensor]
            assert (found is None) == (wanted is None), (order, tensor)
            assert found is None or wanted is None or np.array_equal(found, wanted)


@pytest.mark.parametrize("first", ["c30", "c17", "c16", "c1"])
def test_a_cut_walk_does_not_hide_a_constant(first: str) -> None:
    scope = scope_of(CHAINS["one operand"](30))
    constant(scope, first)
    assert constant(scope, "c16") is not None and scalar(scope, "c16") == 1.0
    assert constant(scope, "c17") is None and not is_constant(scope, "c17")
    assert constant(scope, "c17", depth=17) is not None


@pytest.mark.parametrize("around", ["Identity", "Relu", "Neg"])
def test_units_far_behind_their_layer(around: str) -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["c0"])
    built = model([conv, *steps(around, 250)], {"w": np.ones((7, 3, 1, 1), np.float32)})
    assert unit_axis(scope_of(built), "c250") == (1, 7)
    scope = scope_of(built)
    asked = [unit_axis(scope, f"c{i}") for i in (250, 0, 120, 99, 250)]
    assert asked == [(1, 7)] * 5
