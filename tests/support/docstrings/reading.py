"""What a docstring consists of, and what of a class can have one."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from types import FunctionType

Public = type | FunctionType

_SECTION = re.compile(
    r"^(Args|Returns|Yields|Raises|Examples?|Attributes|References?|Notes?|Source):", re.M
)


def docs_of(value: Public) -> list[str]:
    docs = [inspect.getdoc(value) or ""]
    if isinstance(value, type):
        docs += [inspect.getdoc(method) or "" for _, method in methods_of(value)]
    return docs


def sections_of(doc: str) -> dict[str, str]:
    """Return the sections of a docstring by their heads."""
    parts = _SECTION.split(doc)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fields_of(value: type) -> list[str]:
    """Return the public fields of a record that it defines itself."""
    if not (dataclasses.is_dataclass(value) or hasattr(value, "_fields")):
        return []
    own = vars(value).get("__annotations__", {})
    return [n for n, kind in own.items() if not n.startswith("_") and "ClassVar" not in str(kind)]


def methods_of(value: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the public methods that a class defines itself, class methods too."""
    if issubclass(value, enum.Enum):
        return
    for name, member in vars(value).items():
        method = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(method, FunctionType) and not name.startswith("_"):
            yield name, method
