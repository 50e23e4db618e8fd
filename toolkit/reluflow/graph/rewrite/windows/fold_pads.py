"""Zeros that a Pad adds around a plane, as padding of the convolution behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import Folded
from reluflow.graph.rewrite.reader import attribute, name_of, reads

_SPATIAL_FROM = 2
_PADS_AS_INPUT, _OLD_NAME = 11, 1
"""Opset from which the sizes are an input; the one that named them differently."""
_VALUE_PLACE, _AXES_PLACE = 2, 3
_MOST = 2**31 - 1


def fold_pads(model: Model) -> Rewritten[tuple[Folded, ...]]:
    """Fold every Pad with zeros into the convolutions behind it, and store computed sizes.

    A Pad whose sizes the graph alone determines, however it computes them, adds zeros at the edges
    of the spatial axes; a Conv does the same with its own `pads`. Where all readers of a Pad are
    such convolutions, it is removed. A Pad that stays keeps its sizes as a constant, so that shapes
    behind it are known.

    Args:
        model: the model, not changed.

    Returns:
        The new model with the folded nodes, in graph order, and every Pad in front of a Conv that
        stays, with the reason.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,5] y) <float[1,1,2] w = {1, 2},
        ...       int64[6] sizes = {0, 0, 0, 0, 0, 2}>
        ...     { p = Pad(x, sizes) y = Conv(p, w) }''')
        >>> result = fold_pads(load(proto))
        >>> result.done[0].op, result.model.n_nodes
        ('Pad', 1)

    Reference: docs/psb.md, chains.
    """
    editor = Editor(model)
    return editor.finish(*fold_paddings(editor))


def fold_paddings(editor: Editor) -> tuple[tuple[Folded, ...], tuple[Refused, ...]]:
    """Fold the Pads of a model on its editor, as `fold_pads` does."""
    done: list[Folded] = []
    refused: list[Refused] = []
    for node in list(editor.nodes):
        if domain_of(node.domain) or node.op_type != "Pad":
            continue
        name = name_of(node)
        sizes = _sizes(editor, node)
        if not isinstance(sizes, Reason):
            _store(editor, node, sizes)
        into = [each for each in editor.readers(node.output[0]) if _is_conv(each, node.output[0])]
        if not into:
            editor.forget()
            continue
        found = sizes if isinstance(sizes, Reason) else _added(editor, node, sizes, into)
        if isinstance(found, Reason):
            refused.append(Refused(name, node.op_type, found.text))
            editor.forget()
            continue
        for conv in into:
            _pad(conv, found)
            editor.set_input(conv, 0, node.input[0])
        editor.remove(node)
        editor.settle()
        done.append(Folded(name, node.op_type, tuple(map(name_of, into))))
    return tuple(done), tuple(refused)


def _is_conv(node: NodeProto, tensor: str) -> bool:
    own = not domain_of(node.domain) and node.op_type == "Conv"
    return own and node.input[0] == tensor and list(reads(node)).count(tensor) == 1


def _sizes(editor: Editor, node: NodeProto) -> NDArray[np.int64] | Reason:
    """Return the sizes of a Pad, all begins and then all ends."""
    if editor.opset < _PADS_AS_INPUT:
        given = attribute(node, "paddings" if editor.opset <= _OLD_NAME else "pads")
        return Reason("it gives no sizes") if given is None else np.array(given, np.int64)
    found = editor.constant(node.input[1])
    if found is None:
        return Reason("its sizes depend on the input")
    return found.reshape(-1).astype(np.int64)


def _store(editor: Editor, node: NodeProto, sizes: NDArray[np.int64]) -> None:
    """Let a Pad read its sizes from a constant, not from nodes that compute them."""
    if editor.opset >= _PADS_AS_INPUT and editor.producer(node.input[1]) is not None:
        editor.put_constant(node, 1, sizes, name_of(node), "sizes")
        editor.settle()


def _added(
    editor: Editor, node: NodeProto, sizes: NDArray[np.int64], into: list[NodeProto]
) -> list[int] | Reason:
    """Return what every convolution has to add to its `pads`, or why they cannot."""
    if attribute(node, "mode", "constant") != "constant":
        return Reason(f"its mode is {attribute(node, 'mode')}")
    if not _is_zero(editor, node):
        return Reason("it does not fill in zeros")
    if len(node.input) > _AXES_PLACE and node.input[_AXES_PLACE]:
        return Reason("it names the axes that it pads")
    if len(editor.readers(node.output[0])) != len(into) or editor.is_output(node.output[0]):
        return Reason("other nodes than convolutions read what it makes")
    if any(attribute(conv, "auto_pad", "NOTSET") not in ("NOTSET", "VALID") for conv in into):
        return Reason("a convolution behind it pads by itself (auto_pad)")
    rank = len(sizes) // 2
    if any(len(_own(conv)) not in (0, 2 * (rank - _SPATIAL_FROM)) for conv in into):
        return Reason("a convolution behind it pads other axes")
    begins, ends = sizes[:rank], sizes[rank:]
    if sizes.min(initial=0) < 0 or sizes.max(initial=0) > _MOST or len(sizes) % 2:
        return Reason(f"its sizes are {sizes.tolist()}; a convolution takes those from 0 on")
    if begins[:_SPATIAL_FROM].any() or ends[:_SPATIAL_FROM].any():
        return Reason("it pads samples or channels")
    return [*begins[_SPATIAL_FROM:].tolist(), *ends[_SPATIAL_FROM:].tolist()]


def _is_zero(editor: Editor, node: NodeProto) -> bool:
    if editor.opset < _PADS_AS_INPUT:
        return not attribute(node, "value", 0.0)
    if len(node.input) <= _VALUE_PLACE or not node.input[_VALUE_PLACE]:
        return True
    value = editor.constant(node.input[_VALUE_PLACE])
    return value is not None and not value.any()


def _own(conv: NodeProto) -> list[int]:
    """Return the pads of a convolution, none where it gives none."""
    return [int(each) for each in attribute(conv, "pads") or ()]  # type: ignore[attr-defined]


def _pad(conv: NodeProto, added: list[int]) -> None:
    """Add to the padding of a convolution."""
    own = [] if attribute(conv, "auto_pad") == "VALID" else _own(conv)
    for entry in [each for each in conv.attribute if each.name in ("pads", "auto_pad")]:
        conv.attribute.remove(entry)
    both = [a + b for a, b in zip(own or [0] * len(added), added, strict=True)]
    conv.attribute.append(helper.make_attribute("pads", both))
