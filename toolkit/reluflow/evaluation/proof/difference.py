"""How far two results of one output differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluflow.errors import EquivalenceError

_SMALL = 1e-6
"""Smaller outputs are compared with this magnitude: they are zeros up to rounding."""


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One output of two models; part of what `compare_models` returns.

    Attributes:
        output: its name.
        largest: largest absolute difference; for integers the share that differs.
        relative: the same as a share of the largest magnitude.
        rms: root mean square of the difference over that of the output.
        compared: how many numbers were compared, without NaN and infinities that both give.
        whole: whether it holds integers, truth values or text: the difference is then a share.
    """

    output: str
    largest: float
    relative: float
    rms: float
    compared: int
    whole: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "output": self.output,
            "largest": self.largest,
            "relative": self.relative,
            "rms": self.rms,
            "compared": self.compared,
        }


def compare_outputs(
    names: Sequence[str], before: Sequence[Any], after: Sequence[Any]
) -> tuple[OutputDifference, ...]:
    """Compare the results of two models, output by output.

    Raises:
        EquivalenceError: type or shape of an output differ.
    """
    return tuple(map(_difference, names, before, after))


def joined(runs: Sequence[tuple[OutputDifference, ...]]) -> tuple[OutputDifference, ...]:
    """Return the largest differences of each output over several runs."""
    return tuple(
        OutputDifference(
            each[0].output,
            max(run.largest for run in each),
            max(run.relative for run in each),
            max(run.rms for run in each),
            sum(run.compared for run in each),
            any(run.whole for run in each),
        )
        for each in zip(*runs, strict=True)
    )


def _difference(name: str, before: Any, after: Any) -> OutputDifference:
    if not isinstance(before, np.ndarray) or before.dtype.kind in "OSU":
        return _of_leaves(name, list(_leaves(before)), list(_leaves(after)))
    if before.dtype != after.dtype or before.shape != after.shape:
        raise EquivalenceError(
            f"a rewrite went wrong, its result was not kept: output {name!r} is {after.dtype} "
            f"{list(after.shape)} where it was {before.dtype} {list(before.shape)}; this is a "
            "fault of reluflow unless the model contradicts itself: report it with the model."
        )
    if before.dtype.kind in "iub":
        share = float(np.mean(before != after)) if before.size else 0.0
        return OutputDifference(name, share, share, share, before.size, whole=True)
    return _of_numbers(name, before.astype(np.float64), after.astype(np.float64))


def _leaves(value: Any) -> Iterator[Any]:
    """Yield numbers and texts of sequences and maps, keys included."""
    if isinstance(value, Mapping):
        for key, held in value.items():
            yield key
            yield from _leaves(held)
    elif isinstance(value, np.ndarray | list | tuple):
        for held in value.ravel().tolist() if isinstance(value, np.ndarray) else value:
            yield from _leaves(held)
    else:
        yield value


def _of_leaves(name: str, before: list[Any], after: list[Any]) -> OutputDifference:
    """Compare sequences and maps: fractions as numbers, everything else must be the same."""
    x, y = ([each for each in part if not isinstance(each, float)] for part in (before, after))
    if len(before) != len(after) or x != y:
        return OutputDifference(name, np.inf, np.inf, np.inf, len(before), whole=True)
    p, q = ([each for each in part if isinstance(each, float)] for part in (before, after))
    if not p:
        return OutputDifference(name, 0.0, 0.0, 0.0, len(before), whole=True)
    return _of_numbers(name, np.array(p), np.array(q))


def _of_numbers(name: str, before: np.ndarray, after: np.ndarray) -> OutputDifference:
    both = np.isfinite(before) & np.isfinite(after)
    with np.errstate(invalid="ignore"):
        alike = both | (before == after) | (np.isnan(before) & np.isnan(after))
    if not alike.all():  # one has a number where the other has none
        return OutputDifference(name, np.inf, np.inf, np.inf, int(both.sum()))
    x, y = before[both], after[both]
    if not x.size:
        return OutputDifference(name, 0.0, 0.0, 0.0, 0)
    difference = np.abs(x - y)
    largest = float(difference.max())
    magnitude = max(float(np.abs(x).max()), _SMALL)
    power = max(float(np.sqrt(np.mean(x * x))), _SMALL)
    rms = float(np.sqrt(np.mean(difference * difference)))
    return OutputDifference(name, largest, largest / magnitude, rms / power, int(x.size))
