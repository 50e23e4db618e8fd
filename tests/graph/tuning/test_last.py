"""The layers after which no other one comes."""

import pytest
from rewriting import N, build, weights

from reluflow.graph import last_layers, read_layers

TENSORS = {name: weights(4, 4) for name in "abc"}
FIRST = N("MatMul", ["x", "a"], ["h"], name="first")
NETWORKS = {
    "one after the other": ([N("MatMul", ["h", "b"], ["y"], name="last")], ["last"]),
    "a tail without weights": (
        [N("MatMul", ["h", "b"], ["m"], name="last"), N("Softmax", ["m"], ["y"])],
        ["last"],
    ),
    "two heads": (
        [
            N("MatMul", ["h", "b"], ["m"], name="left"),
            N("MatMul", ["h", "c"], ["n"], name="right"),
            N("Add", ["m", "n"], ["y"]),
        ],
        ["left", "right"],
    ),
    "a skip around": (
        [
            N("Relu", ["h"], ["r"]),
            N("MatMul", ["r", "b"], ["m"], name="inner"),
            N("Add", ["m", "h"], ["s"]),
            N("MatMul", ["s", "c"], ["y"], name="last"),
        ],
        ["last"],
    ),
    "a gate": (
        [
            N("MatMul", ["x", "b"], ["m"], name="gate"),
            N("Sigmoid", ["m"], ["g"]),
            N("Mul", ["h", "g"], ["y"]),
        ],
        ["first", "gate"],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_last_layers(name: str) -> None:
    nodes, wanted = NETWORKS[name]
    read = {each for node in nodes for each in node.input}
    model = build(
        [FIRST, *nodes], {k: v for k, v in TENSORS.items() if k in {"a", *read}}, ("N", 4)
    )
    found = last_layers(model, read_layers(model)[0])
    assert [layer.name for layer in found] == wanted
