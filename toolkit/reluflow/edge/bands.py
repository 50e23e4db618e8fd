"""Steps that run together, a few rows at a time: what they read back lies in buffers of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.program import (
    AddStep,
    ConvStep,
    EdgeProgram,
    EdgeStep,
    PixelStep,
    PoolStep,
    TableStep,
    ViewStep,
)

Rows = NDArray[np.int64]
_PIXEL_AXES = 3
_MOST_ROWS = 255
"""That a step makes or drops in one round: the C keeps them in a byte."""
_MOST_STEPS = 120
_MORE_ROUNDS = 40
"""In which the last steps make what is left when the first one is done."""


@dataclass(frozen=True, slots=True)
class RowReach:
    """Which rows of an input a row of the output needs.

    Row r needs the rows from r stride - begin on, `reach` of them.

    Attributes:
        stride: rows of the input from one row of the output to the next.
        begin: rows of padding in front; negative where rows are left out.
        reach: rows that a window spans.
    """

    stride: int = 1
    begin: int = 0
    reach: int = 1


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Steps that run in rounds; in each the first makes some rows, the others all that they can.

    Attributes:
        first: place of the first step.
        end: place behind the last step.
        rows: of the first output, for each round.
        made: place of a step -> rows that it makes, `(rounds,)`.
        dropped: place of a step -> rows of its output that nobody needs again at the beginning of
            a round, `(rounds,)`.
        held: tensor -> rows that its buffer holds; a tensor that lives on is whole, and left out.
    """

    first: int
    end: int
    rows: int
    made: Mapping[int, Rows]
    dropped: Mapping[int, Rows]
    held: Mapping[str, int]

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return len(self.made[self.first])

    def times_drawn(self, k: int) -> int:
        """Return in how many rounds a step makes rows, and draws its weights for them.

        Args:
            k: place of the step.
        """
        return int((self.made[k] > 0).sum())

    def moved_bytes(self, program: EdgeProgram) -> int:
        """Return how many bytes move within buffers in one inference.

        Args:
            program: with the steps.
        """
        total = 0
        for k, dropped in self.dropped.items():
            made = self.made[k]
            kept = np.cumsum(made) - made - np.cumsum(dropped)
            row = row_bytes(program, program.steps[k].makes)
            total += row * int(kept[dropped > 0].sum())
        return total


def row_bytes(program: EdgeProgram, name: str) -> int:
    """Return the bytes of one row of a tensor.

    Args:
        program: with the tensor.
        name: of the tensor.
    """
    return math.prod(program.tensors[name].shape[2:])


def row_reaches(program: EdgeProgram, step: EdgeStep) -> tuple[RowReach, ...] | None:
    """Return which rows a step needs of each tensor that it reads.

    Args:
        program: with the step.
        step: to look at.

    Returns:
        One for each input; None where the step cannot be computed by rows.
    """
    tensors = [program.tensors[name] for name in (*step.reads, step.makes)]
    if not all(t.is_bytes and len(t.shape) >= _PIXEL_AXES for t in tensors):
        return None
    if isinstance(step, AddStep | TableStep | PixelStep):
        return tuple(RowReach() for _ in step.reads)
    if not isinstance(step, ConvStep | PoolStep):
        return None
    window = step.window
    if isinstance(step, PoolStep) and step.kind == "sum":
        return None
    if len(window.kernel) != len(tensors[0].shape) - 2:
        return None
    span = (window.kernel[0] - 1) * window.dilations[0] + 1
    first = RowReach(window.strides[0], window.begin[0], span)
    return (first, *(RowReach() for _ in step.reads[1:]))


def last_reads(program: EdgeProgram) -> dict[str, int]:
    """Return at which step each tensor is read last, be it through a view.

    Args:
        program: of `lower`.
    """
    last = dict.fromkeys(program.outputs, len(program.steps))
    if program.keeps_inputs:
        last |= {given.tensor: len(program.steps) for given in program.inputs}
    for k in reversed(range(len(program.steps))):
        step = program.steps[k]
        until = last.get(step.makes, k) if isinstance(step, ViewStep) else k
        for name in step.reads:
            last[name] = max(last.get(name, -1), until)
    return last


