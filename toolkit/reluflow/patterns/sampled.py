"""Measures of the patterns themselves on a bounded sample: groups of units, pairs, classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.graded import unit_entropy

GROUP_UNITS = 8
CLASS_GROUP_UNITS = 4
MOST_CLASSES = 32
_LEAST_SAMPLES = 64
_LEAST_OF_A_CLASS = 4
"""Inputs of a class, so that each half, which tells the noise, has two."""
_GROUPS_AT_ONCE = 64
"""Bounds the memory of int64 codes, 8 bytes per input and group."""


@dataclass(frozen=True, slots=True)
class GroupEntropy:
    """Entropy of groups of 8 neighbouring units, as returned by `group_entropy`.

    Attributes:
        bits_per_unit: sum of the groups' entropies over d, in [0, 1].
        redundancy: 1 - (sum of the groups' entropies) / (sum of the units'): the share of
            information that units of one group have in common; 0 for independent units.
    """

    bits_per_unit: float
    redundancy: float


@dataclass(frozen=True, slots=True)
class ClassDistances:
    """Mean Hamming distances between inputs, as shares of the units; see `class_distances`.

    Attributes:
        within: over pairs of the same class.
        between: over pairs of different classes.
    """

    within: float
    between: float


@dataclass(frozen=True, slots=True)
class ClassOverlap:
    """How much the patterns of classes overlap, as returned by `class_overlap`.

    Attributes:
        classes: the class numbers, ascending; the 32 most frequent where there are more.
        matrix: `matrix[i][j]` weighted Jaccard index of the tables of two classes, in [0, 1].
        between: mean over pairs of different classes.
        within: mean over the classes of the index between two halves of one class: classes that do
            not differ would have a slightly higher index, as halves are noisier.
    """

    classes: tuple[int, ...]
    matrix: tuple[tuple[float, ...], ...]
    between: float
    within: float


def group_entropy(bits: NDArray[np.bool_]) -> GroupEntropy | None:
    """Return the entropy of groups of 8 neighbouring units; the last group may be smaller.

    H_g = - sum_i C p_i log2 (C p_i) / (1 - (1 - C p_i)^n) over the patterns i of a group, the
    estimate of `effective_patterns`.

    Args:
        bits: `(n, units)`, one row per sample.

    Returns:
        None for fewer than 64 samples, too few to estimate 256 patterns.

    Example:
        >>> bits = np.random.default_rng(0).random((5000, 16)) < 0.5
        >>> round(group_entropy(np.repeat(bits[:, :4], 2, axis=1)).redundancy, 2)
        0.5

    Reference: docs/measures.md.
    """
    n, units = bits.shape
    if n < _LEAST_SAMPLES or not units:
        return None
    counts = _tables(np.packbits(bits, axis=1), 256)
    groups = float(_entropies(counts, n).sum())
    single = float(unit_entropy(bits.sum(axis=0), n).sum())
    redundancy = min(1.0, max(0.0, 1 - groups / single)) if single > 0 else 0.0
    return GroupEntropy(min(1.0, min(groups, single) / units), redundancy)


def class_distances(bits: NDArray[np.bool_], labels: NDArray[np.int64]) -> ClassDistances | None:
    """Return the mean distance of two inputs of the same class, and of different classes.

    Exact over all pairs: a class of n inputs of which a are active at a column has a (n - a) pairs
    that differ there.

    Args:
        bits: `(n, columns)`, one row per input: units, or units at several positions.
        labels: `(n,)` classes.

    Returns:
        None where there is no pair of the same class or none of different classes.

    Raises:
        OptionError: not one label per input.

    Example:
        >>> bits = np.array([[0, 0], [0, 1], [1, 1], [1, 1]], bool)
        >>> class_distances(bits, np.array([0, 0, 1, 1]))
        ClassDistances(within=0.25, between=0.75)

    Reference: docs/measures.md.
    """
    _check_labels(bits, labels)
    columns = bits.shape[1]
    same_pairs, same_total = 0, 0
    for label in np.unique(labels):
        rows = bits[labels == label]
        same_total += _differing(rows)
        same_pairs += len(rows) * (len(rows) - 1) // 2
    pairs = len(bits) * (len(bits) - 1) // 2 - same_pairs
    if not same_pairs or not pairs or not columns:
        return None
    between = _differing(bits) - same_total
    return ClassDistances(same_total / (same_pairs * columns), between / (pairs * columns))


def class_overlap(
    bits: NDArray[np.bool_], labels: NDArray[np.int64], positions: int = 1
) -> ClassOverlap | None:
    """Return the weighted Jaccard index of the classes' tables of patterns of 4 units.

    J(a, b) = sum_i min(a_i, b_i) / sum_i max(a_i, b_i), with a_i and b_i the shares of pattern
    i among the samples of each class; mean over all groups of 4 neighbouring units.

    Args:
        bits: `(n, positions * units)`, one row per input.
        labels: `(n,)` classes.
        positions: samples per input.

    Returns:
        None where fewer than two classes have at least 4 inputs.

    Raises:
        OptionError: not one label per input.

    Example:
        >>> bits = np.repeat(np.array([[0, 0, 0, 0], [1, 1, 1, 1]], bool), 4, axis=0)
        >>> found = class_overlap(bits, np.repeat([3, 7], 4))
        >>> found.classes, found.between, found.within
        ((3, 7), 0.0, 1.0)

    Reference: thesis eq. 3.7; docs/measures.md.
    """
    _check_labels(bits, labels)
    names, sizes = np.unique(labels, return_counts=True)
    common = sorted(names[np.argsort(-sizes, kind="stable")][:MOST_CLASSES].tolist())
    chosen = [c for c in common if int(sizes[names == c][0]) >= _LEAST_OF_A_CLASS]
    if len(chosen) < 2:
        return None
    rows = [bits[labels == c] for c in chosen]
    tables = [_shares(each, positions) for each in rows]
    halves = [(_shares(each[::2], positions), _shares(each[1::2], positions)) for each in rows]
    matrix = np.eye(len(chosen))
    for i, j in zip(*np.triu_indices(len(chosen), 1), strict=True):
        matrix[i, j] = matrix[j, i] = _jaccard(tables[i], tables[j])
    off = matrix[np.triu_indices(len(chosen), 1)]
    return ClassOverlap(
        tuple(chosen),
        tuple(tuple(row) for row in matrix.tolist()),
        float(off.mean()),
        float(np.mean([_jaccard(*pair) for pair in halves])),
    )


def _differing(rows: NDArray[np.bool_]) -> int:
    active = rows.sum(axis=0, dtype=np.int64)
    return int((active * (len(rows) - active)).sum())


def _check_labels(bits: NDArray[np.bool_], labels: NDArray[np.int64]) -> None:
    if labels.shape != bits.shape[:1]:
        raise OptionError(
            f"labels is {list(labels.shape)}, but bits hold {len(bits)} inputs; give one an input."
        )


def _shares(bits: NDArray[np.bool_], positions: int) -> NDArray[np.float64]:
    """Return `(groups, 16)` shares of the patterns of 4 units."""
    rows = bits.reshape(len(bits) * positions, -1)
    pairs = np.packbits(rows, axis=1)
    codes = np.stack([pairs >> 4, pairs & 15], axis=2).reshape(len(rows), -1)
    codes = codes[:, : -(-rows.shape[1] // CLASS_GROUP_UNITS)]
    return _tables(codes, 16) / len(rows)


def _jaccard(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.mean(np.minimum(a, b).sum(axis=1) / np.maximum(a, b).sum(axis=1)))


def _tables(codes: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Return `(groups, size)` counts of the codes `(n, groups)`."""
    groups = codes.shape[1]
    tables = np.zeros((groups, size), np.int64)
    for first in range(0, groups, _GROUPS_AT_ONCE):
        part = codes[:, first : first + _GROUPS_AT_ONCE].astype(np.int64)
        part += size * np.arange(part.shape[1])
        tables[first : first + _GROUPS_AT_ONCE] = np.bincount(
            part.reshape(-1), minlength=size * part.shape[1]
        ).reshape(-1, size)
    return tables


def _entropies(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return the corrected entropy of each row of counts in bits."""
    f1 = (counts == 1).sum(axis=1).astype(np.float64)
    f2 = (counts == 2).sum(axis=1).astype(np.float64)
    unseen = (n - 1) * f1 / np.maximum((n - 1) * f1 + 2 * f2, 1)
    coverage = np.maximum(1 - f1 / n * unseen, 1 / n)
    q = coverage[:, None] * counts / n
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = -q * np.log2(q) / -np.expm1(n * np.log1p(-q))
    totals = np.where(q > 0, terms, 0.0).sum(axis=1)
    bounded: NDArray[np.float64] = np.minimum(totals, math.log2(counts.shape[1]))
    return bounded
