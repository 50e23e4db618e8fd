"""Folding batch normalisation into the linear operator before or after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.affine import (
    ARITHMETIC,
    BATCH_NORM,
    Affine,
    read_arithmetic,
    read_batch_norm,
)
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import (
    CONVS,
    F64,
    LINEAR_OPS,
    Linear,
    misfit,
    read_linear,
    write_linear,
)
from reluflow.graph.rewrite.no_ops import skip_ahead, skip_back
from reluflow.graph.rewrite.reader import attribute, name_of

_SCALE_AND_B = slice(1, 3)
"""Inputs of BatchNormalization that an affine map after it changes; the statistics stay."""
_MAKERS = (*LINEAR_OPS, BATCH_NORM, *ARITHMETIC)


@dataclass(frozen=True, slots=True)
class Folded:
    """One node that was removed; part of what `fold_batchnorm` and `fold_pads` return.

    Attributes:
        node: its name, else its output's.
        op: "BatchNormalization", "Pad", or "Mul", "Div", "Add", "Sub" with a constant per channel.
        into: names of the nodes that now do its work.
    """

    node: str
    op: str
    into: tuple[str, ...]


def fold_batchnorm(model: Model) -> Rewritten[tuple[Folded, ...]]:
    """Fold batch normalisation into neighbouring linear operators.

    y = a (W x + c) + b becomes y = (a W) x + (a c + b), with a = scale / sqrt(variance + epsilon)
    and b = B - mean a; before a linear operator, W (a x + b) + c becomes (W a) x + (W b + c). Conv,
    ConvTranspose (also grouped and depthwise), Gemm and MatMul absorb it. Before a Conv this is
    exact only without zero padding, or with b = 0. Multiplications and additions of one constant
    per channel after a Conv, a Gemm or a BatchNormalization are folded in the same way. Weights
    that other nodes also read are copied. Nodes in subgraphs stay. Nodes in between that do nothing
    (Identity, Dropout in inference, Cast to the same type, Reshape to the same shape, pairs of
    Transpose) are removed. Initializers that callers may replace become constants when they are
    folded, and a note says so.

    Args:
        model: the model, not changed.

    Returns:
        The new model with the removed nodes, in graph order, and every BatchNormalization that
        stays with the reason. IR version, opset and the names of outputs are kept; notes name
        inputs with defaults that are now constants.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4},
        ...       float[2] s = {2,2}, float[2] b = {1,1}, float[2] m = {0,0}, float[2] v = {1,1}>
        ...     { h = Gemm(x, w) y = BatchNormalization(h, s, b, m, v) }''')
        >>> result = fold_batchnorm(load(proto))
        >>> result.model.n_nodes, result.done[0].op, result.refused
        (1, 'BatchNormalization', ())

    Reference: thesis 4.2.3; docs/spec.md, section 7, BN folding first.
    """
    editor = Editor(model)
    return editor.finish(*fold_norms(editor))


def fold_norms(editor: Editor) -> tuple[tuple[Folded, ...], tuple[Refused, ...]]:
    """Fold batch normalisation of a model on its editor, as `fold_batchnorm` does."""
    order = {id(node): number for number, node in enumerate(editor.nodes)}
    found: list[tuple[int, Folded | Refused]] = []
    left: list[tuple[NodeProto, Reason]] = []
    # Backwards first, for all nodes: the operator in front pads nothing and has one reader, so more
    # folds succeed, and a Mul behind a normalisation can only go where that has gone. What is left
    # tries the operators behind it, whose padding forbids a shift.
    for node in list(editor.nodes):
        if domain_of(node.domain) or node.op_type not in (BATCH_NORM, *ARITHMETIC):
            continue
        record = _first_pass(editor, node, left)
        _close(editor, record)
        if record is not None:
            found.append((order[id(node)], record))
    for node, reason in left:
        affine = read_batch_norm(editor, node)  # again: what came after it may now be part of it
        done = affine if isinstance(affine, Reason) else _fold_forwards(editor, node, affine)
        record = _record(node, done, reason)
        _close(editor, record)
        found.append((order[id(node)], record))
    # Reports follow the graph, not the two passes.
    records = [record for _, record in sorted(found, key=lambda pair: pair[0])]
    records += _in_subgraphs(editor)
    folded = tuple(r for r in records if isinstance(r, Folded))
    return folded, tuple(r for r in records if isinstance(r, Refused))


def _close(editor: Editor, record: Folded | Refused | None) -> None:
    """Keep track of the constants that the rewrite has used."""
    if isinstance(record, Folded):
        editor.settle()
    else:
        editor.forget()


def _first_pass(
    editor: Editor, node: NodeProto, left: list[tuple[NodeProto, Reason]]
) -> Folded | Refused | None:
    """Fold one node into the operator before it; add it to `left` where that fails."""
    if node.op_type != BATCH_NORM:
        into = _fold_arithmetic(editor, node)
        return Folded(name_of(node), node.op_type, (into,)) if into else None
    affine = read_batch_norm(editor, node)
    if isinstance(affine, Reason):
        return _record(node, affine)
    affine = replace(affine, x=skip_back(editor, node, 0, _MAKERS))
    done = _fold_backwards(editor, node, affine)
    if isinstance(done, tuple):
        return _record(node, done)
    left.append((node, done))
    return None


def _record(
    node: NodeProto, done: tuple[str, ...] | Reason, before: Reason | None = None
) -> Folded | Refused:
    if isinstance(done, tuple):
        return Folded(name_of(node), node.op_type, done)
    reasons = [str(reason) for reason in (before, done) if reason is not None]
    return Refused(name_of(node), node.op_type, "; ".join(reasons))


def _in_subgraphs(editor: Editor) -> list[Refused]:
    reason = "it stands in a subgraph (If, Loop or Scan)"
    return [
        Refused(name_of(node), node.op_type, reason)
        for number, graph in enumerate(walk_graphs(editor.proto))
        for node in (graph.node if number else ())
        if node.op_type == BATCH_NORM and not domain_of(node.domain)
    ]


def _fold_backwards(editor: Editor, node: NodeProto, affine: Affine) -> tuple[str, ...] | Reason:
    """Fold into the operator that produces the input."""
    producer = editor.producer(affine.x)
    if producer is None:
        return Reason("no node makes its input")
    if producer.op_type == BATCH_NORM:
        return _fold_into_norm(editor, producer, node, affine)
    linear = _linear_making(editor, producer)
    if isinstance(linear, Reason):
        return Reason(f"{name_of(producer)!r} in front of it: {linear}")
    # Another reader wants the numbers from before the normalisation.
    if editor.sole_reader(affine.x) is not node:
        return Reason(f"other nodes or the caller read the output of {name_of(producer)!r} too")
    # A normalisation goes over axis 1, a MatMul's outputs are the last axis: one only with 2 axes.
    if linear.op == "MatMul" and editor.rank(affine.x) != 2:
        return Reason(f"the output of {name_of(producer)!r} is not known to have 2 axes")
    return _scale_outputs(editor, linear, node, affine)


def _linear_making(editor: Editor, producer: NodeProto) -> Linear | Reason:
    """Read the linear operator whose result, bias included, `producer` computes."""
    if producer.op_type == "Add" and not domain_of(producer.domain):
        for tensor in producer.input:
            inner = editor.producer(tensor)
            if inner is not None and inner.op_type == "MatMul":
                linear = read_linear(editor, inner)
                if isinstance(linear, Linear) and linear.add is producer:
                    return linear
    linear = read_linear(editor, producer)
    if isinstance(linear, Linear) and linear.add is not None and linear.add is not producer:
        linear.add, linear.bias = None, None
    return linear


def _scale_outputs(
    editor: Editor, linear: Linear, node: NodeProto, affine: Affine
) -> tuple[str, ...] | Reason:
    """Fold into the operator before the node; its result replaces that of the node."""
    outputs = linear.n_outputs
    if affine.factor.size not in (1, outputs):
        return Reason(f"it has {affine.factor.size} channels, {name_of(linear.node)!r} {outputs}")
    factor = np.broadcast_to(affine.factor, (outputs,))
    bias = np.broadcast_to(affine.shift, (outputs,))
    if linear.bias is not None:
        bias = bias + factor * linear.bias
    # in float64, so that the folded weight is rounded once
    weight = linear.weight.astype(np.float64) * linear.along_outputs(factor)
    # A bias of zeros would be an input more for nothing, and hide that the layer has none.
    bare = not bias.any() and linear.bias is None
    failed = misfit(linear, weight, bias)
    if failed:
        return failed
    write_linear(editor, linear, weight, None if bare else bias)
    _take_over(editor, linear.add or linear.node, node)
    return (name_of(linear.node),)


def _take_over(editor: Editor, maker: NodeProto, node: NodeProto) -> None:
    """Remove a node; the one before it produces its output."""
    output = node.output[0]
    editor.remove(node)
    editor.set_output(maker, 0, output)


def _fold_into_norm(
    editor: Editor, norm: NodeProto, node: NodeProto, affine: Affine
) -> tuple[str, ...] | Reason:
    """Fold into a BatchNormalization that stays: scale and B absorb it."""
    first = read_batch_norm(editor, norm)
    if isinstance(first, Reason):
        return Reason(f"{name_of(norm)!r} in front of it: {first}")
    if editor.sole_reader(norm.output[0]) is not node:
        return Reason(f"other nodes or the caller read the output of {name_of(norm)!r} too")
    stored = [editor.constant(name) for name in norm.input[_SCALE_AND_B]]
    scale, b = (np.zeros(1) if value is None else value for value in stored)
    if affine.factor.size not in (1, scale.size):
        return Reason(f"it has {affine.factor.size} channels, {name_of(norm)!r} {scale.size}")
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            (scale * affine.factor).astype(scale.dtype),
            (b * affine.factor + affine.shift).astype(b.dtype),
        ]
    if not all(np.isfinite(part).all() for part in parts):
        return Reason(f"the folded numbers do not fit into {scale.dtype}")
    for position, part in enumerate(parts, start=1):
        editor.put_constant(norm, position, part, "", "folded")
    _take_over(editor, norm, node)
    return (name_of(norm),)


def _fold_arithmetic(editor: Editor, node: NodeProto) -> str:
    """Fold a constant per channel into the operator before it; return its name, "" if none can."""
    for position in range(len(node.input)):
        others = [name for place, name in enumerate(node.input) if place != position]
        if not others or any(editor.constant(name) is None for name in others):
            continue
        x = skip_back(editor, node, position, _MAKERS)
        producer = editor.producer(x)
        if producer is None or domain_of(producer.domain) or editor.sole_reader(x) is not node:
            continue
        if producer.op_type == BATCH_NORM:
            rank = editor.rank(x)
        elif producer.op_type in CONVS:
            weight = editor.constant(producer.input[1])
            rank = None if weight is None else weight.ndim
        else:
            rank = 2 if producer.op_type == "Gemm" else None
        affine = read_arithmetic(editor, node, x, rank) if rank else None
        if affine is not None:
            done = _fold_backwards(editor, node, affine)
            return done[0] if isinstance(done, tuple) else ""
    return ""


def _fold_forwards(editor: Editor, node: NodeProto, affine: Affine) -> tuple[str, ...] | Reason:
    """Fold into all operators that read the output."""
    output = node.output[0]
    if editor.is_output(output):
        return Reason("its output is the model's")
    skip_ahead(editor, output)
    readers = editor.readers(output)
    takers = []
    for reader in readers:
        linear = _taker(editor, reader, output, affine)
        if isinstance(linear, Reason):
            return Reason(f"{name_of(reader)!r} behind it: {linear}")
        takers.append(linear)
    if not takers:
        return Reason("no node reads its output")
    # All or none: the normalisation can go only when every reader has taken it up, so nothing is
    # written before all are known to fit.
    numbers = [_with_inputs_scaled(linear, affine) for linear in takers]
    for linear, (weight, bias) in zip(takers, numbers, strict=True):
        failed = misfit(linear, weight, bias)
        if failed:
            return Reason(f"{name_of(linear.node)!r} behind it: {failed}")
    for linear, (weight, bias) in zip(takers, numbers, strict=True):
        write_linear(editor, linear, weight, bias)
        editor.set_input(linear.node, 0, affine.x)
    editor.remove(node)
    return tuple(name_of(linear.node) for linear in takers)


def _taker(editor: Editor, reader: NodeProto, tensor: str, affine: Affine) -> Linear | Reason:
    """Read an operator after a normalisation, or say why it cannot absorb it."""
    linear = read_linear(editor, reader)
    if isinstance(linear, Reason):
        return linear
    if list(reader.input).count(tensor) != 1 or reader.input[0] != tensor:
        return Reason("it reads the tensor elsewhere than as its input")
    if linear.n_inputs != affine.factor.size:
        return Reason(f"it has {linear.n_inputs} input channels, not {affine.factor.size}")
    # The same as in front: the channels are on axis 1, a MatMul sums over the last.
    if linear.op == "MatMul" and editor.rank(tensor) != 2:
        return Reason("its input is not known to have 2 axes")
    if attribute(reader, "transA", 0):
        return Reason("it transposes its input")
    if affine.shift.any() and linear.op == "ConvTranspose":
        return Reason("a shift in front of a ConvTranspose differs from pixel to pixel")
    if affine.shift.any() and linear.op == "Conv" and pads_with_zeros(linear):
        return Reason("it pads with zeros, which the shift would have to leave out")
    return linear


def pads_with_zeros(linear: Linear) -> bool:
    """Tell whether a Conv adds zeros around its input."""
    mode = attribute(linear.node, "auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return any(size > 1 for size in linear.weight.shape[2:])
    pads = attribute(linear.node, "pads", ())
    return mode == "NOTSET" and any(pads)  # type: ignore[arg-type]


def _with_inputs_scaled(linear: Linear, affine: Affine) -> tuple[F64, F64 | None]:
    """Return an operator's weights and bias with the normalisation before it included."""
    weight: F64 = linear.weight.astype(np.float64) * linear.along_inputs(affine.factor)
    bias = linear.through(affine.shift) if affine.shift.any() else None
    if linear.bias is not None:
        bias = linear.bias if bias is None else bias + linear.bias
    return weight, bias
