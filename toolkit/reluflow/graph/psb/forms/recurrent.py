"""Weights of LSTM, GRU and RNN in PSB storage, decoded to floats when the file is loaded.

Their products stay in floating point, with the decoded weights: the file is smaller, and nothing is
drawn. Each row of a direction, the weights of one unit of one gate, has an exponent of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import OWN_DOMAIN, PSB_WEIGHTS
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb import encode, pack

RECURRENT = ("LSTM", "GRU", "RNN")
_W, _R = 1, 2
"""Inputs: weights of the input and of the state, `(directions, gates units, inputs)`."""
_RANK = 3


@dataclass(frozen=True, slots=True)
class Decoded:
    """An operator whose weights are stored as PSB and decoded; part of what `to_psb` returns.

    Attributes:
        node: its name, else its output's.
        op: "LSTM", "GRU" or "RNN".
        weights: how many are stored so.
        stored_bytes: bytes of their bit planes and exponents.
    """

    node: str
    op: str
    weights: int
    stored_bytes: int


def is_recurrent(node: NodeProto) -> bool:
    """Tell by its operator whether a node's weights can be stored as PSB only."""
    return not domain_of(node.domain) and node.op_type in RECURRENT


def store_recurrent(
    editor: Editor, node: NodeProto, p_bits: int, small: str, seed: int
) -> Decoded | Reason:
    """Store the weights of a recurrent operator as bit planes, or say why they stay.

    Args:
        editor: the model.
        node: LSTM, GRU or RNN.
        p_bits: as of `PsbOptions`.
        small: `small_weights` of `PsbOptions`.
        seed: of `small` = "random".
    """
    arrays = [editor.constant(node.input[place]) for place in (_W, _R)]
    for place, array in zip((_W, _R), arrays, strict=True):
        if array is None:
            return Reason(f"weights {node.input[place]!r} are computed")
        if array.dtype != np.float32 or array.ndim != _RANK or not array.size:
            return Reason(
                f"weights {node.input[place]!r} are {array.dtype} {list(array.shape)}; float32 "
                "with 3 axes is accepted"
            )
        if not np.isfinite(array).all():
            return Reason("its weights hold NaN or infinite numbers")
    stored = 0
    for place, array in zip((_W, _R), arrays, strict=True):
        assert array is not None
        stored += _store(editor, node, place, array, p_bits, small, seed + place)
    total = sum(array.size for array in arrays if array is not None)
    return Decoded(name_of(node), node.op_type, total, stored)


def _store(
    editor: Editor,
    node: NodeProto,
    place: int,
    array: np.ndarray,
    p_bits: int,
    small: str,
    seed: int,
) -> int:
    """Let an input read decoded weights; return the bytes that store them."""
    rows = array.reshape(-1, array.shape[-1])
    code = encode(rows, p_bits=p_bits, small=small, seed=seed)
    planes, stem = pack(code), name_of(node)
    inputs = [
        editor.add_initializer(stem, "planes", planes),
        editor.add_initializer(stem, "emax", code.emax),
    ]
    decoded = editor.fresh(stem, "decoded")
    call = helper.make_node(
        PSB_WEIGHTS,
        inputs,
        [decoded],
        name=f"{stem}/decode{place}",
        domain=OWN_DOMAIN,
        weight_shape=list(array.shape),
    )
    editor.insert(call)
    editor.set_input(node, place, decoded)
    editor.describe(decoded, TensorProto.FLOAT, array.shape)
    return int(planes.size + code.emax.size)
