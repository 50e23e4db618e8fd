"""Activations that a model rounds to integers and back, given their range without the rounding.

PSB operators round what they multiply themselves, to more bits, so the rounding of a quantised
model would only add to theirs. Its range matters: quantisers leave out a Relu whose work the range
does.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.graph.proto.external import is_float
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor, copy_documentation
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.graph.rewrite.reader import attribute, name_of

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_BITS: dict[int, tuple[int, int]] = {
    TensorProto.UINT8: (0, 8),
    TensorProto.INT8: (1, 8),
    TensorProto.UINT16: (0, 16),
    TensorProto.INT16: (1, 16),
    TensorProto.UINT4: (0, 4),
    TensorProto.INT4: (1, 4),
}
"""Type of the integers -> bits of the sign, and all bits."""


@dataclass(frozen=True, slots=True)
class Unrounded:
    """A tensor that is no longer rounded to integers; part of what `unround_activations` returns.

    Attributes:
        node: name of the QuantizeLinear that is gone, else its output's.
        tensor: the one that was rounded.
        low: smallest value that it could hold, and still can.
        high: largest one.
    """

    node: str
    tensor: str
    low: float
    high: float


def unround_activations(
    model: Model, only: Collection[str] | None = None
) -> Rewritten[tuple[Unrounded, ...]]:
    """Replace pairs of QuantizeLinear and DequantizeLinear on activations by a Clip to their range.

    The pairs must have one constant scale and zero point z, the same in both. The Clip is from
    (q_min - z) scale to (q_max - z) scale, with q of the integers' type; a Relu or Clip in front
    that nothing else reads becomes part of it. Pairs on constants stay: those are weights.

    Args:
        model: any model, not changed.
        only: names of the QuantizeLinear nodes to replace; None: all.

    Returns:
        The new model, of opset 13 or newer; the pairs that are gone, in graph order; and those that
        stay, with the reason.

    Raises:
        ModelError: its opset cannot be raised.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, unround_activations
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N] x) => (float[N] y) <float s = {0.5}, uint8 z = {0}>
        ...     { r = Relu(x) q = QuantizeLinear(r, s, z) y = DequantizeLinear(q, s, z) }''')
        >>> result = unround_activations(load(proto))
        >>> [(pair.low, pair.high) for pair in result.done], result.model.n_nodes
        ([(0.0, 127.5)], 1)

    Reference: docs/psb.md, quantised models.
    """
    editor = Editor(model)
    raise_opset(editor)
    names = {name_of(node) for node in editor.nodes if node.op_type == _QUANTIZE}
    return editor.finish(*unround(editor, () if only is None else names - set(only)))


def unround(
    editor: Editor, exclude: Collection[str] = ()
) -> tuple[tuple[Unrounded, ...], tuple[Refused, ...]]:
    """Do what `unround_activations` does on an editor, of opset 13; it is committed.

    Args:
        editor: the model.
        exclude: names of nodes to leave alone, QuantizeLinear or DequantizeLinear among them.
    """
    done: list[Unrounded] = []
    refused: list[Refused] = []
    for node in list(editor.nodes):
        if domain_of(node.domain) or node.op_type != _QUANTIZE:
            continue
        if editor.constant(node.input[0]) is not None:
            continue
        names = {name_of(each) for each in (node, *editor.readers(node.output[0]))}
        found = EXCLUDED if names & set(exclude) else _range(editor, node)
        if isinstance(found, Reason):
            editor.forget()
            refused.append(Refused(name_of(node), _QUANTIZE, found.text))
        else:
            editor.settle()
            done.append(Unrounded(name_of(node), node.input[0], *found))
            _write(editor, node, *found)
    if done:
        editor.commit()
    return tuple(done), tuple(refused)


def _range(editor: Editor, node: NodeProto) -> tuple[float, float] | Reason:
    """Return the smallest and the largest number that a pair lets pass, or why it stays."""
    readers = editor.readers(node.output[0])
    others = [each.op_type for each in readers if not _is_back(each, node.output[0])]
    if editor.is_output(node.output[0]) or not readers:
        return Reason("its integers are an output of the model, or are not read")
    if others:
        return Reason(f"its integers are read by {others[0]}")
    scale, zero = _parameters(editor, node)
    if scale is None or zero is None:
        return Reason("its scale and zero point are not one constant each")
    if any(_parameters(editor, each) != (scale, zero) for each in readers):
        return Reason("what reads it back has another scale or zero point")
    kind = _kind(editor, node)
    if kind not in _BITS:
        return Reason(f"it rounds to {TensorProto.DataType.Name(kind)}, not to whole numbers")
    sign, bits = _BITS[kind]
    lowest = -(2 ** (bits - 1)) if sign else 0
    return scale * (lowest - zero), scale * (lowest + 2**bits - 1 - zero)


def _is_back(node: NodeProto, tensor: str) -> bool:
    own = not domain_of(node.domain) and node.op_type == _DEQUANTIZE
    return bool(own and node.input[0] == tensor and tensor not in node.input[1:])


def _parameters(editor: Editor, node: NodeProto) -> tuple[float | None, int | None]:
    """Return scale and zero point, None where they are computed or several."""
    scale = editor.constant(node.input[1])
    named = len(node.input) > 2 and bool(node.input[2])
    zero = editor.constant(node.input[2]) if named else np.zeros(1, np.int64)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None, None
    if not is_float(scale.dtype) or is_float(zero.dtype) or attribute(node, "block_size", 0):
        return None, None
    return float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0])


def _kind(editor: Editor, node: NodeProto) -> int:
    """Return the type of the integers."""
    if len(node.input) > 2 and node.input[2]:
        zero = editor.constant(node.input[2])
        assert zero is not None  # _parameters has read it
        return int(helper.np_dtype_to_tensor_dtype(zero.dtype))
    return int(str(attribute(node, "output_dtype", 0))) or int(TensorProto.UINT8)


def _write(editor: Editor, node: NodeProto, low: float, high: float) -> None:
    """Put a Clip in the place of a pair; all that read the integers back read the Clip."""
    back = editor.readers(node.output[0])
    dtype = editor.constant(node.input[1])
    assert dtype is not None  # _range has read it
    x, low, high, gone = _in_front(editor, node.input[0], low, high)
    bounds = [
        editor.add_initializer(node.input[0], what, np.array(value, dtype.dtype))
        for what, value in (("low", low), ("high", high))
    ]
    for each in back:
        clip = helper.make_node("Clip", [x, *bounds], [each.output[0]], name=name_of(node))
        copy_documentation(node, clip)
        editor.insert(clip, after=each)
        if each is not back[0]:
            clip.name = name_of(each)
    for each in [*back, node, *gone]:
        editor.remove(each)


def _in_front(
    editor: Editor, tensor: str, low: float, high: float
) -> tuple[str, float, float, list[NodeProto]]:
    """Return what to clip, the bounds, and the Relu or Clip in front that they replace."""
    node = editor.producer(tensor)
    alone = node is not None and editor.sole_reader(tensor) is not None
    if node is None or not alone or domain_of(node.domain):
        return tensor, low, high, []
    if node.op_type == "Relu":
        return node.input[0], max(low, 0.0), max(high, 0.0), [node]
    return tensor, low, high, []
