"""Which examples show a public name: its own, or those of what its docstring names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from types import FunctionType

from docstrings.reading import Public, docs_of, methods_of, sections_of

SELF_EXPLANATORY = ("close", "to_dict")


def has_example(value: Public) -> bool:
    """Tell whether a function, or a class or a method of it, has an example that runs."""
    return ">>> " in _example(value)


def _example(value: Public) -> str:
    """Return the lines of the examples of a function, or of a class and its methods, that run."""
    lines = [line for doc in docs_of(value) for line in doc.splitlines()]
    return "\n".join(x for x in lines if re.match(r"\s*(>>>|\.\.\.) ", x) and "+SKIP" not in x)


def is_shown_elsewhere(value: type, public: Mapping[str, list[Public]]) -> bool:
    others = _named(value, public)
    return any(has_example(o) and value.__name__ in _said(o, public) for o in others)


def _named(value: type, public: Mapping[str, list[Public]]) -> list[Public]:
    """Return the public names that a class's docstring names in backticks."""
    names = re.findall(r"`(?:[\w.]+\.)?(\w+)`", inspect.getdoc(value) or "")
    return [other for name in names for other in public.get(name, ()) if other is not value]


def methods_not_shown(value: type, public: Mapping[str, list[Public]]) -> list[str]:
    shown = "\n".join(_example(each) for each in [value, *_named(value, public)])
    return [
        f"{name}: a place in an example"
        for name, method in methods_of(value)
        if name not in SELF_EXPLANATORY
        and not getattr(method, "__isabstractmethod__", False)
        and not any(hasattr(base, name) for base in value.__mro__[1:])
        and not re.search(rf"\.{name}\b", shown)
    ]


def _said(value: Public, public: Mapping[str, list[Public]]) -> set[str]:
    """Return the names of the classes that a public name deals with, directly or not."""
    found: set[str] = set()
    asked = [value]
    while asked:
        words = {word for text in _annotations(asked.pop()) for word in re.findall(r"\w+", text)}
        known = (other for word in words - found for other in public.get(word, ()))
        asked += [other for other in known if isinstance(other, type)]
        found |= words
    return found


def _annotations(value: Public) -> Iterator[str]:
    """Yield annotations as text, and the sections on arguments and errors."""
    parts: list[object] = [value]
    for base in value.__mro__ if isinstance(value, type) else ():
        parts += [p.fget if isinstance(p, property) else p for p in vars(base).values()]
        yield from map(str, vars(base).get("__annotations__", {}).values())
    for part in parts:
        part = getattr(part, "__func__", part)
        if isinstance(part, FunctionType):
            yield from map(str, inspect.unwrap(part).__annotations__.values())
        if isinstance(part, FunctionType | type):
            sections = sections_of(inspect.getdoc(part) or "")
            yield sections.get("Args", "") + sections.get("Raises", "")
