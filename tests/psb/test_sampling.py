import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.psb import (
    PsbCode,
    decode,
    draw_bits,
    draws,
    encode,
    integer_weights,
    random_bits32,
    sampled_weights,
    sampling,
    weight_mean,
    weight_variance,
)

SAMPLES = [1, 2, 4, 8, 16, 32, 64]
SAMPLERS = ["systematic", "binomial", "nearest"]


def all_words(p_bits: int, channels: int = 1, seed: int = 0) -> PsbCode:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << (5 + p_bits), (channels, 333), np.uint32)
    return PsbCode(words, rng.integers(-128, 128, channels).astype(np.int8), p_bits)


def literal_carry(code: PsbCode) -> list[int]:
    """For each weight the sum of the p16 before it, in order of exponent, sign and index."""
    q = code.q.reshape(code.shape[0], -1).tolist()
    nibble = code.nibble.reshape(code.shape[0], -1).tolist()
    sign = (code.words >> (code.p_bits + 4)).reshape(code.shape[0], -1).tolist()
    out = []
    for channel in range(code.shape[0]):
        carried = [0] * len(q[channel])
        total = 0
        for i in sorted(
            range(len(carried)), key=lambda i: (2 * nibble[channel][i] + sign[channel][i], i)
        ):
            carried[i] = total % 2**16
            total += q[channel][i] << (16 - code.p_bits)
        out += carried
    return out


