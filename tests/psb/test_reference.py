"""The oracle against the contract written again with loops over Python's integers."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import DataError, OptionError
from reluflow.psb import PsbCode, conv, encode, integer_weights, matmul, quantise_activation


def round_float32(value: Fraction) -> np.float32:
    """Round an exact value once, to nearest even; float64 holds every value used here."""
    wide = value.numerator / value.denominator
    assert Fraction(wide) == value
    with np.errstate(over="ignore"):
        return np.float64(wide).astype(np.float32)


def literal_sum(products: dict[int, int]) -> np.float32:
    """Add the products, keyed by pair number, block by block."""
    total: np.float32 | None = None
    for block in range(max(products) // 64 + 1):
        exact = sum(v for pair, v in products.items() if pair // 64 == block)
        part = round_float32(Fraction(exact))
        total = part if total is None else np.float32(total + part)
    assert total is not None
    return total


def literal_output(total: np.float32, power: int, bias, z, activation: str) -> np.float32:
    y = round_float32(Fraction(float(total)) * Fraction(2) ** power)
    if bias is not None:
        y = np.float32(y + bias)
    if z is not None:
        y = np.float32(y + z)
    if activation == "relu":
        y = np.float32(0) if y < 0 else y
    if activation == "clip":
        y = min(max(y, np.float32(-1.5)), np.float32(2.25))
    return y


def literal_conv(
    x, code, bias, z=None, *, group, strides, dilations, pads, f, x_bits, activation, **how
):
    x_int, f, _ = quantise_activation(x, x_bits, f)
    m, per_group, *kernel = code.shape
    spatial = x.shape[2:]
    rank = len(kernel)
    out = [
        (n + pads[i] + pads[rank + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, n in enumerate(spatial)
    ]
    y = np.empty((len(x), m, *out), np.float32)
    taps = list(itertools.product(*map(range, kernel)))
    product = how.pop("draws") == "product"
    positions = itertools.product(range(len(x)), *map(range, out))
    for v, (n, *where) in enumerate(positions):
        w = integer_weights(code, **how, position=v if product else None)
        for channel in range(m):
            products: dict[int, int] = {}
            for c, (t, tap) in itertools.product(range(per_group), enumerate(taps)):
                at = [
                    o * s + k * d - p
                    for o, s, k, d, p in zip(
                        where, strides, tap, dilations, pads[:rank], strict=True
                    )
                ]
                pair = (c // 2) * len(taps) + t
                inside = all(0 <= a < size for a, size in zip(at, spatial, strict=True))
                source = channel // (m // group) * per_group + c
                value = int(x_int[(n, source, *at)]) if inside else 0
                products[pair] = products.get(pair, 0) + value * int(w[(channel, c, *tap)])
            one_bias = None if bias is None else bias[channel]
            one_z = None if z is None else z[(n, channel, *where)]
            power = int(code.emax[channel]) - 13 - f
            y[(n, channel, *where)] = literal_output(
                literal_sum(products), power, one_bias, one_z, activation
            )
    return y


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 2))
    group = draw(st.integers(1, 3))
    per_group, m = draw(st.integers(1, 5)), group * draw(st.integers(1, 2))
    few = lambda low, high: draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))  # noqa: E731
    kernel, strides, dilations = few(1, 3), few(1, 2), few(1, 2)
    pads = few(0, 2) + few(0, 2)
    sizes = [
        d * (k - 1) + 1 + draw(st.integers(0, 2)) for d, k in zip(dilations, kernel, strict=True)
    ]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p_bits = draw(st.sampled_from([1, 2, 3, 4, 6, 8, 16]))
    words = rng.integers(0, 1 << (5 + p_bits), (m, per_group, *kernel), np.uint32)
    words[rng.random(words.shape) < 0.2] = 0
    code = PsbCode(words, rng.integers(-5, 6, m).astype(np.int8), p_bits)
    x = rng.normal(size=(draw(st.integers(1, 2)), group * per_group, *sizes)).astype(np.float32)
    options = {
        "group": group,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "x_bits": draw(st.sampled_from([2, 8, 12, 16])),
        "activation": draw(st.sampled_from(["none", "relu", "clip"])),
        "samples": draw(st.sampled_from([0, 1, 4, 64])),
        "sampler": draw(st.sampled_from(["systematic", "binomial", "nearest"])),
        "draws": draw(st.sampled_from(["run", "product"])),
        "seed": draw(st.integers(-(2**63), 2**63 - 1)),
        "stream": draw(st.integers(0, 99)),
    }
    bias = rng.normal(size=m).astype(np.float32) if draw(st.booleans()) else None
    return x, code, bias, options, draw(st.sampled_from([None, 3]))


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


@settings(max_examples=120)
@given(cases())
def test_conv_has_the_bits_of_the_contract(case) -> None:
    x, code, bias, options, f = case
    found = conv(x, code, bias, x_exponent=f, clip_min=-1.5, clip_max=2.25, **options)
    assert found.flags.c_contiguous
    assert_same_bits(found, literal_conv(x, code, bias, f=f, **options))
    z = np.random.default_rng(x.size).normal(size=found.shape).astype(np.float32)
    found = conv(x, code, bias, z, x_exponent=f, clip_min=-1.5, clip_max=2.25, **options)
    assert_same_bits(found, literal_conv(x, code, bias, z, f=f, **options))


@pytest.mark.parametrize("shape", [(2, 31, 3, 3), (2, 45, 3, 1), (3, 129, 1, 1)])
def test_conv_over_several_blocks_has_the_bits_of_the_contract(shape) -> None:
    rng = np.random.default_rng(1)
    code = encode(rng.normal(size=shape), p_bits=16)
    x = rng.normal(size=(1, shape[1], 6, 6)).astype(np.float32)
    bias = rng.normal(size=shape[0]).astype(np.float32)
    how = {"samples": 16, "sampler": "binomial", "seed": 5, "stream": 1, "draws": "run"}
    place = {"group": 1, "strides": [1, 1], "dilations": [1, 1], "pads": [1, 0, 0, 1]}
    options: dict[str, Any] = {"x_bits": 16, "activation": "none", **how, **place}
    assert_same_bits(conv(x, code, bias, **options), literal_conv(x, code, bias, f=None, **options))


@settings(max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 300), st.integers(1, 4), st.integers(0, 2**32), st.booleans()
)
def test_matmul_is_a_convolution_of_one_pixel_a_row(
    rows: int, k: int, n: int, seed: int, product: bool
) -> None:
    rng = np.random.default_rng(seed)
    code = encode(rng.normal(size=(k, n)), p_bits=8, channel_axis=1)
    x = rng.normal(size=(2, rows, k)).astype(np.float32)
    bias = rng.normal(size=n).astype(np.float32)
    z = rng.normal(size=(2, rows, n)).astype(np.float32) if seed % 2 else None
    draws = "product" if product else "run"
    how: dict[str, Any] = {"samples": 4, "seed": seed, "stream": 3, "draws": draws}
    found = matmul(x, code, bias, z, x_bits=16, activation="relu", **how)
    as_conv = PsbCode(code.words[:, :, None], code.emax, 8)
    image = x.reshape(-1, k, 1)
    flat_z = None if z is None else z.reshape(-1, n, 1)
    expected = conv(image, as_conv, bias, flat_z, x_bits=16, activation="relu", **how)
    assert found.shape == (2, rows, n)
    assert_same_bits(found, expected.reshape(found.shape))
    if rows == 1:
        expected = literal_conv(
            image, as_conv, bias, flat_z, f=None, x_bits=16, activation="relu",
            sampler="systematic", group=1, strides=[1], dilations=[1], pads=[0, 0], **how,
        )  # fmt: skip
        assert_same_bits(found, expected.reshape(found.shape))


def test_a_vector_is_one_row() -> None:
    code = encode(np.eye(3), p_bits=4)
    x = np.array([1.0, -2.0, 4.0], np.float32)
    assert matmul(x, code, samples=4).tolist() == [1.0, -2.0, 4.0]


def blocks_of(*values: tuple[float, float]) -> tuple[np.ndarray, PsbCode]:
    """Return a row and weights whose three blocks sum to the given values over 2^13."""
    x, w = np.zeros((1, 384), np.float32), np.zeros((1, 384))
    for block, (x_value, w_value) in enumerate(values):
        x[0, 128 * block], w[0, 128 * block] = x_value, w_value
    return x, encode(w, p_bits=4)


def test_blocks_are_added_in_ascending_order_in_float32() -> None:
    large, unit = (2048.0, 1.0), (1.0, 2.0**-13)
    ascending: dict[str, Any] = {"samples": 1, "x_bits": 13, "x_exponent": 0}
    first = matmul(*blocks_of(large, unit, unit), **ascending)
    last = matmul(*blocks_of(unit, unit, large), **ascending)
    assert first.item() * 2**13 == 2**24
    assert last.item() * 2**13 == 2**24 + 2


def test_within_a_block_the_sum_is_exact() -> None:
    x, w = np.zeros((1, 128), np.float32), np.zeros((1, 128))
    x[0, [0, 64, 127]], w[0, [0, 64, 127]] = [2048, 1, 1], [1, 2.0**-13, 2.0**-13]
    y = matmul(x, encode(w, p_bits=4), samples=1, x_bits=13, x_exponent=0)
    assert y.item() * 2**13 == 2**24 + 2


def test_the_output_is_rounded_once_where_it_underflows_or_overflows() -> None:
    x = np.array([[3.0]], np.float32)
    tiny = PsbCode(np.array([[15 << 4]], np.uint32), np.array([-128], np.int8), 4)
    assert matmul(x, tiny, samples=1, x_exponent=9).item() == 3 * 2.0**-128
    x_small = np.array([[3 * 2.0**-22]], np.float32)
    # 3 * 2^-150 lies half-way between 2^-149 and 2^-148: ties to even.
    assert matmul(x_small, tiny, samples=1, x_exponent=22).item() == 2.0**-148
    huge = PsbCode(tiny.words, np.array([127], np.int8), 4)
    assert matmul(x, huge, samples=1, x_exponent=9).item() == np.inf
    low = matmul(-x, huge, samples=1, x_exponent=9, activation="clip", clip_min=-7, clip_max=9)
    assert low.item() == -7


def test_nan_in_the_bias_stays_nan_through_every_activation() -> None:
    code, x = encode(np.ones((1, 1)), p_bits=4), np.ones((1, 1), np.float32)
    for activation in ("none", "relu", "clip"):
        bias = np.array([np.nan], np.float32)
        assert np.isnan(matmul(x, code, bias, samples=1, activation=activation)).all()


def test_nan_and_infinite_inputs_become_zero_and_the_limits() -> None:
    x = np.array([[np.nan, 1.0], [np.inf, 0.0], [-np.inf, 0.0]], np.float32)
    y = matmul(x, encode(np.ones((1, 2)), p_bits=4), samples=1, x_bits=8)
    assert y[:, 0].tolist() == [1.0, 127 / 64, -127 / 64]


@pytest.mark.parametrize("draws", ["run", "product"])
def test_an_empty_batch_gives_an_empty_output(draws: str) -> None:
    code = encode(np.ones((3, 2, 1, 1)), p_bits=4)
    y = conv(np.empty((0, 2, 4, 5), np.float32), code, samples=4, draws=draws)
    assert (y.shape, y.dtype) == ((0, 3, 4, 5), np.dtype(np.float32))


def test_draws_per_product_differ_between_positions_and_average_to_the_weight() -> None:
    code = encode(np.full((1, 1, 1), 1.5), p_bits=4)
    x = np.ones((2, 1, 2048), np.float32)
    run = conv(x, code, samples=1, seed=3)
    product = conv(x, code, samples=1, seed=3, draws="product")
    assert len(set(run.reshape(-1).tolist())) == 1
    assert set(product.reshape(-1).tolist()) == {1.0, 2.0}
    assert (product[0] != product[1]).any()
    # False-alarm rate 1e-6: 4.9 standard deviations of the mean of 4096 fair coins.
    assert abs(product.mean() - 1.5) < 4.9 * 0.5 / 64


@pytest.mark.parametrize(
    ("auto_pad", "pads"), [("SAME_UPPER", [2, 1, 2, 2]), ("SAME_LOWER", [2, 2, 2, 1])]
)
def test_same_padding_counts_the_span_of_a_dilated_kernel(auto_pad: str, pads: list[int]) -> None:
    rng = np.random.default_rng(0)
    code = encode(rng.normal(size=(2, 2, 3, 2)), p_bits=4)
    x = rng.normal(size=(1, 2, 5, 6)).astype(np.float32)
    options: dict[str, Any] = {"samples": 4, "dilations": [2, 3]}
    found = conv(x, code, auto_pad=auto_pad, pads=[9, 9, 9, 9], **options)
    assert found.shape == (1, 2, 5, 6)
    assert_same_bits(found, conv(x, code, pads=pads, **options))


GOOD = {"x": np.ones((1, 4, 5, 5), np.float32), "bias": None}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"group": 3}, OptionError, "group=3 does not divide the 4 output channels"),
        ({"group": 0}, OptionError, "group=0 does not divide"),
        ({"group": 2}, DataError, r"x is float32 \(1, 4, 5, 5\): .* and 8 channels"),
        ({"x": np.ones((1, 4, 5, 5))}, DataError, "x is float64"),
        ({"x": np.ones((1, 4, 5), np.float32)}, DataError, "need float32 with 4 axes"),
        ({"bias": np.ones(3, np.float32)}, DataError, r"bias is float32 \(3,\): .* \(4,\)"),
        ({"bias": np.ones(4)}, DataError, "bias is float64"),
        ({"strides": [1]}, OptionError, r"strides=\(1,\) does not fit the kernel: give 2 whole"),
        ({"dilations": [0, 1]}, OptionError, "dilations=.* each at least 1"),
        ({"pads": [0, 0, 0, -1]}, OptionError, "pads=.* give 4 whole numbers, each at least 0"),
        ({"auto_pad": "SAME"}, OptionError, "auto_pad='SAME' is not known"),
        ({"dilations": [3, 1]}, DataError, r"input of \(5, 5\) pixels is smaller than a window"),
        ({"activation": "gelu"}, OptionError, "activation='gelu' is not known"),
        ({"draws": "pixel"}, OptionError, "draws='pixel' is not known: give one of 'run'"),
        ({"samples": 5}, OptionError, "samples=5 is not known"),
        ({"x_bits": 17}, OptionError, "x_bits=17 is out of range"),
        ({"code": encode(np.ones((2, 2)), p_bits=4)}, OptionError, r"code has shape \(2, 2\)"),
    ],
)
def test_what_does_not_fit_a_convolution_is_refused(change, error, message: str) -> None:
    code = encode(np.ones((4, 4, 3, 3)), p_bits=4)
    options = {**GOOD, "code": code, "samples": 4, **change}
    with pytest.raises(error, match=message):
        conv(options.pop("x"), options.pop("code"), options.pop("bias"), **options)


def test_a_z_of_another_shape_or_type_is_refused() -> None:
    code = encode(np.ones((4, 2, 1, 1)), p_bits=4)
    x = np.ones((1, 2, 3, 3), np.float32)
    with pytest.raises(DataError, match=r"z is float32 \(1, 4, 1, 1\); .* float32 \(1, 4, 3, 3\)"):
        conv(x, code, z=np.ones((1, 4, 1, 1), np.float32), samples=1)
    with pytest.raises(DataError, match=r"z is float64 \(1, 4, 3, 3\); give what is added"):
        conv(x, code, z=np.ones((1, 4, 3, 3)), samples=1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"z is float32 \(4,\); .* float32 \(2, 4\)"):
        matrix = encode(np.ones((4, 3)), p_bits=4)
        matmul(np.ones((2, 3), np.float32), matrix, z=np.ones(4, np.float32), samples=1)


def test_what_does_not_fit_a_matrix_product_is_refused() -> None:
    code = encode(np.ones((4, 3)), p_bits=4)
    with pytest.raises(DataError, match=r"x is float32 \(2, 4\): .* need float32 \[\.\.\., 3\]"):
        matmul(np.ones((2, 4), np.float32), code, samples=1)
    with pytest.raises(OptionError, match=r"code has shape \(4, 3, 1\): give weights stored as"):
        matmul(np.ones((2, 3), np.float32), encode(np.ones((4, 3, 1)), p_bits=4), samples=1)
