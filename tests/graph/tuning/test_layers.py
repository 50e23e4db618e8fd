"""Layers as numbers: what is read can be put back, and parts compute what the whole does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rewriting import N, build, run, weights

from reluflow.errors import OptionError
from reluflow.graph import (
    Model,
    Numbers,
    plan_psb,
    read_layers,
    take_part,
    tensors_needed,
    with_numbers,
)
from reluflow.sessions import open_session

INFINITE = np.full((4, 4), np.inf, np.float32)
CONV: dict[str, tuple[Any, dict[str, np.ndarray], tuple[int, ...]]] = {
    "bias": (N("Conv", ["x", "w", "b"], ["y"], name="n"), {"w": weights(6, 4, 3, 3)}, (2, 4, 5, 5)),
    "no bias": (N("Conv", ["x", "w"], ["y"], name="n"), {"w": weights(6, 4, 1, 1)}, (2, 4, 5, 5)),
    "depthwise": (
        N("Conv", ["x", "w"], ["y"], name="n", group=4),
        {"w": weights(8, 1, 3, 3)},
        (2, 4, 5, 5),
    ),
    "one axis": (N("Conv", ["x", "w"], ["y"], name="n"), {"w": weights(6, 4, 3)}, (2, 4, 9)),
    "Gemm": (
        N("Gemm", ["x", "w", "b"], ["y"], name="n", alpha=0.5, beta=2.0),
        {"w": weights(4, 6)},
        (2, 4),
    ),
    "Gemm, outputs first": (
        N("Gemm", ["x", "w"], ["y"], name="n", transB=1, alpha=3.0),
        {"w": weights(6, 4)},
        (2, 4),
    ),
    "MatMul": (N("MatMul", ["x", "w"], ["y"], name="n"), {"w": weights(4, 6)}, (2, 3, 4)),
}


def model_of(name: str) -> tuple[Model, np.ndarray]:
    node, constants, shape = CONV[name]
    if len(node.input) > 2:
        constants = {**constants, "b": weights(6)}
    rank = 3 if name == "MatMul" else len(shape)
    return build([node], constants, ("N", *shape[1:]), rank), weights(*shape)


@pytest.mark.parametrize("name", CONV)
def test_what_is_read_can_be_put_back_and_replaced(name: str) -> None:
    model, x = model_of(name)
    (layer,), refused = read_layers(model)
    assert not refused and (layer.name, layer.x, layer.output) == ("n", "x", "y")
    assert layer.weights.dtype == np.float32 and layer.bias.shape == (len(layer.weights),)
    same = with_numbers(model, {"y": Numbers(layer.weights, layer.bias)})
    np.testing.assert_allclose(run(same.model, x)[0], run(model, x)[0], rtol=1e-5, atol=1e-6)
    assert same.done == ("n",)
    new = Numbers(layer.weights * np.float32(2), layer.bias * 2 + 1)
    made = with_numbers(model, {"y": new}).model
    np.testing.assert_allclose(run(made, x)[0], 2 * run(model, x)[0] + 1, rtol=1e-5, atol=1e-5)
    (again,), _ = read_layers(made)
    np.testing.assert_array_equal(again.weights, new.weights)
    np.testing.assert_allclose(again.bias, new.bias, rtol=1e-6)
    assert again.output == "y"


def test_layers_with_one_tensor_get_their_own() -> None:
    nodes = [
        N("MatMul", ["x", "w"], ["h"], name="first"),
        N("MatMul", ["h", "w"], ["y"], name="last"),
    ]
    model = build(nodes, {"w": weights(4, 4)}, ("N", 4))
    first, last = read_layers(model)[0]
    made = with_numbers(model, {"h": Numbers(3 * first.weights, first.bias)}).model
    now = {layer.name: layer.weights for layer in read_layers(made)[0]}
    np.testing.assert_array_equal(now["first"], 3 * first.weights)
    np.testing.assert_array_equal(now["last"], last.weights)


def test_a_name_that_no_layer_makes_is_refused() -> None:
    model, _ = model_of("MatMul")
    with pytest.raises(OptionError, match=r"numbers name 'z', which no layer .* give outputs"):
        with_numbers(model, {"z": Numbers(weights(6, 4), np.zeros(6))})


@pytest.mark.parametrize(
    ("node", "constants", "reason"),
    [
        (N("MatMul", ["x", "x"], ["y"], name="n"), {}, "are computed"),
        (N("MatMul", ["x", "w"], ["y"], name="n"), {"w": INFINITE}, "NaN or infinite"),
    ],
)
def test_what_is_no_layer_says_why(node: Any, constants: Any, reason: str) -> None:
    layers, refused = read_layers(build([node], constants, (4, 4)))
    assert not layers
    assert reason in refused[0].reason


def test_half_precision_and_excluded_layers_stay() -> None:
    node, constants, _ = CONV["MatMul"]
    model = build([node], constants, ("N", 4), dtype=np.float16)
    assert read_layers(model)[1][0].reason == "its weights are float16; they stay as they are"
    model, _ = model_of("MatMul")
    assert read_layers(model, ["n"])[1][0].reason == "it is excluded"


def residual() -> Model:
    nodes = [
        N("Conv", ["x", "v"], ["h"], name="first"),
        N("Relu", ["h"], ["r"], name="act"),
        N("Conv", ["r", "w"], ["c"], name="second"),
        N("Add", ["c", "r"], ["s"], name="sum"),
        N("Split", ["s"], ["a", "b"], axis=1, name="halves"),
        N("Mul", ["a", "b"], ["m"], name="product"),
        N("Conv", ["m", "u"], ["y"], name="last"),
    ]
    tensors = {"v": weights(4, 4, 1, 1), "w": weights(4, 4, 3, 3), "u": weights(3, 2, 1, 1)}
    nodes[2].attribute.append(_pads())
    return build(nodes, tensors, ("N", 4, 6, 6))


def _pads() -> Any:
    return N("Conv", ["x"], ["y"], pads=[1, 1, 1, 1]).attribute[0]


def test_the_addend_is_what_is_known_before_a_layer() -> None:
    found = {layer.name: layer.addend for layer in read_layers(plan_psb(residual()).model)[0]}
    assert found == {"first": None, "second": "r", "last": None}


def test_tensors_needed_are_those_read_later() -> None:
    model = residual()
    assert tensors_needed(model, "h") == ()
    assert tensors_needed(model, "c") == ("r",)
    assert tensors_needed(model, "y") == ("m",)
    with pytest.raises(OptionError, match="layer is 'w', which no node makes; give the output"):
        tensors_needed(model, "w")


@pytest.mark.parametrize(
    ("known", "wanted", "inputs"),
    [
        ([], ["r"], ("x",)),
        (["r"], ["s"], ("r",)),
        (["r"], ["c", "m"], ("r",)),
        (["r", "a"], ["m"], ("r",)),  # the node that makes b makes a as well
        (["h", "s"], ["y"], ("s",)),
    ],
)
def test_a_part_computes_what_the_whole_does(
    known: list[str], wanted: list[str], inputs: tuple[str, ...]
) -> None:
    model, x = residual(), weights(2, 4, 6, 6)
    values = {"x": x}
    for name in ("h", "r", "c", "s", "a", "b", "m", "y"):
        part = take_part(model, {}, [name])
        assert part.done == ("x",)
        values[name] = run(part.model, x)[0]
    part = take_part(model, {name: values[name] for name in known}, wanted)
    assert part.done == inputs and part.model.outputs == tuple(wanted)
    session = open_session(part.model, optimisation="none")
    for name, found in zip(wanted, session.run({n: values[n] for n in inputs}), strict=True):
        np.testing.assert_allclose(found, values[name], rtol=1e-6, atol=1e-7)


def test_a_tensor_that_no_node_makes_has_no_part() -> None:
    with pytest.raises(OptionError, match="wanted names 'w', which no node of the main graph"):
        take_part(residual(), {}, ["w"])
