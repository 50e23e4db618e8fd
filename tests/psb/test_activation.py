from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.psb import activation_exponent, quantise_activation

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(FLOATS.filter(bool), st.integers(2, 16))
def test_the_exponent_is_the_largest_that_does_not_saturate(value: float, x_bits: int) -> None:
    f = activation_exponent(np.array([value, 0.0], np.float32), x_bits)
    limit, m = (1 << (x_bits - 1)) - 1, abs(Fraction(value))
    assert f == -100 or m * Fraction(2) ** f <= limit
    assert f == 100 or m * Fraction(2) ** (f + 1) > limit
    assert -100 <= f <= 100


@pytest.mark.parametrize(
    ("largest", "x_bits", "f"),
    [
        (2047.0, 12, 0),
        (2047.25, 12, -1),
        (2048.0, 12, -1),
        (1.0, 12, 10),
        (np.nextafter(np.float32(1), np.float32(0)), 12, 10),
        (1023.5, 12, 1),
        (np.nextafter(np.float32(1023.5), np.float32(2000)), 12, 0),
        (1.0, 2, 0),
        (32767.0, 16, 0),
        (0.0, 12, 0),
        (1e-45, 12, 100),
        (3.4e38, 2, -100),
    ],
)
def test_exponents_at_the_edges(largest: float, x_bits: int, f: int) -> None:
    assert activation_exponent(np.array([-largest, 0], np.float32), x_bits) == f


def test_values_that_are_not_finite_do_not_decide_the_exponent() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 3.0], np.float32)
    assert activation_exponent(x) == activation_exponent(x[3:])
    assert activation_exponent(x[:3]) == 0
    assert activation_exponent(np.empty((0, 2), np.float32)) == 0


def test_nan_is_zero_infinities_saturate_and_only_the_saturated_are_counted() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.75, -1.75], np.float32)
    x_int, f, saturated = quantise_activation(x, 4)
    assert (x_int.tolist(), f, saturated) == ([0, 7, -7, 7, -7], 2, 2)


def test_a_fixed_exponent_clamps_and_counts_what_is_beyond_after_rounding() -> None:
    x = np.array([7.5, 7.49, -7.5, -100.0, 3.4e38, 7.0], np.float32)
    x_int, f, saturated = quantise_activation(x, 4, 0)
    assert (x_int.tolist(), f, saturated) == ([7, 7, -7, -7, 7, 7], 0, 4)


def test_halves_round_to_even() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32)
    assert quantise_activation(x, 12, 0)[0].tolist() == [0, 2, 2, 0, -2, -2]


@given(st.lists(FLOATS, min_size=1, max_size=9), st.integers(2, 16))
def test_the_runs_own_exponent_never_saturates_and_errs_by_half_a_step(
    values: list[float], x_bits: int
) -> None:
    x = np.array(values, np.float32)
    x_int, f, saturated = quantise_activation(x, x_bits)
    if f > -100:
        assert saturated == 0
        for value, whole in zip(x.tolist(), x_int.tolist(), strict=True):
            assert abs(Fraction(value) * Fraction(2) ** f - whole) <= Fraction(1, 2)


@pytest.mark.parametrize(("given", "used"), [(101, 100), (-300, -100), (-100, -100), (7, 7)])
def test_a_fixed_exponent_is_clamped_too(given: int, used: int) -> None:
    assert quantise_activation(np.zeros(1, np.float32), 12, given)[1] == used


@pytest.mark.parametrize("x_bits", [1, 17])
def test_a_width_out_of_range_is_refused(x_bits: int) -> None:
    message = f"x_bits={x_bits} is out of range: give a whole number 2 to 16"
    with pytest.raises(OptionError, match=message):
        quantise_activation(np.zeros(1, np.float32), x_bits, 0)
    with pytest.raises(OptionError, match=message):
        activation_exponent(np.zeros(1, np.float32), x_bits)
