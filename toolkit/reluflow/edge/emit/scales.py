"""What turns the sums of a FixedConv into bytes: shifts and biases, found when C is written."""

from __future__ import annotations

import numpy as np

from reluflow.edge.program import ConvStep
from reluflow.psb.fixed import GRID_BITS

_MOST_SHIFT, _MOST_Z_SHIFT = 21, 20
_MOST_UP, _MOST_DOWN = 29, 30
_MOST = 1 << 29


def channel_scales(step: ConvStep) -> list[tuple[int, int, int, int]]:
    """Return bias, bits to the left (negative: right), bits of z and bits down, by channel.

    Args:
        step: one that makes bytes.

    Reference: docs/psb-ops.md, FixedConv, steps 2 to 4.
    """
    weights = step.weights
    scale = GRID_BITS + step.forms[0].exponent
    top = scale - step.forms[-1].exponent
    emax = weights.code.emax.astype(np.int64)
    e = np.maximum(emax, top - _MOST_SHIFT)
    if step.adds:
        z = step.forms[1].exponent
        e = np.maximum(e, scale - z - _MOST_Z_SHIFT)
        top = min(top, scale - z)
    e = np.minimum(e, top)
    up = np.clip(emax - e, -_MOST_DOWN, _MOST_UP)
    with np.errstate(over="ignore"):
        bias = np.ldexp(weights.bias.astype(np.float64), scale - e)
    whole = np.rint(np.clip(np.nan_to_num(bias, nan=0.0), -_MOST, _MOST)).astype(np.int64)
    z_up = scale - e - step.forms[1].exponent if step.adds else np.zeros_like(e)
    down = scale - e - step.forms[-1].exponent
    rows = zip(whole.tolist(), up.tolist(), z_up.tolist(), down.tolist(), strict=True)
    return [(b, u, z, d) for b, u, z, d in rows]
