"""Count the patterns of a model on fixed data, and measure the counts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reluflow.patterns import (
    CountTable,
    changes,
    entropy,
    merge,
    most_frequent,
    relative_entropy,
    unit_activity,
    weighted_jaccard,
)
from reluflow_torch.sites.hashing import fingerprints
from reluflow_torch.sites.patterns import PatternCapture, SitePattern
from reluflow_torch.training.probe import device_of
from reluflow_torch.training.snapshot import BufferSnapshot, RandomState

BATCH = "batch"
STATISTICS = (BATCH, "running")
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class SiteCounts:
    """What one site showed on the data.

    Attributes:
        table: the counts of its patterns.
        active: `(units,)` int64, in how many samples each unit was active.
    """

    table: CountTable
    active: NDArray[np.int64]

    @classmethod
    def of(cls, site: SitePattern) -> SiteCounts:
        """Count one pass."""
        keys = fingerprints(site.bits).cpu().numpy().view(np.uint64)
        other_axes = [axis for axis in range(site.bits.dim()) if axis != 1]
        return cls(CountTable.from_keys(keys), site.bits.sum(other_axes).cpu().numpy())

    def __add__(self, other: SiteCounts) -> SiteCounts:
        """Return the counts of both."""
        return SiteCounts(merge(self.table, other.table), self.active + other.active)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the counts in a form that `torch.save` keeps."""
        chunks = list(self.table.iter_chunks())
        keys = np.concatenate([c[0] for c in chunks]).view(np.int64)
        return {
            "keys": torch.from_numpy(keys.copy()),
            "counts": torch.from_numpy(np.concatenate([c[1] for c in chunks])),
            "active": torch.from_numpy(self.active.copy()),
        }

    @classmethod
    def from_tensors(cls, values: Mapping[str, Tensor]) -> SiteCounts:
        """Return what `to_tensors` described."""
        keys, counts = values["keys"].numpy().view(np.uint64), values["counts"].numpy()
        records = np.zeros((len(keys), 4), np.uint64)
        records[:, :2], records[:, 2] = keys, counts
        return cls(CountTable.from_records(records), values["active"].numpy())


def count_sites(
    model: nn.Module, batches: Iterable[Inputs], *, smooth: bool, statistics: str = BATCH
) -> dict[str, SiteCounts]:
    """Return the counts of every site over some batches, of all samples.

    Runs without dropout and gradients; buffers, training flags and random generators are put
    back bit for bit.

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
                    counts = SiteCounts.of(site)
                    found[name] = found[name] + counts if name in found else counts
    finally:
        for module, is_training in flags:
            module.training = is_training
        kept.restore()
        random.restore()
    return found


def _has_running_statistics(module: nn.Module) -> bool:
    """Tell whether a layer normalises by the batch in training and by its buffers else."""
    return module._buffers.get("running_mean") is not None


def measure_site(
    now: SiteCounts, first: SiteCounts | None, last: SiteCounts | None
) -> dict[str, float | int]:
    """Return the measures of one site (docs/spec.md, section 3).

    Args:
        now: its counts.
        first: its counts at the start; None: this is the start.
        last: its counts at the measurement before.
    """
    table, units = now.table, len(now.active)
    activity = unit_activity(now.active, table.samples)
    found: dict[str, float | int] = {
        "patterns": table.total,
        "samples": table.samples,
        "entropy_bits": entropy(table),
        "relative_entropy": relative_entropy(table, units),
        "most_frequent_fraction": most_frequent(table),
        "mean_active_fraction": float(activity.fraction.mean()),
        "dead_fraction": activity.dead / units,
        "always_on_fraction": activity.always_on / units,
        "jaccard_initial": weighted_jaccard(table, (first or now).table),
    }
    if last is not None:
        change = changes(last.table, table)
        found |= {"net_change": change.net, "born": change.born, "died": change.died}
        found["jaccard_previous"] = weighted_jaccard(last.table, table)
    return found


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
