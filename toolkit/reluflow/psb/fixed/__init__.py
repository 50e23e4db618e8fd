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
from reluflow.psb.fixed.chain16 import (
    MOST_VALUE,
    Exponents,
    fixed_conv16,
    fixed_global_pool16,
    fixed_max_pool16,
    from_fixed16,
    sum_excess,
    to_fixed16,
)
from reluflow.psb.fixed.elementwise import fixed_add, fixed_mul, fixed_table, table_of
from reluflow.psb.fixed.error import squared_error, widest_format
from reluflow.psb.fixed.grid import GRID_BITS, grid_means, grid_steps, grid_weights
from reluflow.psb.fixed.products import from_fixed_conv, from_fixed_matmul
from reluflow.psb.fixed.resize import COORDINATES, fixed_resize, fixed_resize16

__all__ = [
    "COORDINATES",
    "GRID_BITS",
    "MOST_VALUE",
    "Exponents",
    "FixedFormat",
    "fixed_add",
    "fixed_average_pool",
    "fixed_conv",
    "fixed_conv16",
    "fixed_global_average_pool",
    "fixed_global_pool",
    "fixed_global_pool16",
    "fixed_max_pool",
    "fixed_max_pool16",
    "fixed_mul",
    "fixed_resize",
    "fixed_resize16",
    "fixed_table",
    "from_fixed",
    "from_fixed16",
    "from_fixed_conv",
    "from_fixed_matmul",
    "grid_means",
    "grid_steps",
    "grid_weights",
    "squared_error",
    "sum_excess",
    "table_of",
    "to_fixed",
    "to_fixed16",
    "widest_format",
]
