"""Padding in front of convolutions: folded exactly, or left alone with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, numpy_helper
from rewriting import N, build, ops, run, weights

from reluflow.graph import Model, find_psb, fold_pads, to_psb

SHAPE = (2, 3, 6, 5)
SIZES = (0, 0, 1, 0, 0, 0, 2, 3)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def network(
    *before: NodeProto,
    sizes: tuple[int, ...] = SIZES,
    constants: dict[str, np.ndarray] | None = None,
    pad: dict[str, Any] | None = None,
    conv: dict[str, Any] | None = None,
    inputs: tuple[str, ...] = ("x", "s"),
    after: tuple[NodeProto, ...] = (),
    opset: int = 17,
) -> Model:
    """Return a Pad, a Conv of 3 x 2 taps and what else is given."""
    nodes = [
        *before,
        N("Pad", list(inputs), ["p"], name="pad", **(pad or {})),
        N("Conv", ["p", "w", "b"], ["y"], name="conv", **(conv or {})),
        *after,
    ]
    known = {"s": ints(*sizes), "w": weights(4, 3, 3, 2), "b": weights(4)} | (constants or {})
    return build(nodes, known, SHAPE, opset=opset)


def cast_of_parts() -> Model:
    """Sizes as PyTorch exports F.pad: reversed, transposed, cast."""
    before = (
        N("ConstantOfShape", ["four"], ["zeros"], value=numpy_helper.from_array(ints(0))),
        N("Concat", ["given", "zeros"], ["both"], axis=0),
        N("Reshape", ["both", "pairs"], ["table"]),
        N("Slice", ["table", "last", "lowest", "first", "last"], ["turned"]),
        N("Transpose", ["turned"], ["across"], perm=[1, 0]),
        N("Reshape", ["across", "last"], ["flat"]),
        N("Cast", ["flat"], ["sizes"], to=7),
    )
    constants = {
        "four": ints(4),
        "given": ints(0, 3, 1, 2),
        "pairs": ints(-1, 2),
        "last": ints(-1),
        "lowest": ints(np.iinfo(np.int64).min + 1),
        "first": ints(0),
    }
    return network(*before, constants=constants, inputs=("x", "sizes"))


def split_and_joined() -> Model:
    """Sizes as tf2onnx writes them: numbers of one constant in another order."""
    before = (
        N("Split", ["pairs"], [f"part{i}" for i in range(8)], axis=0),
        N("Concat", [f"part{i}" for i in (0, 1, 2, 3, 4, 5, 7, 6)], ["sizes"], axis=0),
    )
    return network(*before, constants={"pairs": ints(*SIZES)}, inputs=("x", "sizes"))


FOLDED = {
    "constant sizes": network,
    "zero given": lambda: network(
        inputs=("x", "s", "zero"), constants={"zero": np.zeros((), np.float32)}
    ),
    "padding of its own": lambda: network(conv={"pads": [1, 0, 0, 1], "strides": [2, 1]}),
    "valid": lambda: network(conv={"auto_pad": "VALID", "dilations": [2, 1]}),
    "attributes": lambda: network(opset=10, inputs=("x",), pad={"pads": list(SIZES)}),
    "cast of parts": cast_of_parts,
    "split and joined": split_and_joined,
}


@pytest.mark.parametrize("name", FOLDED)
def test_zeros_move_into_the_convolution(name: str) -> None:
    model = FOLDED[name]()
    result = fold_pads(model)
    assert [(each.node, each.op, each.into) for each in result.done] == [("pad", "Pad", ("conv",))]
    assert ops(result.model) == ["Conv"] and result.refused == ()
    x = weights(*SHAPE)
    for before, after in zip(run(model, x), run(result.model, x), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


def test_every_convolution_behind_takes_the_zeros() -> None:
    after = (N("Conv", ["p", "v"], ["z"], name="other", pads=[0, 1, 0, 1]),)
    model = network(after=after, constants={"v": weights(2, 3, 1, 1)})
    result = fold_pads(model)
    assert result.done[0].into == ("conv", "other") and ops(result.model) == ["Conv", "Conv"]


REFUSED = {
    "mode is reflect": lambda: network(pad={"mode": "reflect"}),
    "does not fill in zeros": lambda: network(
        inputs=("x", "s", "one"), constants={"one": np.ones((), np.float32)}
    ),
    "names the axes": lambda: network(
        inputs=("x", "part", "", "axes"),
        constants={"part": ints(1, 2), "axes": ints(2)},
        opset=18,
    ),
    "other nodes than convolutions": lambda: network(after=(N("Relu", ["p"], ["q"]),)),
    "pads by itself": lambda: network(conv={"auto_pad": "SAME_UPPER"}),
    "takes those from 0 on": lambda: network(sizes=(0, 0, -1, 0, 0, 0, 0, 0)),
    "pads samples or channels": lambda: network(
        sizes=(0, 1, 0, 0, 0, 0, 0, 0), constants={"w": weights(4, 4, 3, 2)}
    ),
    "depend on the input": lambda: network(
        N("Shape", ["x"], ["n"]), N("Concat", ["n", "n"], ["two"], axis=0),
        N("Sub", ["two", "two"], ["none"]), inputs=("x", "none"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_a_convolution_cannot_do_stays(reason: str) -> None:
    model = REFUSED[reason]()
    result = fold_pads(model)
    assert result.done == () and reason in result.refused[0].reason
    assert ops(result.model) == ops(model)


def test_a_pad_without_convolution_gets_constant_sizes() -> None:
    before = (N("Split", ["s"], [f"part{i}" for i in range(8)], axis=0),)
    parts = [f"part{i}" for i in range(8)]
    nodes = [*before, N("Concat", parts, ["sizes"], axis=0), N("Pad", ["x", "sizes"], ["y"])]
    model = build(nodes, {"s": ints(*SIZES)}, SHAPE)
    result = fold_pads(model)
    assert ops(result.model) == ["Pad"] and result.done == () and result.refused == ()
    x = weights(*SHAPE)
    np.testing.assert_array_equal(run(result.model, x)[0], run(model, x)[0])


def test_a_conversion_folds_before_it_encodes() -> None:
    result = to_psb(cast_of_parts())
    assert ops(result.model) == ["PsbConv"] and result.done.folded[0].op == "Pad"
    assert find_psb(result.model)[0].positions == 7 * 7  # shapes behind are known
