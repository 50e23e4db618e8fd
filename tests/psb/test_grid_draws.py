"""Statistics of the draws on the 8-bit grid.

A run's draws depend on its seed alone, so the runs are independent. Every bound is Bernstein's:
the mean of n independent numbers of variance v, none further than 1 from its mean, misses that by
more than sqrt(2 v t / n) + 2 t / (3 n) with a chance of at most 2 exp(-t), here 1e-9. There are
fewer than 10,000 such comparisons here: the rate of false alarms of the file is below 1e-5.
"""

from functools import cache

import numpy as np
import pytest

from reluflow.psb import PsbCode, encode
from reluflow.psb.fixed import grid_means, grid_steps, grid_weights

RUNS = 2048
CHANNELS = 6
T = np.log(2 / 1e-9)


def bound(variance: np.ndarray) -> np.ndarray:
    """Return by how much the mean over the runs may miss."""
    return np.sqrt(2 * variance * T / RUNS) + 2 * T / (3 * RUNS)


def some_code() -> PsbCode:
    """Return weights over some octaves, of both signs; 6 channels, 7 inputs, 3 taps."""
    w = np.random.default_rng(4).standard_t(3, (CHANNELS, 7, 3)).astype(np.float32)
    return encode(w, p_bits=4)


def highs(code: PsbCode, samples: int, stream: int = 0) -> np.ndarray:
    """Return where the runs took the larger magnitude, `(runs, channels, inputs, taps)`."""
    low, high, chance = grid_steps(code, samples)
    made = [np.abs(grid_weights(code, samples, seed=s, stream=stream)) for s in range(RUNS)]
    drawn = np.stack(made)
    assert ((drawn == low) | (drawn == high)).all()
    return np.where((high > low) & (chance > 0), drawn == high, 0).astype(np.float64)


@cache
def usual_highs(samples: int) -> np.ndarray:
    return highs(some_code(), samples)


@pytest.mark.parametrize("samples", [1, 4, 16, 64])
def test_the_mean_of_a_weight_is_the_decoded_one(samples: int) -> None:
    """The rounding of its chance may add 1/512 of a step."""
    code = some_code()
    low, high, _ = grid_steps(code, samples)
    x = grid_means(code) / 2.0**24
    step = np.maximum(high - low, 1)
    mean = low + step * usual_highs(samples).mean(axis=0)
    part = np.clip((x - low) / step, 0, 1)
    fits = x <= 127
    error = step * (bound(part * (1 - part)) + 1 / 512)
    assert (np.abs(mean - x) <= error)[fits].all()
    assert (part * (1 - part) > 0).sum() > 20  # draws that decide something


@pytest.mark.parametrize("samples", [1, 4, 16])
def test_the_variance_of_a_weight_is_that_of_one_choice(samples: int) -> None:
    """Chance p in units of 1/256, exactly: the variance is p (1 - p) steps squared."""
    _, _, chance = grid_steps(some_code(), samples)
    p = chance / 256
    squares = (usual_highs(samples) - p) ** 2
    q = p * (1 - p)
    # A square is p^2 or (1 - p)^2: it varies by q (1 - 2 p)^2.
    assert (np.abs(squares.mean(axis=0) - q) <= bound(q * (1 - 2 * p) ** 2)).all()


def test_the_sum_of_a_sequence_varies_by_less_than_one_choice() -> None:
    """A sequence of one sign takes high as often as its mean says, rounded up or down."""
    w = np.random.default_rng(6).uniform(1, 2, (CHANNELS, 8, 3)).astype(np.float32)
    code = encode(w, p_bits=4)
    _, _, chance = grid_steps(code, 4)
    taken = highs(code, 4)
    for lane in range(4):
        count = taken[:, :, lane::4].sum(axis=(2, 3))
        mean = chance[:, lane::4].sum(axis=(1, 2)) / 256
        assert (np.abs(count - mean) < 1).all()
        f = mean % 1
        assert (np.abs(count.mean(axis=0) - mean) <= bound(f * (1 - f))).all()
    alone = (chance / 256 * (1 - chance / 256)).sum(axis=(1, 2))
    assert (taken.sum(axis=(2, 3)).var(axis=0) < alone / 2).all()  # four choices, of 24


def assert_uncorrelated(
    first: np.ndarray, p: np.ndarray, second: np.ndarray, q: np.ndarray
) -> None:
    """Compare the mean products of two sets of draws, of chances p and q, with 0."""
    a, b = (first - p).reshape(RUNS, -1), (second - q).reshape(RUNS, -1)
    spread = np.outer(p * (1 - p), q * (1 - q))
    assert (np.abs(a.T @ b / RUNS) <= bound(spread)).all()


def test_channels_draw_independently() -> None:
    _, _, chance = grid_steps(some_code(), 4)
    p, taken = chance / 256, usual_highs(4)
    for channel in range(CHANNELS - 1):
        there, q = taken[:, channel + 1 :, :, 0], p[channel + 1 :, :, 0]
        assert_uncorrelated(taken[:, channel], p[channel], there, q)


def test_sequences_of_a_channel_draw_independently() -> None:
    _, _, chance = grid_steps(some_code(), 4)
    p, taken = chance / 256, usual_highs(4)
    for channel in range(CHANNELS):
        for lane in range(3):
            there, q = taken[:, channel, lane + 1 :: 4], p[channel, lane + 1 :: 4]
            here, own = taken[:, channel, lane::4], p[channel, lane::4]
            assert_uncorrelated(here, own, there, q)


def test_nodes_draw_independently() -> None:
    code = some_code()
    _, _, chance = grid_steps(code, 4)
    p, other = chance / 256, highs(code, 4, stream=1)
    assert_uncorrelated(usual_highs(4)[:, :2], p[:2], other[:, :2], p[:2])
    assert_uncorrelated(usual_highs(4)[:, 2], p[2], other[:, 3], p[3])


def test_weights_of_a_sequence_are_correlated_as_carries_make_them() -> None:
    """The checks above see a dependence: neighbours of one sequence fail them."""
    _, _, chance = grid_steps(some_code(), 4)
    p, taken = chance / 256, usual_highs(4)
    with pytest.raises(AssertionError):
        assert_uncorrelated(taken[:, :, :, 0], p[:, :, 0], taken[:, :, :, 1], p[:, :, 1])
