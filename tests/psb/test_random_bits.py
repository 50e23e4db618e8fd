import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.psb import node_key, random_bits32

# seed, stream, a, b, R(0), R(4000000000), R(3) at position 5; from a separate C program.
GOLDEN = [
    (0, 0, 33350994, 3713553442, 1550750163, 3604604384, 2419399208),
    (0, 7, 1626593482, 842896568, 2462388083, 3749386931, 3276554930),
    (0, 2**32 - 1, 0, 520022130, 2703108842, 1538370547, 186361090),
    (1, 0, 2767685996, 2656161533, 3149332396, 3395182300, 2456702934),
    (-1, 7, 352502585, 2532116342, 1456143069, 4134941059, 2632636277),
    (0x123456789ABCDEF, 0, 2475345301, 2241901504, 653967399, 3707978318, 1091635713),
    (0x123456789ABCDEF, 2**32 - 1, 1532150640, 4292433775, 3090582793, 4002596708, 2812323485),
]


@pytest.mark.parametrize(("seed", "stream", "a", "b", "first", "far", "placed"), GOLDEN)
def test_the_bits_are_these(
    seed: int, stream: int, a: int, b: int, first: int, far: int, placed: int
) -> None:
    assert node_key(seed, stream) == (a, b)
    counters = np.array([0, 4_000_000_000], np.uint32)
    assert random_bits32(counters, seed, stream).tolist() == [first, far]
    assert random_bits32(np.array([3], np.uint32), seed, stream, 5).tolist() == [placed]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1))
def test_no_two_counters_of_a_key_share_their_bits(seed: int, stream: int) -> None:
    counters = np.arange(1000, dtype=np.uint32)
    found = random_bits32(counters, seed, stream)
    assert len(set(found.tolist())) == 1000
    np.testing.assert_array_equal(random_bits32(counters[::-1], seed, stream), found[::-1])


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])


def test_halves_neighbours_seeds_streams_and_positions_do_not_correlate() -> None:
    counters = np.arange(1 << 16, dtype=np.uint32)
    base = random_bits32(counters, 1, 1)
    pairs = {
        "halves": (base & 0xFFFF, base >> 16),
        "neighbours": (base[:-1], base[1:]),
        "even and odd": (base[::2], base[1::2]),
        "seeds": (base, random_bits32(counters, 2, 1)),
        "high seeds": (base, random_bits32(counters, 1 + (1 << 32), 1)),
        "streams": (base, random_bits32(counters, 1, 2)),
        "positions": (random_bits32(counters, 1, 1, 0), random_bits32(counters, 1, 1, 1)),
        "run and product": (base, random_bits32(counters, 1, 1, 0)),
    }
    for name, (first, second) in pairs.items():
        # Eight normal variables of standard deviation 1 / sqrt(N): false-alarm rate 1e-6 at 5.4.
        assert abs(correlation(first, second)) < 5.4 / np.sqrt(first.size), name


@pytest.mark.parametrize(
    ("seed", "stream", "message"),
    [
        (2**63, 0, "seed=9223372036854775808 is out of range: give a whole number"),
        (0, -1, "stream=-1 is out of range"),
        (0, 2**32, "stream=4294967296 is out of range"),
    ],
)
def test_numbers_out_of_range_are_refused(seed: int, stream: int, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        node_key(seed, stream)
