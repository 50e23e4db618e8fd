"""The lattice that curves share, beside the same rules written for one site and one edge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from reluflow.temperature.crossing.lattice import (
    BINS,
    CELLS,
    EDGES,
    bins_of,
    log_survivals,
    shifted,
)

Floats = NDArray[np.float64]


def sites(number: int, seed: int) -> Floats:
    """Counts of sites of all sizes, some of few samples, weighed, held at 0 or never changing."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(number):
        samples = int(rng.integers(1, 8) if index % 3 == 0 else rng.integers(8, 4000))
        rates = np.exp(rng.normal(rng.uniform(-25, 25), rng.uniform(0.1, 8), samples))
        rates[rng.random(samples) < rng.choice([0.0, 0.02, 0.5, 1.0])] = np.inf
        rates[rng.random(samples) < rng.choice([0.0, 0.0, 0.1, 0.9])] = 0.0
        counts = np.bincount(bins_of(rates), minlength=BINS).astype(np.float64)
        found.append(counts * (3 * rng.random() if index % 2 else 1.0))
    return np.array(found)


def survival(row: Floats) -> Floats:
    """ln(1 - D) of one site: counted, then the straight start, then the log-normal tail."""
    samples = float(row.sum())
    changed = np.cumsum(row[:-1])
    left = np.maximum(samples - changed, 0.0)
    at_once = float(row[0])
    first = int(np.sum(changed < at_once + min(3.0, samples / 2)))
    if first <= CELLS:
        reached = min(changed[first] - at_once, 3.0)
        for edge in range(first):
            changed[edge] = at_once + reached * math.exp(EDGES[edge] - EDGES[first])
    found = np.log(np.maximum(1.0 - changed / samples, 1.0 / samples))
    last = int(np.sum(left >= 3.0)) - 1
    if last >= 0 and left[last] < samples and last < CELLS:
        inner = int(np.sum(left >= min(24.0, samples / 2))) - 1
        z_last, slope = -special.ndtri(left[last] / samples), 1.0
        if inner >= 0 and left[inner] < samples and inner != last:
            z_inner = -special.ndtri(left[inner] / samples)
            slope = (z_last - z_inner) / (EDGES[last] - EDGES[inner])
        model = special.log_ndtr(-(z_last + slope * (EDGES[last:] - EDGES[last])))
        found[last:] = np.maximum(model, -math.log(samples))
    fallen: Floats = np.minimum.accumulate(found)
    return fallen


@pytest.mark.parametrize("seed", range(4))
def test_sites_together_are_what_each_is_alone(seed: int) -> None:
    rows = sites(60, seed)
    found = log_survivals(rows)
    for row, curve in zip(rows, found, strict=True):
        np.testing.assert_allclose(curve, survival(row), rtol=0, atol=1e-11)
        np.testing.assert_allclose(log_survivals(row), curve, rtol=0, atol=1e-12)
    assert np.all(np.diff(found, axis=1) <= 0)
    assert np.all(found[:, -1] >= -np.log(rows.sum(axis=1)) - 1e-12)


def test_no_site_has_no_curve() -> None:
    assert log_survivals(np.empty((0, BINS))).shape == (0, CELLS + 1)
    assert log_survivals(sites(6, 1).reshape(2, 3, BINS)).shape == (2, 3, CELLS + 1)


@pytest.mark.parametrize("factor", [0.0, 0.3, -2.1, 69.0, -69.0, 200.0, -200.0, 1e9, -1e9])
def test_shifts_of_sites_together_are_those_of_each_sample(factor: float) -> None:
    rows = sites(20, 7)
    found = shifted(rows, factor)
    place = min(max(factor / (EDGES[1] - EDGES[0]), -CELLS), CELLS)
    whole = math.floor(place)
    for row, moved in zip(rows, found, strict=True):
        expected = np.zeros(BINS)
        expected[[0, -1]] = row[[0, -1]]
        for cell in np.flatnonzero(row[1:-1]) + 1:
            for cells, share in ((whole, 1 - (place - whole)), (whole + 1, place - whole)):
                expected[min(max(cell + cells, 0), BINS - 1)] += share * row[cell]
        np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), rows.sum(axis=1), rtol=1e-12)
