"""Learning rate sensitivity of a torch model: D of one step at many rates (thesis 3.2.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.optim import Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.progress import Progress
from reluflow.temperature import CrossingCurves, Sensitivity, merged, sweep
from reluflow_torch.sites.patterns import MAX_SAMPLES, Patterns
from reluflow_torch.training.losses import LOSSES, Loss
from reluflow_torch.training.probe import Batch, Pass, StepProbe, device_of, no_site_text
from reluflow_torch.training.state.snapshot import BufferSnapshot, RandomState
from reluflow_torch.training.step_curves import STATES, step_curves

__all__ = ["LOSSES", "METHODS", "sensitivity"]

Method = Literal["steps", "crossing"]
METHODS: tuple[Method, ...] = ("steps", "crossing")
_FIRST_RATE = 0.01
"""Where the search for a short step begins if the optimiser's rate is 0."""


def sensitivity(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[tuple[tuple[Tensor, ...], Tensor]],
    loss: Loss = nn.functional.cross_entropy,
    rates: ArrayLike | None = None,
    *,
    max_samples: int = MAX_SAMPLES,
    smooth: bool | None = None,
    method: Method = "steps",
    progress: Progress | None = None,
) -> Sensitivity:
    """Measure what one optimiser step would change, for many rates, at the current weights.

    Every batch gives its own gradient. By default each rate is tried on each batch and undone; with
    `method="crossing"` a few steps per batch tell D at all rates. D is the mean over batches.
    Afterwards weights, optimiser, buffers, gradients and random generators are as before, bit for
    bit.

    Args:
        model: in the mode in which it trains.
        optimizer: of the model's parameters; its rates are not used, its momentum and weight
            decay are.
        batches: (inputs, target) each, one step per batch.
        loss: of the model's output and the target.
        rates: `(n,)` learning rates; 50 from 1e-4 to 1e2 by default.
        max_samples: bound on samples per switch site and batch.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish are sites too; None: where the model
            runs no other switch, with a `SmoothWarning`.
        method: "steps" for a real step at every rate; "crossing" for the rates at which samples
            change, see `step_curves`: about 7 steps instead of 50, and D at most 1 - 1/n.
        progress: called as progress("measuring", steps tried, None).

    Returns:
        D by rate and site, with the three transition models fitted to its mean.

    Raises:
        DataError: no batch, or a loss that is not finite.
        OptionError: the model has no switch site; an unknown method.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> batch = ((torch.randn(32, 4),), torch.randint(0, 2, (32,)))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> found = sensitivity(model, optimizer, [batch], rates=[1e-6, 1e3])
        >>> found.sites, found.mean.tolist()
        (('1',), [0.0, 1.0])
        >>> quick = sensitivity(model, optimizer, [batch], rates=[1e-6, 1e3], method="crossing")
        >>> quick.mean.round(3).tolist()
        [0.0, 0.969]

    Reference: docs/spec.md, section 5; thesis 3.2.3.
    """
    if method not in METHODS:
        raise OptionError(f"method is {method!r}; accepted are {', '.join(METHODS)}.")
    probe = StepProbe(model, optimizer, max_samples=max_samples, smooth=smooth)
    run = _Run(probe, optimizer, rates, progress)
    widths: tuple[int, ...] = ()
    for inputs, target in batches:
        with _gradient(model, optimizer, inputs, target, loss):
            batch = Batch.now(inputs, {}, device_of(model))
            before = _patterns(probe, batch, values=method == "crossing")
            widths = widths or tuple(site.units for site in before.values())
            if method == "crossing":
                run.follow(batch, before)
            else:
                run.try_all(batch, before)
    result = run.result()
    return replace(result, widths=widths if len(widths) == len(result.sites) else ())


class _Run:
    """Collects what the batches say, by either method."""

    def __init__(
        self,
        probe: StepProbe,
        optimizer: Optimizer,
        rates: ArrayLike | None,
        progress: Progress | None,
    ) -> None:
        self._probe, self._rates, self._progress = probe, rates, progress
        self._first = max(float(group["lr"]) for group in optimizer.param_groups) or _FIRST_RATE
        self._found: list[Sensitivity] = []
        self._curves: list[CrossingCurves] = []
        self._steps = 0

    def try_all(self, batch: Batch, before: Patterns) -> None:
        """Try every rate on a batch."""
        with self._probe.measuring(batch=batch, before=before) as measure:

            def tried(rate: float) -> dict[str, float]:
                distances = measure(rate)
                self._tell()
                return {site.name: site.distance for site in distances.sites}

            self._found.append(sweep(tried, self._rates))

    def follow(self, batch: Batch, before: Patterns) -> None:
        """Find the curves of a batch; the next batch begins where this one had a short step."""
        passes = [Pass(batch, before)]
        curves = step_curves(self._probe, passes, self._first, told=self._tell)
        self._curves.append(curves)
        short = curves.rate(STATES[0])
        self._first = short if 0.0 < short < math.inf else self._first

    def _tell(self) -> None:
        self._steps += 1
        if self._progress is not None:
            self._progress("measuring", self._steps, None)

    def result(self) -> Sensitivity:
        """Return the mean over batches."""
        if self._curves:
            curves = merged(self._curves)
            return sweep(
                lambda rate: {n: float(curve.distance(rate)) for n, curve in curves.items()},
                self._rates,
            )
        if not self._found:
            raise DataError("batches are empty; give at least one batch of inputs and targets.")
        first = self._found[0]
        mean = np.mean([one.distances for one in self._found], axis=0)
        rows = {
            float(rate): dict(zip(first.sites, row.tolist(), strict=True))
            for rate, row in zip(first.rates, mean, strict=True)
        }
        return sweep(rows.__getitem__, first.rates)


def _patterns(probe: StepProbe, batch: Batch, *, values: bool) -> Patterns:
    one = Pass(batch)
    probe.look([one])
    if not one.patterns:
        raise OptionError(no_site_text(probe))
    return probe.patterns(batch, values=True) if values else one.patterns


@contextmanager
def _gradient(
    model: nn.Module,
    optimizer: Optimizer,
    inputs: tuple[Tensor, ...],
    target: Tensor,
    loss: Loss,
) -> Iterator[None]:
    """Hold the gradient of one batch; restore gradients, buffers and generators afterwards."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kept = [weight.grad for weight in weights]
    buffers, random = BufferSnapshot(model), RandomState(device_of(model))
    buffers.save()
    try:
        for weight in weights:
            weight.grad = None
        value = loss(model(*inputs), target)
        if not torch.isfinite(value):
            raise DataError(
                f"the loss is {value.item()} before any step; check the inputs, their scale and "
                "the targets."
            )
        value.backward()  # type: ignore[no-untyped-call]
        buffers.restore()
        random.restore()
        yield
    finally:
        buffers.restore()
        random.restore()
        for weight, grad in zip(weights, kept, strict=True):
            weight.grad = grad
