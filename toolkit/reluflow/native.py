"""Finds the native library and calls its plain C functions."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from reluflow.errors import OptionError

ENVIRONMENT_VARIABLE = "RELUFLOW_LIBRARY"
"""Names a library file to use instead of the installed one, for development."""

_NAMES = {"win32": "reluflow.dll", "darwin": "libreluflow.so"}


def get_library_path() -> str:
    """Return the path of the native library, for `SessionOptions.register_custom_ops_library`.

    The environment variable `RELUFLOW_LIBRARY` takes precedence over the installed file in
    `reluflow/lib/`.

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


def find_function(name: str) -> Callable[..., bytes | None] | None:
    """Return a function of the library, None where there is no library or an older one.

    Functions return None on success, or a sentence: see `check`. Other Python threads run
    meanwhile.

    Args:
        name: as in `runtime/include/reluflow/calls.h`.

    Example:
        >>> find_function("reluflow_no_such_function") is None
        True
    """
    return _function(os.environ.get(ENVIRONMENT_VARIABLE), name)


def check(sentence: bytes | None) -> None:
    """Raise the complaint of a function of the library.

    Args:
        sentence: what the function returned.

    Raises:
        OptionError: it is not None.

    Example:
        >>> check(None)
        >>> check(b"RELUFLOW_KERNEL is sse9, but portable works; unset it.")
        Traceback (most recent call last):
            ...
        reluflow.errors.OptionError: RELUFLOW_KERNEL is sse9, but portable works; unset it.
    """
    if sentence is not None:
        raise OptionError(sentence.decode())


def call(name: str, *arguments: Any) -> None:
    """Call a function of the library that `find_function` has found before.

    Args:
        name: as in `runtime/include/reluflow/calls.h`.
        *arguments: as ctypes takes them.

    Raises:
        OptionError: the function complains.

    Example:
        >>> name = "reluflow_sort_counts_v1"
        >>> if find_function(name):
        ...     call(name, None, ctypes.c_int64(0), None)  # nothing to sort
    """
    function = find_function(name)
    assert function is not None, f"{name} is called, but nobody asked whether it is there"
    check(function(*arguments))


@lru_cache(maxsize=64)
def _function(named: str | None, name: str) -> Callable[..., bytes | None] | None:
    """Find a function once; warn about a file that does not load, since work is then slower."""
    try:
        path = get_library_path()
    except OptionError:
        return None
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        warnings.warn(
            f"the native library {path} cannot be used for {name} ({reason}), so numba does the "
            "same more slowly; build or install the library of this version.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    if not hasattr(library, name):
        return None
    function = getattr(library, name)
    function.restype = ctypes.c_char_p
    found: Callable[..., bytes | None] = function
    return found


def _installed_path() -> Path:
    return Path(__file__).parent / "lib" / _NAMES.get(sys.platform, "libreluflow.so")
