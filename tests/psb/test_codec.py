import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from reluflow.errors import OptionError
from reluflow.psb import PsbCode, decode, encode

P_BITS = [1, 2, 3, 4, 6, 8, 16]
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def matrices(**kwargs):
    return arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=5), **kwargs)


@given(
    matrices(elements=st.floats(0.0078125, 64.0, width=32)),
    st.sampled_from(P_BITS),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_a_weight_within_14_octaves_comes_back_within_half_a_step(
    magnitudes: np.ndarray, p_bits: int, seed: int, per_tensor: bool
) -> None:
    signs = np.random.default_rng(seed).choice(np.array([-1, 0, 1], np.float32), magnitudes.shape)
    weights = magnitudes * signs
    back = decode(encode(weights, p_bits=p_bits, per_tensor=per_tensor))
    error = np.abs(back.astype(np.float64) - weights)
    assert (error <= np.abs(weights) * 2.0 ** -(p_bits + 1)).all()


@given(matrices(elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_what_the_code_can_hold_comes_back_exactly(weights: np.ndarray) -> None:
    once = decode(encode(weights, p_bits=8))
    np.testing.assert_array_equal(decode(encode(once, p_bits=8)), once)


@given(st.integers(0, 15), st.integers(-100, 100), st.sampled_from([-1, 1]), st.integers(0, 14))
def test_every_word_is_the_code_of_its_own_value(q: int, emax: int, sign: int, j: int) -> None:
    weights = np.array([[1.0, sign * 2.0**-j * (1 + (q / 16 if j else 0))]]) * 2.0**emax
    code = encode(weights, p_bits=4)
    assert (code.emax[0], code.nibble[0, 1], code.sign[0, 1]) == (emax, 15 - j, sign)
    assert code.q[0, 1] == (q if j else 0)
    assert code.words[0, 1] == (sign < 0) << 8 | (15 - j) << 4 | code.q[0, 1]
    assert decode(code)[0, 1] == np.float32(weights[0, 1])


@pytest.mark.parametrize("power", [-149, -148, -130, -127, -126, -1, 0, 1, 126, 127])
def test_powers_of_two_of_the_whole_float32_range_are_exact(power: int) -> None:
    weights = np.array([[2.0**power, -(2.0**power)]], np.float32)
    code = encode(weights, p_bits=1)
    if power >= -128 - 14:
        np.testing.assert_array_equal(decode(code), weights)
        assert code.emax[0] == max(power, -128)
    else:
        assert not code.words.any()


def test_rounding_up_to_two_carries_into_the_exponent_but_not_at_the_top() -> None:
    almost_two = np.nextafter(np.float32(2), np.float32(0))
    code = encode(np.array([[almost_two, almost_two / 4, 1.0]]), p_bits=4)
    assert code.emax.tolist() == [0]
    assert code.nibble.tolist() == [[15, 14, 15]]
    assert code.q.tolist() == [[15, 0, 0]]
    assert decode(code).tolist() == [[1.9375, 0.5, 1.0]]


def test_ties_of_the_probability_go_to_the_even_code() -> None:
    weights = np.array([[1 + 1 / 32, 1 + 3 / 32, 1 + 5 / 32]])
    assert encode(weights, p_bits=4).q.tolist() == [[0, 2, 2]]


def test_zeros_of_both_signs_have_the_word_zero_and_an_empty_channel_the_exponent_zero() -> None:
    code = encode(np.array([[0.0, -0.0], [8.0, -0.0]]), p_bits=16)
    assert code.words.tolist() == [[0, 0], [15 << 16, 0]]
    assert code.emax.tolist() == [0, 3]
    assert not np.signbit(decode(code)).any()


def test_channels_have_their_own_exponent_or_share_the_tensors() -> None:
    weights = np.array([[4.0, 1.0], [0.25, 0.125], [0.0, 0.0]])
    assert encode(weights, p_bits=4).emax.tolist() == [2, -2, 0]
    assert encode(weights, p_bits=4, channel_axis=-1).emax.tolist() == [2, 0]
    shared = encode(weights, p_bits=4, per_tensor=True)
    assert shared.emax.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(decode(shared), weights.astype(np.float32))


def test_the_channel_axis_comes_first_in_the_stored_shape() -> None:
    weights = np.arange(1.0, 25.0).reshape(2, 3, 4)
    code = encode(weights, channel_axis=1, p_bits=16)
    assert code.shape == (3, 2, 4)
    np.testing.assert_array_equal(decode(code), np.moveaxis(weights, 1, 0))


@pytest.mark.parametrize(("small", "expected"), [("zero", 0.0), ("smallest", 2.0**-14)])
def test_weights_below_the_smallest_code_go_where_asked(small: str, expected: float) -> None:
    weights = np.array([[1.0, 2.0**-15, -(2.0**-20), 2.0**-14, 1e-45]])
    back = decode(encode(weights, p_bits=4, small=small))
    assert back.tolist() == [[1.0, expected, -expected, 2.0**-14, expected]]


def test_a_small_weight_that_rounds_up_to_the_smallest_code_is_that_code() -> None:
    weights = np.array([[1.0, 1.99 * 2.0**-15]])
    assert decode(encode(weights, p_bits=4)).tolist() == [[1.0, 2.0**-14]]


def test_small_weights_at_random_keep_their_mean() -> None:
    count, share = 100_000, 0.3
    weights = np.full((1, count + 1), -share * 2.0**-14)
    weights[0, 0] = 1.0
    code = encode(weights, p_bits=4, small="random", seed=3)
    kept = np.count_nonzero(code.words[0, 1:])
    # False-alarm rate 1e-6: five standard deviations of a binomial count.
    assert abs(kept - share * count) < 5 * np.sqrt(count * share * (1 - share))
    assert set(decode(code)[0, 1:].tolist()) == {0.0, -(2.0**-14)}
    again = encode(weights, p_bits=4, small="random", seed=3)
    other = encode(weights, p_bits=4, small="random", seed=4)
    np.testing.assert_array_equal(again.words, code.words)
    assert (other.words != code.words).any()


def test_half_and_double_precision_are_read_as_float32() -> None:
    for dtype in (np.float16, np.float64):
        assert decode(encode(np.array([[1.5, -3.0]], dtype), p_bits=4)).tolist() == [[1.5, -3.0]]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.ones((0, 3)), {}, r"weights have shape \(0, 3\)"),
        (np.float32(1), {}, r"weights have shape \(\)"),
        (np.ones((2, 2), np.int64), {}, "weights are int64: give a float array"),
        (np.array([[1.0, np.nan, np.inf]]), {}, "weights hold 2 values that are NaN or beyond"),
        (np.array([[1.0, 2 * MAX_FLOAT32]]), {}, "weights hold 1 values"),
        (np.ones((2, 2)), {"p_bits": 5}, "p_bits=5 is not known: give one of 1, 2, 3, 4, 6, 8, 16"),
        (np.ones((2, 2)), {"small": "up"}, "small='up' is not known"),
        (np.ones((2, 2)), {"channel_axis": 2}, "channel_axis=2 is outside weights of 2 axes"),
    ],
)
def test_bad_weights_and_options_are_refused(weights, options, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        encode(weights, **{"p_bits": 4, **options})


def test_a_set_sign_or_probability_of_a_zero_weight_means_nothing() -> None:
    code = PsbCode(np.array([[1 << 8 | 7]], np.uint32), np.zeros(1, np.int8), 4)
    assert decode(code).tolist() == [[0.0]]
    assert code.sign.tolist() == [[0]]
