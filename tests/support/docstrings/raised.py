"""Which errors a function raises, read from its source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType


def and_bases(error: type) -> set[str]:
    """Return an error's name and those of the project's errors that it is one of."""
    return {each.__name__ for each in error.__mro__ if each not in Exception.__mro__}


def raised_errors(value: FunctionType) -> set[type]:
    """Return the errors that a function raises, itself or by what is private to it.

    That is the functions of its module and the methods of its class whose names start with `_`.
    """
    found: set[type] = set()
    asked = [inspect.unwrap(value)]
    done: list[FunctionType] = []
    while asked:
        function = asked.pop()
        done.append(function)
        known = function.__globals__
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
            if isinstance(node, ast.Raise):
                written = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                error = known.get(written.id) if isinstance(written, ast.Name) else None
                if isinstance(error, type) and not error.__name__.startswith("_"):
                    found.add(error)
            elif isinstance(node, ast.Call):
                called = _private(node.func, function)
                if called is not None and called not in [*done, *asked]:
                    asked.append(called)
    return found


def _private(called: ast.expr, caller: FunctionType) -> FunctionType | None:
    """Return the private function or method that is called, None where it is another."""
    if isinstance(called, ast.Name):
        name, found = called.id, caller.__globals__.get(called.id)
    elif isinstance(called, ast.Attribute) and ast.unparse(called.value) in ("self", "cls"):
        owner = caller.__globals__.get(caller.__qualname__.rpartition(".")[0])
        name, found = called.attr, getattr(owner, called.attr, None)
    else:
        return None
    found = inspect.unwrap(getattr(found, "__func__", found)) if callable(found) else None
    return found if name.startswith("_") and isinstance(found, FunctionType) else None