class GroupBuilder:
    """A group that grows by one step after the other.

    Args:
        program: with the steps.
        last: of `last_reads`.
        first: place of the first step.
        rows: of the first output, for each round.

    Attributes:
        end: place behind the last step so far.
    """

    def __init__(
        self, program: EdgeProgram, last: Mapping[str, int], first: int, rows: int
    ) -> None:
        self.end = first
        self._program = program
        self._last = last
        self._first = first
        self._rows = rows
        self._size = program.tensors[program.steps[first].makes].shape[1]
        self._rounds = np.arange(1, -(-self._size // rows) + _MORE_ROUNDS + 1)
        self._done: dict[str, Rows] = {}
        self._from: dict[str, Rows] = {}
        self._made: dict[int, Rows] = {}
        self._dropped: dict[int, Rows] = {}
        self._held: dict[str, int] = {}

    def extend(self) -> bool:
        """Take one more step; False: it cannot be computed by rows."""
        k = self.end
        if k == len(self._program.steps) or k - self._first == _MOST_STEPS:
            return False
        step = self._program.steps[k]
        reaches = row_reaches(self._program, step)
        if reaches is None:
            return False
        size = self._program.tensors[step.makes].shape[1]
        done = self._paced(self._possible(step, reaches, size), size)
        made = np.diff(done, prepend=0)
        if made.max() > _MOST_ROWS or done[-1] < size:
            return False
        self._done[step.makes], self._made[k] = done, made
        self._dropped[k] = np.zeros_like(made)
        for name, reach in zip(step.reads, reaches, strict=True):
            self._read(name, reach, done - made, size)
        self.end = k + 1
        return True

    def _possible(self, step: EdgeStep, reaches: Sequence[RowReach], size: int) -> Rows:
        """Return how many rows a step can have made after each round."""
        possible = np.full(len(self._rounds), size)
        for name, reach in zip(step.reads, reaches, strict=True):
            if name in self._done:
                there = self._done[name]
                rows = (there + reach.begin - reach.reach) // reach.stride + 1
                whole = there == self._program.tensors[name].shape[1]
                possible = np.minimum(possible, np.where(whole, size, np.clip(rows, 0, size)))
        return possible

    def _paced(self, possible: Rows, size: int) -> Rows:
        """Let a step make no more rows in a round than keep up with the first one."""
        most = -(-size * self._rows // self._size)
        ahead = most * self._rounds
        return ahead + np.minimum(0, np.minimum.accumulate(possible - ahead))

    def _read(self, name: str, reach: RowReach, before: Rows, size: int) -> None:
        """Note which rows of a tensor a step that reads it may still need in each round."""
        if name not in self._done:
            return
        rows = self._program.tensors[name].shape[1]
        start = np.clip(before * reach.stride - reach.begin, 0, rows)
        start = np.where(before < size, start, rows)
        self._from[name] = np.minimum(self._from.get(name, rows), start)
        if self._last[name] > self.end:
            return
        (maker,) = (k for k in self._made if self._program.steps[k].makes == name)
        done = self._done[name]
        first = np.minimum(self._from[name], done - self._made[maker])
        self._held[name] = int((done - first).max())
        self._dropped[maker] = np.diff(first, prepend=0)

    def group(self) -> RowGroup:
        """Return the group so far."""
        rounds = 1 + max(int(np.flatnonzero(made)[-1]) for made in self._made.values())
        return RowGroup(
            self._first,
            self.end,
            self._rows,
            {k: made[:rounds] for k, made in self._made.items()},
            {k: dropped[:rounds] for k, dropped in self._dropped.items()},
            dict(self._held),
        )
