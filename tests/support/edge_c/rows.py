"""Plans in which steps run a few rows at a time, whether that saves memory or not."""

from __future__ import annotations

import numpy as np

from reluflow.edge import EdgeProgram
from reluflow.edge.bands import GroupBuilder, RowGroup, last_reads
from reluflow.edge.plan import MemoryPlan, place_tensors
from reluflow.edge.program import ConvStep

_MOST_STEPS = 8


def rows_at_random(program: EdgeProgram, seed: int) -> MemoryPlan:
    """Return a plan with groups wherever a step can begin one, some weights kept."""
    rng = np.random.default_rng(seed)
    last = last_reads(program)
    groups: list[RowGroup] = []
    k = 0
    while k < len(program.steps):
        shape = program.tensors[program.steps[k].makes].shape
        size = shape[1] if len(shape) > 2 else 1
        builder = GroupBuilder(program, last, k, int(rng.integers(1, max(2, size))))
        wanted = k + int(rng.integers(1, _MOST_STEPS))
        while builder.end < wanted and builder.extend():
            pass
        if builder.end > k:
            groups.append(builder.group())
        k = max(k + 1, builder.end)
    kept = [
        k
        for group in groups
        for k in range(group.first, group.end)
        if isinstance(program.steps[k], ConvStep) and rng.random() < 0.3
    ]
    return place_tensors(program, groups, kept)
