"""Counter-based random bits: the same seed gives the same bits for any threads and any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.psb._check import check_range

_MASK = 0xFFFFFFFF
_LOWBIAS_A, _LOWBIAS_B = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
"""Found by search for little bias between bits in and out: lowbias32 of hash-prospector."""
_STREAM, _HIGH, _POSITION = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35
"""Odd numbers that keep the parts of a key apart: 2^32 over the golden ratio, and two constants
of MurmurHash3's finaliser. They are part of the contract: another constant gives other draws."""


def lowbias(v: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the bits of `v` mixed by two multiplications and three shifts (a bijection).

    Args:
        v: uint32, any shape of at least one axis.

    Reference: docs/psb-ops.md, random bits.
    """
    v = v ^ (v >> np.uint32(16))
    v = v * _LOWBIAS_A
    v = v ^ (v >> np.uint32(15))
    v = v * _LOWBIAS_B
    return v ^ (v >> np.uint32(16))


def _mix(v: int) -> int:
    """Return `lowbias` of one number, taken modulo 2^32."""
    return int(lowbias(np.array([v & _MASK], np.uint32))[0])


def node_key(seed: int, stream: int, position: int | None = None) -> tuple[int, int]:
    """Return the key (a, b) of a node's random bits.

    a = lowbias(lo32(seed) ^ 0x9e3779b9 (stream + 1)), b = lowbias(hi32(seed) + a + 0x85ebca6b);
    draws per product replace a by lowbias(a ^ (position + 1) 0xc2b2ae35) and keep b.

    Args:
        seed: of the run, any int64.
        stream: number of the node in the model, a uint32.
        position: flat output position over batch and pixels; None: draws shared by all.

    Returns:
        Two uint32 numbers.

    Raises:
        OptionError: a number is out of its range.

    Example:
        >>> node_key(seed=0, stream=0) == node_key(seed=0, stream=1)
        False
        >>> node_key(0, 0)[1] == node_key(0, 0, position=5)[1]
        True

    Reference: docs/psb-ops.md, random bits.
    """
    check_range("seed", seed, -(1 << 63), (1 << 63) - 1)
    check_range("stream", stream, 0, _MASK)
    seed, stream = int(seed), int(stream)
    a = _mix(seed ^ (_STREAM * (stream + 1)))
    b = _mix((seed >> 32) + a + _HIGH)
    if position is not None:
        a = _mix(a ^ ((int(position) + 1) * _POSITION))
    return a, b


def random_bits32(
    counter: NDArray[np.uint32], seed: int, stream: int, position: int | None = None
) -> NDArray[np.uint32]:
    """Return 32 random bits for every counter: R(c) = lowbias(lowbias(c ^ a) + b).

    Args:
        counter: uint32, any shape of at least one axis.
        seed: of the run, any int64.
        stream: number of the node in the model, a uint32.
        position: flat output position for draws per product, None for draws per run.

    Returns:
        uint32, shaped like `counter`.

    Raises:
        OptionError: a number is out of its range.

    Example:
        >>> random_bits32(np.arange(2, dtype=np.uint32), seed=0, stream=0).tolist()
        [1550750163, 1815200674]

    Reference: docs/psb-ops.md, random bits.
    """
    a, b = node_key(seed, stream, position)
    return lowbias(lowbias(counter.astype(np.uint32) ^ np.uint32(a)) + np.uint32(b))
