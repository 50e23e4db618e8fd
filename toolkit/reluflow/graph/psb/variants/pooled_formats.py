"""Poolings of chains that keep the format of what they pool, so that single pixels fit too."""

from __future__ import annotations

from onnx import NodeProto, helper

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_AVERAGE_POOL,
    FIXED_CONV,
    FIXED_GLOBAL_AVERAGE_POOL,
    FROM_FIXED,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    OWN_DOMAIN,
)
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

_POOLS = (FIXED_GLOBAL_AVERAGE_POOL, FIXED_AVERAGE_POOL)
_FORMS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity")
_READERS = (FIXED_CONV, FROM_FIXED_CONV, FROM_FIXED_MATMUL, FROM_FIXED, *_POOLS)
"""Operators whose attributes `x_exponent` and `x_zero` say what their first input is."""
_BYTES = {"y_min": 0, "y_max": 255}


def keep_pooled_formats(model: Model) -> Rewritten[tuple[str, ...]]:
    """Let poolings that give bytes keep the format of the bytes that they pool.

    Their own format fits means, which are smaller than single pixels: a model that is run on one
    pixel at a time would cut these off.

    Args:
        model: with chains of bytes, not changed.

    Returns:
        The new model, and the names of the poolings that were changed; those that are read by an
        operator of several formats are refused.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> keep_pooled_formats(to_psb(load("models/fashion_resnet8.onnx")).model).done
        ()

    Reference: docs/psb-ops.md, chains.
    """
    editor = Editor(model)
    done, refused = [], []
    for node in list(editor.nodes):
        if node.domain != OWN_DOMAIN or node.op_type not in _POOLS:
            continue
        readers = _readers(editor, node)
        if readers is None:
            reason = "what reads it has no single format to change"
            refused.append(Refused(name_of(node), node.op_type, reason))
            continue
        for key in ("exponent", "zero"):
            value = int(str(attribute(node, f"x_{key}", 0)))
            _set(node, f"y_{key}", value)
            for reader in readers:
                _set(reader, f"x_{key}", value)
        for key, value in _BYTES.items():
            _set(node, key, value)
        done.append(name_of(node))
    return editor.finish(tuple(done), refused)


def _readers(editor: Editor, node: NodeProto) -> list[NodeProto] | None:
    """Return what reads a pooling's numbers; None where one of them cannot take another format."""
    found, waiting = [], [node.output[0]]
    while waiting:
        tensor = waiting.pop()
        if editor.is_output(tensor):
            return None
        for reader in editor.readers(tensor):
            if reader.op_type in _FORMS and reader.input[0] == tensor:
                waiting.append(reader.output[0])
            elif reader.op_type in _READERS and list(reader.input).index(tensor) == 0:
                found.append(reader)
            else:
                return None
    return found


def _set(node: NodeProto, name: str, value: int) -> None:
    for entry in [each for each in node.attribute if each.name == name]:
        node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute(name, value))
