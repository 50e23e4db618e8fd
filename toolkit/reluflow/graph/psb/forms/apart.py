"""Switches that ONNX Runtime fused into other operators, as nodes of their own again."""

from __future__ import annotations

from collections import Counter
from typing import Any

from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model, load
from reluflow.graph.psb.forms.emit import Emitter
from reluflow.graph.psb.forms.fused import CONTRIB, read_switch, write_fused
from reluflow.graph.psb.forms.spell import SpelledOut
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.graph.rewrite.reader import name_of

_CLIP_TAKES_TENSORS = 11
_PRODUCTS = ("FusedConv", "FusedGemm")
_BIASED = {"BiasGelu": "Gelu", "FastGelu": "FastGelu"}
"""Operator that adds a bias before its activation -> the activation alone."""


def switches_apart(model: Model) -> Rewritten[tuple[SpelledOut, ...]]:
    """Write switches that ONNX Runtime fused into other operators as nodes of their own.

    A FusedConv or FusedGemm becomes the product, the sum and the activation; a BiasGelu or FastGelu
    with a bias an Add and the activation. Nothing else changes, so that a tap can show what they
    compare.

    Args:
        model: any model, not changed.

    Returns:
        The new model; the operators that were written as others, in graph order; and those that
        were not, with the reason.

    Raises:
        ModelError: its opset is older than 11 and cannot be raised.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_sites, load, switches_apart
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17,
        ...     "com.microsoft" : 1]> g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { y = com.microsoft.FusedGemm<activation = "Relu">(x, w) }''')
        >>> result = switches_apart(load(proto))
        >>> result.done[0].into, find_sites(result.model)[0].untappable
        ('Gemm and Relu', '')

    Reference: docs/onnx-tools.md.
    """
    editor = Editor(model)
    if editor.opset < _CLIP_TAKES_TENSORS:
        raise_opset(editor)
    done: list[SpelledOut] = []
    refused: list[Refused] = []
    for node in list(filter(_is_fused, editor.nodes)):
        found = _write(editor, node)
        if isinstance(found, Reason):
            refused.append(Refused(name_of(node), node.op_type, found.text))
        else:
            done.append(found)
    if done:
        counted = Counter(each.op for each in done)
        words = ", ".join(f"{n} {op}" for op, n in sorted(counted.items()))
        editor.notes += (
            f"What ONNX Runtime had fused was written apart, so that its switches can be seen: "
            f"{words}.",
        )
    return editor.finish(tuple(done), refused)


def load_apart(source: Any) -> Model:
    """Load a model as `load` does, its fused switches written apart as `switches_apart` does.

    Args:
        source: as for `load`.

    Returns:
        The model, under the path and with the digest of its file; a note says what was fused.

    Raises:
        ModelError: as for `load` and `switches_apart`.

    Example:
        >>> from reluflow.graph import load_apart
        >>> load_apart("models/fashion_resnet8.onnx").notes
        ()

    Reference: docs/onnx-tools.md.
    """
    model = load(source)
    if not any(map(_is_fused, model._proto.graph.node)):
        return model
    made = switches_apart(model).model
    made._path, made._digest = model.path, model.sha256
    return made


def _is_fused(node: NodeProto) -> bool:
    if domain_of(node.domain) != CONTRIB:
        return False
    if node.op_type in _BIASED:
        return len(node.input) > 1 and bool(node.input[1])
    return node.op_type in _PRODUCTS and any(each.name == "activation" for each in node.attribute)


def _write(editor: Editor, node: NodeProto) -> SpelledOut | Reason:
    """Replace a node, and say by what; or say why it stays."""
    name = name_of(node)
    if node.op_type in _BIASED:
        emit, kind = Emitter(editor, node), _BIASED[node.op_type]
        added = emit.add("Add", list(node.input[:2]))
        emit.finish(emit.add(kind, [added], name, domain=CONTRIB))
        return SpelledOut(name, node.op_type, f"Add and {kind}")
    found = read_switch(node)
    if isinstance(found, Reason):
        return found
    return SpelledOut(name, node.op_type, write_fused(editor, node, found))
