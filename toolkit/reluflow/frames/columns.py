"""The columns of a result: all of them for a frame, some of them as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

Kind = Literal["text", "count", "share", "number", "ms"]
"""How a value is written: as it is, 1,234, 12.3%, four digits, or three after the point."""
Shown = Mapping[str, tuple[str, Kind]]
"""Title of a column in a table -> the column of the frame that it shows, and how."""


def flat(record: Any, prefix: str = "") -> dict[str, Any]:
    """Return the fields of a record by column name.

    Numbers, texts and None stay, tuples and lists of them become lists, and the fields of a record
    inside have its name before theirs. Dictionaries and tuples of records are left out: they are
    tables of their own.

    Args:
        record: a dataclass.
        prefix: of all names.

    Example:
        >>> from reluflow.data import InputSpec
        >>> flat(InputSpec("x", np.dtype("f4"), ("N", 2)), "input_")
        {'input_name': 'x', 'input_shape': ['N', 2]}
    """
    row: dict[str, Any] = {}
    for field in fields(record):
        value, name = getattr(record, field.name), prefix + field.name
        if hasattr(value, "__dataclass_fields__"):
            row |= flat(value, f"{name}_")
        elif _is_plain(value):
            row[name] = _plain(value)
    return row


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(each) for each in value)
    scalar = bool | int | float | str | PurePath | np.ndarray | np.generic
    return value is None or isinstance(value, scalar)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value) if isinstance(value, PurePath) else value


def one_kind(values: Sequence[Any]) -> list[Any]:
    """Return the values of a column, all as texts where texts and numbers are mixed.

    Such is a shape with a symbol, as [N, 64].

    Args:
        values: scalars and lists of them.

    Example:
        >>> one_kind([["N", 64], None, [1, 64]]), one_kind([1, None])
        ([['N', '64'], None, ['1', '64']], [1, None])
    """
    if len({isinstance(leaf, str) for value in values for leaf in _leaves(value)}) > 1:
        return [_as_text(value) for value in values]
    return list(values)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif value is not None:
        yield value


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return value if value is None else str(value)


def written(value: Any, kind: Kind) -> str:
    """Return a value as people read it; "" where there is none.

    Args:
        value: of a frame; of a list the values, or for "count" how many they are.
        kind: how.

    Example:
        >>> written(1234, "count"), written(0.125, "share"), written(0.000123456, "number")
        ('1,234', '12.5%', '0.0001235')
        >>> written(None, "share"), written(["a", "b"], "text"), written(2.5, "ms")
        ('', 'a, b', '2.500')
    """
    if value is None:
        return ""
    if isinstance(value, list) and kind != "count":
        return ", ".join(written(each, kind) for each in value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if kind == "text" or isinstance(value, str | bool):
        return plain_text(str(value))
    if kind == "count":
        return f"{len(value) if isinstance(value, list) else value:,.0f}"
    return {"share": "{:.1%}", "number": "{:.4g}", "ms": "{:.3f}"}[kind].format(value)


def plain_text(text: str) -> str:
    r"""Return text with every unprintable character spelled out; names come from any file.

    Args:
        text: any.

    Example:
        >>> plain_text("relu\n")
        'relu\\n'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
