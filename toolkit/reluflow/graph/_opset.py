"""Raising a model's opset to one that a rewrite needs."""

from __future__ import annotations

from onnx import version_converter

from reluflow.errors import ModelError
from reluflow.graph._copy import copy_proto
from reluflow.graph._external import is_external, walk_tensors, with_data
from reluflow.graph.model import Model


def with_opset(model: Model, minimum: int, needed_by: str = "PSB operators") -> tuple[Model, str]:
    """Return the model in an opset of at least `minimum`, and a sentence where it changed.

    Args:
        model: not changed; returned as it is where its opset is new enough.
        minimum: version of ONNX's own operators.
        needed_by: what needs it, for the sentences.

    Raises:
        ModelError: ONNX's version converter cannot convert it.
    """
    old = model.opset.get("", 1)
    if old >= minimum:
        return model, ""
    proto = copy_proto(model, inline=True)
    for tensor in walk_tensors(proto):
        if is_external(tensor):
            tensor.CopyFrom(with_data(tensor, model.base_dir))
    try:
        converted = version_converter.convert_version(proto, minimum)
    except Exception as error:  # of several types, ValueError for a model beyond 2 GB
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"the model has opset {old} and cannot be converted to {minimum}, which "
            f"{needed_by} need ({text}); export it again with opset {minimum} or newer"
        ) from error
    note = f"The opset was raised from {old} to {minimum}, which {needed_by} need."
    return Model(converted, base_dir=model.base_dir, notes=model.notes), note
