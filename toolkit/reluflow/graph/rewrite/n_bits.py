"""Weights of a few bits in blocks: MatMulNBits of com.microsoft, read as floating point."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.external import is_float
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import F64
from reluflow.graph.rewrite.reader import attribute

MATMUL_N_BITS = "MatMulNBits"
_ATTRIBUTES = (("N", 0), ("K", 0), ("block_size", 0), ("bits", 4))
"""Names and defaults."""
_INPUTS = ("B", "scales", "zero_points", "g_idx", "bias")
"""Inputs after A; those after `scales` may be left out."""
_WIDTHS = (2, 4, 8)
"""Numbers of bits that divide a byte, so that no weight is spread over two."""


def read_n_bits(editor: Editor, node: NodeProto) -> tuple[np.ndarray, F64] | Reason:
    """Return the weights `(N, K)`, in the scales' type, and the bias `(N,)`, or why not.

    w = (q - zero point) scale, one scale and zero point for `block_size` weights of a row;
    q is stored in bytes with `bits` per weight, the first weight lowest.

    Args:
        editor: the model.
        node: a MatMulNBits.

    Reference: ContribOperators.md in the documentation of ONNX Runtime.
    """
    outputs, inputs, block, bits = (
        int(str(attribute(node, name, usual))) for name, usual in _ATTRIBUTES
    )
    given = [*node.input[1:], *("" for _ in _INPUTS)]
    names = dict(zip(_INPUTS, given, strict=False))
    if names["g_idx"]:
        return Reason("its weights are in groups of any order (g_idx)")
    parts = {key: editor.constant(name) if name else None for key, name in names.items()}
    if any(name and parts[key] is None for key, name in names.items()):
        return Reason("its weights are computed")
    packed, scales, bias = parts["B"], parts["scales"], parts["bias"]
    if packed is None or scales is None or min(outputs, inputs, block) < 1 or bits not in _WIDTHS:
        return Reason("its weights are not in a known form")
    if not is_float(scales.dtype):
        return Reason(f"its scales are {scales.dtype}, not floating point")
    blocks = -(-inputs // block)
    if packed.size != outputs * blocks * block * bits // 8 or scales.size != outputs * blocks:
        return Reason("its weights are not as many as it says")
    whole = _unpacked(packed.reshape(outputs, -1), bits).reshape(outputs, blocks, block)
    zero = _zero_points(parts["zero_points"], outputs, blocks, bits)
    if zero is None:
        return Reason("its zero points are not as many as it says")
    scale = scales.reshape(outputs, blocks, 1).astype(np.float32)
    weights = ((whole - zero[:, :, None]) * scale).reshape(outputs, -1)[:, :inputs]
    added = np.zeros(outputs) if bias is None else bias.reshape(-1).astype(np.float64)
    return weights.astype(scales.dtype), added


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """Return integers as float32, the lowest bits of a byte first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    return parts.reshape(*packed.shape[:-1], -1).astype(np.float32)


def _zero_points(
    zeros: np.ndarray | None, outputs: int, blocks: int, bits: int
) -> np.ndarray | None:
    """Return zero points `(outputs, blocks)`, None where there are not as many."""
    if zeros is None:
        # stored without a sign, so 0 is represented by the middle: 8 of 0 to 15
        return np.full((outputs, blocks), 2.0 ** (bits - 1), np.float32)
    if is_float(zeros.dtype):
        fits = zeros.size == outputs * blocks
        return zeros.reshape(outputs, blocks).astype(np.float32) if fits else None
    if zeros.size != outputs * -(-blocks * bits // 8):
        return None
    return _unpacked(zeros.reshape(outputs, -1), bits)[:, :blocks]
