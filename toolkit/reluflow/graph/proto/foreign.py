"""Objects of other packages: those that hold an ONNX model are read and made, others get advice.

No package is imported here. Whoever has an object of one has imported it, so it is found among the
loaded modules.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto
from onnx.external_data_helper import load_external_data_for_tensor

from reluflow.errors import ModelError
from reluflow.graph.proto.external import is_external, walk_graphs, walk_tensors

_EXPORTS = (
    (
        "torch.",
        "Module",
        "a torch module",
        "export it first: torch.onnx.export(model, (example,), dynamo=True), and give what that "
        "returns or writes",
    ),
    ("onnx_ir", "Graph", "a graph of onnx_ir without its opset", "give the onnx_ir.Model"),
    ("torch.export", "ExportedProgram", "a torch program", "export it with torch.onnx.export"),
    ("keras", "Model", "a keras model", "convert it to ONNX first, with model.export or tf2onnx"),
    ("sklearn.", "BaseEstimator", "a scikit-learn estimator", "convert it with skl2onnx.to_onnx"),
    (
        "onnxruntime.",
        "InferenceSession",
        "an ONNX Runtime session, which does not give its model back",
        "give the file that it was opened from",
    ),
)
_LONGEST = 60
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Held:
    """An ONNX model that an object of another package held.

    Attributes:
        proto: a protobuf of its own, which nothing else refers to.
        base_dir: the folder of its external data, None: the current one.
    """

    proto: ModelProto
    base_dir: Path | None = None


def held_model(source: Any) -> Held | None:
    """Return the ONNX model that an object holds, None for a path, bytes and anything else.

    Args:
        source: an `onnx.ModelProto`, an `onnx_ir.Model`, an `onnx_graphsurgeon.Graph`, or what has
            a ModelProto as its `model_proto`, as torch's ONNXProgram does. It is not changed.

    Raises:
        ModelError: the package cannot write the model as ONNX.
    """
    if isinstance(source, str | bytes):
        return None
    if _is_a(type(source), "onnx_ir", "Model"):
        return _of_ir(source)
    if _is_a(type(source), "onnx_graphsurgeon", "Graph"):
        return _of_surgeon(source)
    found = source if isinstance(source, ModelProto) else getattr(source, "model_proto", None)
    if not isinstance(found, ModelProto):
        return None
    proto = ModelProto()
    proto.CopyFrom(found)
    return Held(proto)


def made_like(proto: ModelProto, base_dir: Path | None, kind: type) -> Any:
    """Return a model as another kind of object.

    Args:
        proto: the model; it is not changed.
        base_dir: folder of its external data.
        kind: `onnx.ModelProto`, `onnx_ir.Model` or `onnx_graphsurgeon.Graph`.

    Returns:
        The object, or None for another kind.

    Raises:
        ModelError: a model of that kind cannot hold a part of it, or the package cannot read it.
    """
    if issubclass(kind, ModelProto):
        return _whole(proto, base_dir)
    if _is_a(kind, "onnx_ir", "Model"):
        if any(graph.sparse_initializer for graph in walk_graphs(proto)):
            raise ModelError(
                "the model has sparse weights, which onnx_ir leaves out; take a ModelProto."
            )
        return _to_ir(proto, base_dir)
    if _is_a(kind, "onnx_graphsurgeon", "Graph"):
        surgeon = sys.modules["onnx_graphsurgeon"]
        whole = _whole(proto, base_dir)
        return _called("onnx_graphsurgeon cannot read it", lambda: surgeon.import_onnx(whole))
    return None


def _is_a(kind: type, package: str, name: str) -> bool:
    """Tell whether a class is another package's class of some name, or derived from it."""
    return any(
        base.__name__ == name and base.__module__.partition(".")[0] == package
        for base in kind.__mro__
    )


def _called(what: str, call: Callable[[], Any]) -> Any:
    """Return what a call into another package returns; one sentence where it fails."""
    try:
        return call()
    except Exception as error:  # each package has error types of its own
        first = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{what}: {first[:_LONGEST_REASON]}; save it with its own package.") from (
            error
        )


def _of_ir(model: Any) -> Held:
    proto = _called(
        "the onnx_ir.Model cannot be written as ONNX",
        lambda: sys.modules["onnx_ir"].to_proto(model),
    )
    folders = {os.path.abspath(tensor.base_dir) for tensor in _outside(model)}
    if len(folders) > 1:
        raise ModelError(
            "the external data of the onnx_ir.Model lie in several folders; load them first, with "
            "onnx_ir.external_data.load_to_model."
        )
    return Held(proto, Path(folders.pop()) if folders else None)


def _outside(model: Any) -> Iterator[Any]:
    """Yield the tensors of an onnx_ir.Model that lie in other files."""
    outside = sys.modules["onnx_ir"].ExternalTensor
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(value.const_value, outside):
                yield value.const_value
    for graph in [*model.graphs(), *model.functions.values()]:
        for node in graph:
            for attribute in node.attributes.values():
                held = attribute.value if isinstance(attribute.value, tuple) else [attribute.value]
                yield from (tensor for tensor in held if isinstance(tensor, outside))


def _to_ir(proto: ModelProto, base_dir: Path | None) -> Any:
    model = _called("onnx_ir cannot read it", lambda: sys.modules["onnx_ir"].from_proto(proto))
    for tensor in _outside(model):
        tensor.base_dir = base_dir or Path()
    return model


def _of_surgeon(graph: Any) -> Held:
    surgeon = sys.modules["onnx_graphsurgeon"]
    return Held(
        _called(
            "the onnx_graphsurgeon.Graph cannot be written as ONNX",
            lambda: surgeon.export_onnx(graph, do_type_check=False),
        )
    )


def _whole(proto: ModelProto, base_dir: Path | None) -> ModelProto:
    """Return a copy with the external data of another folder in it."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    if base_dir is not None and base_dir.resolve() != Path.cwd():
        for tensor in walk_tensors(copy):
            if is_external(tensor):
                load_external_data_for_tensor(tensor, str(base_dir))
                tensor.ClearField("data_location")
                del tensor.external_data[:]
    return copy


def refusal(source: object) -> str:
    """Return the sentence on a source that is not a model: what it is, and what to give."""
    for module, name, words, advice in _EXPORTS:
        for kind in type(source).__mro__:
            if kind.__name__ == name and kind.__module__.startswith(module):
                return f"model is {words} ({type(source).__name__}); {advice}."
    shown = " ".join(repr(source).split())
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    return (
        f"model {shown} is a {type(source).__name__}; "
        "give a path, the bytes of an ONNX file, an onnx.ModelProto, an onnx_ir.Model or an "
        "onnx_graphsurgeon.Graph."
    )
