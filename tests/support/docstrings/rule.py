"""What the docstrings of the public names lack, told by one rule for all.

*Public* is what a module lists in `__all__`, and in a module without such a list that lies directly
in its package (`reluflow.errors`) what it defines without `_`. Constants have no docstring.

* Everything has a summary: a first line that ends with a full stop.
* A function, a public method, and a class with an initialiser of its own (in either docstring)
  describe each parameter under `Args:`; what they give under `Returns:` or `Yields:`, or in a
  summary that begins with "Return", "Tell" or "Yield"; and under `Raises:` each error
  that they raise, or what they call and is private to their module or class, or an error of the
  project that it is one of. A method that is described so in a base class needs a summary alone.
* A record names its fields under `Attributes:` or `Args:`.
* What is a numpy array has its shape told: "`(n, 2)` uint64", "any shape", "the stored shape".
* A function has an example, `>>>`, that is not skipped. A class has one in its docstring or in
  a public method's. A class that others give, raise or ask for may be shown there instead: then its
  docstring names, in backticks, a public function or class that has an example, and that
  says the class's name in an annotation, a field, or under `Args:` or `Raises:`, itself or
  through the public classes that it says there.
* Each public method takes part in such an example: of its class, or of what the class names so.
  Not so abstract ones, whose class has none, and `SELF_EXPLANATORY` ones.
* In the rooms that compute measures, `MEASURING`, what has an example cites a source: the thesis
  or a page of docs/, in its own docstring or in its module's.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

from docstrings.raised import and_bases, raised_errors

MEASURING = ("reluflow.patterns", "reluflow.psb", "reluflow.temperature")

SELF_EXPLANATORY = ("close", "to_dict")

Public = type | FunctionType

_SECTION = re.compile(
    r"^(Args|Returns|Yields|Raises|Examples?|Attributes|References?|Notes?|Source):", re.M
)
_SOURCE = re.compile(r"thesis|docs/[\w./-]+\.md", re.I)
_ARRAY = re.compile(r"(?:np\.ndarray|NDArray\[.*\]|Floats|Values)(?: \| None)?")
_SHAPE = re.compile(r"`\(|shape")
_GIVING = ("Return ", "Returns ", "Tell ", "Yield ")


def public_names(module: ModuleType) -> dict[str, Public]:
    """Return the public functions and classes of a module."""
    names = getattr(module, "__all__", None)
    if names is None and module.__name__.count(".") > 1:
        return {}
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        ]
    return {n: v for n in names if _is_own(v := getattr(module, n))}


def lacks(value: Public, public: Mapping[str, list[Public]]) -> list[str]:
    """Return what the docstring of a public function or class lacks; nothing where it is complete.

    `public` are all public functions and classes by their names; they may show a class.
    """
    found = _class_lacks(value) if isinstance(value, type) else _function_lacks(value)
    is_shown = has_example(value)
    if not is_shown and not (isinstance(value, type) and _is_shown_elsewhere(value, public)):
        found.append("an example")
    if isinstance(value, type):
        found += _methods_not_shown(value, public)
    if is_shown and value.__module__.startswith(MEASURING) and not _has_source(value):
        found.append("a source")
    return found


def has_example(value: Public) -> bool:
    """Tell whether a function, or a class or a method of it, has an example that runs."""
    return ">>> " in _example(value)


def _example(value: Public) -> str:
    """Return the lines of the examples of a function, or of a class and its methods, that run."""
    lines = [line for doc in _docs(value) for line in doc.splitlines()]
    return "\n".join(x for x in lines if re.match(r"\s*(>>>|\.\.\.) ", x) and "+SKIP" not in x)


def _is_own(value: object) -> bool:
    """Tell whether it is a function or a class of this project."""
    wrapped = inspect.unwrap(value) if callable(value) else value
    is_code = isinstance(wrapped, type | FunctionType)
    return is_code and getattr(value, "__module__", "").startswith("reluflow")


def _docs(value: Public) -> list[str]:
    docs = [inspect.getdoc(value) or ""]
    if isinstance(value, type):
        docs += [inspect.getdoc(method) or "" for _, method in _methods(value)]
    return docs


def _sections(doc: str) -> dict[str, str]:
    """Return the sections of a docstring by their heads."""
    parts = _SECTION.split(doc)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _summary_lacks(doc: str) -> list[str]:
    return [] if doc.splitlines()[0].endswith(".") else ["a summary that ends with a full stop"]


def _function_lacks(value: FunctionType, doc: str | None = None) -> list[str]:
    doc = inspect.getdoc(value) if doc is None else doc
    if not doc:
        return ["a docstring"]
    sections = _sections(doc)
    parameters = [n for n in inspect.signature(value).parameters if n not in ("self", "cls")]
    found = _summary_lacks(doc)
    found += [f"argument {n}" for n in parameters if not _lists(sections.get("Args", ""), n)]
    gives = value.__annotations__.get("return", None) not in (None, "None", "NoReturn")
    if gives and not sections.keys() & {"Returns", "Yields"} and not doc.startswith(_GIVING):
        found.append("what it returns")
    found += _shapes_lack(value.__annotations__, sections, doc.splitlines()[0])
    named = set(re.findall(r"\w+", sections.get("Raises", "")))
    raised = sorted(raised_errors(value), key=lambda error: error.__name__)
    return found + [f"error {e.__name__}" for e in raised if named.isdisjoint(and_bases(e))]


def _shapes_lack(kinds: Mapping[str, object], sections: Mapping[str, str], head: str) -> list[str]:
    """Return the arrays whose shape is not told, by their annotations."""
    found = []
    for name in (name for name, kind in kinds.items() if _ARRAY.fullmatch(str(kind))):
        if name == "return":
            text = head + sections.get("Returns", "")
        else:
            listed = sections.get("Args", "") + sections.get("Attributes", "")
            match = re.search(rf"^( +)\*{{0,2}}{name}:(.*(?:\n\1 +.*)*)", listed, re.M)
            text = match[2] if match else ""
        if not _SHAPE.search(text):
            found.append(f"the shape of {name}")
    return found


def _class_lacks(value: type) -> list[str]:
    doc = inspect.cleandoc(vars(value).get("__doc__") or "")
    if not doc or doc.startswith(f"{value.__name__}("):  # what a dataclass makes for itself
        return ["a docstring"]
    found = _summary_lacks(doc)
    sections = _sections(doc)
    listed = sections.get("Attributes", "") + sections.get("Args", "")
    fields = {n: vars(value)["__annotations__"][n] for n in _fields(value)}
    found += [f"attribute {n}" for n in fields if not _lists(listed, n)]
    found += _shapes_lack(fields, sections, "")
    initialiser = vars(value).get("__init__")
    if isinstance(initialiser, FunctionType) and not _fields(value):
        own = inspect.cleandoc(initialiser.__doc__ or "")
        found += _function_lacks(initialiser, f"{doc}\n{own}")
    for name, method in _methods(value):
        if any(hasattr(base, name) for base in value.__mro__[1:]):
            found += [] if inspect.getdoc(method) else [f"{name}: a docstring"]
        else:
            found += [f"{name}: {lack}" for lack in _function_lacks(method)]
    return found


def _fields(value: type) -> list[str]:
    """Return the public fields of a record that it defines itself."""
    if not (dataclasses.is_dataclass(value) or hasattr(value, "_fields")):
        return []
    own = vars(value).get("__annotations__", {})
    return [n for n, kind in own.items() if not n.startswith("_") and "ClassVar" not in str(kind)]


def _methods(value: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the public methods that a class defines itself, class methods too."""
    if issubclass(value, enum.Enum):
        return
    for name, member in vars(value).items():
        method = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(method, FunctionType) and not name.startswith("_"):
            yield name, method


def _lists(section: str, name: str) -> bool:
    return re.search(rf"^ +\*{{0,2}}{name}(?: \(.+?\))?:", section, re.M) is not None


def _is_shown_elsewhere(value: type, public: Mapping[str, list[Public]]) -> bool:
    others = _named(value, public)
    return any(has_example(o) and value.__name__ in _said(o, public) for o in others)


def _named(value: type, public: Mapping[str, list[Public]]) -> list[Public]:
    """Return the public names that a class's docstring names in backticks."""
    names = re.findall(r"`(?:[\w.]+\.)?(\w+)`", inspect.getdoc(value) or "")
    return [other for name in names for other in public.get(name, ()) if other is not value]


def _methods_not_shown(value: type, public: Mapping[str, list[Public]]) -> list[str]:
    shown = "\n".join(_example(each) for each in [value, *_named(value, public)])
    return [
        f"{name}: a place in an example"
        for name, method in _methods(value)
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
            sections = _sections(inspect.getdoc(part) or "")
            yield sections.get("Args", "") + sections.get("Raises", "")


def _has_source(value: Public) -> bool:
    module = importlib.import_module(value.__module__)
    return any(_SOURCE.search(doc) for doc in [*_docs(value), module.__doc__ or ""])