def literal_draws(code: PsbCode, n: int, sampler: str, seed: int, stream: int, position):
    """The contract word by word, one weight after the other."""

    def half(counter: int, odd: int) -> int:
        word = random_bits32(np.array([counter % 2**32], np.uint32), seed, stream, position)[0]
        return int(word) >> 16 if odd else int(word) & 0xFFFF

    out = []
    carried = literal_carry(code)
    per_channel = code.words.size // code.shape[0]
    for i, q in enumerate(code.q.reshape(-1).tolist()):
        p16 = q << (16 - code.p_bits)
        if sampler == "nearest":
            out.append((n * p16 + 2**15) >> 16)
        elif sampler == "systematic":
            r = (half(i // per_channel, 0) + n * carried[i]) % 2**16
            out.append((n * p16 + r) >> 16)
        else:
            out.append(sum(half(i * 32 + (t >> 1), t & 1) < p16 for t in range(n)))
    return out


def _small_offset(sampler: str, seed: int, stream: int, position: int | None) -> Fraction:
    """The u of channel 0, by the words of the contract."""
    if sampler == "nearest":
        return Fraction(1, 2)
    word = random_bits32(np.array([2**32 - 1], np.uint32), seed, stream, position)[0]
    return Fraction(int(word) % 2**17, 2**17)


@given(
    st.sampled_from(SAMPLES),
    st.sampled_from(SAMPLERS),
    st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
    st.one_of(st.none(), st.integers(0, 2**31)),
    st.sampled_from(["carried", "half"]),
)
def test_draws_and_integers_are_those_of_the_contract(
    n: int, sampler: str, p_bits: int, seed: int, stream: int, position: int | None, rounding: str
) -> None:
    words = all_words(p_bits, 3).words[:, :9]
    code = PsbCode(words, np.zeros(3, np.int8), p_bits, rounding)
    k = draws(code, n, sampler, seed, stream, position)
    assert k.reshape(-1).tolist() == literal_draws(code, n, sampler, seed, stream, position)
    d = 13 - int(math.log2(n))
    expected = []
    left = _small_offset(sampler, seed, stream, position)
    for s, nib, q, count in zip(
        code.sign[0].tolist(), code.nibble[0].tolist(), code.q[0].tolist(), k[0], strict=True
    ):
        j = 15 - nib
        total = n + int(count)
        if rounding == "carried" and nib and j >= 8:
            left += s * Fraction(2**16 + (q << (16 - p_bits)), 2**16) * Fraction(2) ** (13 - j)
            whole = math.floor(left)
            left -= whole
            if j > d:
                expected.append(whole)
                continue
        size = total << (d - j) if j <= d else (total + (1 << (j - d - 1))) >> (j - d)
        expected.append(s * size)
    w = integer_weights(code, n, sampler, seed, stream, position)
    assert (w.dtype, w[0].tolist()) == (np.dtype(np.int16), expected)
    bits = draw_bits(code, n, sampler, seed, stream, position)
    assert bits.shape == (27, n)
    assert bits.sum(axis=1).tolist() == k.reshape(-1).tolist()


@pytest.mark.parametrize("n", SAMPLES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_draws_lie_between_0_and_n_and_integers_fit_fifteen_bits(n: int, sampler: str) -> None:
    words = np.concatenate([np.full(300, 0xFFFF | 15 << 16), np.arange(300) | 1 << 16])
    code = PsbCode(words.astype(np.uint32)[None], np.zeros(1, np.int8), 16)
    k = draws(code, n, sampler, seed=5)
    w = integer_weights(code, n, sampler, seed=5)
    assert 0 <= k.min() and k.max() <= n
    assert w.max() <= 2**14 and w.min() >= 0
    assert integer_weights(replace(code, rounding="half"), n, sampler, seed=5).min() >= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_power_of_two_is_exact_in_every_draw(sampler: str) -> None:
    code = encode(np.full((1, 20_000), -4.0), p_bits=16)
    assert not draws(code, 64, sampler, seed=2).any()
    assert (sampled_weights(code, 64, sampler, seed=2) == -4).all()


def test_no_samples_means_64_nearest() -> None:
    code = all_words(8)
    for sampler in SAMPLERS:
        np.testing.assert_array_equal(draws(code, 0, sampler, 1), draws(code, 64, "nearest", 2))
        np.testing.assert_array_equal(
            integer_weights(code, 0, sampler, 1), integer_weights(code, 64, "nearest", 2)
        )


def test_a_seed_decides_all_draws_and_another_seed_or_stream_changes_them() -> None:
    code = all_words(8)
    for sampler in ("systematic", "binomial"):
        first = draws(code, 16, sampler, 7, 3)
        np.testing.assert_array_equal(draws(code, 16, sampler, 7, 3), first)
        for other in ((8, 3, None), (7, 4, None), (7, 3, 0), (7, 3, 1)):
            assert (draws(code, 16, sampler, *other) != first).any()


def test_sampled_weights_are_the_integers_scaled() -> None:
    code = encode(np.array([[1.5, -3.0, 0.0], [0.25, 1.75, -1.0]]), p_bits=4)
    np.testing.assert_array_equal(sampled_weights(code, 4), decode(code))
    np.testing.assert_array_equal(sampled_weights(code, 4), weight_mean(code, 4))


# Statistics. Every check below compares a mean of N independent terms with its formula, at 6.1
# standard deviations: about 1e-9 a check and, with fewer than 1000 checks, 1e-6 for the file.
SIGMAS = 6.1
COUNT = 1 << 14
Q = np.array([5, 64, 77, 128, 155, 200, 251])


def repeated_code() -> PsbCode:
    """Seven channels, each one weight many times, of several exponents and signs."""
    words = (15 - np.arange(7)) << 8 | Q | (np.arange(7) % 2) << 12
    tiled = np.repeat(words.astype(np.uint32)[:, None], COUNT, axis=1)
    return PsbCode(tiled, np.array([0, 3, -2, 0, 1, 5, -7], np.int8), 8)


def central_moments(n: int, sampler: str) -> tuple[np.ndarray, np.ndarray]:
    """Variance and fourth central moment of k for the seven probabilities."""
    p = Q / 256
    if sampler == "binomial":
        v = p * (1 - p)
        return n * v, n * v * (1 + 3 * (n - 2) * v)
    g = n * p % 1
    v = g * (1 - g)
    return v, v * (1 - 3 * v)


@pytest.mark.parametrize("n", SAMPLES)
@pytest.mark.parametrize("sampler", ["systematic", "binomial"])
@pytest.mark.parametrize("over", ["weights", "positions", "seeds"])
def test_mean_and_variance_are_those_of_the_formula(n: int, sampler: str, over: str) -> None:
    code = repeated_code()
    if over == "weights":
        k = draws(code, n, sampler, seed=11, stream=2)
    else:
        one = PsbCode(code.words[:, :1], code.emax, 8)
        keys: list[tuple[int, int, int | None]] = [(seed, 2, None) for seed in range(512)]
        if over == "positions":
            keys = [(11, 2, v) for v in range(512)]
        k = np.concatenate([draws(one, n, sampler, *key) for key in keys], axis=1)
    variance, fourth = central_moments(n, sampler)
    deviation = k - (n * Q / 256)[:, None]
    count = k.shape[1]
    slack = 1e-9
    assert (np.abs(deviation.mean(axis=1)) <= SIGMAS * np.sqrt(variance / count) + slack).all()
    spread = (deviation**2).mean(axis=1) - variance
    assert (np.abs(spread) <= SIGMAS * np.sqrt((fourth - variance**2) / count) + slack).all()
    scale = np.ldexp(1.0 / n, code.exponent[:, 0])
    np.testing.assert_allclose(weight_variance(code, n, sampler)[:, 0], variance * scale**2)
    np.testing.assert_allclose(weight_mean(code, n, sampler), decode(code))


def test_binomial_draws_of_different_weights_do_not_correlate() -> None:
    code = PsbCode(np.full((1, COUNT), 15 << 8 | 128, np.uint32), np.zeros(1, np.int8), 8)
    k = draws(code, 16, "binomial", seed=4)[0].astype(np.float64)
    for lag in (1, 2, 3, 16, 32):
        found = np.corrcoef(k[:-lag], k[lag:])[0, 1]
        assert abs(found) < SIGMAS / np.sqrt(COUNT - lag), lag


def test_systematic_draws_of_different_channels_do_not_correlate() -> None:
    code = PsbCode(np.full((COUNT, 1), 15 << 8 | 128, np.uint32), np.zeros(COUNT, np.int8), 8)
    k = draws(code, 1, "systematic", seed=4)[:, 0].astype(np.float64)
    for lag in (1, 2, 3, 16, 32):
        found = np.corrcoef(k[:-lag], k[lag:])[0, 1]
        assert abs(found) < SIGMAS / np.sqrt(COUNT - lag), lag


@given(st.sampled_from(SAMPLES), st.sampled_from([3, 8, 16]), st.integers(0, 2**32), st.data())
def test_systematic_draws_of_any_run_of_equal_size_miss_their_sum_by_less_than_one(
    n: int, p_bits: int, seed: int, data: st.DataObject
) -> None:
    code = all_words(p_bits, 2)
    k = draws(code, n, "systematic", seed).reshape(2, -1)
    channel = data.draw(st.integers(0, 1))
    kind = (code.words >> np.uint32(p_bits)).reshape(2, -1)[channel]
    same = np.flatnonzero(kind == data.draw(st.sampled_from(sorted(set(kind.tolist())))))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(same))] * 2)))
    run = same[first:last]
    wanted = n * code.q.reshape(2, -1)[channel][run].sum() / 2**p_bits
    assert abs(k[channel][run].sum() - wanted) < 1


