import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.psb import PsbCode, bits_per_weight, encode, pack, unpack


@given(
    st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_unpack_gives_back_what_pack_wrote(p_bits: int, shape: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << (5 + p_bits), shape, np.uint32)
    emax = rng.integers(-128, 128, shape[0]).astype(np.int8)
    planes = pack(PsbCode(words, emax, p_bits))
    assert (planes.dtype, planes.shape) == (np.dtype(np.uint8), (5 + p_bits, -(-words.size // 8)))
    back = unpack(planes, tuple(shape), emax, p_bits)
    np.testing.assert_array_equal(back.words, words)
    np.testing.assert_array_equal(back.emax, emax)
    assert (back.shape, back.p_bits) == (tuple(shape), p_bits)


@given(st.integers(0, 20), st.integers(0, 8))
def test_bit_b_of_weight_i_lies_where_the_contract_says(i: int, b: int) -> None:
    words = np.zeros((1, 21), np.uint32)
    words[0, i] = 1 << b
    planes = pack(PsbCode(words, np.zeros(1, np.int8), 4))
    expected = np.zeros((9, 3), np.uint8)
    expected[b, i // 8] = 1 << (i % 8)
    np.testing.assert_array_equal(planes, expected)


def test_a_small_tensor_has_these_bytes() -> None:
    weights = np.array([[1.5, -0.25, 0.0, 3.0, 1.0], [0.0, -7.0, 4.0, 0.5, 1.75]])
    code = encode(weights, p_bits=2)
    assert code.emax.tolist() == [1, 2]
    assert pack(code).tolist() == [
        [0x40, 0x02],
        [0x49, 0x02],
        [0xC8, 0x02],
        [0xD9, 0x00],
        [0xDB, 0x03],
        [0xDB, 0x03],
        [0x42, 0x00],
    ]


def test_bits_per_weight_counts_padding_and_exponents() -> None:
    assert bits_per_weight(encode(np.ones((2, 4)), p_bits=4)) == 9 + 2
    assert bits_per_weight(encode(np.ones((1, 3)), p_bits=1)) == 8 * 7 / 3
    assert bits_per_weight(encode(np.ones((64, 576)), p_bits=3)) < 8.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planes": np.zeros((8, 1), np.uint8)}, r"planes are uint8 \(8, 1\): .* need uint8 \(9,"),
        ({"planes": np.zeros((9, 1), np.int8)}, "planes are int8"),
        ({"planes": np.full((9, 1), 64, np.uint8)}, "bits set behind weight 5"),
        ({"emax": np.zeros(3, np.int8)}, r"emax is int8 \(3,\): .* need int8 \(2,\)"),
        ({"emax": np.zeros(2, np.int64)}, "emax is int64"),
        ({"p_bits": 7}, "p_bits=7 is not known"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message: str) -> None:
    parts = {"planes": np.zeros((9, 1), np.uint8), "emax": np.zeros(2, np.int8), "p_bits": 4}
    with pytest.raises(OptionError, match=message):
        unpack(shape=(2, 3), **{**parts, **change})
