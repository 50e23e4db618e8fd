"""The operators of chains in ONNX Runtime against their oracle, byte for byte."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from chain_cases import Arrays, one_node, random_bytes, random_conv, random_end
from each_kernel import KERNELS, check_with

from reluflow.psb import decode, encode, pack
from reluflow.psb.fixed import (
    FixedFormat,
    fixed_conv,
    fixed_global_average_pool,
    fixed_global_pool,
    fixed_max_pool,
    from_fixed,
    grid_means,
    grid_steps,
    grid_weights,
    to_fixed,
)
from reluflow.sessions import get_library_path
from reluflow.sessions.library import register

pytestmark = pytest.mark.skipif(get_library_path() is None, reason="no native library")


def run(
    op: str,
    inputs: Arrays,
    constants: Arrays,
    *,
    threads: int = 1,
    times: int = 1,
    **attributes: Any,
) -> np.ndarray:
    """Run one node of our domain, so often that it keeps what it draws twice."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    register(options)
    proto = one_node(op, inputs, constants, attributes)
    session = ort.InferenceSession(proto.SerializeToString(), options)
    for _ in range(times - 1):
        session.run(None, inputs)
    return session.run(None, inputs)[0]


def check_conv(seed: int) -> None:
    """Compare one random FixedConv with its oracle."""
    case = random_conv(seed)
    threads = 1 + seed % 3
    found = run("FixedConv", case.inputs, case.constants, threads=threads, **case.attributes)
    np.testing.assert_array_equal(found, case.expected)


def check_bytes(seed: int) -> None:
    """Compare the operators on bytes with their oracles."""
    for case in random_bytes(seed):
        threads = 1 + seed % 3
        found = run(case.op, case.inputs, case.constants, threads=threads, **case.attributes)
        np.testing.assert_array_equal(found, case.expected, case.op)


def check_end(seed: int) -> None:
    """Compare a product at the end of a chain with its oracle, drawn twice and kept."""
    case = random_end(seed)
    found = run(
        case.op, case.inputs, case.constants, threads=1 + seed % 3, times=3, **case.attributes
    )
    np.testing.assert_array_equal(found, case.expected, str(seed))


MANY_CHANNELS = (
    ((1, 7, 7, 24), (320, 24, 3, 3), 0),
    ((1, 7, 7, 24), (320, 24, 3, 3), 128),
    ((2, 7, 7, 16), (300, 16, 1, 1), 0),
    ((1, 14, 14, 12), (300, 12, 3, 3), 128),
    ((1, 3, 7, 12), (260, 12, 1, 1), 0),
    ((1, 2, 2, 12), (512, 12, 1, 1), 0),
    ((1, 5, 4, 40), (384, 40, 1, 1), 0),
    ((1, 1, 1, 130), (1000, 130, 1, 1), 0),
)
"""x, weights and the zero point of x: so many channels that blocks are drawn next to their use."""


