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
