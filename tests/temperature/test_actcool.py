import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_network import SimulatedNetwork, drifting

from reluflow.errors import DataError, DivergenceError, OptionError
from reluflow.temperature import (
    ActCool,
    ActCoolOptions,
    CyclicSchedule,
    LogNormal,
    PowerSchedule,
    ProbabilitySchedule,
)

STEPS = 800
networks = st.builds(
    drifting, st.floats(-9, 3), st.floats(-2, 2), st.floats(0.3, 2.5), st.floats(0, 0.5)
)


def plain(progress: float) -> float:
    return 2.0 * (1.0 - progress)


@settings(max_examples=25)
@given(networks, st.sampled_from([1_000, 10_000, 100_000]), st.integers(0, 10**6))
def test_it_keeps_the_schedule(place: Any, samples: int, seed: int) -> None:
    network = SimulatedNetwork(place, samples, seed)
    controller = ActCool(PowerSchedule(4.0, 1.0), ActCoolOptions(samples=samples))
    _, errors = network.train(controller, range(STEPS), STEPS)
    # One probe's error of T is sqrt(1 - D)^-1 / (n D) / ln 2, 0.2 bits at 4 bits and n = 1,000;
    # 8 steps of drift add at most 8 / 800 * 12 * z'(T) < 0.35 bits for a sigma of 0.3.
    assert np.sqrt(np.mean(np.square(errors))) < 0.4
    assert abs(np.mean(errors)) < 0.15


@settings(max_examples=25)
@given(networks, st.floats(1e-4, 1.0))
def test_the_initial_rate_does_not_change_the_rates(place: Any, initial: float) -> None:
    runs = []
    for start in (initial, None):
        controller = ActCool(PowerSchedule(), initial_rate=start)
        runs.append(SimulatedNetwork(place, None, 0).train(controller, range(50), 50)[0])
    assert runs[0] == runs[1]


@settings(max_examples=30)
@given(
    st.sampled_from([PowerSchedule(), ProbabilitySchedule(), CyclicSchedule(), plain]),
    st.integers(0, 119),
    st.sampled_from([None, 100, 5000]),
    st.integers(0, 10**6),
)
def test_a_resumed_run_gives_the_same_rates(
    schedule: Any, killed_at: int, samples: int | None, seed: int
) -> None:
    options = ActCoolOptions(samples=samples, history_size=7, refit_burst=100)
    # sigma falls so fast and mu jumps so far that refits occur within the run.
    place = drifting(-3.0, 9.0, 2.0, 0.9)
    network = SimulatedNetwork(place, samples or 200, seed)
    whole = ActCool(schedule, options)
    rates, _ = network.train(whole, range(120), 120)

    network = SimulatedNetwork(place, samples or 200, seed)
    first = ActCool(schedule, options)
    head, _ = network.train(first, range(killed_at), 120)
    saved = json.dumps(first.state_dict(), allow_nan=False)
    second = ActCool(schedule if schedule is plain else PowerSchedule(9.0))
    second.load_state_dict(json.loads(saved))
    tail, _ = network.train(second, range(killed_at, 120), 120)
    assert head + tail == rates
    assert second.state_dict() == whole.state_dict()
    assert list(second.history) == list(whole.history)


def test_a_probe_between_rate_and_observation_survives_a_restart() -> None:
    network = LogNormal(-3.0, 1.0)
    first = ActCool(PowerSchedule())
    rate = first.next_rate(0.0, lambda rate: float(network.distance(rate)))
    assert first.wants_distance
    second = ActCool(PowerSchedule())
    second.load_state_dict(first.state_dict())
    assert second.wants_distance and second.rate == rate
    for controller in (first, second):
        controller.observe(0.9)
    assert first.state_dict() == second.state_dict()


@settings(max_examples=15)
@given(networks, st.sampled_from([1, 3, 30, 300]), st.booleans(), st.integers(0, 10**6))
def test_measurements_stay_few_however_coarse_the_batch(
    place: Any, samples: int, is_known: bool, seed: int
) -> None:
    network = SimulatedNetwork(place, samples, seed)
    options = ActCoolOptions(samples=samples if is_known else None)
    controller = ActCool(PowerSchedule(8.0, 2.0), options, initial_rate=1e-4)
    controller.next_rate(0.0, network.measure)
    first = network.measurements
    assert first == controller.n_measurements <= 45
    network.train(controller, range(1, STEPS), STEPS)
    probes = STEPS // options.probing_interval + 3
    largest_refit = 45
    refits = options.refit_burst + options.refit_share * STEPS + largest_refit
    assert network.measurements <= first + probes + refits
    assert controller.n_measurements <= first + refits