@pytest.mark.parametrize("n", SAMPLES)
def test_variances_keep_the_bounds_of_the_thesis(n: int) -> None:
    words = np.arange(256, dtype=np.uint32)[None] | np.uint32(15 << 8)
    code = PsbCode(words, np.zeros(1, np.int8), 8)
    mean = weight_mean(code, n, "binomial")
    binomial = weight_variance(code, n, "binomial")
    systematic = weight_variance(code, n, "systematic")
    assert (binomial <= mean**2 / (8 * n) + 1e-15).all()
    # The bound is met at p = 1/3: 85/256 comes close.
    assert binomial[0, 85] / mean[0, 85] ** 2 == pytest.approx(1 / (8 * n), rel=1e-4)
    assert (systematic <= 1 / (4 * n**2)).all()
    assert (systematic <= binomial + 1e-15).all()
    assert not weight_variance(code, n, "nearest").any()


@pytest.mark.parametrize("n", SAMPLES)
def test_nearest_is_within_half_a_step_and_its_mean_is_its_value(n: int) -> None:
    words = np.arange(256, dtype=np.uint32)[None] | np.uint32(15 << 8)
    code = PsbCode(words, np.zeros(1, np.int8), 8)
    mean = weight_mean(code, n, "nearest")
    assert (np.abs(mean - decode(code)) <= 0.5 / n).all()
    np.testing.assert_array_equal(mean, sampled_weights(code, n, "nearest"))


@pytest.mark.parametrize("n", SAMPLES)
def test_rounding_of_far_smaller_weights_is_half_a_unit_at_most(n: int) -> None:
    code = replace(all_words(16), rounding="half")
    kept = code.nibble > 0
    k = draws(code, n, "systematic", seed=1)
    exact = code.sign * np.ldexp(1 + k / n, code.exponent)
    error = np.abs(sampled_weights(code, n, "systematic", seed=1) - exact)
    assert (error[kept] <= np.ldexp(1.0, int(code.emax[0]) - 14)).all()
    near = kept & (15 - code.nibble <= 13 - math.log2(n))
    assert near.any() and not error[near].any()


def one_weight(nibble: int, q: int, p_bits: int, sign: int, before: int) -> PsbCode:
    """A channel whose last weight is the requested one, after some small ones."""
    word = q | nibble << p_bits | sign << (p_bits + 4)
    others = [1 << p_bits | (1 << p_bits) - 1, 3 << p_bits | 1, 5 << p_bits | 1 << (p_bits + 4)]
    words = np.array([[*others[:before], word]], np.uint32)
    return PsbCode(words, np.array([2], np.int8), p_bits)


