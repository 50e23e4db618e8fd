import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import OptionError
from reluflow.temperature import (
    CyclicSchedule,
    PowerSchedule,
    ProbabilitySchedule,
    Schedule,
    schedule_from_dict,
    start_for_steps,
    start_for_widths,
)

SCHEDULES = [
    PowerSchedule(),
    PowerSchedule(3.17, 4.0),
    PowerSchedule(3.17, 4.0, printed=True),
    ProbabilitySchedule(),
    CyclicSchedule(),
    CyclicSchedule(4.0, 2.0, cycles=5, decay=0.7),
]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@each_schedule
@given(progress=st.floats(0, 1))
def test_temperatures_are_finite_and_not_negative(schedule: Schedule, progress: float) -> None:
    assert 0 <= schedule(progress) <= schedule(0.0) < math.inf


@each_schedule
def test_every_schedule_ends_cold(schedule: Schedule) -> None:
    assert schedule(1.0) == 0 and math.copysign(1, schedule(1.0)) == 1


@each_schedule
def test_schedules_survive_json(schedule: PowerSchedule) -> None:
    assert schedule_from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule


@given(st.floats(0.01, 0.99), st.floats(1.0, 8.0))
def test_gamma_above_one_stays_hot_unless_printed(progress: float, gamma: float) -> None:
    straight = PowerSchedule(4.0, 1.0)(progress)
    assert PowerSchedule(4.0, gamma)(progress) >= straight - 1e-12
    assert PowerSchedule(4.0, gamma, printed=True)(progress) <= straight + 1e-12


def test_the_probability_schedule_falls_in_a_straight_line() -> None:
    schedule = ProbabilitySchedule(0.99)
    shares = [1 - 2 ** -schedule(progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert shares == pytest.approx([0.99, 0.7425, 0.495, 0.0])


def test_each_cycle_starts_less_hot() -> None:
    schedule = CyclicSchedule(4.0, 1.0, cycles=4, decay=0.5)
    assert [schedule(start) for start in (0.0, 0.25, 0.5, 0.75)] == [4.0, 2.0, 1.0, 0.5]
    assert schedule(0.2499999) == pytest.approx(0, abs=1e-5)


def test_bad_schedules_are_refused() -> None:
    with pytest.raises(OptionError, match="start is 0; give bits above 0"):
        PowerSchedule(0)
    with pytest.raises(OptionError, match="gamma is nan; give a number above 0"):
        PowerSchedule(1.0, math.nan)
    with pytest.raises(OptionError, match=r"peak is 1.0; give a fraction above 0 and below 1"):
        ProbabilitySchedule(1.0)
    with pytest.raises(OptionError, match="cycles is 0; give a whole number from 1 on"):
        CyclicSchedule(cycles=0)
    with pytest.raises(OptionError, match="decay is 2; give a fraction above 0, 1 at most"):
        CyclicSchedule(decay=2)
    with pytest.raises(OptionError, match="schedule is 'linear'; accepted are power, prob"):
        schedule_from_dict({"name": "linear"})
    with pytest.raises(OptionError, match=r"settings \['peek'\]; accepted are peak"):
        schedule_from_dict({"name": "probability", "peek": 0.5})


def test_start_grows_with_the_width_of_the_sites_and_ends_at_the_default() -> None:
    starts = [start_for_widths([width] * 3) for width in (1, 16, 64, 256, 512, 4096)]
    assert starts[0] > 0 and starts == sorted(starts)
    assert starts[3] < starts[4] == starts[5] == PowerSchedule().start


def test_start_is_the_temperature_of_the_mean_distance() -> None:
    one, other = start_for_widths([16]), start_for_widths([256])
    mean = 1 - (2**-one + 2**-other) / 2
    assert start_for_widths([16, 256]) == pytest.approx(-math.log2(1 - mean))


@pytest.mark.parametrize("widths", [[], [16, 0]])
def test_start_refuses_sites_without_units(widths: list[int]) -> None:
    with pytest.raises(OptionError, match="give the number of units of at least one site"):
        start_for_widths(widths)


def test_a_short_training_starts_hotter_and_never_more_than_twice() -> None:
    starts = [start_for_steps(1.5, steps) for steps in (1, 80, 125, 220, 430, 500, 10_000)]
    assert starts[:3] == [3.0] * 3
    assert starts[3] == pytest.approx(1.5 * math.sqrt(500 / 220))
    assert starts[3] > starts[4] > starts[5] == starts[6] == 1.5


@pytest.mark.parametrize("start, steps", [(0.0, 100), (1.0, 0), (1.0, math.nan)])
def test_a_length_that_makes_no_sense_is_refused(start: float, steps: float) -> None:
    with pytest.raises(OptionError, match=r"(start|steps) is"):
        start_for_steps(start, steps)
