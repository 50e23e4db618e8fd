"""The templates of the pages: one environment, everything escaped, nothing undefined."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent / "templates"


def read_part(name: str) -> str:
    """Return the text of a file in the folder of the templates, such as the style."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return the templates' environment."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_together,
    )
    made.filters["breakable"] = _breakable
    return made


def _together(value: object) -> object:
    """Keep a number and its percent sign on one line; markup is unchanged."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _breakable(name: str) -> Markup:
    """Return a name, escaped, that may wrap after a slash."""
    return Markup("/<wbr>").join(name.split("/"))
