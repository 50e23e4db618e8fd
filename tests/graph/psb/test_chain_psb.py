"""Chains of bytes: what joins, what it computes, and what stays outside with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chain_nets import conv, converted, kernels, network, numbers, ranged, single
from chain_oracle import run_oracle
from rewriting import N, close, ops, weights

from reluflow.errors import ModelError
from reluflow.graph import (
    Model,
    bake_samples,
    chain_psb,
    count_saturation,
    find_psb,
    psb_alone,
    psb_in_floats,
    psb_inputs,
    with_sampler,
    with_wide_activations,
)
from reluflow.psb.fixed import FixedFormat
from reluflow.sessions import get_library_path, open_session


def two_layers() -> Model:
    return network(
        conv("x", "w", "h", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"], name="act"),
        conv("r", "v", "y", "last"),
        tensors=kernels(w=(8, 3, 3, 3), v=(5, 8, 1, 1)),
    )


def residual() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        conv("r", "v", "k", "second", pads=[1, 1, 1, 1]),
        N("Add", ["k", "r"], ["s"], name="add"),
        N("Relu", ["s"], ["t"]),
        conv("t", "u", "y", "last", strides=[2, 1]),
        tensors=kernels(w=(8, 3, 3, 3), v=(8, 8, 3, 3), u=(6, 8, 2, 2)),
    )


def mobile() -> Model:
    """Clip, depthwise, grouped."""
    bounds = {"zero": single(0), "six": single(0.75)}
    return network(
        conv("x", "w", "h", "expand"),
        N("Clip", ["h", "zero", "six"], ["r"]),
        conv("r", "v", "k", "depthwise", group=12, pads=[1, 0, 1, 1]),
        N("Clip", ["k", "zero", "six"], ["s"]),
        conv("s", "u", "p", "grouped", group=3),
        N("Clip", ["p", "", "six"], ["y"]),
        tensors=kernels(w=(12, 3, 1, 1), v=(12, 1, 3, 3), u=(9, 4, 1, 2)) | bounds,
    )


def pooled() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("MaxPool", ["r"], ["m"], name="max", kernel_shape=[2, 3], strides=[2, 1]),
        conv("m", "v", "k", "second"),
        N("GlobalAveragePool", ["k"], ["g"], name="mean"),
        N("Flatten", ["g"], ["y"]),
        tensors=kernels(w=(8, 3, 2, 2), v=(7, 8, 1, 1)),
    )


def reduced() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("ReduceMean", ["h"], ["y"], name="mean", axes=[2, 3], keepdims=0),
        tensors=kernels(w=(6, 3, 2, 2)),
    )


def whole_plane() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("AveragePool", ["h"], ["y"], name="mean", kernel_shape=[8, 7]),
        tensors=kernels(w=(6, 3, 2, 2)),
    )


def one_axis() -> Model:
    return network(
        conv("x", "w", "h", "first", dilations=[2]),
        N("Relu", ["h"], ["r"]),
        conv("r", "v", "y", "last", strides=[2]),
        tensors=kernels(w=(8, 5, 3), v=(4, 8, 2)),
        x=(2, 5, 12),
    )


def padded() -> Model:
    """A Pad that no convolution can take over."""
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("Pad", ["r", "sizes", "half"], ["p"], name="pad"),
        conv("p", "v", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 2), v=(4, 4, 2, 2))
        | {"sizes": numbers(0, 0, 1, 0, 0, 0, 2, 3), "half": single(0.5)},
    )


def edges() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("Pad", ["h", "sizes"], ["p"], name="pad", mode="reflect"),
        conv("p", "v", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 2), v=(4, 4, 2, 2))
        | {"sizes": numbers(0, 0, 2, 1, 0, 0, 0, 3)},
    )


def resized() -> Model:
    nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("Resize", ["r", "", "scales"], ["b"], name="up", mode="nearest", **nearest),
        conv("b", "v", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 2), v=(4, 4, 2, 2))
        | {"scales": np.array([1, 1, 2, 3], np.float32)},
    )


def interpolated() -> Model:
    """Twice as large, then of the sizes of another tensor, then half as large."""
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("Resize", ["r", "", "twice"], ["a"], name="up", mode="linear"),
        conv("a", "v", "k", "second", strides=[2, 1]),
        N("Shape", ["r"], ["s"]),
        N("Resize", ["k", "", "", "s"], ["b"], name="like", mode="linear",
          coordinate_transformation_mode="align_corners"),
        N("Concat", ["b", "r"], ["c"], axis=1),
        N("Resize", ["c", "", "half"], ["d"], name="down", mode="linear",
          coordinate_transformation_mode="pytorch_half_pixel"),
        conv("d", "u", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 1), v=(4, 4, 1, 1), u=(3, 8, 1, 2))
        | {"twice": np.array([1, 1, 2, 2], np.float32)}
        | {"half": np.array([1, 1, 0.5, 0.25], np.float32)},
    )  # fmt: skip


def interpolated_line() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("Resize", ["h", "", "", "sizes"], ["r"], name="up", mode="linear",
          coordinate_transformation_mode="asymmetric"),
        conv("r", "v", "y", "last"),
        tensors=kernels(w=(8, 5, 3), v=(4, 8, 2)) | {"sizes": numbers(2, 8, 17)},
        x=(2, 5, 12),
    )  # fmt: skip


def leaky() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("LeakyRelu", ["h"], ["r"], name="act", alpha=0.25),
        conv("r", "v", "k", "second"),
        N("PRelu", ["k", "slope"], ["s"]),
        conv("s", "u", "y", "last"),
        tensors=kernels(w=(8, 3, 2, 2), v=(6, 8, 1, 1), u=(4, 6, 1, 1)) | {"slope": single(0.1)},
    )


def excited() -> Model:
    """HardSwish, squeeze and excite, SiLU."""
    return network(
        conv("x", "w", "h", "expand"),
        N("HardSwish", ["h"], ["r"]),
        N("GlobalAveragePool", ["r"], ["g"], name="mean"),
        conv("g", "a", "q", "squeeze"),
        N("Relu", ["q"], ["q1"]),
        conv("q1", "b", "e", "excite"),
        N("HardSigmoid", ["e"], ["f"], alpha=1 / 6),
        N("Mul", ["f", "r"], ["s"], name="scale"),
        conv("s", "v", "k", "project"),
        N("Sigmoid", ["k"], ["k1"]),
        N("Mul", ["k", "k1"], ["t"]),
        conv("t", "u", "y", "last"),
        tensors=kernels(
            w=(8, 3, 2, 2), a=(4, 8, 1, 1), b=(8, 4, 1, 1), v=(6, 8, 1, 1), u=(4, 6, 1, 1)
        ),
    )


def written_out() -> Model:
    """x relu6(x + 3) / 6, as older opsets spell HardSwish."""
    return network(
        conv("x", "w", "h", "first"),
        N("Add", ["h", "three"], ["p"]),
        N("Clip", ["p", "zero", "six"], ["c"]),
        N("Mul", ["h", "c"], ["m"]),
        N("Div", ["m", "six"], ["r"]),
        conv("r", "v", "y", "last"),
        tensors=kernels(w=(8, 3, 2, 2), v=(6, 8, 1, 1))
        | {"three": single(3), "zero": single(0), "six": single(6)},
    )


def dense() -> Model:
    """Each sum read twice, so that no convolution takes it over; Concat of other formats."""
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        conv("r", "v", "k", "second", pads=[1, 1, 1, 1]),
        N("Relu", ["k"], ["k1"]),
        N("Add", ["k1", "r"], ["s"], name="add"),
        N("Relu", ["s"], ["t"]),
        N("Concat", ["t", "h", "r"], ["c"], name="join", axis=1),
        conv("c", "u", "y", "last"),
        tensors=kernels(w=(8, 3, 2, 2), v=(8, 8, 3, 3), u=(4, 24, 1, 1)),
    )


def filled_up() -> Model:
    """Zeros as more channels, as TensorFlow pads the shortcut of a block."""
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("Concat", ["r", "zeros"], ["c"], name="join", axis=1),
        conv("r", "v", "k", "second", pads=[1, 1, 1, 1]),
        N("Add", ["k", "c"], ["s"]),
        conv("s", "u", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 2), v=(6, 4, 3, 3), u=(4, 6, 1, 1))
        | {"zeros": np.zeros((2, 2, 8, 7), np.float32)},
    )


def averaged() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("AveragePool", ["h"], ["a"], name="mean", kernel_shape=[3, 2], pads=[1, 0, 1, 0]),
        conv("a", "v", "k", "second"),
        N("Relu", ["k"], ["k1"]),
        N("AveragePool", ["k1"], ["b"], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 1, 1, 0],
          count_include_pad=1),
        conv("b", "u", "y", "last"),
        tensors=kernels(w=(8, 3, 2, 2), v=(6, 8, 1, 1), u=(5, 6, 1, 1)),
    )  # fmt: skip


def shared() -> Model:
    """A function of bytes that other nodes read as well, and floats of both."""
    return network(
        conv("x", "w", "h", "first"),
        N("Sigmoid", ["h"], ["s"]),
        conv("h", "v", "a", "left"),
        conv("s", "v", "b", "right"),
        N("Sub", ["a", "b"], ["d"], name="sub"),
        N("Add", ["d", "h"], ["y"]),
        tensors=kernels(w=(6, 3, 1, 1), v=(6, 6, 1, 1)),
    )


def rows() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("GlobalAveragePool", ["r"], ["g"], name="mean"),
        N("Flatten", ["g"], ["f"], name="flat"),
        N("Gemm", ["f", "v", "vb"], ["k"], name="hidden", transB=1),
        N("Relu", ["k"], ["s"]),
        N("Gemm", ["s", "u", "ub"], ["y"], name="last", transB=1),
        tensors=kernels(w=(8, 3, 3, 3), v=(70, 8), u=(5, 70)),
    )


def planes_to_rows() -> Model:
    """Planes of several pixels, whose values stand in another order in bytes."""
    return network(
        conv("x", "w", "h", "first", strides=[3, 2]),
        N("Relu", ["h"], ["r"]),
        N("Reshape", ["r", "sizes"], ["f"], name="flat"),
        N("MatMul", ["f", "v"], ["k"], name="hidden"),
        N("Relu", ["k"], ["s"]),
        N("MatMul", ["s", "u"], ["t"], name="last"),
        N("Clip", ["t", "", "half"], ["y"]),
        tensors=kernels(w=(6, 3, 3, 3), v=(54, 7), u=(7, 3))
        | {"sizes": numbers(0, -1), "half": single(0.5)},
    )


def perceptron() -> Model:
    return network(
        N("Gemm", ["x", "w", "wb"], ["h"], name="hidden", transB=1),
        N("Relu", ["h"], ["r"]),
        N("Gemm", ["r", "v", "vb"], ["k"], name="last", transB=1),
        N("Relu", ["k"], ["y"]),
        tensors=kernels(w=(16, 10), v=(3, 16)),
        x=(7, 10),
    )


def excited_by_rows() -> Model:
    """Squeeze and excite whose products are of rows."""
    return network(
        conv("x", "w", "h", "first"),
        N("Relu", ["h"], ["r"]),
        N("GlobalAveragePool", ["r"], ["g"], name="mean"),
        N("Squeeze", ["g", "axes"], ["f"], name="flat"),
        N("Gemm", ["f", "a", "ab"], ["q"], name="squeeze", transB=1),
        N("Relu", ["q"], ["q1"]),
        N("Gemm", ["q1", "b", "bb"], ["e"], name="excite", transB=1),
        N("Sigmoid", ["e"], ["e1"]),
        N("Unsqueeze", ["e1", "axes"], ["s"], name="planes"),
        N("Mul", ["r", "s"], ["t"], name="scale"),
        conv("t", "u", "y", "last"),
        tensors=kernels(w=(8, 3, 2, 2), a=(4, 8), b=(8, 4), u=(3, 8, 1, 1))
        | {"axes": numbers(2, 3)},
    )


def mean_to_rows() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        N("ReduceMean", ["h"], ["m"], name="mean", axes=[2, 3], keepdims=0),
        N("Gemm", ["m", "v", "vb"], ["y"], name="last", transB=1),
        tensors=kernels(w=(6, 3, 2, 2), v=(4, 6)),
    )


def turned() -> Model:
    """Axes moved and merged between convolutions of two axes and of one."""
    return network(
        conv("x", "w", "h", "first"),
        N("Reshape", ["h", "sizes"], ["f"], name="merge"),
        conv("f", "v", "k", "second"),
        N("Transpose", ["k"], ["t"], name="turn", perm=[0, 2, 1]),
        conv("t", "u", "y", "last"),
        tensors=kernels(w=(6, 3, 2, 2), v=(9, 12, 1), u=(4, 28, 3)) | {"sizes": numbers(0, 12, 28)},
    )


def summed_last() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        conv("h", "v", "k", "second", pads=[1, 1, 1, 1]),
        N("Add", ["k", "h"], ["y"], name="add"),
        tensors=kernels(w=(8, 3, 2, 2), v=(8, 8, 3, 3)),
    )


def depthwise_last() -> Model:
    return network(
        conv("x", "w", "h", "first"),
        conv("h", "v", "y", "last", group=8),
        tensors=kernels(w=(8, 3, 2, 2), v=(8, 1, 3, 3)),
    )


JOINED: dict[str, tuple[Callable[[], Model], list[str]]] = {
    "two layers": (two_layers, ["ToFixed", "FixedConv", "FromFixedConv"]),
    "residual": (residual, ["ToFixed", *["FixedConv"] * 2, "FromFixedConv"]),
    "mobile": (mobile, ["ToFixed", *["FixedConv"] * 2, "FromFixedConv", "Clip"]),
    "pooled": (
        pooled,
        ["ToFixed", "FixedConv", "FixedMaxPool", "FixedConv", "FixedGlobalPool", "Flatten"],
    ),
    "mean without axes": (reduced, ["ToFixed", "FixedConv", "FixedGlobalPool", "Flatten"]),
    "mean of a window": (whole_plane, ["ToFixed", "FixedConv", "FixedGlobalPool"]),
    "one axis": (one_axis, ["ToFixed", "FixedConv", "FromFixedConv"]),
    "pad": (padded, ["ToFixed", "FixedConv", "Pad", "FromFixedConv"]),
    "reflected": (edges, ["ToFixed", "FixedConv", "Pad", "FromFixedConv"]),
    "leaky": (leaky, ["ToFixed", *["FixedConv"] * 2, "FromFixedConv"]),
    "excited": (
        excited,
        ["ToFixed", "FixedConv", "FixedGlobalAveragePool", "FixedConv", "FixedConv", "FixedMul",
         "FixedConv", "FromFixedConv"],
    ),
    "written out": (written_out, ["ToFixed", "FixedConv", "FromFixedConv"]),
    "dense": (
        dense,
        ["ToFixed", "FixedConv", "FixedTable", "FixedConv", "FixedAdd", "FixedTable", "FixedTable",
         "Concat", "FromFixedConv"],
    ),
    "filled up": (filled_up, ["ToFixed", "FixedConv", "Concat", "FixedConv", "FromFixedConv"]),
    "averaged": (
        averaged,
        ["ToFixed", "FixedConv", "FixedAveragePool", "FixedConv", "FixedAveragePool",
         "FromFixedConv"],
    ),
    "shared": (
        shared,
        ["ToFixed", "FixedConv", "FromFixedConv", "FixedTable", "FromFixedConv", "Sub", "FromFixed",
         "Add"],
    ),
    "rows": (
        rows,
        ["ToFixed", "FixedConv", "FixedGlobalAveragePool", "Reshape", "Reshape", "FixedConv",
         "Reshape", "FromFixedMatMul"],
    ),
    "rows in planes": (
        planes_to_rows,
        ["ToFixed", "FixedConv", "Transpose", "Reshape", "Reshape", "FixedConv", "Reshape",
         "FromFixedMatMul", "Clip"],
    ),
    "rows alone": (
        perceptron, ["ToFixed", "Reshape", "FixedConv", "Reshape", "FromFixedMatMul", "Relu"],
    ),
    "excited by rows": (
        excited_by_rows,
        ["ToFixed", "FixedConv", "FixedGlobalAveragePool", "Reshape", "Reshape", "FixedConv",
         "Reshape", "Reshape", "FixedConv", "Reshape", "FixedTable", "Reshape", "FixedMul",
         "FromFixedConv"],
    ),
    "mean without axes, in bytes": (
        mean_to_rows,
        ["ToFixed", "FixedConv", "FixedGlobalAveragePool", "Reshape", "FromFixedMatMul"],
    ),
    "turned": (
        turned,
        ["ToFixed", "FixedConv", "Transpose", "Reshape", "Transpose", "FixedConv", "Transpose",
         "FromFixedConv"],
    ),
    "a sum at the end": (
        summed_last, ["ToFixed", "FixedConv", "FixedConv", "FromFixed"],
    ),
    "depthwise at the end": (depthwise_last, ["ToFixed", "FixedConv", "FixedConv", "FromFixed"]),
    "interpolated": (
        interpolated,
        ["ToFixed", "FixedConv", "Shape", "Gather", "Mul", "FixedResize", "FixedConv", "Shape",
         "Gather", "FixedResize", "FixedTable", "FixedTable", "Concat", "FixedResize",
         "FromFixedConv"],
    ),
    "interpolated line": (
        interpolated_line, ["ToFixed", "FixedConv", "FixedResize", "FromFixedConv"],
    ),
    "resize": (resized, ["ToFixed", "FixedConv", "Resize", "FromFixedConv"]),
}  # fmt: skip


def inputs(model: Model, seed: int = 0) -> np.ndarray:
    (spec,) = (each for each in model.inputs if each.name == "x")
    shape = [size if isinstance(size, int) else 2 for size in spec.shape or ()]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def chained(make: Callable[[], Model]) -> tuple[Model, Model, np.ndarray]:
    """Return a converted model, the chained one and an input."""
    psb = converted(make())
    x = inputs(psb)
    return psb, chain_psb(psb, ranged(psb, x, inputs(psb, 1))).model, x


def answer(model: Model, x: np.ndarray, samples: int, seed: int, library: bool) -> np.ndarray:
    session = open_session(model, threads=1, library=library)
    numbers = (np.array(samples, np.int64), np.array(seed, np.int64))
    return session.run({"x": x, **dict(zip(psb_inputs(model), numbers, strict=True))})[0]


@pytest.mark.parametrize("name", JOINED)
def test_all_between_two_convolutions_joins(name: str) -> None:
    make, wanted = JOINED[name]
    _, chain, _ = chained(make)
    assert ops(chain) == wanted


@pytest.mark.parametrize("name", JOINED)
def test_a_chain_without_the_library_equals_the_oracle(name: str) -> None:
    _, chain, x = chained(JOINED[name][0])
    wanted = run_oracle(chain, {"x": x})[0]
    found = answer(chain, x, 0, 0, library=False)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.skipif(get_library_path() is None, reason="no native library")
@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize(("samples", "seed"), [(0, 0), (1, 5), (4, 2), (32, -7)])
def test_a_chain_equals_the_oracle(name: str, samples: int, seed: int) -> None:
    _, chain, x = chained(JOINED[name][0])
    wanted = run_oracle(chain, {"x": x}, samples, seed)[0]
    np.testing.assert_array_equal(answer(chain, x, samples, seed, library=True), wanted)


@pytest.mark.parametrize("name", JOINED)
def test_a_chain_is_close_to_the_operators_that_it_replaces(name: str) -> None:
    psb, chain, x = chained(JOINED[name][0])
    wanted = answer(psb, x, 0, 0, library=False)
    # some roundings of half a step of 2^-7 of the largest value, one per layer and the weights
    assert close(wanted, answer(chain, x, 0, 0, library=False), tolerance=0.06)


@pytest.mark.parametrize(("samples", "seed"), [(1, 3), (4, 2), (16, 8), (64, -1)])
def test_draws_can_be_baked(samples: int, seed: int) -> None:
    _, chain, x = chained(residual)
    wanted = run_oracle(chain, {"x": x}, samples, seed)[0]
    baked = bake_samples(chain, samples, seed).model
    session = open_session(baked, threads=1, library=False)
    np.testing.assert_array_equal(session.run({"x": x})[0], wanted)


def test_a_node_without_formats_stays() -> None:
    psb = converted(residual())
    x = inputs(psb)
    formats = ranged(psb, x)
    del formats["r"]
    result = chain_psb(psb, formats)
    assert ops(result.model) == ["PsbConv", "PsbConv", "ToFixed", "FromFixedConv"]
    reasons = {each.node: each.reason for each in result.refused}
    assert reasons["first"] == reasons["second"] == "the format of 'r' is not given"
    assert np.isfinite(answer(result.model, x, 0, 0, library=False)).all()
    kinds = [f.name for f in result.model._proto.functions]
    assert {"PsbConv", "FixedWeights", "ToFixed", "FromFixedConv"} <= set(kinds)


def test_without_formats_nothing_joins() -> None:
    psb = converted(two_layers())
    result = chain_psb(psb, {})
    assert ops(result.model) == ops(psb) and result.done.nodes == ()
    assert len(result.refused) == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"sampler": "binomial"}, "its sampler is binomial"), ({"draws": "product"}, "every product")],
)
def test_draws_that_chains_do_not_have_stay(options: dict[str, object], reason: str) -> None:
    psb = converted(two_layers(), **options)
    result = chain_psb(psb, ranged(psb, inputs(psb)))
    assert ops(result.model) == ops(psb)
    assert all(reason in each.reason for each in result.refused)


def test_sums_beyond_32_bits_stay() -> None:
    big = {"w": np.full((1, 2100, 3, 3), 1.0, np.float32), "wb": np.zeros(1, np.float32)}
    psb = converted(network(conv("x", "w", "y", "big"), tensors=big, x=(1, 2100, 3, 3)))
    form = FixedFormat(4, 128)
    result = chain_psb(psb, {"x": form, "y": form})
    assert "more than 32-bit sums" in result.refused[0].reason


def _interpolation(scales: tuple[float, ...] = (1, 1, 2, 2), **attributes: Any) -> Model:
    """A Resize between convolutions, of opset 19."""
    how: dict[str, Any] = {"mode": "linear", **attributes}
    channels = int(4 * scales[1])
    return network(
        conv("x", "w", "h", "first"),
        N("Resize", ["h", "", "scales"], ["b"], name="up", **how),
        conv("b", "v", "y", "last"),
        tensors=kernels(w=(4, 3, 2, 2), v=(4, channels, 1, 1))
        | {"scales": np.array(scales, np.float32)},
        opset=19,
    )


OUTSIDE: dict[str, tuple[Callable[[], Model], str, str]] = {
    "an operator without bytes": (
        lambda: network(
            conv("x", "w", "h", "first"), N("Softmax", ["h"], ["y"], name="soft", axis=1),
            tensors=kernels(w=(4, 3, 1, 1)),
        ),
        "soft", "there is no operator of chains for Softmax",
    ),
    "interpolation": (
        lambda: _interpolation(mode="cubic"), "up", "it interpolates (cubic)",
    ),
    "symmetric coordinates": (
        lambda: _interpolation(coordinate_transformation_mode="half_pixel_symmetric"),
        "up", "its coordinates are half_pixel_symmetric",
    ),
    "antialias": (lambda: _interpolation(antialias=1), "up", "it smooths what it makes smaller"),
    "parts of a pixel": (
        lambda: _interpolation((1, 1, 0.3, 2)), "up", "its scales leave parts of a pixel",
    ),
    "resized channels": (
        lambda: _interpolation((1, 2, 1, 1)), "up", "it resizes inputs or channels",
    ),
    "ceil": (
        lambda: network(
            conv("x", "w", "h", "first"),
            N("MaxPool", ["h"], ["y"], name="max", kernel_shape=[2, 2], ceil_mode=1),
            tensors=kernels(w=(4, 3, 2, 2)),
        ),
        "max", "ceil_mode",
    ),
    "a mean over channels": (
        lambda: network(
            conv("x", "w", "h", "first"), N("ReduceMean", ["h"], ["y"], name="mean", axes=[1]),
            tensors=kernels(w=(4, 3, 2, 2)),
        ),
        "mean", "other axes",
    ),
    "a fill between bytes": (
        lambda: network(
            conv("x", "w", "h", "first"),
            N("Pad", ["h", "sizes", "third"], ["p"], name="pad"),
            conv("p", "v", "y", "last"),
            tensors=kernels(w=(4, 3, 2, 2), v=(4, 4, 2, 2))
            | {"sizes": numbers(0, 0, 1, 1, 0, 0, 1, 1), "third": single(1 / 3)},
        ),
        "pad", "is no byte of the format",
    ),
    "an end": (
        lambda: network(
            conv("x", "w", "h", "first"), N("Sigmoid", ["h"], ["y"], name="act"),
            tensors=kernels(w=(4, 3, 1, 1)),
        ),
        "act", "what reads it works in floating point",
    ),
    "a slope per channel": (
        lambda: network(
            conv("x", "w", "h", "first"), N("PRelu", ["h", "slope"], ["r"], name="act"),
            conv("r", "v", "y", "last"),
            tensors=kernels(w=(4, 3, 1, 1), v=(3, 4, 1, 1)) | {"slope": weights(4, 1, 1)},
        ),
        "act", "not one number",
    ),
    "rows of several axes": (
        lambda: network(
            N("MatMul", ["x", "w"], ["y"], name="product"),
            tensors=kernels(w=(5, 6)), x=(2, 4, 5),
        ),
        "product", "its input has 3 axes; products of bytes are of rows",
    ),
    "inputs mixed": (
        lambda: network(
            conv("x", "w", "h", "first"), N("Reshape", ["h", "sizes"], ["r"], name="mix"),
            conv("r", "v", "y", "last"),
            tensors=kernels(w=(4, 3, 1, 1), v=(3, 2, 1, 1)) | {"sizes": numbers(-1, 2, 9, 8)},
        ),
        "mix", "it may mix the values of several inputs",
    ),
    "inputs moved": (
        lambda: network(
            conv("x", "w", "h", "first"), N("Transpose", ["h"], ["r"], name="turn"),
            conv("r", "v", "y", "last"),
            tensors=kernels(w=(4, 3, 1, 1), v=(3, 9, 1, 1)),
        ),
        "turn", "it moves the axis of the inputs",
    ),
    "a broadcast sum": (
        lambda: network(
            conv("x", "w", "h", "first"), N("GlobalAveragePool", ["h"], ["g"]),
            conv("g", "v", "k", "second"), N("Add", ["h", "k"], ["s"], name="add"),
            conv("s", "v", "y", "last"),
            tensors=kernels(w=(4, 3, 1, 1), v=(4, 4, 1, 1)),
        ),
        "add", "it broadcasts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_has_no_bytes_ends_the_chain(name: str) -> None:
    make, node, reason = OUTSIDE[name]
    psb = converted(make())
    x = inputs(psb)
    result = chain_psb(psb, ranged(psb, x))
    assert {each.node: each.reason for each in result.refused}[node].find(reason) >= 0
    wanted = answer(psb, x, 0, 0, library=False)
    assert close(wanted, answer(result.model, x, 0, 0, library=False), tolerance=0.06)


def test_a_float_model_is_refused() -> None:
    with pytest.raises(ModelError, match="has no PSB operator; convert it with to_psb first"):
        chain_psb(two_layers(), {})


def test_a_chain_describes_itself() -> None:
    _, chain, _ = chained(mobile)
    nodes = find_psb(chain)
    assert [node.op for node in nodes] == ["FixedConv", "FixedConv", "FromFixedConv"]
    assert [node.activation for node in nodes] == ["clip", "clip", "none"]
    assert [node.positions for node in nodes] == [72, 63, 54]
    assert all(node.x_bits == 8 and node.x_exponent is not None for node in nodes)
    _, chain, _ = chained(residual)
    assert [node.activation for node in find_psb(chain)] == ["relu", "relu", "none"]
    assert find_psb(chain)[1].adds is not None
    assert psb_inputs(chain) == ("samples", "seed")


def test_what_needs_floats_refuses_chains() -> None:
    psb, chain, _ = chained(two_layers)
    with pytest.raises(ModelError, match="passes bytes in a chain, so it cannot work on floats"):
        psb_in_floats(chain)
    with pytest.raises(ModelError, match="so its activations cannot have 16 bits"):
        with_wide_activations(chain)
    with pytest.raises(ModelError, match="cannot be drawn by the sampler 'binomial'"):
        with_sampler(chain, "binomial")
    with pytest.raises(ModelError, match="so it cannot work alone"):
        psb_alone(two_layers(), chain, "last")
    assert find_psb(with_sampler(chain, "nearest").model)[0].sampler == "nearest"
    assert count_saturation(chain).done.nodes == ()
    assert len(count_saturation(psb).done.nodes) == 2
