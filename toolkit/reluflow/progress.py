"""`Progress`: how long-running work reports how far it has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with the stage in words, the units of work done, and their number (None: unknown)."""
