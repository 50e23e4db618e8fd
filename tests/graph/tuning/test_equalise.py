"""Equalisation keeps every result to the last bit, evens out ranges, and says where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rewriting import N, build, run, weights

from reluflow.graph import Model, equalise, read_layers

LOUD = 2.0 ** np.arange(-6, 6, 2)


def loud(*shape: int) -> np.ndarray:
    """Return weights whose output channels differ a thousandfold."""
    return weights(*shape) * LOUD.astype(np.float32).reshape(-1, *[1] * (len(shape) - 1))


def pair(*between: Any, second: Any = None, w: np.ndarray | None = None, **more: Any) -> Model:
    """Two convolutions with nodes between them, from h to r."""
    nodes = [
        N("Conv", ["x", "v", "b"], ["h"], name="first"),
        *between,
        second or N("Conv", ["r", "w"], ["y"], name="second"),
    ]
    tensors = {"v": loud(6, 3, 3, 3), "b": weights(6), "w": weights(4, 6, 1, 1) if w is None else w}
    tensors |= {name: np.array(value) for name, value in more.items()}
    return build(nodes, tensors, ("N", 3, 8, 8))


RELU = N("Relu", ["h"], ["r"])
EXACT: dict[str, Model] = {
    "Relu": pair(RELU),
    "LeakyRelu": pair(N("LeakyRelu", ["h"], ["r"], alpha=0.3)),
    "nothing": pair(second=N("Conv", ["h", "w"], ["y"], name="second")),
    "pooling": pair(
        N("Relu", ["h"], ["a"]), N("MaxPool", ["a"], ["r"], kernel_shape=[2, 2], strides=[2, 2])
    ),
    "groups": pair(
        RELU, second=N("Conv", ["r", "w"], ["y"], name="second", group=2), w=weights(4, 3, 3, 3)
    ),
    "depthwise": pair(
        RELU, second=N("Conv", ["r", "w"], ["y"], name="second", group=6), w=weights(6, 1, 3, 3)
    ),
}


def evenness(model: Model) -> float:
    """Return how many octaves the first layer's channels differ by."""
    largest = np.abs(read_layers(model)[0][0].weights).reshape(6, -1).max(1)
    return float(np.ptp(np.log2(largest)))


@pytest.mark.parametrize("name", EXACT)
def test_every_result_is_the_same_to_the_last_bit(name: str) -> None:
    model, x = EXACT[name], weights(2, 3, 8, 8)
    made = equalise(model)
    assert [(done.first, done.second) for done in made.done] == [("first", "second")]
    assert made.done[0].octaves >= 2
    np.testing.assert_array_equal(run(made.model, x)[0], run(model, x)[0])
    assert evenness(made.model) < 0.7 * evenness(model)


def test_a_chain_of_matrices_and_one_with_depthwise_layers() -> None:
    nodes = [
        N("Gemm", ["x", "a", "b"], ["h"], name="one", transB=1),
        N("Relu", ["h"], ["r"]),
        N("MatMul", ["r", "c"], ["i"], name="two"),
        N("Relu", ["i"], ["s"]),
        N("Gemm", ["s", "d"], ["y"], name="three"),
    ]
    tensors = {"a": loud(6, 3), "b": weights(6), "c": weights(6, 5), "d": weights(5, 2)}
    model, x = build(nodes, tensors, ("N", 3)), weights(7, 3)
    made = equalise(model)
    assert ("one", "two") in [(done.first, done.second) for done in made.done]
    np.testing.assert_array_equal(run(made.model, x)[0], run(model, x)[0])
    assert evenness(made.model) < evenness(model)
    again = equalise(made.model)
    assert not again.done, "nothing is left to do"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (
            N("Clip", ["h", "low", "high"], ["r"], name="six"),
            "the bounds of 'six' (Clip) are the same for all channels",
        ),
        (
            N("Sigmoid", ["h"], ["r"], name="s"),
            "a factor of a channel does not pass 's' (Sigmoid)",
        ),
        (
            N("HardSwish", ["h"], ["r"], name="t"),
            "a factor of a channel does not pass 't' (HardSwish)",
        ),
    ],
)
def test_bounds_and_other_nodes_are_refused_with_the_reason(node: Any, reason: str) -> None:
    clips = node.op_type == "Clip"
    model = pair(node, low=np.float32(0), high=np.float32(6)) if clips else pair(node)
    made = equalise(model)
    assert not made.done
    assert {r.node: r.reason for r in made.refused}["first"] == reason


def test_a_result_with_other_readers_is_refused() -> None:
    nodes = [
        N("Conv", ["x", "v"], ["h"], name="first"),
        N("Conv", ["h", "w"], ["c"], name="second"),
        N("Add", ["c", "h"], ["y"], name="sum"),
    ]
    model = build(nodes, {"v": loud(6, 3, 1, 1), "w": weights(6, 6, 1, 1)}, ("N", 3, 4, 4))
    reasons = {each.node: each.reason for each in equalise(model).refused}
    assert reasons["first"] == "several nodes read its result"
    assert reasons["second"] == "a factor of a channel does not pass 'sum' (Add)"


def test_outputs_excluded_layers_and_other_axes() -> None:
    model = EXACT["Relu"]
    reasons = {each.node: each.reason for each in equalise(model).refused}
    assert reasons == {"second": "its result is an output of the model"}
    assert not equalise(model, ["second"]).done
    nodes = [
        N("MatMul", ["x", "v"], ["h"], name="first"),
        N("Conv", ["h", "w"], ["y"], name="second"),
    ]
    made = equalise(build(nodes, {"v": weights(8, 6), "w": weights(2, 3, 1)}, ("N", 3, 8)))
    assert made.refused[0].reason == "'second' reads its channels along another axis"


def test_channels_of_zeros_stay() -> None:
    nodes = [
        N("MatMul", ["x", "v"], ["h"], name="first"),
        N("MatMul", ["h", "w"], ["y"], name="second"),
    ]
    v, w = loud(6, 3).T.copy(), weights(6, 2)
    v[:, 2], w[3] = 0, 0
    made = equalise(build(nodes, {"v": v, "w": w}, ("N", 3)))
    first, second = read_layers(made.model)[0]
    assert made.done and np.isfinite(first.weights).all()
    np.testing.assert_array_equal(first.weights[3], v[:, 3])
    np.testing.assert_array_equal(second.weights[:, 2], w[2])
