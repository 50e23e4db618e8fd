"""The switch sites of a model, without running it."""

from __future__ import annotations

from typing import Any

from reluflow.graph import Survey, load, survey_sites


def inspect(model: Any, *, smooth: bool = False) -> Survey:
    """Return the switch sites of a model, without running it.

    Args:
        model: as for `analyze`.
        smooth: also count Gelu, Silu, Elu, ... as switches at 0.

    Returns:
        `sites` in graph order, `left_out` with reasons, and other `folds` at 0.

    Raises:
        ModelError: the model cannot be read.

    Example:
        >>> import reluflow
        >>> found = reluflow.inspect("models/fashion_resnet8.onnx")
        >>> len(found.sites), found.sites[0].op, found.sites[0].units
        (7, 'Relu', 16)
    """
    return survey_sites(load(model), smooth=smooth)
