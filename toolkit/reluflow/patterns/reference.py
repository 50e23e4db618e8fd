"""The hashes in plain numpy, slow and short: the kernels are tested against them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

THESIS_OFFSET = 1610612741
THESIS_P = 805306457
THESIS_Q = 402653189


def active_bits(x: NDArray[Any], unit_axis: int, threshold: float) -> NDArray[np.bool_]:
    """Return `(n_samples, units)` bits `x > threshold`, samples in C order of the other axes.

    The threshold is rounded to the type of `x` first; NaN is inactive.

    Args:
        x: pre-activations, any floating type and strides.
        unit_axis: axis of the units.
        threshold: the switch's threshold.

    Reference: docs/spec.md, section 2; thesis, Definition 1 and eq. 3.2.
    """
    rows = np.moveaxis(x, unit_axis, -1)
    with np.errstate(over="ignore"):
        limit = x.dtype.type(threshold)
    bits: NDArray[np.bool_] = rows > limit
    return bits.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])


def reference_fingerprint(
    x: NDArray[Any], words: NDArray[np.uint64], unit_axis: int = 1, threshold: float = 0.0
) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
    """Return keys `(n_samples, 2)`, active counts `(units,)` and the number of non-finite values.

    key = XOR over the active units of their words.

    Args:
        x: pre-activations, any floating type and strides.
        words: `(units, 2)` uint64.
        unit_axis: axis of the units.
        threshold: the switch's threshold.

    Reference: docs/spec.md, section 2, default hash.
    """
    bits = active_bits(x, unit_axis, threshold)
    keys = np.zeros((len(bits), 2), np.uint64)
    for unit in range(bits.shape[1]):
        keys[bits[:, unit]] ^= words[unit]
    active = bits.sum(axis=0, dtype=np.int64)
    return keys, active, int(x.size - np.isfinite(x).sum())


def reference_thesis_hash(
    x: NDArray[Any], unit_axis: int = 1, threshold: float = 0.0
) -> NDArray[np.int64]:
    """Return `(n_samples,)` hashes by Algorithm 1 of the thesis.

    h = offset; for each 64-bit word a of the pattern: h = (a Q) XOR (h P), wrapping int64.

    Args:
        x: pre-activations, any floating type and strides.
        unit_axis: axis of the units.
        threshold: the switch's threshold.

    Reference: thesis 2.2.4, Algorithm 1; docs/spec.md, section 2.
    """
    bits = active_bits(x, unit_axis, threshold)
    packed = np.packbits(bits, axis=1, bitorder="little")
    n_words = -(-bits.shape[1] // 64)
    padded = np.zeros((len(bits), n_words * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    words = padded.view("<i8").astype(np.int64)
    h = np.full(len(bits), THESIS_OFFSET, np.int64)
    for j in range(n_words):
        h = (words[:, j] * np.int64(THESIS_Q)) ^ (h * np.int64(THESIS_P))
    return h
