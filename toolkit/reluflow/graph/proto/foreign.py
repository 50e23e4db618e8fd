"""Models of frameworks: what contains an ONNX model is accepted, others get advice."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

_EXPORTS = (
    (
        "torch.",
        "Module",
        "a torch module",
        "export it first: torch.onnx.export(model, (example,), dynamo=True), and give what that "
        "returns or writes",
    ),
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


def model_proto_of(source: Any) -> Any:
    """Return the ModelProto that an exporter's result holds, anything else as it is.

    `torch.onnx.export(..., dynamo=True)` returns an ONNXProgram, which has a `model_proto`.
    """
    if isinstance(source, str | bytes | ModelProto):
        return source
    held = getattr(source, "model_proto", None)
    return held if isinstance(held, ModelProto) else source


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
        "give a path, the bytes of an ONNX file or an onnx.ModelProto."
    )
