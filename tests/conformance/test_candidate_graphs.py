"""Small graphs with candidates of all kinds: what is found, left out and listed as a fold.

Recurrent and fused operators with activations as attributes, bounds made at run time, written-out
forms, and neighbours of all of them that must not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from networks.candidates import account, candidates
from onnx import NodeProto, TensorProto, helper, numpy_helper

from reluflow.graph import load, survey_sites

RNG = np.random.default_rng(0)
VECTOR: list[int | str] = ["N", 4]
SEQUENCE: list[int | str] = ["T", "N", 4]
IMAGE: list[int | str] = ["N", 2, 8, 8]
SCALARS = {
    name: np.float32(value)
    for name, value in (("zero", 0), ("one", 1), ("two", 2), ("half", 0.5), ("minus", -1))
}
DENSE = {"w": np.ones((4, 4), np.float32), "v": np.ones((4, 4), np.float32)}
KERNEL = {"k": np.ones((3, 2, 3, 3), np.float32)}
EXPERTS = {
    "gate": np.ones((4, 3), np.float32),
    "fc1": np.ones((3, 4, 8), np.float32),
    "bias": np.ones((3, 8), np.float32),
    "fc2": np.ones((3, 8, 4), np.float32),
}


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    """Return a node; "-" is an input or output that is left out."""
    read, made = ([name.strip("-") for name in names.split()] for names in (inputs, outputs))
    return helper.make_node(op, read, made, **attributes)


def fused(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    return node(op, inputs, outputs, domain="com.microsoft", **attributes)


def graph(
    nodes: Sequence[NodeProto],
    constants: dict[str, Any] = SCALARS,
    shape: list[int | str] = VECTOR,
    more: Sequence[str] = (),
) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in more]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    return helper.make_model(
        helper.make_graph(list(nodes), "g", inputs, [output], held),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )


def recurrent(op: str, **attributes: Any) -> onnx.ModelProto:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = {
        "w": RNG.standard_normal((ways, gates * 5, 4)).astype(np.float32),
        "r": RNG.standard_normal((ways, gates * 5, 5)).astype(np.float32),
    }
    return graph([node(op, "x w r", "- y", hidden_size=5, **attributes)], weights, SEQUENCE)


def conv(**attributes: Any) -> onnx.ModelProto:
    return graph([fused("FusedConv", "x k", **attributes)], KERNEL, IMAGE)


def experts(op: str = "MoE", **attributes: Any) -> onnx.ModelProto:
    chosen = node("MatMul", "x gate", "p")
    return graph([chosen, fused(op, "x p fc1 bias fc2", k=1, **attributes)], EXPERTS)


BOTH = {"direction": "bidirectional"}
LSTM_BOTH = ["Sigmoid", "ThresholdedRelu", "Tanh", "HardSigmoid", "Relu", "LeakyRelu"]
Counts = tuple[int, int, int]
GRAPHS: dict[str, tuple[onnx.ModelProto, Counts]] = {
    # activations that are attributes
    "rnn-relu": (recurrent("RNN", activations=["Relu"]), (1, 0, 0)),
    "rnn-default": (recurrent("RNN"), (0, 1, 0)),
    "rnn-one-way-of-two": (recurrent("RNN", activations=["Relu", "Tanh"], **BOTH), (1, 0, 0)),
    "rnn-slope-1": (
        recurrent("RNN", activations=["LeakyRelu"], activation_alpha=[1.0]),
        (0, 1, 0),
    ),
    "gru-two": (recurrent("GRU", activations=["HardSigmoid", "Relu"]), (2, 0, 0)),
    "gru-affine": (recurrent("GRU", activations=["Sigmoid", "Affine"]), (0, 1, 0)),
    "gru-softplus": (recurrent("GRU", activations=["Sigmoid", "Softplus"]), (1, 0, 0)),
    "lstm-both-ways": (recurrent("LSTM", activations=LSTM_BOTH, **BOTH), (4, 0, 0)),
    "lstm-lower-case": (recurrent("LSTM", activations=["sigmoid", "relu", "tanh"]), (1, 0, 0)),
    "conv-relu": (conv(activation="Relu"), (1, 0, 0)),
    "conv-leaky": (conv(activation="LeakyRelu", activation_params=[0.1]), (1, 0, 0)),
    "conv-slope-1": (conv(activation="LeakyRelu", activation_params=[1.0]), (0, 1, 0)),
    "conv-clip": (conv(activation="Clip", activation_params=[0.0, 6.0]), (1, 0, 0)),
    "conv-clip-below": (conv(activation="Clip", activation_params=[-1.0, 1.0]), (0, 1, 0)),
    "conv-hard-sigmoid": (conv(activation="HardSigmoid", activation_params=[0.2, 0.5]), (1, 0, 0)),
    "conv-tanh": (conv(activation="Tanh"), (0, 1, 0)),
    "conv-none": (conv(), (0, 0, 0)),
    "gemm-relu": (graph([fused("FusedGemm", "x w", activation="Relu")], DENSE), (1, 0, 0)),
    "gemm-leaky": (
        graph([fused("FusedGemm", "x w", activation="LeakyRelu", activation_alpha=0.2)], DENSE),
        (1, 0, 0),
    ),
    "matmul-relu": (
        graph([fused("FusedMatMulActivation", "x w", activation="Relu")], DENSE),
        (1, 0, 0),
    ),
    "matmul-then-relu": (
        graph([fused("FusedMatMul", "x w", "m"), node("Relu", "m")], DENSE),
        (1, 0, 0),
    ),
    "moe-default": (experts(), (1, 0, 0)),
    "moe-relu": (experts(activation_type="relu"), (1, 0, 0)),
    "moe-silu": (experts(activation_type="silu"), (1, 0, 0)),
    "moe-swiglu": (experts(activation_type="swiglu"), (1, 0, 0)),
    "moe-identity": (experts(activation_type="identity"), (0, 1, 0)),
    "gelu-fused-with-product": (graph([fused("GemmFastGelu", "x w")], DENSE), (1, 0, 0)),
    "quick-gelu": (graph([fused("QuickGelu", "x", alpha=1.702)]), (1, 0, 0)),
    # bounds and slopes made at run time
    "clip-from-the-mean": (
        graph([node("ReduceMean", "x", "low", keepdims=0), node("Clip", "x low")]),
        (1, 0, 0),
    ),
    "clip-from-an-input": (graph([node("Clip", "x low")], more=["low"]), (1, 0, 0)),
    "clip-to-the-largest": (
        graph([node("ReduceMax", "x", "high", keepdims=0), node("Clip", "x zero high")]),
        (1, 0, 0),
    ),
    "clip-only-above": (
        graph([node("ReduceMax", "x", "high", keepdims=0), node("Clip", "x - high")]),
        (0, 1, 0),
    ),
    "clip-behind-identity": (
        graph([node("Identity", "zero", "z"), node("Cast", "z", "c", to=1), node("Clip", "x c")]),
        (1, 0, 0),
    ),
    "prelu-of-the-mean": (
        graph([node("ReduceMean", "x", "slope", keepdims=0), node("PRelu", "x slope")]),
        (1, 0, 0),
    ),
    # written out
    "half-of-a-difference": (
        graph([
            node("Neg", "x", "q"), node("Abs", "q", "a"), node("Sub", "a q", "b"),
            node("Div", "b two"),
        ]),
        (1, 1, 0),
    ),
    "sum-of-three": (
        graph([node("Abs", "x", "a"), node("Sum", "a x zero", "b"), node("Mul", "b half")]),
        (1, 1, 0),
    ),
    "mean": (graph([node("Abs", "x", "a"), node("Mean", "a x")]), (1, 1, 0)),
    "min-of-a-constant-node": (
        graph([
            node("Constant", "", "c", value_float=0.0), node("Min", "x c", "a"),
            node("Sub", "x a"),
        ]),
        (1, 1, 0),
    ),
    "minus-what-is-below": (graph([node("Clip", "x - zero", "a"), node("Sub", "x a")]), (1, 1, 0)),
    "mask": (
        graph([
            node("Greater", "x zero", "g"), node("Cast", "g", "c", to=1), node("Mul", "c x"),
        ]),
        (1, 0, 0),
    ),
    "both-slopes": (
        graph([
            node("Mul", "x half", "a"), node("Max", "a x", "b"), node("Min", "a x", "c"),
            node("Concat", "b c", axis=0),
        ]),
        (2, 0, 0),
    ),
    "two-relus-for-one": (
        graph([
            node("Relu", "x", "a"), node("Neg", "x", "b"), node("Relu", "b", "c"),
            node("Sub", "a c"),
        ]),
        (1, 2, 0),
    ),
    "elu": (
        graph([
            node("Exp", "x", "e"), node("Sub", "e one", "m"), node("Greater", "x zero", "g"),
            node("Where", "g x m"),
        ]),
        (1, 0, 0),
    ),
    "silu": (graph([node("Sigmoid", "x", "s"), node("Mul", "x s")]), (1, 0, 0)),
    # no switches
    "gate-of-another": (
        graph([
            node("MatMul", "x w", "g"), node("Sigmoid", "g", "s"), node("MatMul", "x v", "u"),
            node("Mul", "u s"),
        ], DENSE),
        (0, 0, 0),
    ),
    "gate-of-a-function": (
        graph([
            node("Neg", "x", "q"), node("Exp", "q", "e"), node("Sigmoid", "e", "s"),
            node("Mul", "x s"),
        ]),
        (0, 0, 0),
    ),
    "x-tanh": (graph([node("Tanh", "x", "t"), node("Mul", "x t")]), (0, 0, 0)),
    "softsign": (
        graph([node("Abs", "x", "a"), node("Add", "a one", "b"), node("Div", "x b")]),
        (0, 0, 1),
    ),
    "larger-of-two-layers": (
        graph([node("MatMul", "x w", "a"), node("MatMul", "x v", "b"), node("Max", "a b")], DENSE),
        (0, 1, 0),
    ),
    "not-a-number-guard": (
        graph([node("IsNaN", "x", "g"), node("Where", "g zero x")]),
        (0, 1, 0),
    ),
    "size-made-positive": (
        graph([node("Shape", "x", "s"), node("Abs", "s", "t"), node("Cast", "t", to=1)]),
        (0, 1, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_candidates_are_sorted_as_wanted(name: str) -> None:
    proto, wanted = GRAPHS[name]
    found = survey_sites(load(proto), smooth=True)
    assert (len(found.sites), len(found.left_out), len(found.folds)) == wanted, found


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_vanishes(name: str) -> None:
    proto, _ = GRAPHS[name]
    assert account(proto).told == candidates(proto)
