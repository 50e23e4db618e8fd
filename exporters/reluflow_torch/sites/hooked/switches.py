"""Which modules of torch are one switch site at each call, and where each switches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

Knee = Callable[[Any], "float | None"]


def _at(threshold: float) -> Knee:
    return lambda module: threshold


def _leaky(module: nn.LeakyReLU) -> float | None:
    return None if module.negative_slope == 1 else 0.0


def _learned(module: nn.PReLU) -> float | None:
    """With slopes of 1 nothing switches; looked up on the CPU only, as the operator's rule does."""
    slopes = module.weight
    return None if slopes.device.type == "cpu" and bool((slopes == 1).all()) else 0.0


def _clip(module: nn.Hardtanh) -> float | None:
    return 0.0 if module.min_val == 0 else None


def _threshold(module: nn.Threshold) -> float | None:
    return float(module.threshold)


_KNEES: dict[type, Knee] = {
    nn.ReLU: _at(0.0),
    nn.ReLU6: _at(0.0),
    nn.RReLU: _at(0.0),
    nn.LeakyReLU: _leaky,
    nn.PReLU: _learned,
    nn.Hardtanh: _clip,
    nn.Hardswish: _at(-3.0),
    nn.Hardsigmoid: _at(-3.0),
    nn.Threshold: _threshold,
}
_SMOOTH: dict[type, Knee] = {
    kind: _at(0.0) for kind in (nn.GELU, nn.SiLU, nn.ELU, nn.CELU, nn.Softplus, nn.Mish)
}


def threshold_of(module: nn.Module, *, smooth: bool) -> float | None:
    """Return where a module switches; None where its class does not say that it is a switch.

    Args:
        module: any; a subclass may do anything, so it is none.
        smooth: whether smooth activations are switches too.

    Example:
        >>> threshold_of(nn.Hardswish(), smooth=False), threshold_of(nn.GELU(), smooth=False)
        (-3.0, None)
    """
    knee = _KNEES.get(type(module)) or (_SMOOTH.get(type(module)) if smooth else None)
    return None if knee is None or "forward" in module.__dict__ else knee(module)


def switches_of(model: nn.Module, *, smooth: bool) -> Iterator[tuple[str, nn.Module, float]]:
    """Yield path, module and threshold of all modules that are switches.

    Args:
        model: walked afresh, since its modules may be replaced at any time.
        smooth: see `threshold_of`.
    """
    for path, module in model.named_modules():
        threshold = threshold_of(module, smooth=smooth)
        if threshold is not None:
            yield path, module, threshold
