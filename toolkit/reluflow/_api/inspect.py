"""The switch sites of a model, without running it."""

from __future__ import annotations

from typing import Any

from reluflow.analysis import Inspection, inspect_model
from reluflow.graph import load


def inspect(model: Any, *, smooth: bool = False) -> Inspection:
    """Return the switch sites of a model and its facts, without running it.

    Args:
        model: as for `analyze`.
        smooth: also count Gelu, Silu, Elu, ... as switches at 0.

    Returns:
        `sites` in graph order, `left_out` with reasons, other `folds` at 0, and the `model`.

    Raises:
        ModelError: the model cannot be read.

    Example:
        >>> import reluflow
        >>> found = reluflow.inspect("models/fashion_resnet8.onnx")
        >>> len(found.sites), found.sites[0].op, found.sites[0].units
        (7, 'Relu', 16)
        >>> found.model.n_parameters, sorted(found.to_dict())
        (78426, ['left_out', 'model', 'notes', 'other_folds', 'sites'])
    """
    return inspect_model(load(model), smooth=smooth)
