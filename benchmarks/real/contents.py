"""Beginnings and ends of files that Python installs: inputs of a classifier of file contents."""

from __future__ import annotations

import sysconfig
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
HALF = 1024
NO_BYTE = 256
"""As magika 1.0 takes a file: of its first and its last 4096 bytes, without the blanks around them,
1024 each; what a short file lacks is the number 256."""
LONGEST = 2**22


def installed_files(each: int) -> list[Path]:
    """Return files of the standard library, its headers and the installed packages.

    Args:
        each: files of one suffix at most, taken evenly from all that were found.

    Returns:
        Files between 8 bytes and 4 MiB, in the order of their suffixes and names.
    """
    by_suffix: defaultdict[str, list[Path]] = defaultdict(list)
    for name in ("stdlib", "include", "purelib"):
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*")):
            if path.is_file() and 8 <= path.stat().st_size <= LONGEST:
                by_suffix[path.suffix.lower()].append(path)
    found = []
    for suffix in sorted(by_suffix):
        paths = sorted(set(by_suffix[suffix]))
        at = np.linspace(0, len(paths) - 1, min(each, len(paths))).astype(int)
        found += [paths[i] for i in at]
    return found


def contents(paths: Iterable[Path]) -> NDArray[np.int32]:
    """Return beginning and end of each file as numbers of bytes, `(n, 2 * HALF)`."""
    return np.stack([features(path.read_bytes()) for path in paths])


def features(content: bytes) -> NDArray[np.int32]:
    """Return beginning and end of one content, `(2 * HALF,)`."""
    row = np.full(2 * HALF, NO_BYTE, np.int32)
    if len(content) <= BLOCK:
        content = content.strip()
    head = np.frombuffer(content[:BLOCK].lstrip()[:HALF], np.uint8)
    tail = np.frombuffer(content[-BLOCK:].rstrip()[-HALF:], np.uint8)
    row[: len(head)] = head
    row[2 * HALF - len(tail) :] = tail
    return row
