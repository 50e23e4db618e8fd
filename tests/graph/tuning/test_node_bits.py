"""Operators with bits of their own: stored, drawn and computed as asked."""

from __future__ import annotations

import numpy as np
import pytest
from rewriting import N, build, weights

from reluflow.errors import OptionError
from reluflow.graph import Model, PsbOptions, chain_psb, find_psb, to_psb
from reluflow.psb import decode, encode
from reluflow.sessions import open_session

W, V = weights(4, 6), weights(6, 3)


def network() -> Model:
    nodes = [
        N("MatMul", ["x", "w"], ["h"], name="one"),
        N("Relu", ["h"], ["r"]),
        N("MatMul", ["r", "v"], ["y"], name="two"),
    ]
    return build(nodes, {"w": W, "v": V}, ("N", 4))


@pytest.mark.parametrize(
    ("p_bits", "own", "samples"),
    [
        (4, {"one": 6}, (64, 16)),
        (4, {"one": 3, "two": 6}, (8, 64)),
        (4, {"one": 1, "two": 2}, (2, 4)),
        (2, {"two": 8}, (16, 64)),
        (4, {"one": 16}, (64, 16)),
    ],
)
def test_bits_and_samples(p_bits: int, own: dict[str, int], samples: tuple[int, int]) -> None:
    model = to_psb(network(), PsbOptions(p_bits=p_bits, node_bits=own)).model
    nodes = find_psb(model)
    assert [node.p_bits for node in nodes] == [own.get(n, p_bits) for n in ("one", "two")]
    assert tuple(node.samples(16) for node in nodes) == samples
    assert [node.samples(0) for node in nodes] == [0, 0]


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("own", [{"one": 6}, {"one": 3, "two": 6}, {"two": 2}])
@pytest.mark.parametrize("samples", [16, 0])
def test_what_is_computed(library: bool, own: dict[str, int], samples: int) -> None:
    model = to_psb(network(), PsbOptions(x_bits=16, node_bits=own)).model
    x = weights(5, 4)
    feeds = {"x": x, "samples": np.array(samples, np.int64)}
    found = open_session(model, library=library).run(feeds)[0]
    w, v = (
        decode(encode(each.T, p_bits=own.get(name, 4))).T for name, each in (("one", W), ("two", V))
    )
    # 64 samples shift out more of the smallest weights than 16 do; a step is 2^-13 of the largest
    np.testing.assert_allclose(found, np.maximum(x @ w, 0) @ v, rtol=2e-3, atol=2e-3)


def test_one_seed_gives_the_same_and_others_differ_where_bits_are_drawn() -> None:
    model = to_psb(network(), PsbOptions(node_bits={"one": 6})).model
    session, x = open_session(model, library=True), weights(5, 4)

    def run(samples: int, seed: int) -> np.ndarray:
        numbers = {"samples": np.array(samples, np.int64), "seed": np.array(seed, np.int64)}
        return session.run({"x": x, **numbers})[0]

    np.testing.assert_array_equal(run(2, 1), run(2, 1))
    assert not np.array_equal(run(2, 1), run(2, 2))


def test_equal_bits_add_no_nodes() -> None:
    plain, same = (to_psb(network(), PsbOptions(node_bits=own)).model for own in ({}, {"one": 4}))
    assert plain.n_nodes == same.n_nodes


def test_chains_keep_bits_and_samples() -> None:
    model = to_psb(network(), PsbOptions(node_bits={"one": 6, "two": 3})).model
    chained = chain_psb(model, {}).model
    assert [(node.p_bits, node.factor) for node in find_psb(chained)] == [(6, 4.0), (3, 0.5)]


@pytest.mark.parametrize("bits", [0, 5, 7])
def test_bits_are_checked(bits: int) -> None:
    with pytest.raises(OptionError, match=rf"node_bits\['one'\] is {bits}; accepted are 1, 2"):
        PsbOptions(node_bits={"one": bits})


def test_names_are_checked() -> None:
    with pytest.raises(OptionError, match="node_bits names 'three', which is not converted; give"):
        to_psb(network(), PsbOptions(node_bits={"three": 6}))
