"""Additions that PSB operators take over: which ones, in valid order, and with the same bits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from networks import light
from networks.psb import assert_same_bits
from rewriting import N, build, norm, ops, run, weights

from reluflow.graph import Model, PsbOptions, find_psb, load, to_psb
from reluflow.sessions import has_library, open_session

MODELS = Path(__file__).parents[3] / "models"
IMAGE = (2, 4, 6, 5)
APART = PsbOptions(fuse=False)
needs_library = pytest.mark.skipif(not has_library(), reason="the native library is not there")


def both(model: Model, **options: Any) -> tuple[Model, Model]:
    """Return the model converted with and without fusing."""
    wanted = replace(APART, **options)
    return to_psb(model, replace(wanted, fuse=True)).model, to_psb(model, wanted).model


def w(name: str) -> dict[str, np.ndarray]:
    return {name: weights(4, 4, 1, 1)}


def skip(op: str = "Add", swapped: bool = False) -> Model:
    """Return a block: y = relu(conv(x) + x)."""
    pair = ["x", "h"] if swapped else ["h", "x"]
    nodes = [
        N("Conv", ["x", "w", "c"], ["h"], name="conv"),
        N(op, pair, ["s"], name="add"),
        N("Relu", ["s"], ["y"], name="relu"),
    ]
    return build(nodes, w("w") | {"c": weights(4)}, IMAGE)


@pytest.mark.parametrize("op", ["Add", "Sum"])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_addition_and_the_activation_behind_it_are_taken_over(op: str, swapped: bool) -> None:
    model = skip(op, swapped)
    result = to_psb(model)
    assert ops(result.model) == ["PsbConv"]
    (node,) = result.done.converted
    assert node.merged == ("add", "relu")
    assert (node.psb.adds, node.psb.activation, node.psb.output) == ("x", "relu", "y")
    assert list(result.model._proto.graph.node[0].input[4:]) == ["samples", "seed", "", "x"]
    x = weights(*IMAGE)
    assert_same_bits(run(result.model, x)[0], run(to_psb(model, APART).model, x)[0])


def test_a_clip_becomes_bounds_and_its_constants_go() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["h"]),
        N("Add", ["h", "x"], ["s"]),
        N("Clip", ["s", "low", "high"], ["y"]),
    ]
    bounds = {"low": np.array(-0.5, np.float32), "high": np.array(0.5, np.float32)}
    fused, apart = both(build(nodes, w("w") | bounds, IMAGE))
    assert (ops(fused), ops(apart)) == (["PsbConv"], ["PsbConv", "Add", "Clip"])
    assert not {"low", "high"} & {t.name for t in fused._proto.graph.initializer}
    x = weights(*IMAGE)
    y = run(fused, x)[0]
    assert (y.min(), y.max()) == (-0.5, 0.5)
    assert_same_bits(y, run(apart, x)[0])


def test_the_later_of_two_operators_takes_the_addition() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="first"),
        N("Conv", ["x", "v"], ["b"], name="second"),
        N("Add", ["a", "b"], ["y"], name="add"),
    ]
    result = to_psb(build(nodes, w("w") | w("v"), IMAGE))
    first, second = result.done.converted
    assert (first.merged, second.merged) == ((), ("add",))
    assert (first.psb.adds, second.psb.adds) == (None, "a")
    assert [node.name for node in find_psb(result.model)] == ["first", "second"]


def test_an_operator_moves_behind_what_it_adds() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="conv"),
        N("Sigmoid", ["x"], ["g"], name="gate"),
        N("Add", ["h", "g"], ["y"], name="add"),
    ]
    fused, apart = both(build(nodes, w("w"), IMAGE))
    assert ops(fused) == ["Sigmoid", "PsbConv"]
    x = weights(*IMAGE)
    assert_same_bits(run(fused, x)[0], run(apart, x)[0])


def test_a_chain_of_additions_gives_each_operator_one() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="first"),
        N("Add", ["a", "x"], ["s"], name="inner"),
        N("Conv", ["s", "v"], ["b"], name="second"),
        N("Add", ["s", "b"], ["t"], name="outer"),
        N("Add", ["t", "x"], ["y"], name="last"),
    ]
    fused, apart = both(build(nodes, w("w") | w("v"), IMAGE))
    assert ops(fused) == ["PsbConv", "PsbConv", "Add"]
    x = weights(*IMAGE)
    assert_same_bits(run(fused, x)[0], run(apart, x)[0])


def test_operators_without_an_addition_stand_beside_those_with_one() -> None:
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="plain"),
        N("Relu", ["a"], ["r"]),
        N("Conv", ["r", "v"], ["b"], name="adding"),
        N("Add", ["b", "x"], ["y"]),
    ]
    result = to_psb(build(nodes, w("w") | w("v"), IMAGE))
    assert [node.psb.adds for node in result.done.converted] == [None, "x"]
    apart = to_psb(build(nodes, w("w") | w("v"), IMAGE), APART).model
    assert all(len(node.input) == 6 for node in apart._proto.graph.node if node.domain)


def test_matmul_takes_additions_too() -> None:
    nodes = [
        N("MatMul", ["x", "w"], ["p"], name="mm"),
        N("Add", ["p", "c"], ["h"], name="bias"),
        N("Add", ["x", "h"], ["s"], name="add"),
        N("Relu", ["s"], ["y"], name="relu"),
    ]
    model = build(nodes, {"w": weights(4, 4), "c": weights(4)}, ("N", 3, 4))
    result = to_psb(model)
    assert result.done.converted[0].merged == ("bias", "add", "relu")
    x = weights(2, 3, 4)
    apart = to_psb(model, APART).model
    for batch in (x, x[:0]):
        assert_same_bits(run(result.model, batch)[0], run(apart, batch)[0])


def stays(nodes: list[onnx.NodeProto], x: tuple[Any, ...] = IMAGE, **more: Any) -> None:
    constants = w("w") | {"row": weights(1, 4, 1, 5)}
    used = {name for node in nodes for name in node.input}
    model = build(nodes, {k: v for k, v in constants.items() if k in used}, x, **more)
    result = to_psb(model)
    assert {"Add", "Sum"} & set(ops(result.model))
    assert all(node.psb.adds is None for node in result.done.converted)


def test_what_cannot_be_taken_over_stays() -> None:
    conv, add = N("Conv", ["x", "w"], ["h"]), N("Add", ["h", "x"], ["y"])
    stays([conv, N("Add", ["h", "row"], ["y"])])  # broadcast
    stays([conv, N("Add", ["h", "h"], ["y"])])
    stays([conv, N("Sum", ["h", "x", "x"], ["y"])])
    stays([conv, add], outputs=("y", "h"))  # read elsewhere
    stays([conv, add], (None, 4, 6, 5))  # a batch of 1 might be broadcast
    stays([conv, N("Relu", ["h"], ["r"]), N("Add", ["r", "x"], ["y"])])  # the other order
    stays([conv, add], dtype=np.float16)


def test_named_sizes_are_one_size() -> None:
    conv, add = N("Conv", ["x", "w"], ["h"]), N("Add", ["h", "x"], ["y"])
    model = build([conv, add], w("w"), ("N", 4, 6, 5))
    assert ops(to_psb(model).model) == ["PsbConv"]


def normalised() -> Model:
    """Return a block whose normalisation after the addition is not a switch."""
    bn, constants = norm("s", "b", 4)
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="first"),
        N("Conv", ["x", "v"], ["k"], name="second"),
        N("Add", ["h", "k"], ["s"], name="add"),
        bn,
        N("Relu", ["b"], ["r"]),
        N("Conv", ["r", "u"], ["z"], name="last"),
        N("Add", ["z", "r"], ["y"]),
    ]
    return build(nodes, w("w") | w("v") | w("u") | constants, IMAGE)


def test_successions_are_those_of_the_unfused_model() -> None:
    found = [to_psb(normalised(), PsbOptions(fuse=fuse)).done.successions for fuse in (True, False)]
    assert set(found[0]) == set(found[1]) and len(found[0]) == 2
    assert all(succession.through == ("Add",) for succession in found[0])


def outputs(model: Model, feeds: dict[str, Any], library: bool, **more: int) -> np.ndarray:
    scalars = {name: np.array(value, np.int64) for name, value in more.items()}
    session = open_session(model, threads=1, optimisation="none", library=library)
    return session.run(feeds | scalars)[0]


def resnet8() -> tuple[Model, dict[str, Any]]:
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:16]
    return load(MODELS / "fashion_resnet8.onnx"), {"image": images}


def resnet50() -> tuple[Model, dict[str, Any]]:
    proto = light.with_random_weights(light.paths()["resnet50"])
    return load(proto), light.random_input(proto)


@needs_library
@pytest.mark.parametrize("sampler", ["systematic", "binomial", "nearest"])
def test_fusing_changes_no_bit_of_the_shipped_model(sampler: str) -> None:
    model, feeds = resnet8()
    fused, apart = both(model, sampler=sampler)
    assert sum(node.adds is not None for node in find_psb(fused)) == 3
    assert {"Add", "Relu"} & set(ops(fused)) == set()
    for samples, seed in ((1, 3), (4, 0), (0, 0)):
        left, right = (outputs(m, feeds, True, samples=samples, seed=seed) for m in (fused, apart))
        assert_same_bits(left, right)


@needs_library
@pytest.mark.slow
def test_fusing_changes_no_bit_of_a_large_network() -> None:
    model, feeds = resnet50()
    fused, apart = both(model, p_bits=8)
    assert sum(node.adds is not None for node in find_psb(fused)) == 16
    assert not {"Add", "Sum", "Relu"} & set(ops(fused))
    onnx.checker.check_model(fused._proto)
    left, right = (outputs(m, feeds, True, samples=2, seed=7) for m in (fused, apart))
    assert_same_bits(left, right)


def test_without_the_library_fusing_changes_no_bit_either() -> None:
    model, feeds = resnet8()
    fused, apart = both(model, p_bits=8)
    left, right = (outputs(m, feeds, False, samples=16) for m in (fused, apart))
    assert_same_bits(left, right)
