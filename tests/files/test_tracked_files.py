"""What git keeps is source: nothing that .gitignore names, nothing that a tool makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LARGEST = 3 * 2**20
"""Bytes of the largest file: the shipped test images are 1.2 MB."""


def _git(*arguments: str) -> list[str]:
    run = ["git", "ls-files", "-z", *arguments]
    listed = subprocess.run(run, cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


def test_nothing_ignored_is_kept() -> None:
    assert _git()
    assert _git("--cached", "--ignored", "--exclude-standard") == []


def test_no_file_is_huge() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in _git() if (ROOT / name).is_file()}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
