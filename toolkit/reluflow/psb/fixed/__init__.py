"""Chains of bytes between PSB operators: the oracle of docs/psb-ops.md, chains."""

from reluflow.psb.fixed.averages import fixed_average_pool, fixed_global_average_pool
from reluflow.psb.fixed.chain import (
    FixedFormat,
    fixed_conv,
    fixed_global_pool,
    fixed_max_pool,
    from_fixed,
    to_fixed,
)
from reluflow.psb.fixed.elementwise import fixed_add, fixed_mul, fixed_table, table_of
from reluflow.psb.fixed.error import squared_error, widest_format
from reluflow.psb.fixed.grid import GRID_BITS, grid_means, grid_steps, grid_weights

__all__ = [
    "GRID_BITS",
    "FixedFormat",
    "fixed_add",
    "fixed_average_pool",
    "fixed_conv",
    "fixed_global_average_pool",
    "fixed_global_pool",
    "fixed_max_pool",
    "fixed_mul",
    "fixed_table",
    "from_fixed",
    "grid_means",
    "grid_steps",
    "grid_weights",
    "squared_error",
    "table_of",
    "to_fixed",
    "widest_format",
]
