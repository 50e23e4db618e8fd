"""Gives the native library of custom operators to ONNX Runtime."""

from __future__ import annotations

from typing import Any

from reluflow.errors import OptionError
from reluflow.native import get_library_path


def register(session_options: Any) -> None:
    """Add the operators of the domain `ai.reluflow` to a session's options.

    Args:
        session_options: an `onnxruntime.SessionOptions`.

    Raises:
        OptionError: the library is missing, or ONNX Runtime refuses it.
    """
    path = get_library_path()
    try:
        session_options.register_custom_ops_library(path)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"ONNX Runtime refuses the native library {path}: {reason}; give new session "
            "options, or install ONNX Runtime 1.17 or newer."
        ) from error
