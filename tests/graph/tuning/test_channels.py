"""Channels are scaled without changing what a model computes, and only where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rewriting import N, build, weights

from reluflow.graph import Model, plan_psb, read_layers, scalable_channels, scale_channels
from reluflow.graph.tuning.channels import NO_GROUP
from reluflow.sessions import open_session

X = np.random.default_rng(4).normal(0, 1, (3, 4, 9, 9)).astype(np.float32)
PADS: dict[str, Any] = {"pads": [1, 1, 1, 1]}


def chain(*between: tuple[str, dict[str, Any]], **tensors: np.ndarray) -> Model:
    """Return two convolutions with operators of one tensor, and of constants, between them."""
    nodes = [N("Conv", ["x", "w1", "b1"], ["t0"], name="first", **PADS)]
    for place, (op, more) in enumerate(between):
        given = [f"t{place}", *more.pop("given", [])]
        nodes.append(N(op, given, [f"t{place + 1}"], **more))
    nodes.append(N("Conv", [f"t{len(between)}", "w2"], ["y"], name="second"))
    own = {"w1": weights(6, 4, 3, 3), "b1": weights(6), "w2": weights(5, 6, 1, 1)}
    return build(nodes, own | tensors, ("N", 4, 9, 9), 4)


def residual() -> Model:
    """A depthwise block whose input is added, filled up with channels of zeros."""
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", **PADS),
        N("Relu", ["h"], ["r"]),
        N("Conv", ["r", "w2"], ["d"], name="depthwise", group=6, **PADS),
        N("Conv", ["d", "w3"], ["p"], name="pointwise"),
        N("Pad", ["r", "around"], ["f"]),
        N("Add", ["p", "f"], ["s"]),
        N("Relu", ["s"], ["t"]),
        N("MaxPool", ["t"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Concat", ["m", "zeros"], ["j"], axis=1),
        N("Conv", ["j", "w4"], ["y"], name="last", group=2),
    ]
    tensors = {
        "w1": weights(6, 4, 3, 3),
        "w2": weights(6, 1, 3, 3),
        "w3": weights(8, 6, 1, 1),
        "w4": weights(4, 5, 1, 1),
        "around": np.array([0, 0, 0, 0, 0, 2, 0, 0]),
        "zeros": np.zeros((3, 2, 4, 4), np.float32),
    }
    return build(nodes, tensors, (3, 4, 9, 9), 4)


ZERO, SIX = np.array(0, np.float32), np.array(1.5, np.float32)
FREE: dict[str, Callable[[], Model]] = {
    "relu": lambda: chain(("Relu", {})),
    "leaky": lambda: chain(
        ("LeakyRelu", {"alpha": 0.1}), ("AveragePool", {"kernel_shape": [2, 2]})
    ),
    "slopes": lambda: chain(("PRelu", {"given": ["a"]}), a=weights(6, 1, 1)),
    "clip": lambda: chain(("Clip", {"given": ["low", "high"]}), low=ZERO, high=SIX),
    "nothing": lambda: chain(),
    "residual": residual,
}
FIXED: dict[str, Callable[[], Model]] = {
    "sigmoid": lambda: chain(("Sigmoid", {})),
    "shift": lambda: chain(("Relu", {}), ("Add", {"given": ["a"]}), a=weights(1, 6, 1, 1)),
    "clip from below 0": lambda: chain(("Clip", {"given": ["low", "high"]}), low=-SIX, high=SIX),
    "other operator": lambda: chain(("HardSwish", {})),
}


def answers(model: Model) -> np.ndarray:
    return open_session(model, threads=1).run({"x": X})[0]


@pytest.mark.parametrize("name", FREE)
def test_scaled_channels_give_the_same_results(name: str) -> None:
    model = plan_psb(FREE[name]()).model
    found = scalable_channels(model)
    factors = np.random.default_rng(1).uniform(0.1, 10, found.count)
    factors[sorted(found.fixed)] = 1
    assert len(found.fixed) < found.count
    made = scale_channels(model, found, factors)
    assert made.done
    np.testing.assert_allclose(answers(made.model), answers(model), rtol=1e-3, atol=1e-5)
    old, new = ([layer.weights for layer in read_layers(m)[0]] for m in (model, made.model))
    assert not np.allclose(old[0], new[0])


@pytest.mark.parametrize("name", FIXED)
def test_what_is_not_homogeneous_keeps_its_channels(name: str) -> None:
    found = scalable_channels(plan_psb(FIXED[name]()).model)
    assert not any(found.is_free(tensor) for tensor in found.groups)


def test_additions_tie_channels_and_zeros_are_free() -> None:
    found = scalable_channels(plan_psb(residual()).model)
    np.testing.assert_array_equal(found.groups["p"][:6], found.groups["r"])
    np.testing.assert_array_equal(found.groups["t"], found.groups["m"])
    assert found.groups["j"][-2:].tolist() == [NO_GROUP, NO_GROUP]
    assert set(found.groups["d"]).isdisjoint(found.groups["r"])


def test_a_bound_holds_all_channels_together() -> None:
    model = plan_psb(FREE["clip"]()).model
    found = scalable_channels(model)
    assert len(found.groups_of(["t1"])) == 1
    assert found.bounds == {"t1": 1.5}


def test_layers_that_are_excluded_stay_as_they_are() -> None:
    found = scalable_channels(plan_psb(FREE["relu"]()).model, ["second"])
    assert not any(found.is_free(tensor) for tensor in found.groups)


def test_inputs_and_outputs_of_the_model_keep_their_channels() -> None:
    found = scalable_channels(plan_psb(FREE["nothing"]()).model)
    assert found.is_free("t0")
    assert not found.is_free("x")
    assert not found.is_free("y")
