"""The random words of the default hash: two 64-bit words per unit, from a counter and a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError

DEFAULT_SEED = 20250731

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def unit_words(units: int, seed: int = DEFAULT_SEED) -> NDArray[np.uint64]:
    """Return the two random words of each unit.

    Word j of unit i is output number 2 i + j of the generator SplitMix64 started at `seed`:
    the words of a unit depend only on its index and the seed, not on how many units there are.

    Args:
        units: number of units d, at least 0.
        seed: any integer in [0, 2^64).

    Returns:
        `(units, 2)` uint64.

    Raises:
        OptionError: `units` is negative or `seed` is out of range.

    Example:
        >>> unit_words(2, seed=1234567)[0].tolist()
        [6457827717110365317, 3203168211198807973]

    Reference: docs/spec.md, section 2, default hash; Steele, Lea, Flood 2014 (SplitMix64).
    """
    if units < 0:
        raise OptionError(f"units is {units}, but a site has 0 or more units; give its number.")
    if not 0 <= seed < 2**64:
        raise OptionError(f"seed is {seed}, but must be in [0, 2^64); choose another seed.")
    counter = np.arange(1, 2 * units + 1, dtype=np.uint64)
    state = np.uint64(seed) + counter * _GAMMA
    state = (state ^ (state >> np.uint64(30))) * _MIX_A
    state = (state ^ (state >> np.uint64(27))) * _MIX_B
    return (state ^ (state >> np.uint64(31))).reshape(units, 2)
