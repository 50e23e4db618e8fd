"""The operators of chains of 16 bits in ONNX Runtime against their oracle, value for value."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from chain_cases import one_node
from each_kernel import KERNELS, check_with
from regional.runs import check_region

from reluflow.errors import DataError
from reluflow.psb import conv, encode, pack
from reluflow.psb.fixed import (
    COORDINATES,
    Exponents,
    fixed_conv16,
    fixed_global_pool16,
    fixed_max_pool16,
    fixed_resize16,
    from_fixed16,
    sum_excess,
    to_fixed16,
)
from reluflow.sessions import get_library_path
from reluflow.sessions.library import register

native = pytest.mark.skipif(get_library_path() is None, reason="no native library")


def run(op, inputs, constants, threads=1, **attributes):
    """Run one node of our domain."""
    proto = one_node(op, inputs, constants, attributes)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    register(options)
    return ort.InferenceSession(proto.SerializeToString(), options).run(None, inputs)[0]


def random_case(rng):
    """Return x, code and options of `fixed_conv16`, whatever a chain may hold."""
    rank = int(rng.integers(1, 3))
    depthwise = rng.random() < 0.35
    group = int(rng.integers(1, 140)) if depthwise else int(rng.choice([1, 1, 1, 2, 3]))
    per_group = 1 if depthwise else int(rng.integers(1, 40))
    outputs = group if depthwise else group * int(rng.integers(1, 70))
    kernel = rng.integers(1, 6, rank).tolist()
    options = {
        "strides": rng.integers(1, 3, rank).tolist(),
        "dilations": rng.choice([1, 1, 2], rank).tolist(),
        "group": group,
    }
    if rng.random() < 0.3:
        options["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    else:
        options["pads"] = rng.integers(0, 3, 2 * rank).tolist()
    sizes = [
        d * (k - 1) + 1 + int(rng.integers(0, 12))
        for d, k in zip(options["dilations"], kernel, strict=True)
    ]
    w = rng.standard_t(2, (outputs, per_group, *kernel)).astype(np.float32)
    if rng.random() < 0.3:  # magnitudes that only wide sums hold
        w = np.sign(w) * rng.uniform(1, 2, w.shape).astype(np.float32)
    w[rng.random(w.shape) < 0.1] = 0
    w *= np.ldexp(1.0, rng.integers(-3, 3, outputs)).reshape(-1, *[1] * (w.ndim - 1))
    code = encode(w.astype(np.float32), p_bits=int(rng.choice([1, 2, 3, 4, 4, 6, 8, 16])))
    bits = int(rng.choice([4, 8, 12, 12, 12, 14, 16]))
    most = 2 ** (bits - 1) - 1
    shape = (int(rng.integers(1, 3)), *sizes, group * per_group)
    x = rng.integers(-most, most + 1, shape).astype(np.int16)
    return x, bits, code, options


def check_conv(seed, threads=1, region=False):
    """Compare one random FixedConv16 with its oracle, everywhere or in a region."""
    rng = np.random.default_rng(seed)
    x, bits, code, options = random_case(rng)
    far = 60 if rng.random() < 0.2 else 5
    y_exponent = int(rng.integers(-far, far))
    exponents = Exponents(
        int(rng.integers(-4, 10)), y_exponent, y_exponent + int(rng.integers(-14, 15))
    )
    bias: np.ndarray | None = (rng.normal(size=len(code.emax)) * 20).astype(np.float32)
    assert bias is not None
    bias[: int(rng.integers(0, 2))] = rng.choice([np.nan, np.inf, 1e30])
    if rng.random() < 0.2:
        bias = None
    numbers = {
        "samples": int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64])),
        "seed": int(seed) * 7,
        "stream": 5,
        "sampler": str(rng.choice(["systematic", "systematic", "binomial", "nearest"])),
        "x_bits": bits,
    }
    low, high = sorted(rng.integers(-32767, 32768, 2).tolist())
    shared = dict(exponents=exponents, y_min=low, y_max=high, **numbers, **options)
    expected = fixed_conv16(x, code, bias, **shared)
    z = None
    if rng.random() < 0.5:
        z = rng.integers(-32768, 32768, expected.shape).astype(np.int16)
        expected = fixed_conv16(x, code, bias, z, **shared)
    constants = {
        "w": pack(code),
        "emax": code.emax,
        "b": bias,
        "samples": np.array(numbers.pop("samples"), np.int64),
        "seed": np.array(numbers.pop("seed"), np.int64),
        "z": np.zeros(0, np.int16) if z is None else z,
    }
    attributes = {
        "weight_shape": code.shape,
        "p_bits": code.p_bits,
        "rounding": code.rounding,
        "x_exponent": exponents.x,
        "y_exponent": exponents.y,
        "z_exponent": exponents.z,
        "y_min": low,
        "y_max": high,
        **numbers,
        **options,
    }
    if region:
        check_region(
            "FixedConv16", {"x": x}, constants, attributes, expected, seed=seed, threads=threads
        )
        return
    found = run("FixedConv16", {"x": x}, constants, threads, **attributes)
    np.testing.assert_array_equal(found, expected)


def check_others(seed):
    """Compare the ends of chains and pooling with their oracle."""
    rng = np.random.default_rng(seed)
    exponent, bits = int(rng.integers(-2, 12)), int(rng.integers(2, 17))
    sizes = rng.integers(1, 40, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    found = run("ToFixed16", {"x": floats}, {}, y_exponent=exponent, y_bits=bits)
    v = to_fixed16(floats, exponent, bits)
    np.testing.assert_array_equal(found, v)
    for op, plain in (("FromFixed16", from_fixed16), ("FixedGlobalPool16", fixed_global_pool16)):
        np.testing.assert_array_equal(
            run(op, {"x": v}, {}, x_exponent=exponent), plain(v, exponent)
        )
    kernel = [int(min(3, s)) for s in sizes]
    windows = {
        "strides": rng.integers(1, 3, len(sizes)).tolist(),
        "pads": [k // 2 for k in kernel] * 2,
    }
    found = run("FixedMaxPool16", {"x": v}, {}, kernel_shape=kernel, **windows)
    np.testing.assert_array_equal(found, fixed_max_pool16(v, kernel, **windows))


def random_resize(seed):
    """Return inputs, constants, attributes and output of a random FixedResize16."""
    rng = np.random.default_rng(seed)
    spatial = rng.integers(1, 14, 1 + seed % 2)
    shape = (int(rng.integers(1, 3)), *spatial, int(rng.choice([1, 3, 32, 70])))
    x = rng.integers(-32768, 32768, shape).astype(np.int16)
    if seed % 3 == 0:  # sums at their largest
        x = rng.choice([-32768, 32767], shape).astype(np.int16)
    sizes = [shape[0], shape[-1], *rng.integers(1, 45, len(spatial)).tolist()]
    place = seed % len(COORDINATES)
    y = fixed_resize16(x, sizes, coordinates=COORDINATES[place])
    return {"x": x}, {"sizes": np.array(sizes)}, {"coordinates": place}, y


def check_resize(seed):
    """Compare a random FixedResize16 with its oracle, everywhere and in a region."""
    inputs, constants, attributes, y = random_resize(seed)
    found = run("FixedResize16", inputs, constants, 1 + seed % 3, **attributes)
    np.testing.assert_array_equal(found, y)
    check_region("FixedResize16", inputs, constants, attributes, y, seed=seed, threads=2)


def check_others_in_a_region(seed):
    """Compare the ends of chains and pooling with their oracle in a region."""
    rng = np.random.default_rng(seed)
    exponent, how = int(rng.integers(-2, 12)), {"seed": seed, "threads": 1 + seed % 2}
    sizes = rng.integers(1, 50, int(rng.integers(1, 3)))
    channels = 3 if seed % 3 == 0 else int(rng.integers(1, 70))
    floats = (rng.normal(size=(2, channels, *sizes)) * 9).astype(np.float32)
    v = to_fixed16(floats, exponent)
    check_region("ToFixed16", {"x": floats}, {}, {"y_exponent": exponent}, v, **how)
    check_region(
        "FromFixed16",
        {"x": v},
        {},
        {"x_exponent": exponent},
        from_fixed16(v, exponent),
        channels_last=False,
        **how,
    )
    kernel = [int(min(3, s)) for s in sizes]
    windows = {
        "strides": rng.integers(1, 3, len(sizes)).tolist(),
        "pads": [k // 2 for k in kernel] * 2,
    }
    pooled = fixed_max_pool16(v, kernel, **windows)
    attributes = {"kernel_shape": kernel, **windows}
    check_region("FixedMaxPool16", {"x": v}, {}, attributes, pooled, **how)


@native
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_computes_regions_alone(kernel: str) -> None:
    script = (
        "from test_chains16 import check_conv, check_others_in_a_region\n"
        "for seed in range(200, 300): check_conv(seed, 1 + seed % 2, region=True)\n"
        "for seed in range(25): check_others_in_a_region(seed)\n"
    )
    check_with(kernel, script, Path(__file__).parent)


@native
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_gives_the_values_of_the_oracle(kernel: str) -> None:
    script = (
        "from test_chains16 import check_conv, check_others, check_resize\n"
        "for seed in range(24): check_resize(seed)\n"
        "for seed in range(160): check_conv(seed, 1 + seed % 3)\n"
        "for seed in range(25): check_others(seed)\n"
    )
    check_with(kernel, script, Path(__file__).parent)


@pytest.mark.parametrize("samples", [0, 1, 4, 64])
def test_a_chain_of_16_bits_has_the_weights_of_psb_conv(samples: int) -> None:
    """Its output is PsbConv's but for the last rounding: half a step, and float32's own."""
    rng = np.random.default_rng(samples)
    code = encode(rng.standard_t(3, (9, 6, 3, 3)).astype(np.float32), p_bits=4)
    x = rng.normal(size=(2, 6, 8, 7)).astype(np.float32)
    f, g = 8, 6
    v = to_fixed16(x, f)
    y = fixed_conv16(
        v, code, exponents=Exponents(f, g), samples=samples, seed=3, stream=2, pads=[1] * 4
    )
    plain = conv(x, code, samples=samples, seed=3, stream=2, pads=[1] * 4, x_exponent=f)
    plain = np.moveaxis(plain, 1, -1)
    off = np.abs(y * 2.0**-g - plain)
    assert off.max() <= 2.0 ** -(g + 1) + 2.0**-13 * 2.0**-g + 1e-6 * np.abs(plain).max()


@pytest.mark.parametrize(
    ("outputs", "x_bits", "excess"), [(16, 12, 0), (17, 12, 1), (32, 12, 1), (64, 16, 6)]
)
def test_the_excess_of_a_sum_is_the_least_that_leaves_29_bits(
    outputs: int, x_bits: int, excess: int
) -> None:
    code = encode(np.ones((1, outputs), np.float32), p_bits=4)
    bound = outputs * 2**14 * (2 ** (x_bits - 1) - 1)
    assert sum_excess(code, x_bits).tolist() == [excess]
    assert bound >> excess < 2**29 and (excess == 0 or bound >> excess - 1 >= 2**29)


def test_values_beyond_their_bits_are_refused() -> None:
    code = encode(np.ones((1, 2, 1), np.float32), p_bits=4)
    x = np.full((1, 3, 2), 2048, np.int16)
    with pytest.raises(DataError, match="magnitude 2048, but x_bits=12 allows at most 2047"):
        fixed_conv16(x, code, exponents=Exponents(0, 0), samples=0)
    with pytest.raises(DataError, match=r"x has shape \(1, 3, 1\)"):
        fixed_conv16(x[..., :1] // 2, code, exponents=Exponents(0, 0), samples=0)
    with pytest.raises(DataError, match=r"z has shape \(1, 1\)"):
        fixed_conv16(
            x // 2, code, None, np.zeros((1, 1), np.int16), exponents=Exponents(0, 0), samples=0
        )


@native
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x_bits": 11}, "holds a value of magnitude 1500, but x_bits 11 allows at most 1023"),
        ({"y_exponent": 20, "z_exponent": 5}, "a difference of at most 14 is accepted"),
        ({"x_exponent": 101}, "x_exponent is 101, but -100 to 100 is accepted"),
        ({"y_min": -40000}, "y_min is -40000, but -32767 to 32767 is accepted"),
        ({"draws": "product"}, "in a chain draws are made per run"),
        ({"z": np.zeros((1, 2, 1), np.int16)}, "give a Z that needs no broadcasting"),
        ({"x": np.zeros((3, 2), np.int16)}, "at least 3 axes are wanted, channels last"),
    ],
)
def test_a_node_that_cannot_run_says_why(changes: dict[str, Any], sentence: str) -> None:
    code = encode(np.ones((1, 2, 1), np.float32), p_bits=4)
    x = changes.pop("x", np.full((1, 3, 2), -1500, np.int16))
    constants = {
        "w": pack(code),
        "emax": code.emax,
        "b": None,
        "samples": np.array(0, np.int64),
        "seed": np.array(0, np.int64),
        "z": changes.pop("z", None),
    }
    attributes = {"weight_shape": code.shape, "p_bits": 4, "x_exponent": 0} | changes
    with pytest.raises(Exception, match=sentence):
        run("FixedConv16", {"x": x}, constants, **attributes)


@native
@pytest.mark.parametrize(
    ("op", "x", "attributes", "sentence"),
    [
        ("ToFixed16", np.zeros((1, 2), np.float32), {"y_bits": 17}, "y_bits is 17, but 2 to 16"),
        ("ToFixed16", np.zeros(3, np.float32), {}, "give a tensor of at least two axes"),
        ("FromFixed16", np.zeros(3, np.int16), {}, "at least 2 axes are wanted"),
        ("FixedGlobalPool16", np.zeros((3, 2), np.int16), {}, "at least 3 axes are wanted"),
        (
            "FixedMaxPool16",
            np.zeros((1, 3, 2), np.int16),
            {"kernel_shape": [1, 1]},
            "give an input that fits kernel_shape",
        ),
    ],
)
def test_an_end_or_a_pool_that_cannot_run_says_why(op, x, attributes, sentence) -> None:
    with pytest.raises(Exception, match=sentence):
        run(op, {"x": x}, {}, **attributes)
