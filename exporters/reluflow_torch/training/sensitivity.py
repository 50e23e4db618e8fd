"""Learning rate sensitivity of a torch model: D of one step at many rates (thesis 3.2.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.optim import Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.progress import Progress
from reluflow.temperature import Sensitivity, StepDistance, sweep
from reluflow_torch.sites.patterns import MAX_SAMPLES, Patterns
from reluflow_torch.training.losses import LOSSES, Loss
from reluflow_torch.training.probe import Batch, Pass, StepProbe, device_of, no_site_text
from reluflow_torch.training.snapshot import BufferSnapshot, RandomState

__all__ = ["LOSSES", "sensitivity"]


def sensitivity(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[tuple[tuple[Tensor, ...], Tensor]],
    loss: Loss = nn.functional.cross_entropy,
    rates: ArrayLike | None = None,
    *,
    max_samples: int = MAX_SAMPLES,
    smooth: bool | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Measure what one optimiser step would change, for many rates, at the current weights.

    Every batch gives its own gradient; each rate is tried on each batch and undone. D is the mean
    over batches. Afterwards weights, optimiser, buffers, gradients and random generators are as
    before, bit for bit.

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
        progress: called as progress("measuring", steps tried, None).

    Returns:
        D by rate and site, with the three transition models fitted to its mean.

    Raises:
        DataError: no batch, or a loss that is not finite.
        OptionError: the model has no switch site.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> batch = ((torch.randn(32, 4),), torch.randint(0, 2, (32,)))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> found = sensitivity(model, optimizer, [batch], rates=[1e-6, 1e3])
        >>> found.sites, found.mean.tolist()
        (('1',), [0.0, 1.0])

    Reference: docs/spec.md, section 5; thesis 3.2.3.
    """
    probe = StepProbe(model, optimizer, max_samples=max_samples, smooth=smooth)
    found: list[Sensitivity] = []
    widths: tuple[int, ...] = ()
    for inputs, target in batches:
        with _gradient(model, optimizer, inputs, target, loss):
            batch = Batch.now(inputs, {}, device_of(model))
            before = _patterns(probe, batch)
            widths = widths or tuple(site.units for site in before.values())
            with probe.measuring(batch=batch, before=before) as measure:
                steps = sum(len(one.rates) for one in found)
                found.append(sweep(_tried(measure, steps, progress), rates))
    if not found:
        raise DataError("batches are empty; give at least one batch of inputs and targets.")
    mean = np.mean([one.distances for one in found], axis=0)
    rows = {
        float(rate): dict(zip(found[0].sites, row.tolist(), strict=True))
        for rate, row in zip(found[0].rates, mean, strict=True)
    }
    result = sweep(rows.__getitem__, found[0].rates)
    return replace(result, widths=widths if len(widths) == len(result.sites) else ())


def _patterns(probe: StepProbe, batch: Batch) -> Patterns:
    one = Pass(batch)
    probe.look([one])
    if not one.patterns:
        raise OptionError(no_site_text(probe))
    return one.patterns


def _tried(
    measure: Callable[[float], StepDistance], steps_done: int, progress: Progress | None
) -> Callable[[float], dict[str, float]]:
    """Return D by site for a rate, and report the progress."""
    count = 0

    def run(rate: float) -> dict[str, float]:
        nonlocal count
        distances = measure(rate)
        count += 1
        if progress is not None:
            progress("measuring", steps_done + count, None)
        return {site.name: site.distance for site in distances.sites}

    return run


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