@pytest.mark.parametrize("n", [1, 16, 64])
@pytest.mark.parametrize("nibble", [1, 2, 7, 8])
@pytest.mark.parametrize(("p_bits", "q"), [(1, 0), (4, 11), (8, 255), (16, 1), (16, 40001)])
def test_the_executed_mean_over_all_draws_is_the_decoded_weight(
    n: int, nibble: int, p_bits: int, q: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All 2^17 offsets hold all 2^16 of a weight that is not small twice.
    everything = np.arange(1 << 17, dtype=np.uint32)
    for sign, before in ((0, 0), (1, 3)):
        one = one_weight(nibble, q, p_bits, sign, before)
        code = PsbCode(
            np.broadcast_to(one.words, (1 << 17, before + 1)), np.full(1 << 17, 2, np.int8), p_bits
        )
        monkeypatch.setattr(sampling, "random_bits32", lambda *_: everything)
        executed = sampled_weights(code, n, "systematic")[:, -1]
        decoded = float(decode(one)[0, -1])
        assert executed.mean() == decoded
        assert executed.var() == pytest.approx(weight_variance(one, n)[0, -1], rel=1e-9)


@pytest.mark.parametrize("n", [1, 16])
def test_the_binomial_mean_of_small_weights_is_exact_too(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small weight that is shifted out does not use its n bits: the offset alone decides.
    everything = np.arange(1 << 17, dtype=np.uint32)
    monkeypatch.setattr(
        sampling, "random_bits32", lambda counter, *_: np.resize(everything, counter.size)
    )
    one = one_weight(1, 5, 3, 1, 2)
    words = np.broadcast_to(one.words, (1 << 17, 3))
    code = PsbCode(words, np.full(1 << 17, 2, np.int8), 3)
    assert sampled_weights(code, n, "binomial")[:, -1].mean() == float(decode(one)[0, -1])


@given(st.sampled_from(SAMPLES), st.sampled_from(SAMPLERS), st.integers(0, 2**32), st.data())
def test_small_weights_of_any_run_miss_their_sum_by_less_than_one_step(
    n: int, sampler: str, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 256, (3, 40)) | rng.integers(0, 8, (3, 40)) << 8
    words |= rng.integers(0, 2, (3, 40)) << 12
    code = PsbCode(words.astype(np.uint32), np.full(3, 13, np.int8), 8)
    code = replace(code, words=np.where(15 - code.nibble > 13 - math.log2(n), code.words, 0))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, 40)] * 2)))
    error = sampled_weights(code, n, sampler, seed) - decode(code)
    assert (np.abs(error[:, first:last].sum(axis=1)) < 1).all()


def test_weights_of_before_keep_their_rounding() -> None:
    code = one_weight(1, 0, 4, 0, 0)
    assert sampled_weights(replace(code, rounding="half"), 16)[0, 0] == 2 * decode(code)[0, 0]


# Sums of products: what neighbouring errors do to each other. A row of weights w, inputs x.
def sum_variance(weights: np.ndarray, x: np.ndarray, n: int, sampler: str) -> float:
    code = encode(np.broadcast_to(weights, (1 << 13, weights.size)), p_bits=8)
    total = sampled_weights(code, n, sampler, seed=3) @ x
    assert abs(total.mean() - decode(code)[0] @ x) <= 6.1 * total.std() / np.sqrt(total.size) + 1e-9
    return float(total.var())


@pytest.mark.parametrize("n", [4, 16])
def test_carried_errors_cancel_where_inputs_are_alike_and_add_up_where_they_alternate(
    n: int,
) -> None:
    weights = 1 + np.random.default_rng(1).random(64)
    alone = float(weight_variance(encode(weights[None], p_bits=8), n).sum())
    alike = sum_variance(weights, np.ones(64), n, "systematic")
    assert alike <= 0.25 / n**2 + 1e-12 and alike < alone / 20
    mixed = sum_variance(weights, np.random.default_rng(2).choice([-1.0, 1.0], 64), n, "systematic")
    assert alone / 4 < mixed < 4 * alone
    # The worst case: equal weights, n p = 1/2, inputs that alternate: all 64 errors add up.
    equal = np.full(64, 1 + 0.5 / n)
    turns = np.tile([1.0, -1.0], 32)
    worst = sum_variance(equal, turns, n, "systematic")
    assert worst == pytest.approx(
        64 * float(weight_variance(encode(equal[None], p_bits=8), n).sum())
    )
    binomial = sum_variance(equal, turns, n, "binomial")
    expected = float(weight_variance(encode(equal[None], p_bits=8), n, "binomial").sum())
    assert binomial == pytest.approx(expected, rel=0.1)


def test_moments_of_a_zero_weight_are_zero() -> None:
    code = encode(np.array([[0.0, 1.3]]), p_bits=8)
    for sampler in SAMPLERS:
        assert weight_mean(code, 4, sampler)[0, 0] == 0
        assert weight_variance(code, 4, sampler)[0, 0] == 0


@pytest.mark.parametrize("samples", [-1, 3, 128])
def test_a_number_of_samples_that_is_not_a_power_of_two_to_64_is_refused(samples: int) -> None:
    with pytest.raises(OptionError, match=f"samples={samples} is not known: give one of 0, 1, 2"):
        integer_weights(all_words(4), samples)


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(OptionError, match="sampler='gauss' is not known: give one of 'systematic'"):
        draws(all_words(4), 4, "gauss")
