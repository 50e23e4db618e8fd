"""A trial: do the patterns of an input depend on the rest of its batch, or on chance?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import ReluflowError
from reluflow.graph import Tap

BATCH, CHANCE = "batch", "chance"
_MOST = 8
"""Inputs of a trial. A guess: enough to have an influence, and few compared with a usual batch
of 64."""
_QUARTER = 4
"""Share of a batch: a batch fills the memory that is allowed, and a trial holds several runs."""
_ALONE = 3
_NAMED = 5
_BLOCK = 1 << 20
_BELOW_BFLOAT16 = 0xFFFF
"""The bits of a float32 that a bfloat16 lacks."""
_TOLERANCE, _COARSE_TOLERANCE = 1e-4, 2e-2
"""Kernels round differently for batches of different size: a value counts as changed if it moves
by more than this share of itself and of the site's root mean square; by more where all values
are those of 16-bit floats."""

Feeds = Mapping[str, np.ndarray]
Run = Callable[[Feeds], Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Dependence:
    """What the patterns of one site depend on besides the input itself.

    Attributes:
        kind: "chance" (one batch twice gives other values) or "batch" (an input alone gives
            other values than among others).
        bits: pattern bits that differed.
        of: pattern bits compared.
    """

    kind: str
    bits: int
    of: int


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a trial.

    Attributes:
        found: index of the site -> what it depends on; all other sites passed.
        problem: why the rest of the batch could not be changed, "" otherwise.
        scattered: indices of the sites where the samples of one input are not adjacent, as when
            time comes before the batch: their order does not tell which sample belongs to which
            input.
    """

    found: dict[int, Dependence]
    problem: str = ""
    scattered: frozenset[int] = frozenset()


