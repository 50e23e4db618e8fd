"""Magnitude pruning of the weights of linear operators."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import LINEAR_OPS, Linear, read_linear
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb import magnitude_mask


@dataclass(frozen=True, slots=True)
class Pruned:
    """The weights of one operator after pruning; part of what `prune` returns.

    Attributes:
        node: its name, else its output's.
        op: operator name.
        weights: number of weights.
        zeros: how many of them are now 0.
    """

    node: str
    op: str
    weights: int
    zeros: int


def prune(
    model: Model, share: float, *, scope: str = "tensor", exclude: Collection[str] = ()
) -> Rewritten[tuple[Pruned, ...]]:
    """Set the weights closest to zero to zero.

    Weights of Conv, ConvTranspose, Gemm and MatMul are pruned, in subgraphs of If, Loop and Scan
    too; biases are not. Fold batch normalisation first: it changes which weights are small.

    Args:
        model: the model, not changed.
        share: fraction of the weights that become 0, in [0, 1).
        scope: "tensor": of each operator's weights; "global": of all of them together.
        exclude: names of nodes to leave alone.

    Returns:
        The new model with the remaining weights of each linear operator, in graph order; operators
        that share weights each count them. Operators whose weights are not constant are refused.

    Raises:
        OptionError: share or scope is not accepted.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, prune
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> result = prune(load(proto), 0.5)
        >>> [(layer.zeros, layer.weights) for layer in result.done]
        [(2, 4)]

    Reference: thesis 4.2.4; docs/spec.md, section 7.
    """
    editor = Editor(model)
    return editor.finish(*prune_weights(editor, share, scope, exclude))


def prune_weights(
    editor: Editor, share: float, scope: str, exclude: Collection[str]
) -> tuple[tuple[Pruned, ...], tuple[Refused, ...]]:
    """Prune a model on its editor, as `prune` does."""
    found: list[tuple[Editor, Linear]] = []
    refused: list[Refused] = []
    for place in editor.everywhere():
        for node in filter(_is_linear, place.nodes):
            excluded = name_of(node) in exclude
            linear = EXCLUDED if excluded else read_linear(place, node)
            if isinstance(linear, Reason):
                place.forget()
                refused.append(Refused(name_of(node), node.op_type, linear.text))
            else:
                place.settle()
                found.append((place, linear))
    # Shared weights are counted and pruned once: pruned twice, a share of 0.5 would leave a
    # quarter.
    shared: dict[tuple[int, str], list[tuple[Editor, Linear]]] = {}
    for place, linear in found:
        weight = linear.node.input[1]
        # by graph: branches may use the same names for their tensors
        shared.setdefault((id(place.home(weight)), weight), []).append((place, linear))
    arrays = [group[0][1].weight for group in shared.values()]
    masks = magnitude_mask(arrays, share, scope)
    zeros: dict[int, int] = {}
    for group, array, keep in zip(shared.values(), arrays, masks, strict=True):
        kept = np.where(keep, array, np.zeros((), array.dtype))
        zeros.update((id(linear), int(np.count_nonzero(kept == 0))) for _, linear in group)
        # A layer that loses nothing stays the very same tensor.
        if not keep.all():
            _write(group, kept)
    pruned = tuple(
        Pruned(name_of(linear.node), linear.op, linear.weight.size, zeros[id(linear)])
        for _, linear in found
    )
    return pruned, tuple(refused)


def _is_linear(node: NodeProto) -> bool:
    return node.op_type in LINEAR_OPS and not domain_of(node.domain)


def _write(group: list[tuple[Editor, Linear]], weight: np.ndarray) -> None:
    """Give operators that share their weights one new tensor."""
    place, linear = group[0]
    first = linear.node
    place.put_constant(first, 1, weight, "", "pruned")
    for place, linear in group[1:]:
        place.set_input(linear.node, 1, first.input[1])
