"""Finds the native library of custom operators and gives it to ONNX Runtime."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from reluflow.errors import OptionError

ENVIRONMENT_VARIABLE = "RELUFLOW_LIBRARY"
"""Names a library file to use instead of the installed one, for development."""

_NAMES = {"win32": "reluflow.dll", "darwin": "libreluflow.so"}


def get_library_path() -> str:
    """Return the path of the native library, for `SessionOptions.register_custom_ops_library`.

    The environment variable `RELUFLOW_LIBRARY` wins over the installed file `reluflow/lib/`.

    Returns:
        An existing file.

    Raises:
        OptionError: the file is missing.

    Example:
        >>> from reluflow.sessions import has_library
        >>> not has_library() or get_library_path().endswith(('.so', '.dylib', '.dll'))
        True
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise OptionError(
                f"{ENVIRONMENT_VARIABLE} is {named!r}, but there is no such file; "
                "name the built library, or unset the variable."
            )
        return str(Path(named).resolve())
    installed = _installed_path()
    if not installed.is_file():
        raise OptionError(
            f"the native library is missing at {installed}; install reluflow from a wheel or "
            f"with pip, or build runtime/ and name the library in {ENVIRONMENT_VARIABLE}."
        )
    return str(installed)


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


def _installed_path() -> Path:
    return Path(__file__).parents[1] / "lib" / _NAMES.get(sys.platform, "libreluflow.so")
