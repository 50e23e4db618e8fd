"""Why a valid model must not be run."""

from __future__ import annotations

from reluflow.graph._constant_size import oversized_constant
from reluflow.graph._endless import endless_loop
from reluflow.graph.model import Model


def why_unrunnable(model: Model) -> str:
    """Return why a run would never end or take all memory, a clause; "" where nothing says so.

    Args:
        model: as loaded or rewritten.
    """
    return endless_loop(model) or oversized_constant(model)
