"""Converted models have the pixels of the float model they were made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from chain_nets import PIXELS, conv, converted, network, ranged
from rewriting import N

from reluflow.attention import receptive_region
from reluflow.graph import Model, chain_psb, chain_psb16, expose, read_spatial
from reluflow.sessions import open_session

IMAGES = np.random.default_rng(5).random(PIXELS).astype(np.float32)
SIZES = {"x": PIXELS}


def stored(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def residual() -> Model:
    """Return a network whose sum reads further than its convolution."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1], strides=[2, 1]),
        N("Relu", ["a"], ["b"]),
        conv("b", "v", "c", "wide", pads=[2, 2, 2, 2], dilations=[2, 2]),
        N("Relu", ["c"], ["d"]),
        conv("d", "u", "e", "point"),
        N("Add", ["e", "b"], ["f"]),
        N("Relu", ["f"], ["g"]),
        conv("g", "u", "y", "last"),
        tensors=stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 4, 3, 3), vb=(4,), u=(4, 4, 1, 1), ub=(4,)),
    )


def pooled() -> Model:
    """Return a network with poolings and an interpolation between its convolutions."""
    size = np.array([2, 4, 9, 8], np.int64)
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        N("MaxPool", ["b"], ["p"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
        conv("p", "v", "c", "middle", pads=[1, 0, 1, 0]),
        N("Relu", ["c"], ["d"]),
        N("AveragePool", ["d"], ["q"], kernel_shape=[2, 2]),
        conv("q", "u", "e", "point"),
        N("Relu", ["e"], ["f"]),
        N("Resize", ["f", "", "", "size"], ["r"], mode="linear"),
        conv("r", "u", "y", "last"),
        tensors={
            **stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 4, 3, 1), vb=(4,), u=(4, 4, 1, 1), ub=(4,)),
            "size": size,
        },
        opset=18,
    )


def gated() -> Model:
    """Return a network with a gate that depends on all pixels."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        N("GlobalAveragePool", ["b"], ["m"]),
        conv("m", "u", "s", "squeeze"),
        N("Sigmoid", ["s"], ["t"]),
        N("Mul", ["b", "t"], ["g"]),
        conv("g", "u", "y", "last"),
        tensors=stored(w=(4, 3, 3, 3), wb=(4,), u=(4, 4, 1, 1), ub=(4,)),
    )


def as_floats(model: Model) -> Model:
    return converted(model)


def as_bytes(model: Model) -> Model:
    made = converted(model)
    return chain_psb(made, ranged(made, IMAGES)).model


def as_int16(model: Model) -> Model:
    made = converted(model)
    return chain_psb16(made, dict.fromkeys(ranged(made, IMAGES), 6)).model


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