def test_probes_are_every_eighth_and_early_steps() -> None:
    controller = ActCool(PowerSchedule())
    announced, wanted = [], []
    for step in range(33):
        announced.append(controller.will_want_distance)
        controller.next_rate(step / 33, lambda rate: float(LogNormal(0.0, 1.0).distance(rate)))
        wanted.append(controller.wants_distance)
    assert announced == wanted
    assert [step + 1 for step, yes in enumerate(wanted) if yes] == [1, 2, 4, 8, 16, 24, 32]
    assert not ActCool(PowerSchedule()).wants_distance


def test_only_the_first_step_fits_where_the_model_holds() -> None:
    network = SimulatedNetwork(drifting(-4.0, 0.5, 1.0, 0.2), 5000, 0)
    controller = ActCool(PowerSchedule(5.0), ActCoolOptions(samples=5000))
    assert controller.fit_due
    network.train(controller, range(STEPS), STEPS)
    assert controller.n_fits == 1 and not controller.fit_due
    assert controller.n_measurements <= 15


def test_five_large_jumps_force_a_fit() -> None:
    options = ActCoolOptions(error_threshold=0.5, refit_burst=0, refit_share=0.0)
    controller = ActCool(PowerSchedule(4.0), options)
    calls = []

    def measure(rate: float) -> float:
        calls.append(rate)
        return float(LogNormal(-2.0, 1.0).distance(rate))

    controller.next_rate(0.0, measure)
    for jump in range(5):
        assert not controller.fit_due
        controller.observe(0.2)
        if jump < 4:
            controller.next_rate(0.0, measure)
    assert controller.fit_due
    before = len(calls)
    controller.next_rate(0.0, measure)
    assert len(calls) > before and controller.n_fits == 2 and not controller.fit_due
    assert controller.mu == pytest.approx(-2.0)


def test_the_next_forced_fit_waits_until_it_can_be_afforded() -> None:
    options = ActCoolOptions(refit_burst=0, refit_share=0.1)
    controller = ActCool(PowerSchedule(1.0), options)

    def measure(rate: float) -> float:
        return float(LogNormal(-2.0, 1.0).distance(rate))

    fits = []
    for step in range(300):
        fits.append(controller.n_fits)
        controller.next_rate(0.3, measure)
        controller.observe(float(step % 2))
    # The first refit is at once; the next waits until ten steps a measurement have gone by.
    first = ActCool(PowerSchedule(1.0), options)
    first.next_rate(0.3, measure)
    refits = controller.n_measurements - first.n_measurements
    assert fits[2] == 2 and fits[20] == 2 and fits[-1] >= 3
    assert refits <= 0.1 * 300 + 12


@pytest.mark.parametrize("samples", [None, 50])
def test_extremes_that_the_batch_cannot_resolve_are_no_news(samples: int | None) -> None:
    network = LogNormal(-2.0, 1.0)
    controller = ActCool(lambda progress: 1e-4, ActCoolOptions(samples=samples))
    controller.next_rate(0.0, lambda rate: float(network.distance(rate)))
    mu = controller.mu
    for _ in range(50):
        controller.observe(0.0)
        controller.next_rate(0.0, lambda rate: pytest.fail("a fit was made"))
    assert controller.mu == pytest.approx(mu, abs=0.1)


def test_extremes_that_contradict_the_model_move_mu_and_force_a_fit() -> None:
    for extreme, direction in ((1.0, -1), (0.0, 1)):
        controller = ActCool(lambda progress: 1.0, ActCoolOptions(samples=1000))
        controller.next_rate(0.0, lambda rate: float(LogNormal(-2.0, 1.0).distance(rate)))
        mu = controller.mu
        controller.observe(extreme)
        assert controller.fit_due and (controller.mu - mu) * direction > 1


def test_few_expected_changes_leave_mu_right_on_average() -> None:
    random = np.random.default_rng(5)
    network, samples = LogNormal(-2.0, 1.0), 500
    ends = []
    for _ in range(40):
        controller = ActCool(lambda progress: 4e-3, ActCoolOptions(samples=samples))
        controller.next_rate(0.0, lambda rate: float(network.distance(rate)))
        for _ in range(40):
            share = float(network.distance(controller.rate or 0.0))
            controller.observe(random.binomial(samples, share) / samples)
            controller.next_rate(0.0, lambda rate: float(network.distance(rate)))
        ends.append(controller.mu)
    # The damped steps scatter by about 0.3; the mean of 40 runs by 0.05.
    assert np.mean(ends) == pytest.approx(-2.0, abs=0.25)


def test_temperatures_beyond_the_samples_are_bounded() -> None:
    controller = ActCool(PowerSchedule(20.0), ActCoolOptions(samples=384))
    assert controller.wanted_temperature(0.0) == 7.0
    controller.samples = None
    assert controller.wanted_temperature(0.0) == 20.0
    assert controller.wanted_temperature(7.0) == 0.0


