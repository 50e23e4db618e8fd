"""Which operators of torch are switch sites, and where each one switches.

The table is keyed by the operators that the dispatcher sees, so `nn.ReLU`, `F.relu`,
`Tensor.relu_` and a ReLU inside a library all use the same few rows (docs/spec.md, section 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Threshold = Callable[[tuple[Any, ...], dict[str, Any]], "tuple[Tensor, float] | None"]

_aten = torch.ops.aten


def _at(threshold: float) -> Threshold:
    """Return a rule for operators that always switch at one value."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
        return args[0], threshold

    return rule


def _argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, default: Any
) -> Any:
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def _threshold(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
    return args[0], float(_argument(args, kwargs, 1, "threshold", 0.0))


def _leaky(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
    """With a slope of 1 nothing switches; slopes in tensors are looked up on the CPU only."""
    slope = _argument(args, kwargs, 1, "negative_slope", 0.01)
    if isinstance(slope, Tensor):
        is_one = slope.device.type == "cpu" and slope.numel() > 0 and bool((slope == 1).all())
        return None if is_one else (args[0], 0.0)
    return None if slope == 1 else (args[0], 0.0)


def _lower_bound(default: float | None) -> Threshold:
    """Return a rule for clips: a site when the lower bound is 0, as in ReLU6."""

    def rule(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
        name = "min" if default is None else "min_val"
        bound = _argument(args, kwargs, 1, name, default)
        return (args[0], 0.0) if isinstance(bound, int | float) and bound == 0 else None

    return rule


def _lower_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
    """A clip whose lower bound is a tensor of zeros; looked up on the CPU only."""
    bound = _argument(args, kwargs, 1, "min", None)
    is_tensor = isinstance(bound, Tensor) and bound.device.type == "cpu"
    return (args[0], 0.0) if is_tensor and not bound.any() else None


def _larger_of_two(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float] | None:
    """Return the other argument of `max(x, 0)`; the zero is looked up on the CPU only."""
    first, second = args[0], _argument(args, kwargs, 1, "other", None)
    for x, bound in ((first, second), (second, first)):
        if bound.device.type == "cpu" and x.numel() >= bound.numel() and not bound.any():
            return x, 0.0
    return None


def _overloads(rule: Threshold, *names: str) -> dict[int, Threshold]:
    """Return the rule for each overload in this version of torch."""
    found: dict[int, Threshold] = {}
    for name in names:
        packet, _, overload = name.partition(".")
        for spelling in (packet, packet + "_"):
            operator = getattr(getattr(_aten, spelling, None), overload or "default", None)
            if operator is not None:
                found[id(operator)] = rule
    return found


SWITCHES: dict[int, Threshold] = {
    **_overloads(_at(0.0), "relu", "rrelu", "rrelu_with_noise"),
    **_overloads(_leaky, "leaky_relu", "prelu", "_prelu_kernel"),
    **_overloads(_at(-3.0), "hardswish", "hardsigmoid"),
    **_overloads(_threshold, "threshold"),
    **_overloads(_lower_bound(-1.0), "hardtanh"),
    **_overloads(_lower_bound(None), "clamp", "clamp_min"),
    **_overloads(_lower_tensor, "clamp.Tensor", "clamp_min.Tensor"),
    **_overloads(_larger_of_two, "maximum", "max.other"),
}
"""Operators with a knee by their identity: rule of `(args, kwargs)` that gives pre-activation
and threshold. (Hashing an operator is slow in torch.)"""

SMOOTH: dict[int, Threshold] = _overloads(
    _at(0.0), "gelu", "silu", "elu", "celu", "softplus", "mish"
)
"""Smooth relatives, sites on request with threshold 0 (docs/spec.md, section 1)."""

UNIT_AXIS: dict[int, int] = {
    id(operator): axis
    for axis, names in (
        (1, "convolution _convolution native_batch_norm cudnn_batch_norm miopen_batch_norm "
            "_native_batch_norm_legit _batch_norm_with_update native_group_norm"),
        (-1, "addmm mm bmm baddbmm linear native_layer_norm _addmm_activation"),
    )
    for name in names.split()
    for operator in [getattr(getattr(_aten, name, None), "default", None)]
    if operator is not None
}  # fmt: skip
"""Axis of the units in the result of the operators that produce units."""
