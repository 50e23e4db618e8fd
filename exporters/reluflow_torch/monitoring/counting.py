"""Count the patterns of a running model on fixed data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reluflow.monitoring import SiteCounter, SiteCounts
from reluflow_torch.sites.hashing import fingerprints
from reluflow_torch.sites.patterns import PatternCapture, Patterns
from reluflow_torch.sites.unwrap import eagerly
from reluflow_torch.training.probe import device_of
from reluflow_torch.training.state.snapshot import BufferSnapshot, RandomState

BATCH = "batch"
STATISTICS = (BATCH, "running")
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def to_tensors(counts: SiteCounts) -> dict[str, Tensor]:
    """Return counts in a form that `torch.save` keeps."""
    return {name: torch.from_numpy(array.copy()) for name, array in counts.to_arrays().items()}


def from_tensors(values: Mapping[str, Tensor]) -> SiteCounts:
    """Return what `to_tensors` described."""
    return SiteCounts.from_arrays({name: values[name].numpy() for name in values})


def normalised_by_batch(model: nn.Module) -> frozenset[str]:
    """Return the names of the layers that now normalise by the batch, and otherwise by buffers.

    Args:
        model: an eager module, as it trains: layers that are frozen in eval() mode stay out.
    """
    return frozenset(
        name
        for name, module in model.named_modules()
        if module.training and module._buffers.get("running_mean") is not None
    )


@dataclass(frozen=True, slots=True)
class DataPasses:
    """How fixed data is run through a model that trains.

    Attributes:
        model: an eager module.
        batches: positional and keyword arguments of each pass.
        by_batch: names of layers that normalise by the batch measured on, as in training, rather
            than by their running statistics.
        smooth: whether smooth activations are sites.
    """

    model: nn.Module
    batches: Sequence[Inputs]
    by_batch: Collection[str]
    smooth: bool

    def run(self, visit: Callable[[Patterns], None], *, max_samples: int = sys.maxsize) -> None:
        """Give the patterns of each batch to a function, without dropout and gradients.

        Buffers, training flags and random generators are restored bit for bit.

        Args:
            visit: called with the patterns of each pass.
            max_samples: bound on the samples per site of one pass.

        Reference: docs/spec.md, section 3, during training.
        """
        kept, random = BufferSnapshot(self.model), RandomState(device_of(self.model))
        flags = [(module, module.training) for module in self.model.modules()]
        kept.save()
        try:
            with ExitStack() as stack:
                stack.enter_context(torch.no_grad())
                stack.enter_context(eagerly(self.model))
                self.model.eval()
                for name in self.by_batch:
                    self.model.get_submodule(name).training = True
                for args, kwargs in self.batches:
                    with PatternCapture(
                        self.model, max_samples=max_samples, smooth=self.smooth
                    ) as capture:
                        self.model(*args, **kwargs)
                    visit(capture.patterns)
        finally:
            for module, is_training in flags:
                module.training = is_training
            kept.restore()
            random.restore()

    def count(self) -> dict[str, SiteCounts]:
        """Return the counts of every site, of all samples."""
        counters: dict[str, SiteCounter] = {}

        def add(patterns: Patterns) -> None:
            for name, site in patterns.items():
                keys = fingerprints(site.bits).cpu().numpy().view(np.uint64)
                other_axes = [axis for axis in range(site.bits.dim()) if axis != 1]
                counter = counters.setdefault(name, SiteCounter())
                counter.add(keys, site.bits.sum(other_axes).cpu().numpy())

        self.run(add)
        return {name: counter.finish() for name, counter in counters.items()}


def as_batches(data: Any) -> list[Inputs]:
    """Return data as arguments of passes.

    Args:
        data: one batch, or a list of them. A batch is a tensor, a tuple of positional
            arguments or a mapping of keyword arguments.
    """
    if isinstance(data, list):
        return [batch for item in data for batch in as_batches(item)]
    if isinstance(data, Mapping):
        return [((), dict(data))]
    return [(data, {})] if isinstance(data, tuple) else [((data,), {})]


def copy_inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inputs:
    """Return arguments whose tensors later writes cannot reach."""

    def own(value: Any) -> Any:
        return value.detach().clone() if isinstance(value, Tensor) else value

    return tuple(own(value) for value in args), {name: own(v) for name, v in kwargs.items()}


def are_plain(batches: Iterable[Inputs]) -> bool:
    """Tell whether batches hold only what `torch.load` reads back without pickle."""
    plain = (Tensor, bool, int, float, str, type(None))
    return all(
        isinstance(value, plain) for args, kwargs in batches for value in (*args, *kwargs.values())
    )
