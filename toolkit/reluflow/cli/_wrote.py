"""One sentence on where a command wrote."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def say_written(path: Path, *, as_json: bool = False) -> None:
    """Print "Wrote PATH"; to stderr where stdout carries JSON.

    Args:
        path: the file, or the page of a folder.
        as_json: whether the command prints JSON.
    """
    Console(stderr=as_json).print(f"Wrote {path}", highlight=False, soft_wrap=True, markup=False)
