"""The fingerprints of every input at every site, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions, Pipeline
from reluflow.data import DataSource, fixed_batch_size
from reluflow.errors import DataError
from reluflow.graph import Model
from reluflow.progress import Progress

Keys = dict[str, NDArray[np.uint64]]
"""Site -> `(n_inputs, positions)` uint64, the first 64 bits of each pattern's fingerprint."""


@dataclass(frozen=True, slots=True)
class Part:
    """Every so many inputs, or all others; `KeyReader` reads one of the two.

    Attributes:
        every: the period, in blocks.
        others: whether it is the others that are read.
    """

    every: int
    others: bool

    def rows(self, first: int, n: int, block: int) -> NDArray[np.int64]:
        """Return which rows of a batch belong to the part.

        Args:
            first: number of the batch's first input.
            n: inputs in the batch.
            block: inputs that stay together, as the model takes them in batches of this size.

        Example:
            >>> Part(5, others=False).rows(3, 4, 1).tolist(), Part(5, others=True).rows(3, 4, 1)
            ([1], array([0, 2, 3]))
        """
        last = (np.arange(first, first + n) // block) % self.every == self.every - 1
        return np.flatnonzero(last != self.others)


class KeyReader:
    """Runs a model and yields the fingerprints of its patterns, input by input.

    Args:
        model: the model.
        source: its inputs.
        options: batch size, threads, seed of the hash, smooth sites.
        spill: folder for tables that outgrow their memory, where patterns are counted.
        counting: whether patterns are also counted in `pipeline.sites`.
        part: of the inputs; all by default.

    Attributes:
        pipeline: of the analysis, which counts.
        done: inputs read so far, those of other parts not included.
    """

    def __init__(
        self,
        model: Model,
        source: DataSource,
        options: AnalysisOptions,
        spill: Path,
        *,
        counting: bool = False,
        part: Part | None = None,
    ) -> None:
        self.pipeline = Pipeline(model, source, options, spill, sampled=0)
        self.pipeline.counts_patterns = counting
        self.done = 0
        self._source, self._part = source, part
        self._block = fixed_batch_size(model.inputs) or 1

    def read(self, progress: Progress | None = None) -> Iterator[Keys]:
        """Yield the keys of each batch; a site without an entry did not run.

        Args:
            progress: called as progress(stage, inputs done, inputs in all or None).

        Raises:
            DataError: there are no inputs.
        """
        first = 0
        with ThreadPoolExecutor(self.pipeline.threads) as pool:
            for feeds in self.pipeline.batches():
                n = len(next(iter(feeds.values())))
                if self._part is not None:
                    rows = self._part.rows(first, n, self._block)
                    feeds = {name: array[rows] for name, array in feeds.items()}
                first += n
                taken = len(next(iter(feeds.values())))
                if taken:
                    found = self.pipeline.step(feeds, pool)
                    self.done += taken
                    yield self._by_input(found, taken)
                if progress is not None:
                    progress("reading patterns", first, self._source.n_samples)
        if not self.done:
            raise DataError("the data hold no inputs; give at least one.")

    def left_out(self) -> dict[str, str]:
        """Return site -> why its patterns cannot be told input by input, after reading."""
        found: dict[str, str] = {}
        for index, site in enumerate(self.pipeline.sites):
            name = site.tap.site.name
            if site.failed:
                found[name] = site.failed
            elif index in self.pipeline.depends_on:
                found[name] = f"its patterns depend on {_WORDS[self.pipeline.depends_on[index]]}"
            elif site.segments is None:
                found[name] = "the patterns of one input are not adjacent in a batch"
            elif not site.samples:
                found[name] = "it did not run"
        return found

    def _by_input(self, found: list[NDArray[np.uint64] | None], n: int) -> Keys:
        sites = zip(self.pipeline.sites, found, strict=True)
        return {
            site.tap.site.name: keys[:, 0].reshape(n, -1)
            for site, keys in sites
            if keys is not None and site.segments is not None
        }


_WORDS = {"batch": "the other inputs of a batch", "chance": "chance"}
