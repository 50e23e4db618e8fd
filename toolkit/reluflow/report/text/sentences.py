"""Sentences below a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from reluflow.report.tables.format import plain


def say(sentences: Iterable[str], console: Console) -> None:
    """Print sentences, each behind a dash, without control characters.

    Args:
        sentences: of a result, its notes among them.
        console: where to print.
    """
    for sentence in sentences:
        console.print(Text.assemble(("- ", "cyan"), plain(sentence)), soft_wrap=True)
