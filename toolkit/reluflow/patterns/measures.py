"""The measures of a count table: pure functions, exact where the formula permits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.tables.count_table import CountTable, merge_join


@dataclass(frozen=True, slots=True)
class Changes:
    """How the set of patterns changed between two states, as returned by `changes`.

    Attributes:
        net: (total(c') - total(c)) / total(c).
        born: patterns only in c', over total(c).
        died: patterns only in c, over total(c).
    """

    net: float
    born: float
    died: float


@dataclass(frozen=True, slots=True, eq=False)
class UnitActivity:
    """How often each unit was active, as returned by `unit_activity`.

    Attributes:
        fraction: `(units,)` float64, share of the samples in which it was active, in [0, 1].
        dead: number of units that were never active.
        always_on: number of units that were always active.
    """

    fraction: NDArray[np.float64]
    dead: int
    always_on: int


def total(table: CountTable) -> int:
    """Return the number of distinct patterns.

    total(c) = sum_i [c_i > 0]

    Args:
        table: the counts c.

    Example:
        >>> total(CountTable.from_keys(np.array([[1, 0], [2, 0], [1, 0]], np.uint64)))
        2

    Reference: thesis eq. 3.5.
    """
    return table.total


def most_frequent(table: CountTable) -> float:
    """Return the share of the most frequent pattern, in (0, 1].

    max(c) / N

    Args:
        table: the counts c, not empty.

    Raises:
        OptionError: the table is empty.

    Example:
        >>> most_frequent(CountTable.from_keys(np.array([[1, 0], [2, 0], [1, 0]], np.uint64)))
        0.6666666666666666

    Reference: thesis eq. 3.8.
    """
    _require_samples(table, "most_frequent")
    values, _ = table.count_histogram()
    return int(values[-1]) / table.samples


def entropy(table: CountTable) -> float:
    """Return the activation pattern entropy (APE) in bits.

    H = - sum_i (c_i / N) log2 (c_i / N), with N = sum_i c_i; summed exactly, so that it does
    not depend on the order of the patterns.

    Args:
        table: the counts c, not empty.

    Raises:
        OptionError: the table is empty.

    Example:
        >>> entropy(CountTable.from_keys(np.array([[1, 0], [2, 0]], np.uint64)))
        1.0

    Reference: thesis eq. 3.9 as corrected in docs/spec.md, section 3 (APE).
    """
    _require_samples(table, "entropy")
    values, multiplicities = table.count_histogram()
    n = table.samples
    terms = (
        m * (c / n) * math.log2(n / c)
        for c, m in zip(values.tolist(), multiplicities.tolist(), strict=True)
    )
    return math.fsum(terms)


def relative_entropy(table: CountTable, units: int) -> float:
    """Return the relative APE, in [0, 1].

    H / min(d, log2 N); 0/0 (N = 1 or d = 0) is 0.

    Args:
        table: the counts c, not empty.
        units: number of units d.

    Raises:
        OptionError: the table is empty.

    Example:
        >>> relative_entropy(CountTable.from_keys(np.array([[1, 0], [2, 0]], np.uint64)), units=8)
        1.0

    Reference: thesis eq. 3.10; docs/spec.md, section 3.
    """
    _require_samples(table, "relative_entropy")
    bound = min(float(units), math.log2(table.samples))
    return min(1.0, entropy(table) / bound) if bound > 0 else 0.0


def weighted_jaccard(a: CountTable, b: CountTable) -> float:
    """Return the weighted Jaccard index of two tables, in [0, 1].

    J = sum_i min(a_i, b_i) / sum_i max(a_i, b_i)

    Args:
        a: counts of one state.
        b: counts of the other.

    Raises:
        OptionError: both tables are empty.

    Example:
        >>> a = CountTable.from_keys(np.array([[1, 0], [2, 0]], np.uint64))
        >>> weighted_jaccard(a, a)
        1.0

    Reference: thesis eq. 3.7.
    """
    if a.samples + b.samples == 0:
        raise OptionError(
            "weighted_jaccard got two empty tables, but at least one sample is needed; "
            "count some patterns first."
        )
    shared = sum(int(np.minimum(x, y).sum()) for x, y in merge_join(a, b))
    return shared / (a.samples + b.samples - shared)


def changes(before: CountTable, after: CountTable) -> Changes:
    """Return the net change of the set of patterns, and the shares born and died.

    net = (total(c') - total(c)) / total(c), born = |c' - c| / total(c),
    died = |c - c'| / total(c); net = born - died.

    Args:
        before: counts c, not empty.
        after: counts c'.

    Raises:
        OptionError: `before` is empty.

    Example:
        >>> a = CountTable.from_keys(np.array([[1, 0], [2, 0]], np.uint64))
        >>> b = CountTable.from_keys(np.array([[2, 0], [3, 0], [4, 0]], np.uint64))
        >>> changes(a, b)
        Changes(net=0.5, born=1.0, died=0.5)

    Reference: thesis eq. 3.6; docs/spec.md, section 3 (born and died).
    """
    _require_samples(before, "changes")
    shared = sum(len(x) for x, _ in merge_join(before, after))
    base = before.total
    return Changes(
        net=(after.total - base) / base,
        born=(after.total - shared) / base,
        died=(base - shared) / base,
    )


def unit_activity(active: NDArray[np.int64], samples: int) -> UnitActivity:
    """Return the share of samples in which each unit was active, dead and always-on units.

    Args:
        active: `(units,)` number of samples in which each unit was active.
        samples: N, at least 1.

    Raises:
        OptionError: `samples` is below 1, or a count is outside [0, samples].

    Example:
        >>> found = unit_activity(np.array([0, 2, 4]), samples=4)
        >>> found.fraction.tolist(), found.dead, found.always_on
        ([0.0, 0.5, 1.0], 1, 1)

    Reference: docs/spec.md, section 3, per unit.
    """
    if samples < 1:
        raise OptionError(
            f"samples is {samples}, but at least 1 is needed; count some patterns first."
        )
    if len(active) and not 0 <= int(active.min()) <= int(active.max()) <= samples:
        raise OptionError(
            f"active reaches from {active.min()} to {active.max()}, but must lie in "
            f"[0, samples = {samples}]; pass counts and samples of the same run."
        )
    return UnitActivity(
        fraction=active / samples,
        dead=int((active == 0).sum()),
        always_on=int((active == samples).sum()),
    )


@numba.njit(nogil=True, cache=True)
def _count_different(a, b):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(a.shape[0]):
        n += ((a[i, 0] ^ b[i, 0]) | (a[i, 1] ^ b[i, 1])) != 0
    return n


def count_different(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> int:
    """Return in how many samples two sets of keys differ.

    Args:
        a: `(n, 2)` uint64 keys.
        b: `(n, 2)` uint64 keys of the same samples.

    Raises:
        OptionError: the shapes differ.

    Example:
        >>> a = np.array([[1, 0], [2, 0]], np.uint64)
        >>> count_different(a, a + np.array([[0, 0], [0, 1]], np.uint64))
        1

    Reference: numerator of eq. 3.15 of the thesis.
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2:
        raise OptionError(
            f"a is {list(a.shape)} and b is {list(b.shape)}, but both must be [n, 2] keys of the "
            "same samples; hash the same data with both models."
        )
    return int(_count_different(np.ascontiguousarray(a), np.ascontiguousarray(b)))


def _require_samples(table: CountTable, name: str) -> None:
    if table.samples == 0:
        raise OptionError(
            f"{name} got an empty table, but at least one sample is needed; "
            "count some patterns first."
        )
