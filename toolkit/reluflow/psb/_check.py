"""Checks of the options that several files of this room share."""

from __future__ import annotations

import math
from collections.abc import Collection

from reluflow.errors import OptionError

P_BITS = (1, 2, 3, 4, 6, 8, 16)
"""Bits of a stored probability (thesis 4.2.4); 16 are "full", as a draw reads 16 random bits."""
SAMPLERS = ("systematic", "binomial", "nearest")
ROUNDINGS = ("carried", "half")
MAX_SAMPLES = 64
"""n is a power of two up to here, and n = 64 stands for the mean: see `SAMPLES`."""
SAMPLES = (0, 1, 2, 4, 8, 16, 32, MAX_SAMPLES)
"""Accepted numbers of samples; 0 reads as 64 with the nearest sampler."""
X_BITS_RANGE = (2, 16)
"""Bits of an activation: at least a sign and one more, at most an int16."""


def check_choice(name: str, value: object, accepted: Collection[object]) -> None:
    """Refuse a `value` of argument `name` that is not among the `accepted` ones."""
    if value not in accepted:
        listed = ", ".join(repr(item) for item in accepted)
        raise OptionError(f"{name}={value!r} is not known: give one of {listed}.")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse an integer `value` of argument `name` outside `low` to `high`, both included."""
    if not low <= value <= high:
        raise OptionError(f"{name}={value!r} is out of range: give a whole number {low} to {high}.")


def check_p_bits(p_bits: int) -> None:
    """Refuse a number of probability bits that the code does not support."""
    check_choice("p_bits", p_bits, P_BITS)


def resolve_samples(samples: int, sampler: str) -> tuple[int, int, str]:
    """Return `(n, log2 n, sampler)`, with `samples` 0 read as 64 with the nearest sampler."""
    check_choice("samples", samples, SAMPLES)
    check_choice("sampler", sampler, SAMPLERS)
    n = int(samples) or MAX_SAMPLES
    return n, int(math.log2(n)), sampler if samples else "nearest"
