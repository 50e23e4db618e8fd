"""Chains of bytes between PSB operators: the oracle of docs/psb-ops.md, chains."""

from reluflow.psb.fixed.chain import (
    FixedFormat,
    fixed_conv,
    fixed_global_pool,
    fixed_max_pool,
    from_fixed,
    to_fixed,
)
from reluflow.psb.fixed.error import squared_error, widest_format
from reluflow.psb.fixed.grid import GRID_BITS, grid_means, grid_steps, grid_weights

__all__ = [
    "GRID_BITS",
    "FixedFormat",
    "fixed_conv",
    "fixed_global_pool",
    "fixed_max_pool",
    "from_fixed",
    "grid_means",
    "grid_steps",
    "grid_weights",
    "squared_error",
    "to_fixed",
    "widest_format",
]
