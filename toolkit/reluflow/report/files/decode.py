"""Plain JSON values back into the frozen records, checked field by field."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from functools import cache
from typing import Any


class Mismatch(Exception):
    """A value is not what its record declares; the message says where."""


def decode(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type `kind`.

    Args:
        kind: a dataclass, `int`, `float`, `str`, `bool`, `Any`, or a union, tuple or dict of them.
        value: what the JSON file holds.
        where: path of the value, for the message.

    Returns:
        The record or value; None becomes NaN where a float is expected.

    Raises:
        Mismatch: the value does not fit.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return _first_fit(arguments, value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is dict and isinstance(value, dict):
        return {key: decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _scalar(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    """Build one dataclass from a dictionary that has its fields and no others."""
    if not isinstance(value, dict):
        raise Mismatch(_odd(where))
    hints, required = _fields(kind)
    # A field of a later version would be lost on writing again: refuse rather than forget.
    if set(value) - set(hints):
        raise Mismatch(f"{where} has unknown fields")
    if missing := sorted(required - set(value)):
        raise Mismatch(f"{where} lacks {missing[0]!r}")
    return kind(**{k: decode(hints[k], item, f"{where}.{k}") for k, item in value.items()})


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the types of a dataclass's fields, and which have no default.

    Kept for each class: reading the hints again for every site took most of the time.
    """
    fields = dataclasses.fields(kind)
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields}, {
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }


def _first_fit(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    """Decode as the first member of a union that fits."""
    if value is None and type(None) in arguments:
        return None
    for member in arguments:
        try:
            return decode(member, value, where)
        except Mismatch:
            continue
    raise Mismatch(_odd(where))


def _tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """Decode `tuple[X, ...]` or a tuple of fixed length."""
    if not isinstance(value, list):
        raise Mismatch(_odd(where))
    if arguments[-1] is Ellipsis:
        return tuple(decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise Mismatch(f"{where} has {len(value)} entries, not {len(arguments)}")
    return tuple(
        decode(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _scalar(kind: Any, value: Any, where: str) -> Any:
    """Check one string, number or truth value."""
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    # True is an int to Python, but no number of a report
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise Mismatch(_odd(where))


def _odd(where: str) -> str:
    return f"{where} has an unexpected value"
