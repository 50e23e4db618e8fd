"""Nodes with one factor and one shift per channel: BatchNormalization, Mul, Add and the like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.external import is_float
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.versions import (
    BATCH_NORM_TRAINING_MODE,
    NO_IS_TEST,
    NO_SPATIAL,
    NUMPY_BROADCASTING,
)
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute

F64 = NDArray[np.float64]
BATCH_NORM = "BatchNormalization"
ARITHMETIC = ("Mul", "Div", "Add", "Sub")
_SCALE_TO_VARIANCE = slice(1, 5)
"""Inputs of BatchNormalization after X: scale, B, mean and variance."""
_EPSILON = 1e-5
"""BatchNormalization's own default."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """y = factor x + shift for each channel (axis 1).

    Attributes:
        x: the tensor it reads.
        factor: `(channels,)`, or `(1,)` where one number serves all.
        shift: like `factor`.
    """

    x: str
    factor: F64
    shift: F64


def read_batch_norm(editor: Editor, node: NodeProto) -> Affine | Reason:
    """Read a BatchNormalization in inference mode, or say why it is not one.

    factor = scale / sqrt(variance + epsilon), shift = B - mean factor.
    """
    if _trains(editor, node):
        return Reason("it normalises by the batch (training mode)")
    if editor.opset < NO_SPATIAL and not attribute(node, "spatial", 1):
        return Reason("it normalises every position on its own (spatial = 0)")
    values = []
    for tensor in node.input[_SCALE_TO_VARIANCE]:
        value = editor.constant(tensor)
        if value is None:
            return Reason(f"its {tensor!r} is computed")
        values.append(value.astype(np.float64).reshape(-1))
    scale, b, mean, variance = values
    if len({value.size for value in values}) > 1:
        return Reason(
            f"its constants have {[value.size for value in values]} numbers, not one a channel"
        )
    epsilon = float(str(attribute(node, "epsilon", _EPSILON)))
    # epsilon as in ONNX Runtime, a float32; the rest in float64, so that the result is rounded once
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + np.float64(np.float32(epsilon)))
        shift = b - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        return Reason("its variance + epsilon is not above 0 everywhere, or a number is not finite")
    return Affine(node.input[0], factor, shift)


def _trains(editor: Editor, node: NodeProto) -> bool:
    if attribute(node, "training_mode", 0):
        return True
    if editor.opset >= BATCH_NORM_TRAINING_MODE:
        return False
    used = [name for name in node.output[1:] if name]
    if editor.opset < NO_IS_TEST:
        return not attribute(node, "is_test", 0)
    return bool(used)


def read_arithmetic(editor: Editor, node: NodeProto, x: str, rank: int) -> Affine | None:
    """Read Mul, Div, Add or Sub of a tensor and a constant per channel, None for anything else.

    Args:
        editor: the model.
        node: any node.
        x: the operand that is computed.
        rank: axes of `x`.
    """
    if editor.opset < NUMPY_BROADCASTING:
        return None
    if domain_of(node.domain) or node.op_type not in ARITHMETIC:
        return None
    if list(node.input).count(x) != 1:
        return None
    first = node.input[0] == x
    value = editor.constant(node.input[1 if first else 0])
    if value is None or not is_float(value.dtype) or not _per_channel(value, rank):
        return None
    c = value.astype(np.float64).reshape(-1)
    one, zero = np.ones_like(c), np.zeros_like(c)
    with np.errstate(all="ignore"):
        found = {
            ("Mul", True): (c, zero),
            ("Mul", False): (c, zero),
            ("Add", True): (one, c),
            ("Add", False): (one, c),
            ("Div", True): (one / c, zero),
            ("Sub", True): (one, -c),
            ("Sub", False): (-one, c),
        }.get((node.op_type, first))
    if found is None or not all(np.isfinite(part).all() for part in found):
        return None
    return Affine(x, np.asarray(found[0]), np.asarray(found[1]))


def _per_channel(value: np.ndarray, rank: int) -> bool:
    """Tell whether a constant varies at most along axis 1 of a tensor, and adds no axes."""
    if value.ndim > rank:
        return False
    shape = (1,) * (rank - value.ndim) + value.shape
    return all(size == 1 for axis, size in enumerate(shape) if axis != 1)
