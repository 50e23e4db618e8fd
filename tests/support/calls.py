"""Counts calls of functions while a block runs; the functions stay what they are."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any


@contextmanager
def counted(*functions: Callable[..., Any]) -> Iterator[Counter[str]]:
    """Count calls of Python functions in this thread, by whatever name they are called.

    Args:
        functions: written in Python; methods as functions of their class.

    Yields:
        Name of the function -> number of calls so far, 0 where there was none.

    Example:
        >>> with counted(sorted_twice := lambda x: sorted(sorted(x))) as calls:
        ...     _ = sorted_twice([2, 1]), sorted_twice([])
        >>> calls
        Counter({'<lambda>': 2})
    """
    names: dict[CodeType, str] = {each.__code__: each.__qualname__ for each in functions}
    found: Counter[str] = Counter()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)
