"""Copies of a model to work on."""

from __future__ import annotations

from onnx import FunctionProto, ModelProto

from reluflow.graph.proto.inline import inline_functions
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.skeleton import make_skeleton


def copy_proto(model: Model, inline: bool, keep_domain: str | None = None) -> ModelProto:
    """Copy the model; inlining works without weights, so any size is possible.

    Args:
        model: the model, not changed.
        inline: inline its local functions.
        keep_domain: calls of this domain's functions stay.
    """
    proto = ModelProto()
    proto.CopyFrom(model._proto)
    if not inline or not proto.functions:
        return proto
    functions = [FunctionProto.FromString(f.SerializeToString()) for f in proto.functions]
    del proto.functions[:]
    proto.functions.extend(f for f in functions if f.domain != keep_domain)
    skeleton = make_skeleton(proto, model.base_dir)
    flat = inline_functions(skeleton.proto if skeleton.exact else proto)
    for field in ("node", "value_info"):
        del getattr(proto.graph, field)[:]
        getattr(proto.graph, field).extend(getattr(flat.graph, field))
    del proto.functions[:]
    proto.functions.extend(flat.functions)
    proto.functions.extend(f for f in functions if f.domain == keep_domain)
    del proto.opset_import[:]
    proto.opset_import.extend(flat.opset_import)
    return proto
