"""The bits of a bounded, seeded sample of the inputs, for measures that need the patterns."""

from __future__ import annotations

import heapq
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OutputError
from reluflow.files import appearing
from reluflow.graph import Tap

SAMPLE_INPUTS = 512
_MOST_BITS = 1 << 14
_MOST_POSITIONS = 64
_KNOWN = 1 << 22
_FILE = "sample.npz"


class InputSample:
    """Keeps the packed bits of the inputs whose seeded priorities are the smallest.

    Which inputs these are depends only on the seed and their numbers, not on batches, interruptions
    or the order of merging. At a convolutional site only some positions are kept, the same for all
    inputs, at most 2^14 bits per input. A site whose inputs differ in their number of positions, or
    whose graph mixes them, keeps none.

    Attributes:
        takes_all: every input that comes is known to be kept.
        scattered: sites where the samples of one input are not adjacent in a batch of several.
    """

    def __init__(
        self, taps: Sequence[Tap], seed: int, n_inputs: int | None, size: int = SAMPLE_INPUTS
    ) -> None:
        """Start empty.

        Args:
            taps: the sites.
            seed: of the priorities and positions.
            n_inputs: number of inputs, None while unknown; if known, no input is kept in vain.
            size: the most inputs kept.
        """
        self._taps, self._seed, self._size = taps, seed, size
        self._limit = math.inf
        self.scattered: frozenset[int] = frozenset()
        self.takes_all = n_inputs is not None and n_inputs <= size
        if n_inputs is not None and 0 < size < n_inputs <= _KNOWN:
            self._limit = float(np.partition(_priorities(seed, 0, n_inputs), size - 1)[size - 1])
        self._heap: list[tuple[int, int]] = []  # (-priority, input)
        self._bits: list[dict[int, NDArray[np.uint8]]] = [{} for _ in taps]
        self._shapes: list[tuple[int, int] | None] = [None] * len(taps)  # positions, units
        self._failed = [False] * len(taps)

    def wanted(self, first: int, n: int) -> list[int]:
        """Return which rows of a batch belong to the sample as far as it is known.

        Args:
            first: number of the batch's first input.
            n: inputs in the batch.
        """
        if not self._size:
            return []
        found = _priorities(self._seed, first, n)
        limit = self._limit
        if len(self._heap) >= self._size:
            limit = min(limit, -self._heap[0][0])
        rows = np.flatnonzero(found <= limit)
        if len(rows) > self._size:
            rows = np.sort(rows[np.argsort(found[rows], kind="stable")[: self._size]])
        return [int(row) for row in rows]

    def put(
        self,
        numbers: Sequence[int],
        rows: Sequence[int],
        n: int,
        outputs: Mapping[str, NDArray[np.generic]],
    ) -> None:
        """Keep the bits of some inputs.

        Args:
            numbers: of the inputs.
            rows: their places in the outputs.
            n: inputs in the outputs.
            outputs: output name -> pre-activations.
        """
        for site, tap in enumerate(self._taps):
            if not self._failed[site]:
                packed = self._pack(site, tap, outputs[tap.output], rows, n)
                self._failed[site] = packed is None
                if packed is None:
                    self._bits[site] = {}
                else:
                    self._bits[site] |= dict(zip(numbers, packed, strict=True))
        for number in numbers:
            priority = int(_priorities(self._seed, number, 1)[0])
            heapq.heappush(self._heap, (-priority, number))
            # The inputs with the smallest numbers are the sample, whatever order or batches they
            # came in: a resumed or divided analysis keeps the same ones.
            if len(self._heap) > self._size:
                self._drop(heapq.heappop(self._heap)[1])

    @property
    def inputs(self) -> list[int]:
        """The numbers of the inputs kept, ascending."""
        return sorted(number for _, number in self._heap)

    def bits(self, site: int) -> tuple[NDArray[np.bool_], int] | None:
        """Return `(inputs, positions * units)` bits of a site and the positions, None without."""
        shape = self._shapes[site]
        if self._failed[site] or shape is None or not self._heap:
            return None
        kept, units = self._kept(site, *shape), shape[1]
        rows = np.stack([self._bits[site][number] for number in self.inputs])
        return np.unpackbits(rows, axis=1, count=len(kept) * units).view(np.bool_), len(kept)

    def snapshot(self, directory: Path) -> None:
        """Write the sample into a folder of its own.

        Raises:
            OSError: it cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[np.generic]] = {"inputs": np.array(self.inputs, np.int64)}
        for site, shape in enumerate(self._shapes):
            arrays[f"shape{site}"] = np.array((*(shape or (-1, -1)), self._failed[site]), np.int64)
            if not self._failed[site] and shape is not None and self._heap:
                rows = [self._bits[site][number] for number in self.inputs]
                arrays[f"bits{site}"] = np.stack(rows)
        with appearing(directory / _FILE) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def restore(self, directory: Path) -> None:
        """Restore what `snapshot` wrote.

        Raises:
            OutputError: it is missing or damaged.
        """
        try:
            # Given a path, numpy leaves the file of a damaged archive open.
            with (directory / _FILE).open("rb") as file, np.load(file) as arrays:
                numbers = arrays["inputs"].tolist()
                for site in range(len(self._taps)):
                    positions, units, failed = arrays[f"shape{site}"].tolist()
                    self._shapes[site] = None if positions < 0 else (positions, units)
                    self._failed[site] = bool(failed)
                    if f"bits{site}" in arrays.files:
                        rows = arrays[f"bits{site}"]
                        self._bits[site] = dict(zip(numbers, rows, strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise OutputError(
                f"the checkpoint in {directory} has no readable sample of inputs ({error}); "
                "delete the folder and run again."
            ) from error
        self._heap = [(-int(_priorities(self._seed, number, 1)[0]), number) for number in numbers]
        heapq.heapify(self._heap)

    def merge(self, other: InputSample) -> None:
        """Take in the sample of other inputs, with the same seed, size and sites."""
        for site, bits in enumerate(other._bits):
            shapes = {self._shapes[site], other._shapes[site]} - {None}
            self._failed[site] |= other._failed[site] or len(shapes) > 1
            self._shapes[site] = self._shapes[site] or other._shapes[site]
            self._bits[site] = {} if self._failed[site] else self._bits[site] | bits
        for each in other._heap:
            heapq.heappush(self._heap, each)
            if len(self._heap) > self._size:
                self._drop(heapq.heappop(self._heap)[1])

    def _drop(self, number: int) -> None:
        for bits in self._bits:
            bits.pop(number, None)

    def _pack(
        self, site: int, tap: Tap, x: NDArray[np.generic], rows: Sequence[int], n: int
    ) -> NDArray[np.uint8] | None:
        """Return the packed bits of some inputs, None where they cannot be told apart."""
        axis = tap.unit_axis
        if axis != tap.site.unit_axis or not -x.ndim <= axis < x.ndim or not x.size:
            return None
        if x.ndim < 2 or x.shape[0] % n or axis % x.ndim == 0 or (n > 1 and site in self.scattered):
            return None
        units = x.shape[axis]
        shape = (x.size // n // units, units)
        if self._shapes[site] not in (None, shape):
            return None
        self._shapes[site] = shape
        kept = self._kept(site, *shape)
        last = np.moveaxis(x, axis, -1).reshape(n, -1, units)[list(rows)][:, kept]
        active = last > np.asarray(tap.site.threshold, last.dtype)
        return np.packbits(active.reshape(len(rows), -1), axis=1)

    def _kept(self, site: int, positions: int, units: int) -> NDArray[np.int64]:
        """Return the positions kept, ascending."""
        most = min(_MOST_POSITIONS, max(1, _MOST_BITS // units))
        if positions <= most:
            return np.arange(positions)
        # The same positions for every input, or two inputs could not be compared unit by unit.
        rng = np.random.default_rng((self._seed, site, positions))
        return np.sort(rng.choice(positions, most, replace=False))


def _priorities(seed: int, first: int, n: int) -> NDArray[np.uint64]:
    """Return a pseudo-random 63-bit number for each of some inputs (splitmix64)."""
    # By the input's number, not by a stream: any input's number is known without those before it.
    z = np.arange(first + 1, first + n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: NDArray[np.uint64] = (z ^ (z >> np.uint64(31))) >> np.uint64(1)
    return found
