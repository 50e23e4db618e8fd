"""Lets the site show `Example:` in docstrings as code, as it does `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe

_HEAD = re.compile(r"^(\s*)Example:[ \t]*$", re.M)


class ExamplesInDocstrings(griffe.Extension):
    """Renames the section before it is parsed; else its prompts would become quotations."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Look at every object that has a docstring."""
        _rename(obj)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Look at the package itself, whose docstring comes from the module next to its stub."""
        _rename(pkg)


def _rename(obj: griffe.Object) -> None:
    if obj.docstring is not None:
        obj.docstring.value = _HEAD.sub(r"\1Examples:", obj.docstring.value)
