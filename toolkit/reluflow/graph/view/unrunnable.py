"""Why a valid model must not be run."""

from __future__ import annotations

from reluflow.graph.proto.model import Model
from reluflow.graph.view.constant_size import oversized_constant
from reluflow.graph.view.endless import endless_loop


def why_unrunnable(model: Model) -> str:
    """Return why a run would never end or use up all memory, a clause; "" if nothing says so.

    Args:
        model: as loaded or rewritten.

    Example:
        >>> from reluflow.graph import load
        >>> why_unrunnable(load('models/fashion_resnet8.onnx'))
        ''
    """
    return endless_loop(model) or oversized_constant(model)
