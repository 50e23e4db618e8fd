"""Names of our own operators; this file needs nothing, so that every other may use it."""

OWN_DOMAIN = "ai.reluflow"
"""Domain of our operators; the functions that come with them stay calls."""
PSB_CONV, PSB_MATMUL, PATTERN_HASH = "PsbConv", "PsbMatMul", "PatternHash"
PSB_PARTS = "PsbParts"
"""The function that the bodies of both PSB operators call; no operator of its own."""
ADDEND_PLACE = {PSB_CONV: 7, PSB_MATMUL: 6}
"""Number of the input Z; a convolution has `region` before it."""
FROM_THE_RUN = -1000
"""The value of `x_exponent` that says: not calibrated, taken from each run."""
