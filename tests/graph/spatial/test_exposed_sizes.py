"""A tensor that is made an output has the same pixels as before, and so has what reads it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chain_nets import conv, network
from rewriting import N
from spatial.converted import as_bytes, as_floats, as_int16, gated, pooled, residual, stored

from reluflow.graph import Model, expose, find_psb, read_spatial, to_regional

FREE = ("N", 3, "H", "W")


def joined(x: tuple[int | str, ...] = FREE) -> Model:
    """Return a network that joins what two convolutions make."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        conv("b", "u", "c", "second"),
        N("Concat", ["c", "b"], ["d"], axis=1),
        conv("d", "v", "e", "third", pads=[1, 1, 1, 1]),
        N("Relu", ["e"], ["f"]),
        conv("f", "u", "y", "last"),
        tensors=stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 8, 3, 3), vb=(4,), u=(4, 4, 1, 1), ub=(4,)),
        x=x,
    )


@pytest.mark.parametrize("convert", [as_floats, as_bytes, as_int16])
@pytest.mark.parametrize("network_of", [joined, residual, pooled, gated])
def test_exposed_tensors_keep_all_sizes(
    network_of: Callable[..., Model], convert: Callable[[Model], Model]
) -> None:
    model = convert(network_of(FREE))
    shapes = {"x": (2, 3, 16, 24)}
    plain = read_spatial(model, shapes)
    inner = [node.output for node in find_psb(model)]
    assert inner
    skipped = len(to_regional(model, plain, []).done)
    for tensor in inner:
        seen = expose(model, [tensor]).model
        graph = read_spatial(seen, shapes)
        assert graph.sizes == plain.sizes and graph.shapes == plain.shapes
        assert len(to_regional(seen, graph, []).done) >= skipped
    every = read_spatial(expose(model, inner).model, shapes)
    assert every.sizes == plain.sizes
    assert all(np.prod(every.shapes[name]) > 0 for name in inner)
