"""Steps that strike, and samples ranked by their flips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import DataError, OptionError, OutputError
from reluflow.monitoring import SampleFlips, Strike, StrikeWatch


def quiet(seed: int, steps: int = 60, spread: float = 0.2) -> np.ndarray:
    return 0.01 * np.exp(spread * np.random.default_rng(seed).standard_normal(steps))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_only_the_step_that_stands_out_strikes(seed: int, spread: float) -> None:
    flips = quiet(seed, spread=spread)
    flips[40] *= 12
    watch = StrikeWatch()
    found = [watch.observe(step, float(value), 0.1) for step, value in enumerate(flips)]
    assert [strike.step for strike in found if strike] == [40]
    strike = found[40]
    assert strike is not None
    assert strike.flip_fraction == flips[40]
    assert strike.ratio == pytest.approx(flips[40] / np.exp(np.median(np.log(flips[8:40]))))


@pytest.mark.parametrize("shape", ["warm up", "decay", "leap"])
def test_a_change_of_the_rate_alone_is_no_strike(shape: str) -> None:
    steps = np.arange(1, 61)
    rates = {"warm up": 0.001 * steps, "decay": 0.5 / steps, "leap": np.where(steps < 30, 0.1, 2.0)}
    watch = StrikeWatch()
    for step, (rate, value) in enumerate(zip(rates[shape], quiet(0), strict=True)):
        assert watch.observe(step, float(value * rate), float(rate)) is None


def test_strikes_do_not_raise_the_bar_for_the_next() -> None:
    watch = StrikeWatch(warm_up=5)
    for step in range(10):
        assert watch.observe(step, 0.01, 0.1) is None
    assert [watch.observe(10 + i, 0.05, 0.1) is not None for i in range(3)] == [True] * 3


def test_small_leaps_in_still_water_are_none() -> None:
    watch = StrikeWatch(warm_up=3)
    for step in range(5):
        watch.observe(step, 0.01, 0.1)
    assert watch.observe(5, 0.0199, 0.1) is None
    found = watch.observe(6, 0.0201, 0.1)
    assert found == Strike(6, 0.0201, found.ratio if found else 0.0)
    assert found.ratio == pytest.approx(2.01)


@pytest.mark.parametrize(
    ("flips", "rate"), [(0.0, 0.1), (0.2, 0.0), (float("nan"), 0.1), (0.2, float("inf"))]
)
def test_what_cannot_be_compared_is_passed_over(flips: float, rate: float) -> None:
    watch = StrikeWatch()
    assert watch.observe(0, flips, rate) is None
    assert watch.latest == []


def test_a_watch_goes_on_from_its_state() -> None:
    one, flips = StrikeWatch(window=20, warm_up=4), quiet(3)
    for step, value in enumerate(flips[:30]):
        one.observe(step, float(value), 0.1)
    two = StrikeWatch.from_dict(one.to_dict())
    assert two == one
    assert len(two.latest) == 20
    assert one.observe(30, 0.3, 0.1) == two.observe(30, 0.3, 0.1) is not None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"warm_up": 0}, "warm_up is 0 and window 32; give numbers of steps from 1 on"),
        ({"warm_up": 9, "window": 8}, "warm_up is 9 and window 8; give numbers"),
        ({"least": 1.0}, "least is 1.0 and sigmas 5.0; give a ratio above 1"),
        ({"sigmas": -2.0}, "least is 2.0 and sigmas -2.0; give a ratio above 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        StrikeWatch(**settings)  # type: ignore[arg-type]


def test_samples_are_ranked_by_what_they_flip() -> None:
    shares = np.random.default_rng(0).random((7, 50))
    flips = SampleFlips()
    for row in shares:
        flips.add(row)
    assert flips.steps == 7
    assert flips.mean == pytest.approx(shares.mean(axis=0))
    assert flips.ranked().tolist() == np.argsort(-shares.sum(axis=0)).tolist()
    assert flips.ranked(3).tolist() == flips.ranked().tolist()[:3]


def test_samples_that_flip_alike_stay_in_order() -> None:
    flips = SampleFlips()
    flips.add([0.5, 0.2, 0.5, 0.2])
    assert flips.ranked().tolist() == [0, 2, 1, 3]


def test_other_data_is_refused() -> None:
    flips = SampleFlips()
    flips.add([0.5, 0.2])
    with pytest.raises(DataError, match=r"shares is of 3 samples, but the steps before .* on 2"):
        flips.add([0.1, 0.2, 0.3])


@pytest.mark.parametrize("samples", [0, 1, 40])
def test_flips_come_back_from_a_recording(samples: int, tmp_path: Path) -> None:
    assert SampleFlips.read(tmp_path).steps == 0
    flips = SampleFlips()
    for row in np.random.default_rng(1).random((3, samples)):
        flips.add(row)
    again = SampleFlips.read(flips.save(tmp_path).parent)
    assert again.sums == pytest.approx(flips.sums)
    assert again.ranked().tolist() == flips.ranked().tolist()
    assert again.steps == (3 if samples else 0)


@pytest.mark.parametrize("content", [b"", b"PAR1 no more", b"x" * 100])
def test_damaged_flips_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sample_flips.parquet").write_bytes(content)
    with pytest.raises(OutputError, match=r"the sample flips .* cannot be read"):
        SampleFlips.read(tmp_path)
