"""The float model runs once however many widths are compared with it, and what counts as enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small_models

from reluflow.data import open_data
from reluflow.evaluation import choose_activation_bits, choose_chains
from reluflow.evaluation.signal_error import SignalError
from reluflow.evaluation.widths import reference
from reluflow.evaluation.widths.activation_bits import TriedBits, is_enough
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import Model, load
from reluflow.sessions import Session, open_session

CHANNELS = 200


@pytest.fixture
def model() -> Model:
    return load(small_models.convolutional(seed=1))


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 2, 5, 5)).astype(np.float32)


@pytest.mark.parametrize("size", [None, 1, 3])
def test_all_passes_give_what_the_model_does(
    model: Model, x: np.ndarray, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Model] = []

    def look(model: Model, **options: Any) -> Session:
        opened.append(model)
        return open_session(model, **options)

    monkeypatch.setattr(reference, "open_session", look)
    floats = FloatOutputs(model, open_data(x, model.inputs), size)
    wanted = open_session(model).run({model.inputs[0].name: x})[0]
    for _ in range(3):
        batches = list(floats)
        assert sum(len(batch[next(iter(batch))]) for batch, _ in batches) == len(x)
        found = np.concatenate([next(iter(exact.values())) for _, exact in batches])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert len(opened) == 1


def test_a_pass_that_was_left_early_is_not_taken_for_all(model: Model, x: np.ndarray) -> None:
    floats = FloatOutputs(model, open_data(x, model.inputs), 2)
    next(iter(floats))
    assert len(list(floats)) == 4


def test_choosing_shares_the_outputs(
    model: Model, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Model] = []

    def look(model: Model, **options: Any) -> Session:
        opened.append(model)
        return open_session(model, **options)

    monkeypatch.setattr(reference, "open_session", look)
    source = open_data(x, model.inputs)
    floats = FloatOutputs(model, source)
    width = choose_activation_bits(model, source, floats=floats)
    choose_chains(width, model, source, floats=floats)
    assert len(opened) == 1


def tried(x_bits: int, noise: np.ndarray) -> TriedBits:
    """Return the errors of one width: unit signals, noise of a size for each channel."""
    rng = np.random.default_rng(x_bits)
    exact = rng.choice([-1.0, 1.0], size=(50, CHANNELS)).astype(np.float32)
    error = SignalError("y", 1)
    signs = rng.choice([-1.0, 1.0], size=exact.shape)
    error.add((exact + noise * signs).astype(np.float32), exact)
    return TriedBits(x_bits, (error.result(),))


def channels(first: float, n_first: int, rest: float) -> np.ndarray:
    return np.where(np.arange(CHANNELS) < n_first, first, rest)


@pytest.mark.parametrize(
    ("few", "enough", "by_the_worst"),
    [
        (channels(0.3, 0, 0.3), True, True),
        (channels(0.4, 1, 0.3), True, False),  # one channel of two hundred: 2.5 dB
        (channels(0.4, CHANNELS, 0.3), False, False),  # all of them
        (channels(0.9, 20, 0.3), False, False),  # a tenth is lost
        (channels(0.31, CHANNELS, 0.3), True, True),  # 0.28 dB
    ],
)
def test_a_width_is_enough_where_all_channels_together_lose_little(
    few: np.ndarray, enough: bool, by_the_worst: bool
) -> None:
    many = tried(16, np.full(CHANNELS, 0.3))
    assert is_enough(tried(12, few), many) == enough
    assert is_enough(tried(12, few), many, worst=True) == by_the_worst


def test_quiet_channels_count_like_loud_ones() -> None:
    """One channel a thousand times as loud as the others hides their loss from the whole."""
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(40, 8)).astype(np.float32) * np.array([1000, *[1] * 7], np.float32)
    few, many = SignalError("y", 1), SignalError("y", 1)
    few.add(exact + np.float32(0.5), exact)
    many.add(exact * np.float32(1.1), exact)
    pair = TriedBits(12, (few.result(),)), TriedBits(16, (many.result(),))
    a, b = (each.outputs[0] for each in pair)
    assert a.sqnr_db is not None and b.sqnr_db is not None and a.sqnr_db > b.sqnr_db
    assert a.even_db == pytest.approx(7, abs=1) and b.even_db == pytest.approx(20, abs=0.1)
    assert not is_enough(*pair)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3)])
def test_without_a_signal_or_channels_there_is_still_a_number(shape: tuple[int, ...]) -> None:
    error = SignalError("y", 1 if len(shape) > 1 else None)
    error.add(np.ones(shape, np.float32), np.zeros(shape, np.float32))
    assert error.result().even_db == -np.inf


def judged(bits: int, exact: np.ndarray, noise: float, *, whole: bool = False) -> TriedBits:
    """Return the errors of one width whose error has the given deviation everywhere."""
    rng = np.random.default_rng(bits)
    error = SignalError("y", 1, whole=whole)
    for part in np.array_split(exact, 3):  # batches
        error.add((part + rng.normal(0, noise, part.shape)).astype(np.float32), part)
    return TriedBits(bits, (error.result(),))


def nearly_constant(spread: float) -> np.ndarray:
    """Return probabilities of two classes, of which the first is nearly always 1."""
    p = 0.97 + spread * np.random.default_rng(7).choice([-1.0, 1.0], size=600)
    return np.stack([p, 1 - p], axis=1).astype(np.float32)


def around(mean: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return channels of variance 1 around a mean."""
    return np.random.default_rng(3).normal(mean, 1, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("exact", "noise", "whole", "spread_db"),
    [
        (nearly_constant(0.01), 0.001, True, 20),
        (nearly_constant(0.01), 0.001, False, 20),
        (around(100, (600, 4)), 0.1, False, 20),
        (around(-30, (12, 3, 20, 20)), 0.1, False, 20),
        (around(0, (600, 4)), 0.1, False, 20),
    ],
)
def test_the_spread_counts_what_differs_between_inputs(
    exact: np.ndarray, noise: float, whole: bool, spread_db: float
) -> None:
    (output,) = judged(8, exact, noise, whole=whole).outputs
    wanted = 10 * np.log10(exact.var(axis=0).mean() / noise**2)
    assert output.spread_db is not None and output.sqnr_db is not None
    assert output.spread_db == pytest.approx(spread_db, abs=0.6)
    if exact.ndim == 2:
        assert output.spread_db == pytest.approx(wanted, abs=0.2)
    assert output.sqnr_db > output.spread_db - 0.1


