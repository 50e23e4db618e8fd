"""What one switch site has shown so far: counts, unit activity, non-finite values."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import numpy as np

from reluflow.analysis.run.options import THESIS, AnalysisOptions
from reluflow.graph import HashedTap, Tap
from reluflow.patterns import PatternCounts, fingerprint, thesis_hash, thesis_keys, unit_words

_COUNT_COST = 100
"""Counting one pattern takes as long as hashing this many pre-activations: 10 to 30 ns, longer
in larger tables, against 0.16 ns."""

_Found = tuple[np.ndarray, np.ndarray, int, int]
"""Keys `(n, 2)`, active counts `(units,)`, non-finite values, size of the first axis."""


class SiteAccumulator:
    """Takes in the patterns of one tapped site, batch after batch.

    The samples of a site are numbered in the order seen. `segments` maps that number back to
    the input: a list of (first sample, first input, samples per input), one entry as long as
    every input shows the site and all have the same size; None where the samples of one
    input are not adjacent.

    Attributes:
        tap: the site and the output that shows it.
        counts: the exact table.
        samples: patterns seen, repeats included.
        units: number of units d, 0 before the first batch.
        active: `(units,)` int64, samples in which each unit was active.
        nonfinite: NaN and infinite pre-activations.
        failed: why the site had to be given up, "" while all is well.
        scattered: the samples of one input are not adjacent where a batch holds several.
        words: `(units, 2)` uint64, the random words of the hash.
        seconds: stage -> thread seconds spent.
    """

    def __init__(
        self,
        tap: Tap,
        options: AnalysisOptions,
        counts: PatternCounts,
    ) -> None:
        self.tap = tap
        self.counts = counts
        self.samples = 0
        self.units = 0
        self.active = np.zeros(0, np.int64)
        self.nonfinite = 0
        self.failed = ""
        self.scattered = False
        self.segments: list[tuple[int, int, int]] | None = []
        self.seconds = {"hashing": 0.0, "counting": 0.0}
        self._options = options
        self.words = np.zeros((0, 2), np.uint64)

    def take(
        self,
        outputs: Mapping[str, np.ndarray],
        first_input: int,
        n_inputs: int,
        threads: int = 1,
        hashed: HashedTap | None = None,
    ) -> tuple[np.ndarray, int] | None:
        """Take one batch in, hash what the model did not hash itself; `counts` are left alone.

        Args:
            outputs: of the run; pre-activations of any layout with `tap.unit_axis`, or what
                `hashed` names.
            first_input: index of the batch's first input.
            n_inputs: inputs in the batch.
            threads: of the hashing.
            hashed: the outputs that show the site where the model hashed it itself.

        Returns:
            `(n_samples, 2)` fingerprints and the number of the first sample, for counting;
            None where the site failed or did not run.
        """
        start = time.perf_counter()
        found = (
            self._hash(outputs[self.tap.output], threads)
            if hashed is None
            else self._read(outputs, hashed)
        )
        if found is None:
            return None
        keys, active, nonfinite, leading = found
        self._note_place(leading, len(keys), first_input, n_inputs)
        first_sample = self.samples
        self.active += active
        self.nonfinite += nonfinite
        self.samples += len(keys)
        self.seconds["hashing"] += time.perf_counter() - start
        return keys, first_sample

    def cost(self, outputs: Mapping[str, np.ndarray], hashed: HashedTap | None = None) -> int:
        """Return about how long a batch takes, in pre-activations hashed."""
        if hashed is not None:
            return _COUNT_COST * outputs[hashed.keys].size // 2
        size = outputs[self.tap.output].size
        return size + _COUNT_COST * (size // max(self.units, 1))

    def _hash(self, x: np.ndarray, threads: int) -> _Found | None:
        axis = self.tap.unit_axis
        if not -x.ndim <= axis < x.ndim:
            self.failed = f"its pre-activation has rank {x.ndim}, without an axis {axis}"
            return None
        if not self._fits(x.shape[axis]) or not x.size:
            return None
        threshold = self.tap.site.threshold
        found = fingerprint(
            x, unit_axis=axis, threshold=threshold, words=self.words, threads=threads
        )
        keys = found.keys
        if self._options.hash == THESIS:
            hashes = thesis_hash(x, unit_axis=axis, threshold=threshold)
            keys = thesis_keys(hashes, self._options.table_size)
        return keys, found.active, found.nonfinite, x.shape[0]

    def _read(self, outputs: Mapping[str, np.ndarray], hashed: HashedTap) -> _Found | None:
        keys, active = outputs[hashed.keys], outputs[hashed.active]
        if not self._fits(len(active)) or not keys.size:
            return None
        leading = keys.shape[0] if keys.ndim > 1 else 1
        nonfinite = int(outputs[hashed.nonfinite])
        return keys.view(np.uint64).reshape(-1, 2), active, nonfinite, leading

    @property
    def positions(self) -> int | None:
        """Samples per input, None where that varies or cannot be told."""
        sizes = {positions for _, _, positions in self.segments or ()}
        return sizes.pop() if len(sizes) == 1 else None

    def locate(self, sample: int) -> tuple[int, int] | None:
        """Return (input, position in it) of a sample, None where that cannot be told."""
        if not self.segments:
            return None
        at = bisect_right(self.segments, sample, key=lambda segment: segment[0]) - 1
        first_sample, first_input, positions = self.segments[at]
        steps, position = divmod(sample - first_sample, positions)
        return first_input + steps, position

    def state(self) -> dict[str, Any]:
        """Return all but the counts, ready for JSON."""
        return {
            "samples": self.samples,
            "units": self.units,
            "active": self.active.tolist(),
            "nonfinite": self.nonfinite,
            "failed": self.failed,
            "scattered": self.scattered,
            "segments": self.segments,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._set_units(int(state["units"]))
        self.samples = int(state["samples"])
        self.active = np.array(state["active"], np.int64)
        self.nonfinite = int(state["nonfinite"])
        self.failed = str(state["failed"])
        self.scattered = bool(state["scattered"])
        segments = state["segments"]
        self.segments = None if segments is None else [(s, i, p) for s, i, p in segments]

    def _set_units(self, units: int) -> None:
        self.units = units
        self.active = np.zeros(units, np.int64)
        self.words = unit_words(units, self._options.seed)

    def _fits(self, units: int) -> bool:
        if self.failed:
            return False
        if not units:
            self.failed = "it has no units"
        elif not self.units:
            self._set_units(units)
        elif units != self.units:
            self.failed = f"its number of units varies ({self.units}, then {units})"
        return not self.failed

    def _note_place(self, leading: int, samples: int, first_input: int, n_inputs: int) -> None:
        stacked = self.scattered or self.tap.unit_axis != self.tap.site.unit_axis
        if self.segments is None or (n_inputs > 1 and (stacked or leading % n_inputs)):
            self.segments = None
        elif not self.segments or self._next() != (first_input, samples // n_inputs):
            self.segments.append((self.samples, first_input, samples // n_inputs))

    def _next(self) -> tuple[int, int]:
        first_sample, first_input, positions = (self.segments or [])[-1]
        return first_input + (self.samples - first_sample) // positions, positions


def why_no_global(site: str, scattered: bool) -> str:
    """Return why inputs have no global pattern where a site spoils it.

    Args:
        site: its name.
        scattered: the samples of one input are not adjacent there.

    Example:
        >>> why_no_global("relu_1", scattered=False)
        'inputs differ in how many patterns they have at site relu_1'
    """
    why = (
        "the samples of one input are not adjacent"
        if scattered
        else "inputs differ in how many patterns they have"
    )
    return f"{why} at site {site}"
