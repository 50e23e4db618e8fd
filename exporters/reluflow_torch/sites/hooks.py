"""Hooks that do not keep their owner alive and do not interfere with pickle or deepcopy."""

from __future__ import annotations

import weakref
from typing import Any

import torch


class WeakHook:
    """Call a method of an object as long as the object lives; a copy of the hook does nothing.

    Args:
        owner: whose method it is.
        name: of the method.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = None if owner is None else weakref.ref(owner)
        self._name = name

    def __call__(self, *args: Any) -> Any:
        """Call the method, if its owner still lives and nothing is compiled."""
        if torch.compiler.is_compiling():
            return None
        owner = None if self._owner is None else self._owner()
        return None if owner is None else getattr(owner, self._name)(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return WeakHook, (None, self._name)
