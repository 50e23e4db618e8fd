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
  Not so abstract ones, whose class has none, and those whose names say all.
* In the rooms that compute measures, `MEASURING`, what has an example cites a source: the thesis
  or a page of docs/, in its own docstring or in its module's.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from types import FunctionType, ModuleType

from docstrings.examples import has_example, is_shown_elsewhere, methods_not_shown
from docstrings.raised import and_bases, raised_errors
from docstrings.reading import Public, docs_of, fields_of, methods_of, sections_of

MEASURING = ("reluflow.patterns", "reluflow.psb", "reluflow.temperature")

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
    if not is_shown and not (isinstance(value, type) and is_shown_elsewhere(value, public)):
        found.append("an example")
    if isinstance(value, type):
        found += methods_not_shown(value, public)
    if is_shown and value.__module__.startswith(MEASURING) and not _has_source(value):
        found.append("a source")
    return found


def _is_own(value: object) -> bool:
    """Tell whether it is a function or a class of this project."""
    wrapped = inspect.unwrap(value) if callable(value) else value
    is_code = isinstance(wrapped, type | FunctionType)
    return is_code and getattr(value, "__module__", "").startswith("reluflow")


def _summary_lacks(doc: str) -> list[str]:
    return [] if doc.splitlines()[0].endswith(".") else ["a summary that ends with a full stop"]


def _function_lacks(value: FunctionType, doc: str | None = None) -> list[str]:
    doc = inspect.getdoc(value) if doc is None else doc
    if not doc:
        return ["a docstring"]
    sections = sections_of(doc)
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
    sections = sections_of(doc)
    listed = sections.get("Attributes", "") + sections.get("Args", "")
    fields = {n: vars(value)["__annotations__"][n] for n in fields_of(value)}
    found += [f"attribute {n}" for n in fields if not _lists(listed, n)]
    found += _shapes_lack(fields, sections, "")
    initialiser = vars(value).get("__init__")
    if isinstance(initialiser, FunctionType) and not fields_of(value):
        own = inspect.cleandoc(initialiser.__doc__ or "")
        found += _function_lacks(initialiser, f"{doc}\n{own}")
    for name, method in methods_of(value):
        if any(hasattr(base, name) for base in value.__mro__[1:]):
            found += [] if inspect.getdoc(method) else [f"{name}: a docstring"]
        else:
            found += [f"{name}: {lack}" for lack in _function_lacks(method)]
    return found


def _lists(section: str, name: str) -> bool:
    return re.search(rf"^ +\*{{0,2}}{name}(?: \(.+?\))?:", section, re.M) is not None


def _has_source(value: Public) -> bool:
    module = importlib.import_module(value.__module__)
    return any(_SOURCE.search(doc) for doc in [*docs_of(value), module.__doc__ or ""])
