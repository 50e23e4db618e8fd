"""`Progress`: how long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with the stage in words, the units of work done, and their number (None: unknown)."""
