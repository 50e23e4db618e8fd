"""Units that compute the same up to a positive factor, and adding their columns together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.rewrite.affine import (
    ARITHMETIC,
    BATCH_NORM,
    Affine,
    read_arithmetic,
    read_batch_norm,
)
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import LINEAR_OPS, Linear, read_linear
from reluflow.graph.slim.channels import Channels

F64 = NDArray[np.float64]
TOLERANCE = 2e-6
"""Difference of two rows of weights that counts as rounding, as a share of the largest weight: some
16 units in the last place of float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a layer and the constants behind it compute for each unit: rows x + bias.

    Attributes:
        linear: the layer.
        nodes: it and the nodes up to the switch, in order.
        rows: `(units, inputs, taps...)`.
        bias: `(units,)`.
    """

    linear: Linear
    nodes: tuple[NodeProto, ...]
    rows: F64
    bias: F64


def read_rows(editor: Editor, tensor: str) -> Rows | Reason:
    """Return the rows that make a pre-activation, or why there are none.

    Args:
        editor: the graph.
        tensor: the pre-activation.
    """
    chain: list[NodeProto] = []
    while (node := editor.producer(tensor)) is not None:
        if domain_of(node.domain):
            break
        chain.insert(0, node)
        if node.op_type in LINEAR_OPS:
            return _along(editor, chain)
        if node.op_type not in (BATCH_NORM, *ARITHMETIC):
            break
        computed = [
            name
            for name in node.input
            if (node.op_type != BATCH_NORM or name == node.input[0])
            and editor.constant(name) is None
        ]
        if len(computed) != 1 or editor.sole_reader(computed[0]) is not node:
            break
        tensor = computed[0]
    return Reason("other nodes stand between it and the layer in front")


def _along(editor: Editor, chain: list[NodeProto]) -> Rows | Reason:
    """Return the rows of a layer with the constants of the nodes behind it."""
    linear = read_linear(editor, chain[0])
    if isinstance(linear, Reason):
        return linear
    if linear.group > 1 or bool(_transposes(linear)):
        return Reason("the layer in front works on groups of channels or transposes its input")
    rows = linear.alpha * linear.weight.astype(np.float64)
    first = linear.op == "Conv" or linear.transposed
    rows = np.moveaxis(rows, 0 if first else 1, 0)
    bias = np.zeros(len(rows)) if linear.bias is None else linear.bias
    for node in chain[1:]:
        if node is linear.add:
            continue
        x = next(name for name in node.input if editor.producer(name) in chain)
        rank = editor.rank(x)
        affine: Affine | Reason | None
        if node.op_type == BATCH_NORM:
            affine = read_batch_norm(editor, node)
        elif rank is None or (linear.op == "MatMul" and rank != 2):
            return Reason("the axes of what stands behind the layer are not known")
        else:
            affine = read_arithmetic(editor, node, x, rank)
        if affine is None or isinstance(affine, Reason):
            return Reason("other nodes stand between it and the layer in front")
        factor = np.broadcast_to(affine.factor, bias.shape)
        rows = rows * factor.reshape(-1, *[1] * (rows.ndim - 1))
        bias = bias * factor + affine.shift
    if linear.add is not None and linear.add not in chain:
        return Reason("its bias is added behind the switch")
    return Rows(linear, tuple(chain), rows, bias)


def _transposes(linear: Linear) -> bool:
    return any(entry.name == "transA" and entry.i for entry in linear.node.attribute)


def find_duplicates(rows: F64, bias: F64, skip: NDArray[np.bool_]) -> list[tuple[int, int, float]]:
    """Return units that are a positive multiple of an earlier one.

    Args:
        rows: `(units, ...)` weights.
        bias: `(units,)`.
        skip: `(units,)`, which not to look at.

    Returns:
        (unit, the first unit that it is a multiple of, the factor); units without any weight are
        left out.

    Example:
        >>> rows = np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 4.0], [-1.0, -2.0]])
        >>> find_duplicates(rows, np.zeros(4), np.zeros(4, bool))
        [(2, 0, 2.0)]
    """
    table = np.concatenate([rows.reshape(len(rows), -1), bias[:, None]], axis=1)
    sizes = np.linalg.norm(table, axis=1)
    weighted = np.abs(table[:, :-1]).max(axis=1, initial=0) > 0
    able = weighted & ~skip & np.isfinite(sizes)
    unit = np.where(able[:, None], table / np.where(able, sizes, 1)[:, None], 0)
    found: list[tuple[int, int, float]] = []
    firsts: list[int] = []
    for j in np.flatnonzero(able):
        close = np.abs(unit[firsts] - unit[j]).max(axis=1, initial=0)
        most = TOLERANCE * np.abs(unit[j]).max()
        same = [i for i, distance in zip(firsts, close, strict=True) if distance <= most]
        if same:
            found.append((int(j), int(same[0]), float(sizes[j] / sizes[same[0]])))
        else:
            firsts.append(int(j))
    return found


def add_columns(editor: Editor, channels: Channels, unit: int, into: int, factor: float) -> None:
    """Give one channel's readers what they take from another one, a multiple of it.

    Args:
        editor: the graph.
        channels: found in it.
        unit: number of the channel that is not needed afterwards.
        into: number of the channel that takes its part.
        factor: `unit` is so many times `into`.
    """
    for linear, x in channels.readers:
        ids = channels.ids[x]
        gone, stays = np.flatnonzero(ids == unit), np.flatnonzero(ids == into)
        if not len(gone):
            continue
        axis = 1 if linear.op == "Conv" or (linear.op == "Gemm" and linear.transposed) else 0
        stored = editor.constant(linear.node.input[1])
        if stored is None:
            continue
        weight = np.moveaxis(stored.astype(np.float64), axis, 0)
        weight[stays] += factor * weight[gone]
        new = np.moveaxis(weight, 0, axis).astype(stored.dtype)
        editor.put_constant(linear.node, 1, new, "", "slim")
