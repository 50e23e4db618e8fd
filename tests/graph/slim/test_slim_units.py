"""Units taken out of small graphs: the same results on the data, and a reason for what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto
from rewriting import N, build

from reluflow.graph import Model, find_sites, slim_units, tap
from reluflow.graph.slim.duplicates import find_duplicates
from reluflow.sessions import open_session

Arrays = dict[str, np.ndarray]


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def outputs(model: Model, x: np.ndarray) -> np.ndarray:
    return open_session(model, threads=1).run({"x": x})[0]


def slimmed(model: Model, x: np.ndarray) -> Any:
    """Slim a model on some inputs; its results there must stay the same."""
    sites = find_sites(model)
    shown = tap(model, sites)
    session = open_session(shown.model, outputs=[t.output for t in shown.done], threads=1)
    off: Arrays = {}
    on: Arrays = {}
    for each, value in zip(shown.done, session.run({"x": x}), strict=True):
        rows = np.moveaxis(value, each.unit_axis, 0).reshape(value.shape[each.unit_axis], -1)
        off[each.site.name], on[each.site.name] = (
            np.all(rows <= 0, axis=1),
            np.all(rows > 0, axis=1),
        )
    made = slim_units(model, sites, off, on)
    want = outputs(model, x)
    np.testing.assert_allclose(outputs(made.model, x), want, rtol=1e-4, atol=1e-5 * want.std())
    return made


def convolutional(middle: list[NodeProto], more: Arrays, channels: int = 6) -> Model:
    """Conv, BatchNormalization, Relu `r`, some nodes up to `m`, and Conv."""
    nodes = [
        N("Conv", ["x", "w", "b"], ["h"], name="first", pads=[1] * 4),
        N("BatchNormalization", ["h", "s", "t", "mean", "var"], ["n"], name="norm"),
        N("Relu", ["n"], ["r"], name="act"),
        *middle,
    ]
    tensors = {
        "w": draw(0, channels, 2, 3, 3),
        "b": draw(1, channels),
        "s": abs(draw(2, channels)) + 0.5,
        "t": draw(3, channels) * 0.1,
        "mean": draw(4, channels) * 0.1,
        "var": abs(draw(5, channels)) + 0.5,
        **more,
    }
    tensors["t"][2] = -1e3  # unit 2 is off
    return build(nodes, tensors, ("N", 2, 8, 8))


X = draw(9, 16, 2, 8, 8)
LAST = N("Conv", ["m", "v"], ["y"], name="last", pads=[1] * 4)
V = draw(6, 3, 6, 3, 3)
PASSED = {
    "directly": [N("Conv", ["r", "v"], ["y"], name="last", pads=[1] * 4)],
    "max pool": [N("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], pads=[1] * 4), LAST],
    "mean pool": [N("AveragePool", ["r"], ["m"], kernel_shape=[2, 2]), LAST],
    "factors": [N("Mul", ["r", "factors"], ["m"]), LAST],
    "concat": [
        N("MaxPool", ["r"], ["p"], kernel_shape=[1, 1]),
        N("Concat", ["r", "p"], ["m"], axis=1),
        N("Conv", ["m", "vv"], ["y"], name="last"),
    ],
    "flatten": [N("Flatten", ["r"], ["m"]), N("Gemm", ["m", "flat"], ["y"], name="last")],
    "reshape": [N("Reshape", ["r", "sizes"], ["m"]), N("MatMul", ["m", "flat"], ["y"])],
    "global pool": [
        N("GlobalAveragePool", ["r"], ["p"]),
        N("Flatten", ["p"], ["m"]),
        N("Gemm", ["m", "few"], ["y"], name="last", transB=1),
    ],
    "depthwise behind": [
        N("Conv", ["r", "each"], ["m"], group=6, pads=[1] * 4),
        N("Conv", ["m", "v"], ["y"], name="last"),
    ],
}
TENSORS = {
    "v": V,
    "vv": draw(7, 3, 12, 1, 1),
    "factors": draw(8, 6, 1, 1),
    "flat": draw(10, 384, 3),
    "few": draw(11, 4, 6),
    "each": draw(12, 6, 1, 3, 3),
    "sizes": np.array([0, 384], np.int64),
}


@pytest.mark.parametrize("way", PASSED)
def test_a_unit_that_is_off_goes_with_what_reads_it(way: str) -> None:
    nodes = PASSED[way]
    used = {name for node in nodes for name in node.input}
    model = convolutional(nodes, {k: v for k, v in TENSORS.items() if k in used})
    made = slimmed(model, X)
    [site] = made.done
    assert (site.off, site.merged, made.refused) == ((2,), (), ())
    [left] = find_sites(made.model)
    assert left.units == 5 and made.model.n_parameters < model.n_parameters


def test_a_copy_is_merged_whatever_the_data() -> None:
    model = convolutional(PASSED["max pool"], {"v": V})
    tensors = {t.name: t for t in model._proto.graph.initializer}
    from onnx import numpy_helper

    def change(name: str, edit: Any) -> None:
        value = numpy_helper.to_array(tensors[name]).copy()
        edit(value)
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))

    def copy(a: np.ndarray) -> None:
        a[4] = a[1]

    for name in ("w", "b", "mean", "var"):
        change(name, copy)

    def scaled(a: np.ndarray) -> None:
        a[4] = np.float32(1.7) * a[1]

    change("s", scaled)
    change("t", scaled)
    made = slimmed(model, X)
    [site] = made.done
    [(unit, into, factor)] = site.merged
    assert (unit, into) == (4, 1) and factor == pytest.approx(1.7) and site.off == (2,)
    other = draw(99, 8, 2, 8, 8)
    np.testing.assert_allclose(outputs(made.model, other), outputs(model, other), atol=1e-4)


def test_nothing_but_copies_with_a_positive_factor_are_merged() -> None:
    rows = draw(0, 6, 5).astype(np.float64)
    rows[1], rows[2], rows[3] = -rows[0], 2 * rows[0], rows[0] * (1 + 1e-4 * rows[4])
    bias = np.ones(6)
    bias[2] = 2
    assert find_duplicates(rows, bias, np.zeros(6, bool)) == [(2, 0, 2.0)]
    bias[2] = 2.001
    assert not find_duplicates(rows, bias, np.zeros(6, bool))


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ([N("Add", ["r", "x2"], ["m"], name="join"), LAST], "Add 'join' reads it"),
        ([N("Softmax", ["r"], ["m"], name="soft", axis=1), LAST], "Softmax 'soft' reads it"),
        ([N("Identity", ["r"], ["y"])], "it is an output of the model"),
        (
            [N("Add", ["r", "shift"], ["m"]), LAST],
            "Conv 'last' reads it where it is not 0 for all data",
        ),
    ],
)
def test_what_cannot_do_without_a_unit_keeps_it_and_is_named(
    middle: list[NodeProto], words: str
) -> None:
    twice = [N("Conv", ["x", "w2"], ["x2"], pads=[1] * 4)] if "join" in words else []
    used = {name for node in middle for name in node.input}
    more = {"v": V, "shift": draw(3, 6, 1, 1), "w2": draw(5, 6, 2, 3, 3)}
    wanted = {k: v for k, v in more.items() if k in used or (k == "w2" and twice)}
    model = convolutional([*twice, *middle], wanted)
    made = slimmed(model, X)
    [refused] = made.refused
    assert refused.node == "act" and words in refused.reason and "unit 2 is off" in refused.reason
    assert made.model.n_parameters == model.n_parameters


def test_one_unit_stays_where_all_are_off() -> None:
    tensors = {"w": draw(0, 4, 5), "b": np.full(5, -1e3, np.float32), "v": draw(1, 5, 3)}
    nodes = [N("Gemm", ["x", "w", "b"], ["h"]), N("Relu", ["h"], ["r"], name="act"),
             N("Gemm", ["r", "v"], ["y"])]  # fmt: skip
    made = slimmed(build(nodes, tensors, ("N", 4)), draw(2, 8, 4))
    assert made.done[0].off == (1, 2, 3, 4)
    assert "a layer needs at least one unit" in made.refused[0].reason


@pytest.mark.parametrize(("hidden", "fused"), [(40, True), (2, False)])
@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_a_site_that_is_always_on_is_fused_where_that_saves(
    hidden: int, fused: bool, op: str
) -> None:
    tensors = {"w": draw(0, 8, hidden), "b": np.full(hidden, 99, np.float32)}
    front = (
        [N("Gemm", ["x", "w", "b"], ["h"], name="one", alpha=0.5)]
        if op == "Gemm"
        else [N("MatMul", ["x", "w"], ["p"], name="one"), N("Add", ["p", "b"], ["h"])]
    )
    nodes = [*front, N("Relu", ["h"], ["r"], name="act"), N(op, ["r", "v"], ["y"], name="two")]
    model = build(nodes, {**tensors, "v": draw(1, hidden, 8)}, ("N", 8))
    made = slimmed(model, draw(2, 8, 8))
    [site] = made.done
    assert site.linear and site.fused == (("one", "two") if fused else ())
    assert not find_sites(made.model)
    if not fused:
        assert "one layer would have" in made.refused[0].reason


@pytest.mark.parametrize(
    ("one", "two", "pads", "words"),
    [
        (3, 1, 0, ""),
        (1, 3, 0, ""),
        (1, 3, 1, "pads with zeros"),
        (3, 3, 0, "windows of more than one pixel"),
    ],
)
def test_convolutions_around_it_are_fused(one: int, two: int, pads: int, words: str) -> None:
    tensors = {
        "w": draw(0, 30, 2, one, one),
        "b": np.full(30, 99, np.float32),
        "s": np.full(30, 2, np.float32),
        "t": np.ones(30, np.float32),
        "mean": np.zeros(30, np.float32),
        "var": np.ones(30, np.float32),
        "v": draw(1, 4, 30, two, two),
    }
    nodes = [
        N("Conv", ["x", "w", "b"], ["h"], name="one", strides=[1, 1]),
        N("BatchNormalization", ["h", "s", "t", "mean", "var"], ["n"]),
        N("Relu", ["n"], ["r"], name="act"),
        N("Conv", ["r", "v"], ["y"], name="two", pads=[pads] * 4),
    ]
    made = slimmed(build(nodes, tensors, ("N", 2, 8, 8)), X)
    assert bool(made.done[0].fused) != bool(words)
    if words:
        assert words in made.refused[0].reason
    else:
        assert made.model.n_nodes == 1


def test_weights_that_two_layers_share_are_copied() -> None:
    tensors = {"w": draw(0, 4, 4), "b": draw(1, 4), "v": draw(2, 4, 3)}
    tensors["b"][1] = -1e3
    nodes = [
        N("Gemm", ["x", "w", "b"], ["h"]), N("Relu", ["h"], ["r"], name="act"),
        N("Gemm", ["r", "w"], ["k"]), N("Gemm", ["k", "v"], ["y"]),
    ]  # fmt: skip
    made = slimmed(build(nodes, tensors, ("N", 4)), draw(3, 8, 4))
    assert made.done[0].off == (1,) and not made.refused
