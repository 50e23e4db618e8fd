"""Count the patterns of a running model on fixed data."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reluflow.monitoring import SiteCounts
from reluflow_torch.sites.hashing import fingerprints
from reluflow_torch.sites.patterns import PatternCapture, SitePattern
from reluflow_torch.training.probe import device_of
from reluflow_torch.training.snapshot import BufferSnapshot, RandomState

BATCH = "batch"
STATISTICS = (BATCH, "running")
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def count_pass(site: SitePattern) -> SiteCounts:
    """Return the counts of one pass at one site."""
    keys = fingerprints(site.bits).cpu().numpy().view(np.uint64)
    other_axes = [axis for axis in range(site.bits.dim()) if axis != 1]
    return SiteCounts.of(keys, site.bits.sum(other_axes).cpu().numpy())


def to_tensors(counts: SiteCounts) -> dict[str, Tensor]:
    """Return counts in a form that `torch.save` keeps."""
    return {name: torch.from_numpy(array.copy()) for name, array in counts.to_arrays().items()}


def from_tensors(values: Mapping[str, Tensor]) -> SiteCounts:
    """Return what `to_tensors` described."""
    return SiteCounts.from_arrays({name: values[name].numpy() for name in values})


def count_sites(
    model: nn.Module, batches: Iterable[Inputs], *, smooth: bool, statistics: str = BATCH
) -> dict[str, SiteCounts]:
    """Return the counts of every site over some batches, of all samples.

    Runs without dropout and gradients; buffers, training flags and random generators are restored
    bit for bit.

    Args:
        model: an eager module.
        batches: positional and keyword arguments of each pass.
        smooth: whether smooth activations are sites.
        statistics: "batch": layers with running statistics normalise by each batch, as in
            training; "running": by these.

    Reference: docs/spec.md, section 3, during training.
    """
    kept, random = BufferSnapshot(model), RandomState(device_of(model))
    flags = [(module, module.training) for module in model.modules()]
    kept.save()
    found: dict[str, SiteCounts] = {}
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if "torch._dynamo" in sys.modules:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            model.eval()
            for module, is_training in flags:
                if statistics == BATCH and is_training and _has_running_statistics(module):
                    module.training = True
            for args, kwargs in batches:
                with PatternCapture(model, max_samples=sys.maxsize, smooth=smooth) as capture:
                    model(*args, **kwargs)
                for name, site in capture.patterns.items():
                    counts = count_pass(site)
                    found[name] = found[name] + counts if name in found else counts
    finally:
        for module, is_training in flags:
            module.training = is_training
        kept.restore()
        random.restore()
    return found


def _has_running_statistics(module: nn.Module) -> bool:
    """Tell whether a layer normalises by the batch in training and by its buffers otherwise."""
    return module._buffers.get("running_mean") is not None


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
