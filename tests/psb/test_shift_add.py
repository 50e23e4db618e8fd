import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.errors import DataError, OptionError
from reluflow.psb import PsbCode, encode, integer_weights, shift_add_dot, shift_adds


@settings(max_examples=300)
@given(
    st.sampled_from([0, 1, 2, 4, 8, 16, 32, 64]),
    st.sampled_from(["systematic", "binomial", "nearest"]),
    st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    st.one_of(st.none(), st.integers(0, 1000)),
    st.integers(0, 2**32),
)
def test_shifts_and_additions_give_the_collapsed_product(
    samples: int, sampler: str, p_bits: int, position: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << (5 + p_bits), (2, 3, 5), np.uint32)
    code = PsbCode(words, np.zeros(2, np.int8), p_bits)
    x = rng.integers(-32767, 32768, 15).astype(np.int16)
    w = integer_weights(code, samples, sampler, seed, 1, position).astype(np.int64)
    found = shift_add_dot(x, code, samples, sampler, seed, 1, position)
    assert found == (w.reshape(2, 15) @ x.astype(np.int64)).tolist()


@pytest.mark.parametrize("j", range(15))
@pytest.mark.parametrize("samples", [1, 64])
def test_every_exponent_gives_the_collapsed_product(j: int, samples: int) -> None:
    words = (np.arange(256) | (15 - j) << 8).astype(np.uint32)[:, None]
    code = PsbCode(words, np.zeros(256, np.int8), 8)
    x = np.array([-3], np.int16)
    w = integer_weights(code, samples, "binomial", 9).astype(np.int64)
    assert shift_add_dot(x, code, samples, "binomial", 9) == (w[:, 0] * -3).tolist()


def test_a_zero_weight_costs_nothing_and_any_other_n() -> None:
    code = encode(np.array([[1.0, 0.0, 2.0**-20], [3.3, -0.1, 0.7]]), p_bits=4)
    assert [shift_adds(code, n) for n in (1, 16, 64, 0)] == [4, 64, 256, 256]
    with pytest.raises(OptionError, match="samples=5 is not known"):
        shift_adds(code, 5)


def test_inputs_of_another_length_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"x_int has shape \(2,\): give one number a weight, \(3,\)"
    ):
        shift_add_dot(np.zeros(2, np.int16), encode(np.ones((2, 3)), p_bits=4), 1)
