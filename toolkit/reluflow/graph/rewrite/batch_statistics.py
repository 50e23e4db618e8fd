"""Which statistics batch normalisation uses: those of the batch, or the running ones."""

from __future__ import annotations

from onnx import NodeProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

_TRAINING_MODE_FROM_OPSET = 14


def use_batch_statistics(model: Model, wanted: bool | None = True) -> Rewritten[tuple[str, ...]]:
    """Let BatchNormalization of the main graph use the statistics of the batch, or not.

    y = scale (x - m) / sqrt(v + epsilon) + B with m, v of the batch (`training_mode` 1, what a
    network in training computes) or the running ones (0). Dropout, which an export in training mode
    leaves active, is always switched off: its mask would change patterns that no weight changed.

    Args:
        model: the model, not changed.
        wanted: True for the batch's statistics, False for the running ones, None to leave
            batch normalisation as it is.

    Returns:
        The new model, with the names of tensors kept, and the names of the nodes that were
        changed, Dropout among them.

    Example:
        >>> from reluflow.graph import load
        >>> result = use_batch_statistics(load("models/fashion_resnet8_bn_after_add.onnx"))
        >>> len(result.done) > 0, result.refused
        (True, ())
    """
    editor = Editor(model)
    changed: list[str] = []
    refused: list[Refused] = []
    for node in editor.nodes:
        if domain_of(node.domain):
            continue
        if node.op_type == "Dropout" and len(node.input) > 2:
            del node.input[2:]
            changed.append(name_of(node))
        if node.op_type != "BatchNormalization" or wanted is None:
            continue
        if bool(attribute(node, "training_mode", 0)) == wanted:
            continue
        reason = _obstacle(editor, node, wanted)
        if reason:
            refused.append(Refused(name_of(node), node.op_type, reason.text))
            continue
        _set_mode(editor, node, wanted)
        changed.append(name_of(node))
    return editor.finish(tuple(changed), refused)


def _obstacle(editor: Editor, node: NodeProto, wanted: bool) -> Reason | None:
    if wanted and editor.opset < _TRAINING_MODE_FROM_OPSET:
        return Reason(
            f"opset {editor.opset} has no training mode; convert the model to opset 14 or later"
        )
    running = [name for name in node.output[1:] if name]
    if not wanted and any(editor.readers(name) or editor.is_output(name) for name in running):
        return Reason("its updated running statistics are read")
    return None


def _set_mode(editor: Editor, node: NodeProto, wanted: bool) -> None:
    for entry in [a for a in node.attribute if a.name == "training_mode"]:
        node.attribute.remove(entry)
    stem = node.output[0]
    del node.output[1:]
    if wanted:
        node.attribute.append(helper.make_attribute("training_mode", 1))
        node.output.extend(editor.fresh(stem, part) for part in ("running_mean", "running_var"))
