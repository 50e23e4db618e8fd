"""Names of our own operators; this file imports nothing, so that every other may use it."""

from enum import IntEnum

OWN_DOMAIN = "ai.reluflow"
"""Domain of our operators; the functions that come with them remain calls."""
PSB_CONV, PSB_MATMUL, PATTERN_HASH = "PsbConv", "PsbMatMul", "PatternHash"
PSB_PARTS = "PsbParts"
"""The function that the bodies of both PSB operators call; it is not an operator itself."""
FIXED_CONV, TO_FIXED, FROM_FIXED = "FixedConv", "ToFixed", "FromFixed"
FIXED_MAX_POOL, FIXED_GLOBAL_POOL = "FixedMaxPool", "FixedGlobalPool"
FIXED_WEIGHTS = "FixedWeights"
"""The function that the body of FixedConv calls; it is not an operator itself."""


class PsbPlace(IntEnum):
    """Places of the inputs that both PSB operators have (docs/psb-ops.md)."""

    X = 0
    W = 1
    EMAX = 2
    B = 3
    SAMPLES = 4
    SEED = 5


class FixedPlace(IntEnum):
    """Places of the inputs that FixedConv has behind those of `PsbPlace`."""

    Z = 6
    TABLE = 7


_X: dict[str, int] = {"x_exponent": 0, "x_zero": 0}
_Y: dict[str, int] = {"y_exponent": 0, "y_zero": 0}
_BOUNDS: dict[str, int] = {"y_min": 0, "y_max": 255}
FIXED_DEFAULTS: dict[str, dict[str, int]] = {
    FIXED_CONV: {"group": 1, **_X, **_Y, "z_exponent": 0, "z_zero": 0, **_BOUNDS},
    TO_FIXED: {**_Y, "fills_quads": 0},
    FROM_FIXED: _X,
    FIXED_MAX_POOL: {},
    FIXED_GLOBAL_POOL: _X,
}
"""Operators of chains -> their whole numbers with a default; part of the stored format."""
ADDEND_PLACE: dict[str, int] = {PSB_CONV: 7, PSB_MATMUL: 6, FIXED_CONV: FixedPlace.Z}
"""Number of the input Z; a convolution has `region` before it."""
USUAL_P_BITS, USUAL_X_BITS = 8, 12
"""The values for a node that leaves `p_bits` or `x_bits` out; part of the stored format."""
FROM_THE_RUN = -1000
"""The value of `x_exponent` that means: not calibrated, taken from each run."""
