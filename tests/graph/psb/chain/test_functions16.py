"""The bodies of the operators of 16 bits: standard operators give the values of the oracle."""

from typing import Any

import numpy as np
import pytest
from chain_cases import Arrays
from chain_cases import call_function as call

from reluflow.psb import encode, pack
from reluflow.psb.fixed import (
    COORDINATES,
    Exponents,
    fixed_conv16,
    fixed_global_pool16,
    fixed_max_pool16,
    fixed_resize16,
    from_fixed16,
    to_fixed16,
)

OPSETS = (13, 17, 18, 22)


def check_conv(seed: int, **how: Any) -> None:
    """Compare a random convolution with its oracle."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 3))
    group, inputs = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    kernel = rng.integers(1, 4, rank).tolist()
    w = rng.standard_t(2, (group * int(rng.integers(1, 7)), inputs, *kernel))
    if rng.random() < 0.4:
        w = np.sign(w) * rng.uniform(1, 2, w.shape)
    w[rng.random(w.shape) < 0.1] = 0
    code = encode(w.astype(np.float32), p_bits=int(rng.choice([1, 4, 8, 16])))
    bits = int(rng.choice([4, 12, 12, 16]))
    most = 2 ** (bits - 1) - 1
    sizes = (int(rng.integers(1, 3)), *rng.integers(4, 9, rank), group * inputs)
    x = rng.integers(-most, most + 1, sizes).astype(np.int16)
    f, g = (
        int(rng.integers(-4, 12)),
        int(rng.integers(-50, 50) if seed % 5 == 0 else rng.integers(5)),
    )
    h = g + int(rng.integers(-14, 15))
    window: dict[str, Any] = {"pads": rng.integers(0, 2, 2 * rank).tolist(), "group": group}
    samples = int(rng.choice([0, 1, 4, 64]))
    bias = (rng.normal(size=len(w)) * 20).astype(np.float32)
    given: dict[str, Any] = {"exponents": Exponents(f, g, h), "samples": samples, "x_bits": bits}
    given |= {"sampler": "nearest", "y_min": -3000, "y_max": 30000} | window
    expected = fixed_conv16(x, code, bias, **given)
    constants: Arrays = {
        "w": pack(code),
        "emax": code.emax,
        "b": bias,
        "samples": np.array(samples),
        "seed": np.array(3),
    }
    if rng.random() < 0.5:
        constants["z"] = rng.integers(-32768, 32768, expected.shape).astype(np.int16)
        expected = fixed_conv16(x, code, bias, constants["z"], **given)
    found = call(
        "FixedConv16",
        {"x": x},
        constants,
        weight_shape=code.shape,
        p_bits=code.p_bits,
        rounding="carried",
        x_bits=bits,
        x_exponent=f,
        y_exponent=g,
        z_exponent=h,
        y_min=-3000,
        y_max=30000,
        **window,
        **how,
    )
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, expected, str(seed))


@pytest.mark.parametrize("opset", OPSETS)
def test_convolutions_give_the_values_of_the_oracle(opset: int) -> None:
    for seed in range(opset * 100, opset * 100 + 20):
        check_conv(seed, opset=opset)


def test_onnx_own_reference_gives_them_too() -> None:
    for seed in range(10):
        check_conv(seed, reference=True)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_ends_and_pooling_give_the_numbers_of_the_oracle(seed: int, reference: bool) -> None:
    rng = np.random.default_rng(seed)
    how: dict[str, Any] = {"reference": reference, "opset": OPSETS[seed % len(OPSETS)]}
    exponent, bits = int(rng.integers(-2, 12)), int(rng.integers(2, 17))
    sizes = rng.integers(2, 20, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    v = to_fixed16(floats, exponent, bits)
    found = call("ToFixed16", {"x": floats}, y_exponent=exponent, y_bits=bits, **how)
    np.testing.assert_array_equal(found, v)
    for op, plain in (("FromFixed16", from_fixed16), ("FixedGlobalPool16", fixed_global_pool16)):
        found = call(op, {"x": v}, x_exponent=exponent, **how)
        np.testing.assert_array_equal(found, plain(v, exponent))
    kernel = [min(3, int(size)) for size in sizes]
    window: dict[str, Any] = {
        "strides": rng.integers(1, 3, len(sizes)).tolist(),
        "pads": [k // 2 for k in kernel] * 2,
    }
    found = call("FixedMaxPool16", {"x": v}, kernel_shape=kernel, **window, **how)
    np.testing.assert_array_equal(found, fixed_max_pool16(v, kernel, **window))


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_resizing_gives_the_values_of_the_oracle(seed: int, reference: bool) -> None:
    rng = np.random.default_rng(seed)
    spatial = rng.integers(1, 9, 1 + seed % 2).tolist()
    x = rng.integers(-32768, 32768, (2, *spatial, 3)).astype(np.int16)
    x.flat[:2] = -32768
    sizes = [2, 3, *rng.integers(1, 20, len(spatial)).tolist()]
    place = seed % len(COORDINATES)
    found = call(
        "FixedResize16",
        {"x": x},
        {"sizes": np.array(sizes)},
        coordinates=place,
        reference=reference,
        opset=OPSETS[seed % len(OPSETS)],
    )
    assert found.dtype == np.int16
    wanted = fixed_resize16(x, sizes, coordinates=COORDINATES[place])
    np.testing.assert_array_equal(found, wanted)


def test_a_node_that_leaves_all_out_gets_the_defaults() -> None:
    x = np.array([[[3, -4], [5, 6]]], np.int16)
    code = encode(
        np.ones((1, 2, 1), np.float32),
        p_bits=4,
    )
    constants: Arrays = {"w": pack(code), "emax": code.emax}
    constants |= {"b": np.zeros(1, np.float32), "samples": np.array(0), "seed": np.array(0)}
    found = call("FixedConv16", {"x": x}, constants, weight_shape=code.shape, p_bits=4)
    assert found.tolist() == [[[-1], [11]]]
