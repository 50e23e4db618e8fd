"""Sums at the edge of int32, and weights drawn next to their use, against the oracle."""

from typing import Any

import numpy as np
import pytest
from networks.psb import KERNELS, assert_same_bits, one_node, open_native, psb_node, run_psb
from onnx import TensorProto

from reluflow.psb import PsbCode, conv, encode, pack
from reluflow.psb.fixed import Exponents, fixed_conv16

# What fills int32 with the largest weights, 2^14, and inputs of x_bits: just less and just more.
EDGES = [(12, taps) for taps in (62, 63, 64, 65, 66)] + [(16, taps) for taps in (2, 3, 4, 5, 6)]
EXPONENTS = Exponents(3, -14, -14)


def largest(outputs: int, inputs: int, taps: int, signs: np.ndarray) -> PsbCode:
    """Return weights that one sample draws as 2^14 or nearly so, with a sign for each tap."""
    return encode(
        (np.full((outputs, inputs, taps), 1.99, np.float32) * signs).astype(np.float32), p_bits=4
    )


def fixed16(code: PsbCode, rank: int, **attributes: Any) -> bytes:
    """Return a model of one FixedConv16."""
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    return one_node(
        "FixedConv16",
        {
            "x": (TensorProto.INT16, [f"d{i}" for i in range(rank)]),
            "samples": scalar,
            "seed": scalar,
        },
        {"w": pack(code), "emax": code.emax},
        ["x", "w", "emax", "", "samples", "seed"],
        {"y": TensorProto.INT16},
        {
            "weight_shape": list(code.shape),
            "p_bits": code.p_bits,
            "rounding": code.rounding,
            "x_exponent": EXPONENTS.x,
            "y_exponent": EXPONENTS.y,
            "z_exponent": EXPONENTS.z,
        }
        | attributes,
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("x_bits", "taps"), EDGES)
def test_sums_that_just_fit_int32_and_just_do_not(
    x_bits: int, taps: int, depthwise: bool, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    most = 2 ** (x_bits - 1) - 1
    channels = 35
    group = channels if depthwise else 1
    for alternates in (False, True):
        signs = np.where(np.arange(taps) % 2 & alternates, -1, 1)
        code = largest(channels, 1, taps, signs)
        rows = [np.full(taps, most), np.full(taps, -most), np.full(taps, most) * signs]
        x = np.stack([*rows, -rows[2], np.abs(rows[2]) // 2, -rows[2] // 2]).astype(np.int16)
        x = np.repeat(x[:, :, None], group, axis=2)  # images, pixels, channels
        options: dict[str, Any] = {"group": group, "x_bits": x_bits, "stream": 1}
        session = open_native(fixed16(code, 3, **options))
        floats = np.moveaxis(x, 2, 1).astype(np.float32)
        plain = open_native(psb_node("PsbConv", code, rank=3, x_exponent=0, **options))
        for image in range(len(x)):  # alone, so that its own range counts
            part = x[image : image + 1]
            want = fixed_conv16(part, code, exponents=EXPONENTS, samples=1, seed=2, **options)
            np.testing.assert_array_equal(run_psb(session, part, 1, 2), want)
            one = floats[image : image + 1]
            expected = conv(one, code, samples=1, seed=2, x_exponent=0, **options)
            assert_same_bits(run_psb(plain, one, 1, 2), expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("x_bits", [12, 16])
@pytest.mark.parametrize("shape", [(9, 1, 3, 3), (6, 1, 5, 5), (4, 1, 1, 9), (12, 1, 3, 3)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_large_depthwise_weights_are_summed_to_the_bit(
    stride: int, shape: tuple[int, ...], x_bits: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    rng = np.random.default_rng(stride + x_bits)
    w = rng.uniform(1, 2, shape) * rng.choice([-1, 1, 1, 1], shape)
    code = encode(w.astype(np.float32), p_bits=int(rng.choice([3, 4, 8, 16])))
    options: dict[str, Any] = {
        "group": 4 if shape[0] == 12 else shape[0],
        "pads": [shape[2] // 2, shape[3] // 2] * 2,
        "strides": [stride, stride],
        "x_bits": x_bits,
        "stream": 1,
    }
    session = open_native(psb_node("PsbConv", code, rank=4, **options))
    for width in (7, 14, 75):
        x = np.abs(rng.standard_normal((2, options["group"], 9, width)).astype(np.float32))
        x[1] = x.max()
        want = conv(x, code, samples=4, seed=5, **options)
        assert_same_bits(run_psb(session, x, 4, 5), want)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("p_bits", [3, 4, 8, 16])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_weights_drawn_next_to_their_use_are_those_of_a_set(
    pads: list[int], p_bits: int, threads: int
) -> None:
    rng = np.random.default_rng(p_bits)
    code = encode(rng.standard_t(2, (300, 34, 3, 3)).astype(np.float32), p_bits=p_bits)
    options: dict[str, Any] = {"pads": pads, "x_bits": 12, "stream": 4}
    session = open_native(fixed16(code, 4, **options), threads)
    x = rng.integers(0, 2048, (1, 9, 13, 34)).astype(np.int16)
    given = dict(exponents=EXPONENTS, samples=4, **options)
    want = {seed: fixed_conv16(x, code, seed=seed, **given) for seed in (1, 2)}
    for seed in (1, 2, 2, 2, 1, 1, 2):  # drawn on the way, drawn as a set, kept
        np.testing.assert_array_equal(run_psb(session, x, 4, seed), want[seed])


@pytest.mark.parametrize("rows", [1, 5, 70, 200])
def test_rows_that_draw_on_their_way_are_those_of_a_set(rows: int) -> None:
    rng = np.random.default_rng(rows)
    code = encode(rng.standard_t(2, (150, 260)).astype(np.float32), p_bits=4)
    session = open_native(psb_node("PsbMatMul", code, rank=2, stream=3))
    x = rng.standard_normal((rows, 260)).astype(np.float32)
    first = {seed: run_psb(session, x, 4, seed) for seed in (1, 2)}
    for seed in (2, 2, 1, 1):
        assert_same_bits(run_psb(session, x, 4, seed), first[seed])
    assert not np.array_equal(first[1], first[2])