def check_many_channels(seed: int) -> None:
    """Compare convolutions of several blocks of channels, each run with new draws."""
    rng = np.random.default_rng(seed)
    shape, kernel, zero = MANY_CHANNELS[seed % len(MANY_CHANNELS)]
    x = rng.integers(0, 256, shape).astype(np.uint8)
    code = encode(rng.standard_t(3, kernel).astype(np.float32), p_bits=4)
    samples = int(rng.choice([0, 1, 2, 4, 16, 64]))
    pads = [kernel[-1] // 2] * 4
    constants: Arrays = {
        "w": pack(code),
        "emax": code.emax,
        "b": np.zeros(1, np.float32),
        "samples": np.array(samples),
        "seed": np.array(seed),
    }
    attributes: dict[str, Any] = {"weight_shape": kernel, "p_bits": 4, "pads": pads}
    attributes |= {"x_exponent": 4, "x_zero": zero, "y_exponent": 1, "y_zero": 128}
    found = run("FixedConv", {"x": x}, constants, threads=1 + seed % 3, **attributes)
    expected = fixed_conv(
        x,
        code,
        x_form=FixedFormat(4, zero),
        y_form=FixedFormat(1, 128),
        samples=samples,
        seed=seed,
        pads=pads,
    )
    np.testing.assert_array_equal(found, expected, str(seed))


def check_others(seed: int) -> None:
    """Compare the ends of chains and pooling with their oracle."""
    rng = np.random.default_rng(seed)
    form = FixedFormat(int(rng.integers(-2, 8)), int(rng.choice([0, 128])))
    attributes = {"exponent": form.exponent, "zero": form.zero}
    sizes = rng.integers(1, 40, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    for fills in (False, True):
        found = run(
            "ToFixed",
            {"x": floats},
            {},
            fills_quads=int(fills),
            **{f"y_{k}": v for k, v in attributes.items()},
        )
        np.testing.assert_array_equal(found, to_fixed(floats, form, fills_quads=fills))
    u = to_fixed(floats, form)
    of_x = {f"x_{k}": v for k, v in attributes.items()}
    np.testing.assert_array_equal(run("FromFixed", {"x": u}, {}, **of_x), from_fixed(u, form))
    np.testing.assert_array_equal(
        run("FixedGlobalPool", {"x": u}, {}, **of_x), fixed_global_pool(u, form)
    )
    rank = len(sizes)
    kernel = [int(min(3, s)) for s in sizes]
    windows = {"strides": rng.integers(1, 3, rank).tolist(), "pads": [k // 2 for k in kernel] * 2}
    found = run("FixedMaxPool", {"x": u}, {}, kernel_shape=kernel, **windows)
    np.testing.assert_array_equal(found, fixed_max_pool(u, kernel, **windows))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_gives_the_bytes_of_the_oracle(kernel: str) -> None:
    script = (
        "from test_chains import check_bytes, check_conv, check_end, check_many_channels\n"
        "from test_chains import check_others\n"
        "for seed in range(120): check_conv(seed)\n"
        "for seed in range(25): check_others(seed)\n"
        "for seed in range(60): check_bytes(seed)\n"
        "for seed in range(80): check_end(seed)\n"
        "for seed in range(40): check_many_channels(seed)\n"
    )
    check_with(kernel, script, Path(__file__).parent)


def test_means_of_very_many_pixels_are_exact() -> None:
    x = np.random.default_rng(5).integers(0, 256, (1, 1100, 1000, 3)).astype(np.uint8)
    x[..., 1] = 255
    for exponent in (-20, 0, 12):
        form, finer = FixedFormat(0, 128), FixedFormat(exponent, 0)
        mean = fixed_global_average_pool(x, x_form=form, y_form=finer)
        found = run(
            "FixedGlobalAveragePool", {"x": x}, {}, x_zero=128, y_exponent=exponent, threads=2
        )
        np.testing.assert_array_equal(found, mean)


BYTES = np.zeros((1, 4, 5, 6), np.uint8)
TABLE = np.arange(256).astype(np.uint8)
ROWS = [
    pack(encode(np.ones((2, 6), np.float32), p_bits=4)),
    np.zeros(2, np.int8),
    np.zeros(1, np.float32),
    np.array(4),
    np.array(0),
]
MATRIX: dict[str, Any] = {"weight_shape": [2, 6], "p_bits": 4}
KERNEL: dict[str, Any] = {"weight_shape": [2, 6, 1, 1], "p_bits": 4}
FAULTS = [
    ("FixedAdd", [BYTES, BYTES[:, :2]], {}, r"A has shape \[1, 4, 5, 6\] and B \[1, 2, 5, 6\]"),
    ("FixedAdd", [BYTES, BYTES, TABLE[:9]], {}, r"table has shape \[9\], but \[256\] is wanted"),
    ("FixedAdd", [BYTES, BYTES], {"a_exponent": 101}, "a_exponent is 101, but -100 to 100"),
    ("FixedAdd", [BYTES, BYTES], {"b_zero": 7}, "b_zero is 7, but 0 and 128 are accepted"),
    ("FixedAdd", [BYTES, BYTES], {"y_max": 256}, "y_max is 256, but 0 to 255 is accepted"),
    ("FixedMul", [BYTES, BYTES], {"y_min": 9, "y_max": 8}, "y_min is 9 and y_max is 8, but y_min"),
    ("FixedAdd", [BYTES, BYTES], {"y_min": 1.5}, "attribute y_min cannot be read"),
    ("FixedAdd", [BYTES.astype(np.float32), BYTES], {}, "float"),
    ("FixedMul", [BYTES, BYTES[:, :1]], {}, r"S has shape \[1, 1, 5, 6\], but \[1, 1, 1, 6\] or"),
    ("FixedMul", [BYTES[0, 0, 0], BYTES[0, 0, 0]], {}, r"X has shape \[6\], but an axis of inputs"),
    ("FixedMul", [BYTES, BYTES], {"s_exponent": -101}, "s_exponent is -101, but -100 to 100"),
    ("FixedTable", [BYTES, TABLE[:0]], {}, r"table has shape \[0\], but \[256\] is wanted"),
    ("FixedTable", [BYTES, TABLE[:255]], {}, r"table has shape \[255\], but \[256\] is wanted"),
    ("FixedAveragePool", [BYTES], {}, r"kernel_shape is \[\], but \[k\] or \[kH, kW\] with"),
    ("FixedAveragePool", [BYTES], {"kernel_shape": [2]}, "X has shape .*, but rank 3 is wanted"),
    ("FixedAveragePool", [BYTES], {"kernel_shape": [5, 1]}, "at least 5 are wanted; give a larger"),
    ("FixedAveragePool", [BYTES], {"kernel_shape": [2, 0]}, r"kernel_shape is \[2, 0\], but"),
    ("FixedAveragePool", [BYTES], {"kernel_shape": [2, 2], "pads": [1]}, r"pads is \[1\], but 4"),
    ("FixedMaxPool", [BYTES], {"kernel_shape": [2, 2, 2]}, r"kernel_shape is \[2, 2, 2\], but"),
    ("FixedMaxPool", [BYTES], {"kernel_shape": [2, 2], "auto_pad": "SAME"}, "auto_pad is"),
    (
        "FixedGlobalAveragePool",
        [BYTES[0, 0]],
        {},
        r"X has shape \[5, 6\], but at least one spatial",
    ),
    ("FixedGlobalPool", [BYTES[0, 0]], {}, r"X has shape \[5, 6\], but at least one spatial axis"),
    ("FixedGlobalAveragePool", [BYTES], {"y_zero": -1}, "y_zero is -1, but 0 and 128"),
    ("FixedResize", [BYTES, np.array([1, 6, 4])], {}, r"sizes is \[1, 6, 4\] for X of shape"),
    ("FixedResize", [BYTES, np.array([2, 6, 4, 4])], {}, "X's inputs and channels, then sizes"),
    ("FixedResize", [BYTES, np.array([1, 5, 4, 4])], {}, "X's inputs and channels, then sizes"),
    ("FixedResize", [BYTES, np.array([1, 6, 0, 4])], {}, r"sizes from 1 to 2\^30 are wanted"),
    ("FixedResize", [BYTES, np.array([1, 6, 4, 2**31])], {}, r"sizes from 1 to 2\^30 are wanted"),
    ("FixedResize", [BYTES, np.array([1, 6, 4, 4])], {"coordinates": 4}, "coordinates is 4, but 0"),
    ("FixedResize", [BYTES[0, 0], np.array([5, 6])], {}, "one or two spatial axes with at least"),
    ("FixedResize", [BYTES[:, :0], np.array([1, 6, 4, 4])], {}, "with at least one pixel are"),
    ("ToFixed", [np.zeros(3, np.float32)], {}, r"X has shape \[3\], but an axis of inputs"),
    ("FromFixed", [BYTES[0, 0, 0]], {}, r"X has shape \[6\], but an axis of inputs"),
    ("FromFixedMatMul", [BYTES[..., :5], *ROWS], MATRIX, r"X has .*5\], but \[..., 6\] is wanted"),
    ("FromFixedMatMul", [BYTES, *ROWS], MATRIX | {"x_zero": 3}, "x_zero is 3, but 0 and 128"),
    ("FromFixedMatMul", [BYTES, *ROWS], {"weight_shape": [2, 3, 2]}, r"\[N, K\] with sizes"),
    ("FromFixedConv", [BYTES, *ROWS], MATRIX, "weight_shape is"),
    ("FromFixedConv", [BYTES[..., :5], *ROWS], KERNEL, r"X has .*5\], but rank 4 and 6 channels"),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "sentence"), FAULTS)
def test_a_wrong_call_is_one_sentence(
    op: str, inputs: list[np.ndarray], attributes: dict[str, Any], sentence: str
) -> None:
    named = {f"i{number}": value for number, value in enumerate(inputs)}
    with pytest.raises(Exception, match=sentence) as caught:
        run(op, named, {}, **attributes)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize("samples", [1, 2, 4, 8, 16, 32, 64])
def test_the_mean_of_all_draws_is_the_decoded_weight(samples: int) -> None:
    w = np.random.default_rng(3).standard_t(2, (3, 9, 2)).astype(np.float32)
    code = encode(w, p_bits=4)
    low, high, chance = grid_steps(code, samples)
    mean = low + (high - low) * chance / 256
    x = grid_means(code) / 2.0**24
    fits = x <= 127
    assert (np.abs(mean - x)[fits] <= (high - low)[fits] / 512).all()
    decoded = np.abs(decode(code).astype(np.float64)) * 2.0 ** (
        6 - code.emax.astype(np.float64).reshape(-1, 1, 1)
    )
    np.testing.assert_array_equal(x, decoded)


def test_draws_take_high_as_often_as_they_should() -> None:
    """Over 4096 seeds a share differs from its chance by 5 deviations in 1 of 1.7 million."""
    w = np.random.default_rng(4).normal(size=(2, 6, 3)).astype(np.float32)
    code = encode(w, p_bits=4)
    runs = 4096
    total = sum(np.abs(grid_weights(code, 4, seed=s).astype(np.int64)) for s in range(runs))
    low, high, chance = grid_steps(code, 4)
    share = (total / runs - low) / np.maximum(high - low, 1)
    p = chance / 256
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / runs) + 1e-12).all()


def test_what_a_weight_rounds_away_the_next_of_its_sequence_makes_up() -> None:
    code = encode(np.full((1, 4, 50), 1.0 + 3 / 16, np.float32), p_bits=4)
    for seed in range(20):
        w = grid_weights(code, 4, seed=seed).astype(np.float64)[0]
        missed = np.cumsum(w - 76, axis=1)  # 64 * (1 + 3 / 16), drawn in steps of 16
        assert np.abs(missed).max() < 16
