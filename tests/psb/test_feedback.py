"""Rounding with feedback: codes are kept, outputs are nearer, errors are refused."""

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.psb import decode, encode
from reluflow.psb.feedback import round_with_feedback
from reluflow.psb.fixed import grid_weights


def layer(seed: int, groups: int = 1, k: int = 40):
    """Return weights, correlated inputs and their second moments."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(groups * 16, k)).astype(np.float32)
    mix = rng.normal(size=(groups, 8, k))
    x = np.maximum(rng.normal(size=(groups, 500, 8)) @ mix + rng.normal(size=(groups, 500, k)), 0)
    return w, x, x.transpose(0, 2, 1) @ x / 500


def output_error(w: np.ndarray, v: np.ndarray, x: np.ndarray) -> float:
    rows = (w - v).reshape(len(x), -1, w.shape[1])
    return float(np.mean((x @ rows.transpose(0, 2, 1)) ** 2))


@pytest.mark.parametrize("p_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("groups", [1, 3])
def test_outputs_are_nearer_than_by_plain_rounding(p_bits: int, groups: int) -> None:
    w, x, moments = layer(p_bits, groups)
    v = round_with_feedback(w, moments, p_bits=p_bits)
    plain = output_error(w, decode(encode(w, p_bits=p_bits)), x)
    assert output_error(w, v, x) < 0.5 * plain


@pytest.mark.parametrize("p_bits", [1, 4, 8])
def test_a_code_keeps_every_value(p_bits: int) -> None:
    w, _, moments = layer(9)
    v = round_with_feedback(w, moments, p_bits=p_bits)
    np.testing.assert_array_equal(decode(encode(v, p_bits=p_bits)), v)


def test_weights_that_are_codes_stay_as_they_are() -> None:
    w, _, moments = layer(5)
    w = decode(encode(w, p_bits=3))
    np.testing.assert_array_equal(round_with_feedback(w, moments, p_bits=3), w)


def test_on_the_grid_the_grid_is_what_counts() -> None:
    w, x, moments = layer(6, k=150)

    def executed(v: np.ndarray) -> np.ndarray:
        code = encode(v, p_bits=4)
        return grid_weights(code, 0) * 2.0 ** (code.emax.astype(np.float64)[:, None] - 6)

    found = output_error(w, executed(round_with_feedback(w, moments, p_bits=4, grid=True)), x)
    unaware = output_error(w, executed(round_with_feedback(w, moments, p_bits=4)), x)
    assert found < 0.7 * unaware


def test_inputs_that_are_always_0_and_outputs_of_zeros_do_no_harm() -> None:
    w, _, moments = layer(7)
    moments[:, 3], moments[:, :, 3], w[2] = 0, 0, 0
    v = round_with_feedback(w, moments, p_bits=4)
    assert np.isfinite(v).all()
    assert not v[2].any()


@pytest.mark.parametrize("shape", [(1, 3, 3), (2, 40, 40, 1), (5, 40, 40), (0, 40, 40)])
def test_moments_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"moments have shape .* give \(groups, 40, 40\)"):
        round_with_feedback(np.ones((16, 40)), np.ones(shape), p_bits=4)


def test_moments_with_nan_are_refused() -> None:
    with pytest.raises(OptionError, match="moments hold NaN"):
        round_with_feedback(np.ones((1, 2)), np.full((1, 2, 2), np.nan), p_bits=4)
