"""What a PatternMonitor measures on fixed data: counts, their history, and flips of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reluflow.errors import DataError
from reluflow.monitoring import KeptTables, Measures, PatternHistory, SampleFlips
from reluflow_torch.monitoring.counting import (
    BATCH,
    DataPasses,
    Inputs,
    are_plain,
    from_tensors,
    normalised_by_batch,
    to_tensors,
)
from reluflow_torch.monitoring.flipping import example_flips, joined, mean_of, site_flips
from reluflow_torch.sites.part import batch_size
from reluflow_torch.sites.patterns import Patterns


class DataMeasures:
    """Measures the patterns of fixed data in the states that a training run goes through.

    Args:
        model: an eager module.
        batches: what it is measured on; empty until the first batch trained on is known.
        statistics: "batch" or "running": what batch normalisation uses.
        smooth: whether smooth activations are sites, at first.
        max_samples: bound on the samples per site of one pass for flips.
        kept: where tables are kept; None: nowhere.

    Attributes:
        batches: see above.
        smooth: whether smooth activations are sites; a first pass may decide it.
        flips: how often the units of each sample flipped.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: list[Inputs],
        *,
        statistics: str,
        smooth: bool,
        max_samples: int,
        kept: KeptTables | None,
    ) -> None:
        self.batches = batches
        self.flips = SampleFlips()
        self._model, self.smooth = model, smooth
        self._statistics, self._max_samples = statistics, max_samples
        self._by_batch: frozenset[str] | None = None
        self._history = PatternHistory()
        self._kept = kept
        self._last_kept = -1
        self._before: list[Patterns] = []

    @property
    def choice(self) -> dict[str, float | int]:
        """The statistics used, as every record has them."""
        return {"batch_statistics": int(self._statistics == BATCH)}

    def see_mode(self) -> None:
        """Remember which layers normalise by the batch: asked while the model trains."""
        self._by_batch = normalised_by_batch(self._model)

    def measure(self, step: int, *, keeps: bool) -> Measures:
        """Return the measures of all patterns of the current weights.

        Args:
            step: number of steps that led to them.
            keeps: whether the tables of counts are kept as well.
        """
        found = self._passes().count()
        if keeps and self._kept is not None:
            self._kept.keep(step, found)
            self._last_kept = step
        return self._history.measure(found)

    def wants_final(self, step: int) -> bool:
        """Tell whether tables are kept, but not those of the current weights.

        Args:
            step: number of steps that led to them.
        """
        return self._kept is not None and bool(self.batches) and self._last_kept != step

    @property
    def has_looked(self) -> bool:
        """Whether `compare` can tell what a step flips."""
        return bool(self._before)

    def look(self) -> None:
        """Record the patterns of all samples before a step."""
        self._before = self._patterns()

    def compare(self) -> tuple[float, Measures]:
        """Return what the step flipped since `look`, and add it to `flips`.

        Returns:
            Share of the units that flipped, mean over samples and sites, and the rows of the sites.

        Raises:
            DataError: the inputs of a batch differ in their number of examples.
        """
        states = list(zip(self._before, self._patterns(), strict=True))
        self._before = []
        shares = site_flips(states)
        parts = [
            example_flips(*state, _examples(number, batch))
            for number, (state, batch) in enumerate(zip(states, self.batches, strict=True))
        ]
        self.flips.add(joined(parts))
        return mean_of(shares), {name: {"data_flip_fraction": s} for name, s in shares.items()}

    def _patterns(self) -> list[Patterns]:
        found: list[Patterns] = []
        most = max([self._max_samples, *map(_size, self.batches)])  # one per example at least
        self._passes().run(lambda patterns: found.append(patterns), max_samples=most)
        return found

    def _passes(self) -> DataPasses:
        if self._by_batch is None:
            self.see_mode()
        by_batch = self._by_batch or frozenset()
        used = by_batch if self._statistics == BATCH else frozenset[str]()
        return DataPasses(self._model, self.batches, used, self.smooth)

    def state_dict(self) -> dict[str, Any]:
        """Return data, counts and flips as tensors and plain values."""
        return {
            "batches": self.batches if are_plain(self.batches) else [],
            "first": {name: to_tensors(c) for name, c in self._history.first.items()},
            "last": {name: to_tensors(c) for name, c in self._history.last.items()},
            "flip_sums": torch.from_numpy(self.flips.sums.copy()) if self.flips.steps else None,
            "flip_steps": self.flips.steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state; those of earlier releases have no flips.

        Args:
            state_dict: what `state_dict` returned.
        """
        self.batches = list(state_dict["batches"]) or self.batches
        first, last = state_dict["first"], state_dict["last"]
        self._history.first = {name: from_tensors(counts) for name, counts in first.items()}
        self._history.last = {name: from_tensors(counts) for name, counts in last.items()}
        sums = state_dict.get("flip_sums")
        if isinstance(sums, Tensor):
            self.flips = SampleFlips(sums.numpy().copy(), int(state_dict["flip_steps"]))


def _size(batch: Inputs) -> int:
    return batch_size(*batch) or 0


def _examples(number: int, batch: Inputs) -> int:
    size = _size(batch)
    if not size:
        shapes = [tuple(v.shape) for v in (*batch[0], *batch[1].values()) if isinstance(v, Tensor)]
        raise DataError(
            f"batch {number} of data has inputs of shapes {shapes}, so its flips cannot be told "
            "apart by example; give inputs with one row per example, or leave flips_every out."
        )
    return size


def batch_flips(
    states: Sequence[tuple[Patterns, Patterns]], batches: Sequence[Inputs]
) -> list[NDArray[np.float64] | None]:
    """Return the flips of each example of some passes, None for those without one row per example.

    Args:
        states: the patterns of each pass before and after.
        batches: their inputs.
    """
    return [
        example_flips(*state, _size(batch)) if _size(batch) else None
        for state, batch in zip(states, batches, strict=True)
    ]
