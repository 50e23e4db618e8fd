"""Milliseconds of the phases of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Measures phases; it starts when it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._phases: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Measure what runs inside the `with`."""
        began = time.perf_counter()
        yield
        self._phases[phase] = self._phases.get(phase, 0.0) + 1e3 * (time.perf_counter() - began)

    def read(self) -> dict[str, float]:
        """Return the phases and the time since the start, "total"."""
        return {**self._phases, "total": 1e3 * (time.perf_counter() - self._began)}
