"""Addresses as pointers, so that one compiled call can work on many arrays."""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _pointer(typingctx, address):  # type: ignore[no-untyped-def]
    """Return an int64 address as a pointer for `numba.carray`."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


pointer: Any = intrinsic(_pointer)
carray: Any = numba.carray  # type: ignore[attr-defined]
"""An array over a pointer: `carray(pointer(address), shape, dtype)`."""
