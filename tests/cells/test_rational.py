"""Exact cells against the same cells in rational numbers, where no sign is ever in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from celled.models import mlp

from reluflow.cells.exact import ExactCells, exact_cells
from reluflow.cells.join import affine_regions, centres_of
from reluflow.cells.plane import plane_of_inputs

Row = tuple[Fraction, Fraction, Fraction]
Corner = tuple[Fraction, Fraction]
Layers = list[tuple[list[list[Fraction]], list[Fraction]]]
Pattern = tuple[bool, ...]
SQUARE = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
ZERO: Row = (Fraction(0), Fraction(0), Fraction(0))


def at(row: Row, corner: Corner) -> Fraction:
    return row[0] * corner[0] + row[1] * corner[1] + row[2]


def part(polygon: Sequence[Corner], row: Row, sign: int) -> list[Corner]:
    """Return the part of a polygon where sign * row >= 0."""
    found: list[Corner] = []
    for (x, y), (p, q) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        f, g = sign * at(row, (x, y)), sign * at(row, (p, q))
        if f >= 0:
            found.append((x, y))
        if f * g < 0:
            t = f / (f - g)
            found.append((x + t * (p - x), y + t * (q - y)))
    return found


def after(weights: list[list[Fraction]], biases: list[Fraction], rows: Sequence[Row]) -> list[Row]:
    """Return the maps of a layer's values before the switch."""
    made = []
    for unit, bias in enumerate(biases):
        a, b, c = (
            sum((w[unit] * row[i] for w, row in zip(weights, rows, strict=True)), Fraction(0))
            for i in range(3)
        )
        made.append((a, b, c + bias))
    return made


def rational_cells(layers: Layers) -> dict[Pattern, tuple[list[Corner], list[Row]]]:
    """Return the cells of a network on [-1, 1]^2: pattern -> corners and maps of the outputs."""
    one, zero = Fraction(1), Fraction(0)
    start: list[Row] = [(one, zero, zero), (zero, one, zero)]
    square = [(Fraction(x), Fraction(y)) for x, y in SQUARE]
    done: list[tuple[Pattern, list[Corner], list[Row]]] = [((), square, start)]
    for weights, biases in layers[:-1]:
        cut = []
        for pattern, polygon, rows in done:
            own = after(weights, biases, rows)
            pieces: list[tuple[Pattern, list[Corner]]] = [(pattern, polygon)]
            for row in own:
                halves = []
                for bits, piece in pieces:
                    signs = [at(row, corner) for corner in piece]
                    above, below = max(signs) > 0, min(signs) < 0
                    if above and below:
                        halves.append(((*bits, True), part(piece, row, 1)))
                        halves.append(((*bits, False), part(piece, row, -1)))
                    else:
                        halves.append(((*bits, above), piece))
                pieces = halves
            n = len(own)
            for bits, piece in pieces:
                kept = [row if on else ZERO for row, on in zip(own, bits[-n:], strict=True)]
                cut.append((bits, piece, kept))
        done = cut
    found = {bits: (piece, after(*layers[-1], rows)) for bits, piece, rows in done}
    assert len(found) == len(done)
    return found


def area(polygon: Sequence[Corner]) -> Fraction:
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return sum((x * q - p * y for (x, y), (p, q) in pairs), Fraction(0)) / 2


def pattern_at(layers: Layers, point: Corner) -> Pattern:
    rows: list[Row] = [(Fraction(0), Fraction(0), value) for value in point]
    bits: list[bool] = []
    for weights, biases in layers[:-1]:
        rows = after(weights, biases, rows)
        bits += [row[2] > 0 for row in rows]
        rows = [row if row[2] > 0 else ZERO for row in rows]
    return tuple(bits)


def drawn(widths: Sequence[int], seed: int, most: int, parts: int) -> Layers:
    """Return weights k / parts with whole k from -most to most: many repeat, vanish or meet."""
    draw = np.random.default_rng(seed)

    def numbers(n: int) -> list[Fraction]:
        return [Fraction(int(k), parts) for k in draw.integers(-most, most + 1, n)]

    return [([numbers(b) for _ in range(a)], numbers(b)) for a, b in pairwise(widths)]


def same(layers: Layers) -> tuple[ExactCells, int]:
    """Compare the cells of a network with the rational ones; return them and how many maps."""
    weights = [np.array(w, float) for w, _ in layers]
    cells = exact_cells(
        mlp(weights, [np.array(b, float) for _, b in layers]), plane_of_inputs((-1, 1, -1, 1))
    )
    true = rational_cells(layers)
    assert sum((area(polygon) for polygon, _ in true.values()), Fraction(0)) == 4
    assert len(cells) == len(true)
    met = set()
    for cell, centre in enumerate(centres_of(cells)):
        pattern = pattern_at(layers, (Fraction(centre[0]), Fraction(centre[1])))
        met.add(pattern)
        polygon, rows = true[pattern]
        corners = np.array(polygon, float)
        assert len(corners) == cells.sizes[cell]
        own = cells.polygon(cell)
        apart = np.abs(own[:, None] - corners[None]).max(axis=2)
        assert apart.min(axis=0).max() < 1e-12 and apart.min(axis=1).max() < 1e-12
        assert cells.areas[cell] == pytest.approx(float(area(polygon)), rel=1e-9, abs=1e-14)
        np.testing.assert_allclose(cells.maps[cell], np.array(rows, float), rtol=0, atol=1e-12)
    assert met == set(true)
    return cells, len({tuple(rows) for _, rows in true.values()})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("widths", [(2, 7, 1), (2, 5, 4, 2), (2, 4, 4, 4, 1)])
@pytest.mark.parametrize(("most", "parts"), [(2, 1), (9, 8)])
def test_corners_areas_maps_and_counts_are_the_rational_ones(
    widths: tuple[int, ...], seed: int, most: int, parts: int
) -> None:
    same(drawn(widths, seed, most, parts))


def test_affine_regions_are_the_distinct_rational_maps_where_no_two_apart_are_equal() -> None:
    cells, maps = same(drawn((2, 6, 5, 2), 3, 50, 32))
    assert affine_regions(cells).count == maps
