"""Phrases that the error messages of this room share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

_LONGEST = 160
"""Characters of another library's message within a sentence of ours: two lines of a terminal."""


def first_line(error: BaseException) -> str:
    r"""Return an exception's message as one line without a closing full stop.

    Example:
        >>> first_line(ValueError("no such\nthing."))
        'no such'
    """
    said = error.args[0] if error.args and isinstance(error.args[0], str) else error
    lines = str(said).strip().splitlines()
    text = lines[0].strip().rstrip(".:;") if lines else ""
    return text[:_LONGEST] or type(error).__name__


def listing(names: Iterable[str], most: int = 6) -> str:
    """Quote names for a sentence, the first few of them.

    Example:
        >>> listing(["x", "y"])
        "'x', 'y'"
    """
    every = list(names)
    shown = ", ".join(f"'{name}'" for name in every[:most])
    return shown + (f" and {len(every) - most} more" if len(every) > most else "") or "none"


def tensor(dtype: np.dtype[Any], shape: Iterable[object]) -> str:
    """Write a type and a shape as reports do.

    Example:
        >>> tensor(np.dtype("float32"), (1, 28, 28))
        'float32 [1, 28, 28]'
    """
    return f"{dtype.newbyteorder('=')} {sizes(shape)}"


def sizes(shape: Iterable[object], most: int = 12) -> str:
    """Write a shape as reports do, the first few of its axes.

    Example:
        >>> sizes((None, 28, 28))
        '[?, 28, 28]'
    """
    dims = ["?" if dim is None else str(dim) for dim in shape]
    return f"[{', '.join(dims[:most])}{', ...' if len(dims) > most else ''}]"


def near_names(path: Path) -> str:
    """Return a clause that lists files of similar name next to a missing path, "" for none."""
    try:
        siblings = [entry.name for entry in path.parent.iterdir()]
    except Exception:  # a URL's file system may raise anything
        return f"; its folder '{path.parent}' does not exist or cannot be read."
    close = difflib.get_close_matches(path.name, siblings, n=3, cutoff=0.5)
    return f"; did you mean {listing(close)}?" if close else "; check the path."
