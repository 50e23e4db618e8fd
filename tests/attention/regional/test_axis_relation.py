"""Masks carried by slices are those of the sparse matrices, whatever reads what."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from spatial.graphs import INPUT, grow

from reluflow.attention.slices import AxisRelation, carried
from reluflow.graph import Reads, load, read_spatial
from reluflow.graph.spatial import axis

SHAPES = {
    "3 taps": axis.window(9, 9, 3, 1, 1, 1),
    "stride 2": axis.window(5, 9, 3, 2, 1, 1),
    "stride 3, no border": axis.window(3, 11, 2, 3, 1, 0),
    "dilated": axis.window(9, 9, 3, 1, 3, 3),
    "transposed": axis.transposed(9, 5, 3, 2, 1, 1),
    "larger": axis.resized(14, 7, 2.0, "nearest", "asymmetric"),
    "smaller": axis.resized(5, 13, 5 / 13, "linear", "half_pixel"),
    "repeated": axis.same(6, 1),
    "everything": axis.everything(4, 7),
    "mirrored": axis.padded(9, 5, 2, "reflect"),
    "nothing": csr_array((4, 6), dtype=np.uint8),
}


@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_one_axis(name: str, back: bool) -> None:
    matrix = SHAPES[name]
    dense = matrix.toarray().astype(int)
    relation = AxisRelation(matrix)
    rng = np.random.default_rng(len(name))
    for share in (0.0, 0.2, 0.6, 1.0):
        mask = rng.random((2, matrix.shape[0 if back else 1], 3)) < share
        wanted = np.einsum("ts,atb->asb" if back else "ts,asb->atb", dense, mask.astype(int)) > 0
        np.testing.assert_array_equal(relation.carried(mask, 1, back=back), wanted)


def test_what_is_irregular_is_carried_too() -> None:
    rng = np.random.default_rng(3)
    dense = rng.random((40, 50)) < 0.1
    relation = AxisRelation(csr_array(dense.astype(np.uint8)))
    mask = rng.random(40) < 0.1
    found = relation.carried(mask, 0, back=True)
    np.testing.assert_array_equal(found, dense[mask].any(axis=0))
    assert relation.key != AxisRelation(csr_array(dense.astype(np.uint8))).key


def test_equal_relations_have_equal_keys() -> None:
    again = AxisRelation(axis.window(9, 9, 3, 1, 1, 1))
    assert AxisRelation(SHAPES["3 taps"]).key == again.key
    keys = {AxisRelation(matrix).key for matrix in SHAPES.values()}
    assert len(keys) == len(SHAPES)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs(seed: int) -> None:
    made = grow(seed, steps=6)
    last = [name for name in made.shapes if name != INPUT][-1]
    graph = read_spatial(load(made.model(last)), {INPUT: made.shapes[INPUT]})
    rng = np.random.default_rng(seed)
    for step in graph.steps:
        assert isinstance(step, Reads)
        mask = rng.random((2, *graph.sizes[step.target])) < 0.1
        dense = [matrix.toarray().astype(int) for matrix in step.maps]
        wanted = mask.astype(int)
        for at, each in enumerate(dense, 1):
            wanted = np.moveaxis(np.tensordot(each.T, wanted, (1, at)), 0, at)
        found = carried([AxisRelation(each) for each in step.maps], mask, back=True, first=1)
        np.testing.assert_array_equal(found, wanted > 0)
        assert found.flags.c_contiguous
