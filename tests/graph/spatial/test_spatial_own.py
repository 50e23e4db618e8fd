"""Converted models have the pixels of the float model they were made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chain_nets import PIXELS, conv, network
from rewriting import N
from spatial.converted import (
    IMAGES,
    as_bytes,
    as_floats,
    as_int16,
    gated,
    pooled,
    residual,
    stored,
)

from reluflow.attention import receptive_region
from reluflow.graph import Model, expose, read_spatial
from reluflow.sessions import open_session

SIZES = {"x": PIXELS}


@pytest.mark.parametrize("convert", [as_floats, as_bytes, as_int16])
@pytest.mark.parametrize("network_of", [residual, pooled, gated])
def test_what_is_read_is_that_of_the_float_model(
    network_of: Callable[[], Model], convert: Callable[[Model], Model]
) -> None:
    model = network_of()
    before, after = read_spatial(model, SIZES), read_spatial(convert(model), SIZES)
    assert after.ends == () == before.ends
    paired = {
        name: name.split("/")[0] for name in after.sizes if name.split("/")[0] in before.sizes
    }
    assert {"x", "y"} < {*paired} and len(set(paired.values())) > 3
    rng = np.random.default_rng(0)
    for name, partner in paired.items():
        assert after.sizes[name] == before.sizes[partner]
        mask = rng.random(after.sizes[name]) < 0.1
        mask[0, -1] = True
        found, wanted = (
            receptive_region(graph, tensor, mask).mask("x")
            for graph, tensor in ((after, name), (before, partner))
        )
        np.testing.assert_array_equal(found, wanted, name)


def test_each_relation_names_its_node() -> None:
    found = read_spatial(as_int16(residual()), SIZES)
    made = [(step.node, step.op) for step in found.steps]
    assert ("wide", "FixedConv16") in made and made[-1][1] == "FromFixed16"


def test_a_chain_with_other_axes_ends_its_pixels() -> None:
    found = read_spatial(as_bytes(residual()), {"x": PIXELS[1:]})
    assert found.ends and "channels" in found.ends[0].sentence()


def with_addends() -> Model:
    """Return a network whose sums have an empty addend, which hides shapes from inference."""
    nodes = [conv("x", "w", "a", "first", pads=[1, 1, 1, 1], strides=[2, 1], group=1)]
    nodes += [N("Relu", ["a"], ["b"]), conv("b", "v", "c", "wide", auto_pad="SAME_UPPER")]
    nodes += [N("Relu", ["c"], ["d"]), conv("d", "u", "y", "last", auto_pad="VALID")]
    tensors = stored(w=(5, 3, 3, 3), wb=(5,), v=(4, 5, 2, 3), vb=(4,), u=(6, 4, 2, 2), ub=(6,))
    return network(*nodes, tensors=tensors)


@pytest.mark.parametrize("convert", [as_floats, as_bytes, as_int16])
@pytest.mark.parametrize("network_of", [residual, pooled, gated, with_addends])
def test_shapes_and_types_are_those_of_a_run(
    network_of: Callable[[], Model], convert: Callable[[Model], Model]
) -> None:
    model = convert(network_of())
    graph = read_spatial(model, SIZES)
    tensors = list(graph.sizes)
    session = open_session(expose(model, tensors).model, threads=1, library=False)
    made = dict(zip(session.outputs, session.run({"x": IMAGES}), strict=True))
    for name in tensors:
        assert (graph.shapes[name], graph.dtypes[name]) == (made[name].shape, made[name].dtype)