def trial_inputs(source: DataSource, feeds: Feeds, batch_size: int, fixed: bool) -> Feeds:
    """Choose the inputs of a trial: a few of the first batch, at least two where possible.

    Args:
        source: where to get a second input if the batch has only one.
        feeds: the first batch.
        batch_size: inputs per run; no more are held at once, except two.
        fixed: whether the model takes batches of that size only.
    """
    n = len(next(iter(feeds.values())))
    if fixed:
        return feeds
    few = max(2, min(batch_size // _QUARTER, _MOST))
    if n > 1:
        return {name: array[:few] for name, array in feeds.items()}
    if source.rereadable and (source.n_samples or 2) > 1:
        try:
            return source.take(range(min(source.n_samples or 2, few)))
        except ReluflowError:  # another shape, or no second input: a mirrored one will do
            pass
    return {name: np.concatenate([array, _mirrored(array)]) for name, array in feeds.items()}


def _mirrored(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)[:, ::-1].reshape(array.shape)


def find_dependence(run: Run, feeds: Feeds, taps: Sequence[Tap], fixed: bool) -> Trial:
    """Run one batch twice, then some of its inputs alone, and compare every site's values.

    Where the model is made for one batch size, an input is not run alone but among copies of
    itself; in a batch of one there are no other inputs that could matter.

    Args:
        run: feeds -> output name -> array, pre-activations among them.
        feeds: of `trial_inputs`.
        taps: the sites.
        fixed: whether the model takes batches of this size only.

    Returns:
        The sites that depend on chance, or else on the batch; and those that scatter inputs.

    Raises:
        DataError: the model fails on the whole batch.
    """
    n = len(next(iter(feeds.values())))
    # Chance first: what differs between two equal runs would differ alone as well, and look like
    # company.
    first, second = run(feeds), run(feeds)
    found: dict[int, Dependence] = {}
    for index, tap in enumerate(taps):
        whole = first[tap.output], second[tap.output]
        if whole[0].shape != whole[1].shape:
            found[index] = Dependence(CHANCE, 0, 0)
        else:
            _note(found, index, CHANCE, tap, *whole)
    # The values of one run may be all the memory there is: not three at once.
    del second, whole
    scattered: set[int] = set()
    try:
        for row in range(min(n, _ALONE) if n > 1 else 0):
            # A batch of one input n times has no company either, whatever the graph does across it.
            rows = [row] * n if fixed else [row]
            alone = run({name: array[rows] for name, array in feeds.items()})
            for index, tap in enumerate(taps):
                pairs = _pairs(first[tap.output], alone[tap.output], row, n, fixed)
                if index not in found and _compare_row(found, index, tap, pairs):
                    scattered.add(index)
    except ReluflowError as error:
        return Trial(found, str(error), frozenset(scattered))
    return Trial(found, scattered=frozenset(scattered))


def _compare_row(found: dict[int, Dependence], index: int, tap: Tap, pairs: list[_Pair]) -> bool:
    """Record a site where an input shows different values among others than on its own.

    The place of an input is not known for certain: a difference counts only if every possible place
    shows it.

    Returns:
        Whether the input lies somewhere else than in one block of the first axis.
    """
    differing = [_differ(each.among, each.alone, tap.site.threshold) for each in pairs]
    known = [each for each in differing if each is not None]
    # The place where the fewest bits differ is most likely the input's own.
    if known and len(known) == len(differing):
        found[index] = Dependence(BATCH, *min(known))
        return False
    leading = [d is None for each, d in zip(pairs, differing, strict=True) if each.leading]
    return bool(pairs) and not any(leading)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What one input shows among others and on its own, if it lies in this place.

    Attributes:
        among: part of the batch.
        alone: the same of the input alone.
        leading: the place is a block of the first axis.
    """

    among: np.ndarray
    alone: np.ndarray
    leading: bool


def _pairs(batch: np.ndarray, alone: np.ndarray, row: int, n: int, fixed: bool) -> list[_Pair]:
    """Return what one input shows among others and on its own, for each place it may have."""
    if batch.shape == alone.shape:
        axes = [axis for axis, size in enumerate(batch.shape) if fixed and size % n == 0]
        parts = [
            _Pair(among, other, leading)
            for axis in axes
            for (among, leading), (other, _) in zip(
                _parts(batch, axis, row, n), _parts(alone, axis, row, n), strict=True
            )
        ]
        return parts or [_Pair(batch, alone, True)]  # one value for the whole batch
    if batch.ndim != alone.ndim:
        return []
    axes = [axis for axis in range(batch.ndim) if batch.shape[axis] != alone.shape[axis]]
    if len(axes) > 1 or batch.shape[axes[0]] != n * alone.shape[axes[0]]:
        return []  # the size depends on the data: no entry belongs to one input
    return [_Pair(part, alone, leading) for part, leading in _parts(batch, axes[0], row, n)]


def _parts(x: np.ndarray, axis: int, row: int, n: int) -> list[tuple[np.ndarray, bool]]:
    """Return the places that an input may have along an axis: a block, or every n-th entry."""
    size = x.shape[axis] // n
    found = [(x.take(range(row * size, (row + 1) * size), axis), axis == 0)]
    if size > 1:
        found.append((x.take(range(row, n * size, n), axis), False))
    return found


def _note(
    found: dict[int, Dependence], index: int, kind: str, tap: Tap, a: np.ndarray, b: np.ndarray
) -> None:
    differ = _differ(a, b, tap.site.threshold)
    if differ is not None:
        found[index] = Dependence(kind, *differ)


def _differ(a: np.ndarray, b: np.ndarray, threshold: float) -> tuple[int, int] | None:
    """Return (bits that differ, bits), None where all values agree up to rounding."""
    if not a.size:
        return None
    one, other = a.reshape(-1), b.reshape(-1)
    scale = _root_mean_square(one)
    bits, close = 0, True
    for start in range(0, one.size, _BLOCK):
        u, v = one[start : start + _BLOCK], other[start : start + _BLOCK]
        tolerance = _COARSE_TOLERANCE if _is_coarse(u) and _is_coarse(v) else _TOLERANCE
        near = np.isclose(u, v, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
        close = close and bool(near.all())
        bits += int(np.count_nonzero(((u > threshold) != (v > threshold)) & ~near))
    return None if close else (bits, a.size)


def _root_mean_square(x: np.ndarray) -> float:
    """Return the root mean square of the finite values of a flat array."""
    total, n = 0.0, 0
    for start in range(0, x.size, _BLOCK):
        part = x[start : start + _BLOCK]
        part = part[np.isfinite(part)].astype(np.float64)
        total, n = total + float(np.square(part).sum()), n + part.size  # BLAS would start threads
    return math.sqrt(total / n) if n else 0.0


def _is_coarse(x: np.ndarray) -> bool:
    """Tell whether all values are those of a float16 or bfloat16."""
    if x.dtype != np.float32:
        return False
    with np.errstate(over="ignore"):
        half = np.array_equal(x.astype(np.float16).astype(np.float32), x, equal_nan=True)
    return half or not (np.ascontiguousarray(x).view(np.uint32) & _BELOW_BFLOAT16).any()


def describe_dependence(trial: Trial, names: Sequence[str], batch_size: int) -> list[str]:
    """Return sentences that describe what a trial found.

    Args:
        trial: of `find_dependence`.
        names: of all sites.
        batch_size: inputs per run of the analysis.
    """
    notes = []
    for kind, text in (
        (
            CHANCE,
            "depend on chance: one batch run twice showed other values (active dropout or random "
            "numbers), so another run counts other patterns",
        ),
        (
            BATCH,
            "depend on the batch: an input alone showed other values than among others (batch "
            "normalisation in training mode or a mean over the batch); these numbers hold for "
            f"batches of {batch_size} in this order",
        ),
    ):
        hit = [index for index, each in trial.found.items() if each.kind == kind]
        if hit:
            bits, of = (sum(getattr(trial.found[i], k) for i in hit) for k in ("bits", "of"))
            listing = ", ".join(names[i] for i in hit[:_NAMED])
            more = f" and {len(hit) - _NAMED} more" if len(hit) > _NAMED else ""
            sites = f"{len(hit)} site" + "s" * (len(hit) > 1)
            notes.append(
                f"Patterns at {sites} {text}: {listing}{more} ({bits} of {of} bits tried differed)."
            )
    if trial.scattered and batch_size > 1:
        listing = ", ".join(names[i] for i in sorted(trial.scattered)[:_NAMED])
        if len(trial.scattered) > _NAMED:
            listing += f" and {len(trial.scattered) - _NAMED} more"
        notes.append(
            f"The samples of one input are not adjacent at {listing}, as where time comes before "
            "the batch: which input showed a pattern is not told there; batches of 1 tell it."
        )
    if trial.problem:
        notes.append(f"Whether patterns depend on the batch could not be tried: {trial.problem}")
    return notes
