"""A region of every tensor is computed from mixed values, the rest is what was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from chain16_nets import largest_exponents, pooled
from chain_nets import PIXELS, converted, ranged
from rewriting import N, build, weights
from spatial.graphs import INPUT, grow

from reluflow.errors import ModelError, OptionError
from reluflow.graph import (
    Model,
    SpatialGraph,
    chain_psb,
    chain_psb16,
    expose,
    load,
    mix_passes,
    read_spatial,
)
from reluflow.sessions import open_session

Values = dict[str, np.ndarray]


def run(model: Model, feeds: Mapping[str, np.ndarray]) -> Values:
    session = open_session(model, threads=1, optimisation="none", library=False)
    return dict(zip(session.outputs, session.run(feeds), strict=True))


def spread(mask: np.ndarray, graph: SpatialGraph, tensor: str) -> np.ndarray:
    """Return a mask with an axis of size 1 where the tensor has no pixels."""
    shape = [1] * len(graph.shapes[tensor])
    for at, size in zip(graph.axes[tensor], mask.shape, strict=True):
        shape[at] = size
    return mask.reshape(shape)


def feeds_of(
    model: Model, graph: SpatialGraph, masks: Mapping[str, np.ndarray], bases: Values
) -> Values:
    mixed = mix_passes(model, graph)
    found = {each.region: spread(masks[each.tensor], graph, each.tensor) for each in mixed.done}
    return found | {each.base: bases[each.tensor] for each in mixed.done}


def check(model: Model, shape: tuple[int, ...], seed: int) -> None:
    """Hold a mixed model against its definition, tensor by tensor."""
    name = model.inputs[0].name
    graph = read_spatial(model, {name: shape})
    rng = np.random.default_rng(seed)
    x, other = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    tensors = [each for each in graph.sizes if each != name]
    bases = run(expose(model, tensors).model, {name: other})
    mixed = expose(mix_passes(model, graph).model, tensors).model
    assert mix_passes(model, graph).done, "nothing is mixed"
    for share in (0.0, 0.4, 1.0):
        masks = {each: rng.random(graph.sizes[each]) < share for each in tensors}
        found = run(mixed, {name: x, **feeds_of(model, graph, masks, bases)})
        if share == 1:
            exact = run(expose(model, tensors).model, {name: x})
        for each in tensors:
            inside = np.broadcast_to(spread(masks[each], graph, each), bases[each].shape)
            assert found[each].dtype == graph.dtypes[each] == bases[each].dtype
            assert found[each].shape == graph.shapes[each]
            np.testing.assert_array_equal(found[each][~inside], bases[each][~inside])
            if share == 1:
                np.testing.assert_array_equal(found[each], exact[each])


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_of_floats(seed: int) -> None:
    made = grow(seed + 500)
    check(load(made.model(list(made.shapes)[-1])), made.shapes[INPUT], seed)


def as_bytes(model: Model) -> Model:
    psb = converted(model)
    x = np.random.default_rng(1).standard_normal(PIXELS).astype(np.float32)
    return chain_psb(psb, ranged(psb, x)).model


def as_int16(model: Model) -> Model:
    psb = converted(model)
    x = np.random.default_rng(1).standard_normal(PIXELS).astype(np.float32)
    return chain_psb16(psb, largest_exponents(psb, x)).model


@pytest.mark.parametrize(
    ("convert", "kind"), [(converted, np.float32), (as_bytes, np.uint8), (as_int16, np.int16)]
)
def test_converted_models(convert: Callable[[Model], Model], kind: type) -> None:
    model = convert(pooled())
    assert np.dtype(kind) in read_spatial(model, {"x": PIXELS}).dtypes.values()
    check(model, PIXELS, 3)


def test_what_reads_a_mixed_tensor_reads_mixed_values() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="conv"),
        N("Greater", ["h", "zero"], ["b"], name="bits"),
        N("Where", ["b", "h", "zero"], ["y"], name="out"),
    ]
    tensors = {"w": np.ones((1, 1, 1, 1), np.float32), "zero": np.zeros((), np.float32)}
    model = build(nodes, tensors, (1, 1, 1, 4))
    graph = read_spatial(model, {"x": (1, 1, 1, 4)})
    x = np.array([1, -1, 2, -2], np.float32).reshape(1, 1, 1, 4)
    bases = {"h": -x, "b": x < 0, "y": 9 * np.ones_like(x)}
    keep = np.array([[True, False, True, False]])
    masks = {"h": keep, "b": np.ones_like(keep), "y": np.ones_like(keep)}
    found = run(mix_passes(model, graph).model, {"x": x, **feeds_of(model, graph, masks, bases)})
    assert found["y"].reshape(-1).tolist() == [1, 1, 2, 2]


def test_tensors_that_are_not_named_are_computed_everywhere() -> None:
    nodes = [N("Conv", ["x", "w"], ["h"], name="conv"), N("Relu", ["h"], ["y"], name="act")]
    model = build(nodes, {"w": weights(2, 2, 1, 1)}, (1, 2, 3, 3))
    graph = read_spatial(model, {"x": (1, 2, 3, 3)})
    assert [each.tensor for each in mix_passes(model, graph, ["h"]).done] == ["h"]
    assert mix_passes(model, graph, []).done == ()


def test_what_is_refused() -> None:
    nodes = [N("Conv", ["x", "w"], ["h"], name="conv"), N("Flatten", ["h"], ["y"], name="flat")]
    model = build(nodes, {"w": weights(2, 2, 1, 1)}, (1, 2, 3, 3))
    graph = read_spatial(model, {"x": (1, 2, 3, 3)})
    with pytest.raises(OptionError, match="tensors name 'y', which has no pixels or is not made"):
        mix_passes(model, graph, ["h", "y"])
    with pytest.raises(OptionError, match="tensors name 'x', which has no pixels or is not made"):
        mix_passes(model, graph, ["x"])
    old = build(nodes[:1], {"w": weights(2, 2, 1, 1)}, (1, 2, 3, 3), opset=8, outputs=("h",))
    with pytest.raises(ModelError, match="is of opset 8, which has no Where; raise it to 9"):
        mix_passes(old, read_spatial(old, {"x": (1, 2, 3, 3)}))
