"""Concats and means inside chains of int16, and the exponents that they share."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import onnx
import pytest
from chain16_nets import largest_exponents
from chain_nets import PIXELS, conv, converted, kernels, network, numbers
from rewriting import N

from reluflow.graph import Model, chain_psb16, find_chains, psb_inputs
from reluflow.sessions import open_session

IMAGES = np.random.default_rng(5).normal(size=PIXELS).astype(np.float32)
FIRST = [conv("x", "w", "h", "first"), N("Relu", ["h"], ["r"])]
TENSORS = kernels(w=(8, 3, 1, 1), v=(6, 8, 1, 1), u=(4, 14, 1, 1), t=(4, 11, 1, 1))


def branches() -> Model:
    """Two convolutions side by side, read by a third and a mean at the end."""
    return network(
        *FIRST,
        conv("r", "v", "k", "second"),
        N("Concat", ["r", "k"], ["c"], name="join", axis=1),
        conv("c", "u", "q", "third"),
        N("ReduceMean", ["q"], ["y"], name="mean", axes=[2, 3], keepdims=0),
        tensors=TENSORS,
    )


def beside_floats() -> Model:
    """A convolution beside the input, with the axis counted from the end."""
    return network(
        *FIRST,
        N("Concat", ["x", "r"], ["c"], name="join", axis=-3),
        conv("c", "t", "y", "last"),
        tensors=TENSORS,
    )


def pooled_rows() -> Model:
    """Rows below each other, of pooled values; a Shape is read, too."""
    return network(
        *FIRST,
        N("MaxPool", ["r"], ["m"], kernel_shape=[2, 2]),
        N("Concat", ["m", "m"], ["c"], name="join", axis=2),
        conv("c", "v", "k", "last"),
        N("Shape", ["c"], ["s"]),
        N("Cast", ["s"], ["f"], to=1),
        N("ReduceMean", ["f"], ["g"], axes=[0], keepdims=0),
        N("Mul", ["k", "g"], ["y"]),
        tensors=TENSORS,
    )


def filled() -> Model:
    """Channels of zeros and of one number, of which only the graph knows."""
    tensors = kernels(w=(8, 3, 1, 1), p=(4, 12, 1, 1))
    ones = np.full((2, 2, 9, 8), 0.75, np.float32)
    return network(
        *FIRST,
        N("ConstantOfShape", ["sizes"], ["z"]),
        N("Concat", ["z", "r", "ones"], ["c"], name="join", axis=1),
        conv("c", "p", "y", "last"),
        tensors=tensors | {"sizes": numbers(2, 2, 9, 8), "ones": ones},
    )


def whole_plane() -> Model:
    """A mean over a window that is the whole plane."""
    return network(
        *FIRST,
        conv("r", "v", "k", "second"),
        N("AveragePool", ["k"], ["y"], name="mean", kernel_shape=[9, 8]),
        tensors=TENSORS,
    )


CASES = {
    "branches": (branches, ["Concat", "FixedGlobalPool16", "Flatten"]),
    "beside floats": (beside_floats, ["Concat", "FromFixed16"]),
    "pooled rows": (pooled_rows, ["FixedMaxPool16", "Concat", "Shape", "Gather", "FromFixed16"]),
    "filled": (filled, ["Concat", "FromFixed16"]),
    "whole plane": (whole_plane, ["FixedGlobalPool16"]),
}
KEPT = ("ToFixed16", "FixedConv16", "Cast", "ReduceMean", "Mul")


def ops(model: Model, without: Collection[str] = ()) -> list[str]:
    return [n.op_type for n in model._proto.graph.node if n.op_type not in without]


@pytest.mark.parametrize("case", CASES)
def test_they_pass_int16(case: str) -> None:
    made, wanted = CASES[case]
    model = converted(made())
    found = chain_psb16(model, largest_exponents(model, IMAGES), alone=False)
    assert sorted(ops(found.model, KEPT)) == sorted(wanted) and not found.refused
    assert len(find_chains(found.model)) == 1
    feeds = {"x": IMAGES} | dict.fromkeys(psb_inputs(model), np.array(0, np.int64))
    plain = open_session(model, threads=1).run(feeds)[0]
    chained = open_session(found.model, threads=1).run(feeds)[0]
    assert chained.shape == plain.shape
    assert np.linalg.norm(chained - plain) < 0.01 * np.linalg.norm(plain)
    alone = open_session(found.model, threads=1, library=False).run(feeds)[0]
    np.testing.assert_allclose(alone, chained, rtol=1e-5, atol=1e-5)
    onnx.checker.check_model(found.model._proto, full_check=True)


def read(model: Model, name: str) -> dict[str, int]:
    (node,) = (n for n in model._proto.graph.node if n.name == name)
    return {a.name: a.i for a in node.attribute if a.name.endswith("_exponent")}


def test_what_a_concat_joins_has_the_smallest_exponent() -> None:
    exponents = {"x": 8, "r": 9, "k": 7, "c": 7, "q": 6}
    model = chain_psb16(converted(branches()), exponents).model
    assert read(model, "first")["y_exponent"] == 7 == read(model, "second")["y_exponent"]
    assert read(model, "third")["x_exponent"] == 7 and read(model, "third")["y_exponent"] == 6
    wide = {"x": 8, "r": 9, "c": 9, "y": 7}
    beside = chain_psb16(converted(beside_floats()), wide).model
    assert read(beside, "last")["x_exponent"] == 8 == read(beside, "first")["x_exponent"]


def test_a_constant_saturates_in_no_exponent() -> None:
    """0.75 needs at most 11 of the 12 bits behind the point."""
    exponents = {"x": 8, "r": 12, "c": 12, "y": 7}
    model = chain_psb16(converted(filled()), exponents).model
    assert read(model, "first")["y_exponent"] == 11 == read(model, "last")["x_exponent"]


@pytest.mark.parametrize(
    ("net", "exponents"),
    [
        (branches, {"x": 8, "r": 12, "k": 8, "c": 8, "q": 6}),  # 4 bits would be lost
        (branches, {"x": 8, "r": 8, "c": 8, "q": 6}),  # k is unknown, so c is a float
        (beside_floats, {"x": 12, "r": 3, "c": 3, "y": 7}),
    ],
)
def test_a_concat_of_unlike_exponents_stays_with_floats(
    net: Callable[[], Model], exponents: dict[str, int]
) -> None:
    model = chain_psb16(converted(net()), exponents).model
    (node,) = (n for n in model._proto.graph.node if n.op_type == "Concat")
    made_by = {o: n.op_type for n in model._proto.graph.node for o in n.output}
    made = {made_by.get(name, "input") for name in node.input}
    assert made <= {"FromFixed16", "input", "PsbConv"}


@pytest.mark.parametrize(
    ("node", "stays"),
    [
        (N("ReduceMean", ["k"], ["y"], axes=[1], keepdims=1), "ReduceMean"),
        (N("AveragePool", ["k"], ["y"], kernel_shape=[3, 3]), "AveragePool"),
        (N("AveragePool", ["k"], ["y"], kernel_shape=[9, 8], pads=[1, 1, 1, 1]), "AveragePool"),
        (N("MaxPool", ["k"], ["y"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), "MaxPool"),
    ],
)
def test_other_pooling_stays_with_floats(node: onnx.NodeProto, stays: str) -> None:
    model = converted(network(*FIRST, conv("r", "v", "k", "second"), node, tensors=TENSORS))
    found = chain_psb16(model, largest_exponents(model, IMAGES)).model
    assert ops(found)[-2:] == ["FromFixed16", stays]
