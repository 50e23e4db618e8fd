"""Measures that do not saturate: against brute force, and against simulation."""

import itertools

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.patterns import (
    CountTable,
    class_distances,
    class_overlap,
    count_flips,
    effective_patterns,
    group_entropy,
    pair_distance,
    unit_entropy,
)


def bits(n: int, units: int, seed: int = 0, p: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).random((n, units)) < p


def hamming(a: np.ndarray, b: np.ndarray) -> float:
    return float((a != b).mean())


@pytest.mark.parametrize(("n", "units", "p"), [(2, 1, 0.5), (9, 5, 0.3), (30, 70, 0.9)])
def test_pair_distance_is_the_mean_over_all_pairs(n: int, units: int, p: float) -> None:
    x = bits(n, units, p=p)
    pairs = [hamming(a, b) for a, b in itertools.combinations(x, 2)]
    assert pair_distance(x.sum(axis=0), n) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_pair_distance_at_its_ends() -> None:
    assert pair_distance(np.array([0, 5]), 5) == 0
    assert pair_distance(np.array([3]), 1) == 0
    n = 10**9
    assert pair_distance(np.array([n // 2]), n) == pytest.approx(0.5, abs=1e-8)
    with pytest.raises(OptionError, match="pair_distance got 0 samples, but at least 1"):
        pair_distance(np.array([0]), 0)


def test_unit_entropy() -> None:
    found = unit_entropy(np.array([0, 1, 2, 8]), 8)
    assert found == pytest.approx([0, 0.5435644431995964, 0.8112781244591328, 0], abs=1e-12)
    with pytest.raises(OptionError, match="unit_entropy got 0 samples"):
        unit_entropy(np.array([0]), 0)


@pytest.mark.parametrize("shape", [(40, 7), (6, 5, 4, 3), (4, 9, 33)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["rows", "moved", "cut"])
def test_flips_are_counted_exactly(shape: tuple[int, ...], dtype: type, layout: str) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, *shape)).astype(dtype)
    b[0, 0], a.flat[5], b.flat[-1] = a[0, 0], np.nan, np.inf
    axis = 1
    if layout == "moved":
        a, b = (np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) for x in (a, b))
    if layout == "cut":
        a, b = a[::2, :-1], b[::2, :-1]
    flips = (a > 0.1) != (b > -0.2)
    wanted = np.moveaxis(flips, axis, 0).reshape(flips.shape[axis], -1).sum(1)
    found = count_flips(a, b, threshold=0.1, other_threshold=-0.2)
    assert found.tolist() == wanted.tolist()
    assert count_flips(a, a).sum() == 0


def test_flips_of_unlike_arrays_are_refused() -> None:
    x = np.zeros((2, 3), np.float32)
    for other in (x[:1], x.astype(np.float64)):
        with pytest.raises(OptionError, match="both must be pre-activations of the same samples"):
            count_flips(x, other)


def table(codes: np.ndarray) -> CountTable:
    return CountTable.from_keys(np.stack([codes, 0 * codes], 1).astype(np.uint64))


def zipf(n: int) -> np.ndarray:
    weights = 1 / np.arange(1, n + 1)
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("p", "n", "least"),
    [(np.full(64, 1 / 64), 2000, 0.9), (np.full(1024, 1 / 1024), 3000, 0.9),
     (np.full(2**16, 2.0**-16), 1000, 0.9), (zipf(1000), 4000, 0.8),
     (np.r_[0.6, np.full(4096, 0.4 / 4096)], 1000, 0.9)],
    ids=["seen well", "seen twice", "hardly seen", "heavy tail", "one dominates"],
)  # fmt: skip
def test_the_interval_holds_the_true_entropy(p: np.ndarray, n: int, least: float) -> None:
    rng = np.random.default_rng(0)
    true = -(p * np.log2(p)).sum()
    found = [effective_patterns(table(rng.choice(len(p), n, p=p)), 64) for _ in range(60)]
    assert all(e.low_bits <= e.bits <= e.high_bits for e in found)
    assert np.mean([e.low_bits <= true <= e.high_bits for e in found]) >= least
    plain = np.log2(n)
    corrected = np.mean([e.bits for e in found])
    assert abs(corrected - true) < max(0.1, 0.05 * abs(plain - true) + 0.1)