def test_rates_stay_above_the_least_and_history_below_its_size() -> None:
    controller = ActCool(PowerSchedule(), ActCoolOptions(history_size=2))
    network = SimulatedNetwork(drifting(-3.0, 0.0, 1.0, 0.0), None, 0)
    network.train(controller, range(20), 20)
    assert controller.next_rate(1.0, network.measure) == 1e-10
    assert [entry[0] for entry in controller.history] == [8, 16]
    _, rate, distance, mu, sigma = controller.history[-1]
    assert distance == pytest.approx(float(LogNormal(mu, sigma).distance(rate)))
    assert controller.steps == 21


def test_a_rate_out_of_range_is_called_divergence() -> None:
    controller = ActCool(PowerSchedule(6.0))
    controller.next_rate(0.0, lambda rate: float(LogNormal(18.0, 1.0).distance(rate)))
    controller.observe(1e-9)
    with pytest.raises(DivergenceError, match=r"above 1e\+10: the training diverges; start again"):
        controller.next_rate(0.0, lambda rate: 0.0)


def test_bad_arguments_of_the_controller_are_refused() -> None:
    def measure(rate: float) -> float:
        return float(LogNormal(0.0, 1.0).distance(rate))

    controller = ActCool(PowerSchedule())
    with pytest.raises(OptionError, match="observe has no step to speak of; call next_rate"):
        controller.observe(0.5)
    with pytest.raises(OptionError, match="progress is nan; give a fraction"):
        controller.next_rate(math.nan, measure)
    with pytest.raises(OptionError, match=r"progress is -0.1; give a fraction"):
        controller.next_rate(-0.1, measure)
    with pytest.raises(OptionError, match=r"schedule gives -1.0 at progress 0.5"):
        ActCool(lambda progress: -1.0).next_rate(0.5, measure)
    with pytest.raises(OptionError, match=r"initial_rate is 0.0; give a rate from 1e-10 to 1e"):
        ActCool(PowerSchedule(), initial_rate=0.0)
    with pytest.raises(DataError, match=r"measure\(0.5\) is nan; a distance is a fraction"):
        controller.next_rate(0.0, lambda rate: math.nan)
    assert controller.n_fits == 0 and controller.rate is None
    controller.next_rate(0.0, measure)
    with pytest.raises(DataError, match=r"distance is 2.0; a distance is a fraction"):
        controller.observe(2.0)


def test_bad_states_are_refused() -> None:
    controller = ActCool(PowerSchedule())
    state = controller.state_dict()
    with pytest.raises(DataError, match="state has version 0; this reluflow reads version 1"):
        controller.load_state_dict({**state, "version": 0})
    with pytest.raises(DataError, match="state has version None"):
        controller.load_state_dict({})
    del state["mu"]
    with pytest.raises(DataError, match="state lacks mu; give a whole state_dict"):
        controller.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_rate", 0.0),
        ("min_rate", math.nan),
        ("remeasure_probabilities", ()),
        ("remeasure_probabilities", (0.5, 1.0)),
        ("initial_rates", (0.1,)),
        ("initial_rates", (0.1, -1.0)),
        ("error_count", 0),
        ("error_threshold", 0.0),
        ("remeasure_jump", 1.0),
        ("max_iterations", 0),
        ("probing_interval", 0),
        ("samples", 0),
        ("refit_share", -1.0),
        ("refit_burst", -1),
        ("history_size", math.nan),
    ],
)
def test_bad_options_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name} is .*; give "):
        ActCoolOptions(**{name: value})


def test_defaults_are_those_of_table_a_1() -> None:
    options = ActCoolOptions()
    assert options.min_rate == 1e-10
    assert options.remeasure_probabilities == (0.25, 0.5, 0.75)
    assert options.initial_rates == pytest.approx(np.logspace(-4, 2, 25))
    assert (options.error_count, options.error_threshold) == (5, 2.5)
    assert (options.remeasure_jump, options.max_iterations) == (2, 100)
    assert options.probing_interval == 8


def test_jumps_are_counted_in_a_row() -> None:
    """Table A.1 names a number of errors; a probe that agrees begins the count anew."""
    options = ActCoolOptions(error_threshold=0.5, error_count=5, refit_burst=0, refit_share=0.0)

    def is_refit_due(jumps: list[bool]) -> bool:
        controller = ActCool(PowerSchedule(4.0), options)
        for is_jump in jumps:
            rate = controller.next_rate(
                0.0, lambda rate: float(LogNormal(-2.0, 1.0).distance(rate))
            )
            mu = controller.mu - 1.0 if is_jump else controller.mu
            controller.observe(float(LogNormal(mu, controller.sigma).distance(rate)))
        return controller.fit_due

    assert is_refit_due([True] * 5)
    assert not is_refit_due([True] * 4 + [False])
    assert not is_refit_due([True] * 4 + [False] + [True] * 4)
    assert not is_refit_due([True, False] * 9)
    assert is_refit_due([True] * 4 + [False] + [True] * 5)
