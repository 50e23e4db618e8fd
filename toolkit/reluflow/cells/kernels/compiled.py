"""How the loops are compiled: without the counting of references, which costs more than they do."""

from __future__ import annotations

from typing import Any

import numba

_compile: Any = numba.njit

bare = _compile(nogil=True, cache=True, _nrt=False)
"""Decorator of a function that makes no arrays."""
inlined = _compile(nogil=True, cache=True, _nrt=False, inline="always")
"""Decorator of one that becomes part of its callers, as handing over a stack takes long."""