def test_effective_patterns_at_the_ends() -> None:
    one = effective_patterns(table(np.zeros(50, np.int64)), 8)
    assert (one.bits, one.low_bits, one.high_bits, one.coverage) == (0, 0, 0, 1)
    alone = effective_patterns(table(np.arange(500)), 32)
    assert alone.coverage < 0.01 and alone.high_bits == 32
    assert 14 < alone.low_bits < alone.bits < 32
    assert effective_patterns(table(np.arange(200)), 8).bits == 8
    assert effective_patterns(table(np.zeros(1, np.int64)), 8).high_bits == 8
    with pytest.raises(OptionError, match="effective_patterns got 0 samples"):
        effective_patterns(table(np.zeros(0, np.int64)), 8)


def test_groups_tell_dependence() -> None:
    free = group_entropy(bits(20_000, 19, p=0.5))
    assert free is not None
    assert free.bits_per_unit == pytest.approx(1, abs=0.01)
    assert free.redundancy < 0.01
    copies = group_entropy(np.repeat(bits(20_000, 3, p=0.5), 8, axis=1))
    assert copies is not None
    assert copies.bits_per_unit == pytest.approx(1 / 8, abs=0.01)
    assert copies.redundancy == pytest.approx(7 / 8, abs=0.01)
    few = group_entropy(bits(512, 64, p=0.5))
    assert few is not None and few.bits_per_unit == pytest.approx(1, abs=0.04)
    dead = group_entropy(np.zeros((100, 9), bool))
    assert dead is not None and (dead.bits_per_unit, dead.redundancy) == (0, 0)
    assert group_entropy(bits(63, 8)) is None
    assert group_entropy(np.zeros((100, 0), bool)) is None


def test_class_distances_are_means_over_pairs() -> None:
    x, labels = bits(25, 40), np.random.default_rng(3).integers(0, 4, 25)
    within: list[float] = []
    between: list[float] = []
    for i, j in itertools.combinations(range(25), 2):
        (within if labels[i] == labels[j] else between).append(hamming(x[i], x[j]))
    found = class_distances(x, labels)
    assert found is not None
    assert found.within == pytest.approx(np.mean(within), abs=1e-12)
    assert found.between == pytest.approx(np.mean(between), abs=1e-12)
    assert class_distances(x, np.zeros(25, np.int64)) is None
    assert class_distances(x[:3], np.arange(3)) is None
    with pytest.raises(OptionError, match="give one an input"):
        class_distances(x, labels[:4])


def brute_overlap(a: np.ndarray, b: np.ndarray) -> float:
    values = []
    for first in range(0, a.shape[1], 4):
        shares = []
        for rows in (a, b):
            keys, counts = np.unique(rows[:, first : first + 4], axis=0, return_counts=True)
            shares.append({tuple(k): c / len(rows) for k, c in zip(keys, counts, strict=True)})
        one, other = shares
        both = one.keys() | other.keys()
        low = sum(min(one.get(k, 0), other.get(k, 0)) for k in both)
        values.append(low / sum(max(one.get(k, 0), other.get(k, 0)) for k in both))
    return float(np.mean(values))


@pytest.mark.parametrize(("units", "positions"), [(10, 1), (4, 3), (13, 2), (1, 5)])
def test_overlap_is_the_weighted_jaccard_index(units: int, positions: int) -> None:
    x = bits(40, units * positions)
    labels = np.repeat([7, 3, 3, 9], 10)
    x[labels == 9] = bits(10, units * positions, seed=5, p=0.8)
    found = class_overlap(x, labels, positions)
    assert found is not None and found.classes == (3, 7, 9)
    rows = {c: x[labels == c].reshape(-1, units) for c in found.classes}
    for i, j in itertools.combinations(range(3), 2):
        wanted = brute_overlap(rows[found.classes[i]], rows[found.classes[j]])
        assert found.matrix[i][j] == found.matrix[j][i] == pytest.approx(wanted, abs=1e-12)
    assert found.matrix[0][0] == 1
    assert class_overlap(x, np.arange(40)) is None


def test_classes_that_do_not_differ_overlap_as_their_halves_do() -> None:
    same = class_overlap(bits(2000, 32), np.arange(2000) % 2)
    assert same is not None
    assert same.within < same.between < same.within + 0.08  # halves are noisier
    many = class_overlap(bits(400, 8), np.arange(400) % 80)
    assert many is not None and len(many.classes) == 32
