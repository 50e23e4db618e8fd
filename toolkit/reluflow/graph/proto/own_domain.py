"""Names of our own operators; this file imports nothing, so that every other may use it."""

from enum import IntEnum

OWN_DOMAIN = "ai.reluflow"
"""Domain of our operators; the functions that come with them remain calls."""
PSB_CONV, PSB_MATMUL, PATTERN_HASH = "PsbConv", "PsbMatMul", "PatternHash"
PSB_PARTS = "PsbParts"
"""The function that the bodies of both PSB operators call; it is not an operator itself."""
PSB_WEIGHTS = "PsbWeights"
"""The function that decodes stored weights for operators that are not PSB ones."""
FIXED_CONV, TO_FIXED, FROM_FIXED = "FixedConv", "ToFixed", "FromFixed"
FIXED_MAX_POOL, FIXED_GLOBAL_POOL = "FixedMaxPool", "FixedGlobalPool"
FIXED_AVERAGE_POOL = "FixedAveragePool"
FIXED_GLOBAL_AVERAGE_POOL = "FixedGlobalAveragePool"
FIXED_ADD, FIXED_MUL, FIXED_TABLE = "FixedAdd", "FixedMul", "FixedTable"
FIXED_RESIZE = "FixedResize"
FIXED_RESIZE_16 = "FixedResize16"
REGION_CONCAT = "RegionConcat"
FROM_FIXED_CONV, FROM_FIXED_MATMUL = "FromFixedConv", "FromFixedMatMul"
FIXED_WEIGHTS = "FixedWeights"
"""The function that the bodies of products of bytes call; it is not an operator itself."""

FIXED_CONV_16, TO_FIXED_16, FROM_FIXED_16 = "FixedConv16", "ToFixed16", "FromFixed16"
FIXED_MAX_POOL_16, FIXED_GLOBAL_POOL_16 = "FixedMaxPool16", "FixedGlobalPool16"


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


def _format(tensor: str) -> dict[str, int]:
    return {f"{tensor}_exponent": 0, f"{tensor}_zero": 0}


_BOUNDS = {"y_min": 0, "y_max": 255}
FIXED_DEFAULTS: dict[str, dict[str, int]] = {
    FIXED_CONV: {"group": 1, **_format("x"), **_format("y"), **_format("z"), **_BOUNDS},
    TO_FIXED: {**_format("y"), "fills_quads": 0},
    FROM_FIXED: _format("x"),
    FROM_FIXED_CONV: {"group": 1, **_format("x")},
    FROM_FIXED_MATMUL: _format("x"),
    FIXED_MAX_POOL: {},
    FIXED_GLOBAL_POOL: _format("x"),
    FIXED_AVERAGE_POOL: {"count_include_pad": 0, **_format("x"), **_format("y"), **_BOUNDS},
    FIXED_GLOBAL_AVERAGE_POOL: {**_format("x"), **_format("y"), **_BOUNDS},
    FIXED_ADD: {**_format("a"), **_format("b"), **_format("y"), **_BOUNDS},
    FIXED_MUL: {**_format("x"), **_format("s"), **_format("y"), **_BOUNDS},
    FIXED_TABLE: {},
    FIXED_RESIZE: {"coordinates": 0},
}
"""Operators of chains -> their whole numbers with a default; part of the stored format."""
FIXED_16_DEFAULTS: dict[str, dict[str, int]] = {
    FIXED_CONV_16: {
        "group": 1,
        "x_bits": 12,
        "x_exponent": 0,
        "y_exponent": 0,
        "y_min": -32767,
        "y_max": 32767,
    },
    TO_FIXED_16: {"y_exponent": 0, "y_bits": 12},
    FROM_FIXED_16: {"x_exponent": 0},
    FIXED_MAX_POOL_16: {},
    FIXED_GLOBAL_POOL_16: {"x_exponent": 0},
    FIXED_RESIZE_16: {"coordinates": 0},
}
"""The same for chains of 16 bits; `z_exponent` is that of y where it is left out."""
ADD_TABLE_PLACE = 2
"""Number of the input `table` of FixedAdd."""
TABLE_PLACE = {FIXED_CONV: int(FixedPlace.TABLE), FIXED_ADD: ADD_TABLE_PLACE}
"""Operators that may apply a table last, and its place among the inputs."""
ADDEND_PLACE: dict[str, int] = {
    PSB_CONV: 7,
    PSB_MATMUL: 6,
    FIXED_CONV: FixedPlace.Z,
    FIXED_CONV_16: FixedPlace.Z,
}
"""Number of the input Z; a convolution has `region` before it."""
USUAL_P_BITS, USUAL_X_BITS = 8, 12
"""The values for a node that leaves `p_bits` or `x_bits` out; part of the stored format."""
FROM_THE_RUN = -1000
"""The value of `x_exponent` that means: not calibrated, taken from each run."""