@pytest.mark.parametrize(
    ("exact", "whole"),
    [
        (nearly_constant(0.01), True),
        (around(100, (600, 4)), False),
        (around(-300, (12, 3, 20, 20)), False),
    ],
)
def test_what_all_inputs_share_hides_no_error(exact: np.ndarray, whole: bool) -> None:
    """The energy allows the error; beside what the inputs differ by it is too large."""
    step = 0.01 * float(exact.std(axis=0).mean())
    coarse, many = (judged(bits, exact, n * step, whole=whole) for bits, n in ((8, 20), (16, 1)))
    (output,) = coarse.outputs
    assert output.sqnr_db is not None and output.sqnr_db > 25
    assert output.spread_db is not None and output.spread_db < 25
    assert not is_enough(coarse, many)
    assert is_enough(judged(12, exact, 3 * step, whole=whole), many)


def test_an_error_within_the_loss_is_accepted_whatever_the_spread() -> None:
    """More bits do not mend it: the weights limit both."""
    exact = nearly_constant(0.01)
    assert is_enough(judged(8, exact, 0.02, whole=True), judged(16, exact, 0.0195, whole=True))


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (1,)])
def test_of_a_single_value_the_energy_stands_for_the_spread(shape: tuple[int, ...]) -> None:
    error = SignalError("y", 1 if len(shape) > 1 else None)
    error.add(np.full(shape, 1.1, np.float32), np.ones(shape, np.float32))
    found = error.result()
    if shape[-1] == 5 and len(shape) == 2:
        assert found.spread_db == found.sqnr_db == pytest.approx(20, abs=0.01)
    else:
        assert found.spread_db == pytest.approx(20, abs=0.01)


def test_a_constant_output_has_no_spread() -> None:
    error = SignalError("y", 1)
    error.add(np.full((50, 2), 0.31, np.float32), np.full((50, 2), 0.3, np.float32))
    found = error.result()
    assert found.spread_db == -np.inf and found.sqnr_db is not None and found.sqnr_db > 25
