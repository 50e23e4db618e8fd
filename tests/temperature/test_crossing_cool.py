"""The controller that steers by crossing rates, on networks whose curves are known."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reluflow.errors import DataError, OptionError
from reluflow.temperature import (
    CoolingWarning,
    CrossingCool,
    CrossingCurve,
    CrossingCurves,
    CrossingOptions,
    LogNormal,
    PowerSchedule,
)

Network = Callable[[], CrossingCurves]


def log_normal(mu: float, sigma: float = 1.0, samples: int = 2000) -> CrossingCurves:
    rates = LogNormal(mu, sigma).rate((np.arange(samples) + 0.5) / samples)
    return CrossingCurves({"relu": CrossingCurve.of(rates, 64)})


def noisy(rng: np.random.Generator, mu: float, samples: int = 128) -> CrossingCurves:
    """Curves of a batch of a few samples at each of three sites."""
    rates = np.exp(rng.normal(mu, 1.0, (3, samples)))
    return CrossingCurves({f"relu{n}": CrossingCurve.of(row, 64) for n, row in enumerate(rates)})


def run(
    controller: CrossingCool, steps: int, network: Callable[[int], CrossingCurves], total: int = 0
) -> list[float]:
    rates = []
    for step in range(steps):
        rates.append(
            controller.next_rate(step / (total or steps), lambda _rate, now=step: network(now))  # type: ignore[misc]
        )
        if controller.wants_curves:
            controller.observe(network(step), weight_norm=1.0)
    return rates


@pytest.mark.parametrize("mu", [-9.0, -2.0, 4.0])
@pytest.mark.parametrize("initial", [1e-6, 0.01, 100.0])
def test_each_step_has_the_scheduled_temperature(mu: float, initial: float) -> None:
    network = log_normal(mu)
    controller = CrossingCool(PowerSchedule(3.0, 1.0), initial_rate=initial)
    rates = run(controller, 200, lambda _: network)
    for step in range(20, 195, 25):
        wanted = 3.0 * (1 - step / 200)
        assert float(network.temperature(rates[step])) == pytest.approx(wanted, abs=0.02)
    assert controller.n_held < 5  # in the last steps, near 0 bits


def test_the_first_steps_begin_cold() -> None:
    network = log_normal(-2.0)
    rates = run(CrossingCool(lambda _: 2.0), 40, lambda _: network, 1000)
    bits = [float(network.temperature(rate)) for rate in rates]
    assert bits[0] == pytest.approx(2.0 / 17, rel=0.1)
    assert np.all(np.diff(bits[:16]) > 0)
    assert bits[20] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("total, rise", [(40, 4), (160, 8), (240, 12), (4000, 16)])
def test_a_short_training_rises_sooner(total: int, rise: int) -> None:
    network = log_normal(-2.0)
    rates = run(CrossingCool(lambda _: 2.0), 40, lambda _: network, total)
    bits = np.array([float(network.temperature(rate)) for rate in rates])
    assert bits[rise - 1] < 1.95
    assert np.allclose(bits[rise + 1 :], 2.0, atol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_of_batches_hardly_moves_the_rate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    controller = CrossingCool(lambda _: 2.0)
    rates = np.log(run(controller, 3000, lambda _: noisy(rng, -2.0))[500:])
    assert rates.std() < 0.1
    assert rates.mean() == pytest.approx(math.log(log_normal(-2.0).rate(2.0)), abs=0.1)


def test_a_calm_curve_is_probed_seldom_and_a_moving_one_often() -> None:
    calm, moving = CrossingCool(lambda _: 1.0), CrossingCool(lambda _: 1.0)
    network = log_normal(-2.0)
    run(calm, 2000, lambda _: network)
    run(moving, 2000, lambda step: log_normal(-2.0 - 0.01 * step))
    assert calm.interval == calm.options.longest
    assert moving.interval < calm.interval / 2
    assert calm.n_probes < 55


def test_it_follows_a_network_that_becomes_colder() -> None:
    controller = CrossingCool(lambda _: 1.0)
    rates = run(controller, 1000, lambda step: log_normal(-2.0 - 0.003 * step))
    for step in (300, 600, 900):
        found = float(log_normal(-2.0 - 0.003 * step).temperature(rates[step]))
        assert found == pytest.approx(1.0, abs=0.3)


def test_it_follows_closely_in_the_first_third_of_a_training() -> None:
    def place(step: int) -> float:
        return -4.0 - 0.004 * min(step, 200)

    rng = np.random.default_rng(0)
    controller = CrossingCool(lambda _: 3.0)
    rates = run(controller, 600, lambda step: noisy(rng, place(step) + 0.1 * rng.normal()))
    ideal = [place(step) + math.log(log_normal(0.0).rate(3.0)) for step in range(600)]
    error = np.log(rates) - ideal
    assert abs(error[40:200].mean()) < 0.06  # 8 steps of it are 0.03
    assert abs(error[300:].mean()) < 0.08


def test_a_vanishing_gradient_does_not_carry_the_rate_away() -> None:
    controller = CrossingCool(lambda _: 1.0)
    with pytest.warns(CoolingWarning, match="held at"):
        rates = run(controller, 1000, lambda step: log_normal(-4.0 + 0.02 * step))
    hottest = log_normal(-4.0).rate(1.0)
    risen = math.exp(0.02 * 35)  # before the bound begins
    assert max(rates) < risen * controller.options.growth * hottest
    assert controller.n_held > 500


def test_without_a_bound_it_does() -> None:
    controller = CrossingCool(lambda _: 1.0, CrossingOptions(growth=math.inf))
    rates = run(controller, 1000, lambda step: log_normal(-4.0 + 0.02 * step))
    assert rates[-1] > 1e6 * rates[100]
    assert controller.n_held == 0


def test_growing_weights_lower_the_bound() -> None:
    def last(norm: float) -> float:
        controller = CrossingCool(lambda _: 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CoolingWarning)
            for step in range(400):
                network = log_normal(-4.0 + 0.02 * step)
                controller.next_rate(step / 400, lambda _, now=network: now)  # type: ignore[misc]
                if controller.wants_curves:
                    controller.observe(network, weight_norm=1.0 if step < 100 else norm)
        assert controller.rate is not None
        return controller.rate

    assert last(3.0) == pytest.approx(last(1.0) / 4.0, rel=1e-6)  # (1.5 / 3)^2
    assert last(1.4) == last(1.0)


def test_a_long_step_is_measured_by_a_part_of_it() -> None:
    network = log_normal(-2.0)
    controller = CrossingCool(lambda _: 4.0)
    run(controller, 40, lambda _: network)
    assert controller.rate is not None
    assert float(network.temperature(controller.part() * controller.rate)) == pytest.approx(
        0.5, abs=0.01
    )
    cold = CrossingCool(lambda _: 0.9)
    run(cold, 40, lambda _: network)
    assert cold.part() == cold.part(is_coarse=True) == 1.0
    colder = CrossingCool(lambda _: 0.02)
    run(colder, 40, lambda _: network)
    assert colder.part() == 1.0
    assert colder.rate is not None
    longer = colder.part(is_coarse=True) * colder.rate
    assert float(network.temperature(longer)) == pytest.approx(0.5, abs=0.01)


def parts_taken(bend: Callable[[int], float]) -> tuple[list[float], CrossingCool]:
    """Return the part of every probe of a training in which whole steps lie beside by `bend`."""
    network, parts = log_normal(-2.0), []
    controller = CrossingCool(lambda _: 3.0)
    for step in range(400):
        controller.next_rate(step / 1000, lambda _: network)
        if controller.wants_curves:
            beside = network.shifted(bend(step))
            parts.append(controller.part())
            straight = None if parts[-1] == 1.0 else beside
            seen = beside if straight is None else network
            controller.observe(seen, weight_norm=1.0, straight=straight)
            again = CrossingCool(lambda _: 3.0)
            again.load_state_dict(json.loads(json.dumps(controller.state_dict())))
            assert again.part() == controller.part()
    return parts, controller


def test_three_of_four_long_steps_need_no_part_where_both_agree() -> None:
    parts, _ = parts_taken(lambda step: 0.0)
    assert [part == 1.0 for part in parts[-8:]].count(True) == 6


def test_a_bend_that_stays_is_taken_off() -> None:
    parts, controller = parts_taken(lambda step: 0.4)
    assert [part == 1.0 for part in parts[-8:]].count(True) == 6
    assert controller.rate == pytest.approx(log_normal(-2.0).rate(3.0), rel=0.02)


def test_every_long_step_needs_a_part_where_the_bend_changes() -> None:
    parts, controller = parts_taken(lambda step: 0.3 * math.sin(step))
    assert [part == 1.0 for part in parts].count(True) < len(parts) / 4
    assert controller.rate == pytest.approx(log_normal(-2.0).rate(3.0), rel=0.1)


def test_states_without_bends_are_read() -> None:
    _, controller = parts_taken(lambda step: 0.4)
    state = controller.state_dict()
    for name in ("bend", "n_bends", "n_alone", "alone_for"):
        del state[name]
    again = CrossingCool(lambda _: 3.0)
    again.load_state_dict(state)
    assert again.part() < 1.0


def test_it_follows_what_long_steps_really_change() -> None:
    def network() -> CrossingCurves:
        """Curves along the way: from 0.5 bits on, steps do as if 1.5 times as long."""
        first = np.sort(LogNormal(-2.0, 1.0).rate((np.arange(2000) + 0.5) / 2000))
        kink = float(log_normal(-2.0).rate(0.5))
        bent = np.where(first < kink, first, np.maximum(first / 1.5, kink))
        return CrossingCurves({"relu": CrossingCurve.of(bent, 64)})

    controller = CrossingCool(lambda _: 4.0)
    rates = run(controller, 400, lambda _: network())
    assert float(log_normal(-2.0).temperature(1.5 * rates[-1])) == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_steps_of_one_rate_may_differ_without_moving_it_much(seed: int) -> None:
    rng = np.random.default_rng(seed)
    controller = CrossingCool(lambda _: 3.0)
    rates = np.log(run(controller, 4000, lambda _: noisy(rng, -2.0 + 0.5 * rng.normal()))[1200:])
    assert rates.std() < 0.3
    assert rates.mean() == pytest.approx(math.log(log_normal(-2.0).rate(3.0)), abs=0.2)


@pytest.mark.parametrize("bits, factor", [(3.0, 1.0), (5.0, 5.0 / 4.0), (20.0, 2.0)])
def test_beyond_what_samples_resolve_the_rate_is_in_proportion(bits: float, factor: float) -> None:
    network = log_normal(-2.0, samples=48)  # log2(48 / 3) = 4 bits
    one_probe = CrossingOptions(memory=0.0)
    rates = run(CrossingCool(lambda _: bits, one_probe), 40, lambda _: network, 1000)
    known = network.rate(min(bits, network.resolved()))
    assert network.resolved() == pytest.approx(4.0, abs=1e-6)
    assert rates[30] == pytest.approx(factor * known, rel=0.02)


def test_a_hot_wide_network_is_told_by_many_batches_together() -> None:
    rng = np.random.default_rng(1)
    controller = CrossingCool(lambda _: 6.5)
    rates = run(controller, 2000, lambda _: noisy(rng, -2.0))
    assert noisy(rng, -2.0).resolved() < 5.5 < 6.5 <= controller.curves.resolved()  # type: ignore[union-attr]
    bits = float(log_normal(-2.0, samples=20_000).temperature(rates[-1]))
    assert bits == pytest.approx(6.5, abs=0.5)


@pytest.mark.parametrize("total", [100, 400, 1200])
def test_a_short_training_is_probed_all_the_same(total: int) -> None:
    probes = []
    controller = CrossingCool(lambda _: 1.0)
    network = log_normal(-2.0)
    for step in range(total):
        controller.next_rate(step / total, lambda _: network)
        if controller.wants_curves:
            probes.append(step)
            controller.observe(network)
    assert max(np.diff(probes)) <= max(8, total / 16 + 1)


def test_the_rate_is_bound_once_half_of_the_gradient_is_gone() -> None:
    def last(gradient: Callable[[int], float]) -> float:
        controller = CrossingCool(lambda _: 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CoolingWarning)
            for step in range(600):
                network = log_normal(-4.0 + 0.01 * step)
                rate = controller.next_rate(step / 600, lambda _, now=network: now)  # type: ignore[misc]
                if controller.wants_curves:
                    controller.observe(network, weight_norm=1.0, gradient_norm=gradient(step))
        return rate

    free = last(lambda step: 1.0)
    assert float(log_normal(2.0).temperature(free)) == pytest.approx(1.0, abs=0.2)
    early, late = (last(lambda step, n=n: 1.0 if step < n else 0.2) for n in (100, 400))  # type: ignore[misc]
    assert early < late < free / 1.3
    # Gradients that are large again do not set it free: that is what a rate too high does.
    again = last(lambda step: 0.2 if 100 <= step < 300 else 5.0)
    assert again < free / 4


def test_units_that_an_earlier_one_holds_at_zero_do_not_freeze_the_rate() -> None:
    rates = LogNormal(-2.0, 1.0).rate((np.arange(2000) + 0.5) / 2000)
    held = np.where(np.arange(2000) % 3 == 0, 0.0, rates)
    network = CrossingCurves({"relu": CrossingCurve.of(held)})
    controller = CrossingCool(lambda _: 0.2)
    found = run(controller, 40, lambda _: network)
    assert min(found) > 1e-4


def test_a_network_that_dies_is_told_once_and_keeps_its_rates() -> None:
    network = log_normal(-2.0)
    dead = CrossingCurves({"relu": CrossingCurve.of([math.inf] * 2000)})
    controller = CrossingCool(lambda _: 1.0)
    with pytest.warns(CoolingWarning, match="changed no pattern, and no rate would") as told:
        rates = run(controller, 300, lambda step: network if step < 100 else dead)
    assert len(told) == 1
    assert rates[-1] == pytest.approx(rates[90])


def test_no_rate_that_changes_anything_is_refused() -> None:
    dead = CrossingCurves({"relu": CrossingCurve.of([math.inf] * 20)})
    controller = CrossingCool(lambda _: 1.0)
    with pytest.raises(DataError, match="leaves all patterns as they are"):
        controller.next_rate(0.0, lambda _: dead)


@pytest.mark.parametrize("cut", [1, 3, 9, 50, 120])
def test_a_resumed_training_has_the_same_rates(cut: int) -> None:
    def network(step: int) -> CrossingCurves:
        return noisy(np.random.default_rng(step), -2.0 - 0.005 * step)

    whole = run(CrossingCool(PowerSchedule(2.0)), 200, network)
    first = CrossingCool(PowerSchedule(2.0))
    rates = run(first, cut, network, 200)
    second = CrossingCool(PowerSchedule(1.0))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for step in range(cut, 200):
        rates.append(second.next_rate(step / 200, lambda _, now=step: network(now)))  # type: ignore[misc]
        if second.wants_curves:
            second.observe(network(step), weight_norm=1.0)
    assert rates == whole


def test_mu_and_sigma_are_those_of_a_log_normal_network() -> None:
    controller = CrossingCool(lambda _: 1.0, initial_rate=0.5)
    assert (controller.mu, controller.sigma) == (math.log(0.5), 1.0)
    run(controller, 20, lambda _: log_normal(-3.0, 1.2))
    assert controller.mu == pytest.approx(-3.0, abs=0.02)
    assert controller.sigma == pytest.approx(1.2, abs=0.02)


def test_the_history_holds_the_latest_probes() -> None:
    network = log_normal(-2.0)
    controller = CrossingCool(lambda _: 1.0, CrossingOptions(history_size=3))
    run(controller, 100, lambda _: network)
    assert len(controller.history) == 3
    step, rate, wanted, measured = controller.history[-1]
    assert step > 50 and rate > 0
    assert measured == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"min_rate": 0.0}, r"min_rate is 0\.0"),
        ({"mean": "median"}, "mean is 'median'"),
        ({"shortest": 0}, "shortest is 0"),
        ({"first_passes": 0}, "first_passes is 0"),
        ({"longest": 4}, "longest is 4 and shortest 8"),
        ({"memory": 1.0}, r"memory is 1\.0"),
        ({"gain": 0.0}, r"gain is 0\.0"),
        ({"warm_up": -0.1}, r"warm_up is -0\.1"),
        ({"growth": 0.0}, r"growth is 0\.0"),
        ({"weight_growth": -1.0}, r"weight_growth is -1\.0"),
        ({"short": math.nan}, "short is nan"),
        ({"warm_up_steps": -1}, "warm_up_steps is -1"),
        ({"history_size": -1}, "history_size is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CrossingOptions(**setting)


def test_calls_that_make_no_sense_are_refused() -> None:
    network = log_normal(-2.0)
    with pytest.raises(OptionError, match=r"initial_rate is -1\.0"):
        CrossingCool(lambda _: 1.0, initial_rate=-1.0)
    controller = CrossingCool(lambda _: 1.0)
    with pytest.raises(OptionError, match="observe has no step to speak of"):
        controller.observe(network)
    with pytest.raises(OptionError, match=r"progress is -0\.5"):
        controller.next_rate(-0.5, lambda _: network)
    with pytest.raises(OptionError, match=r"schedule gives -1\.0 at progress"):
        CrossingCool(lambda _: -1.0).wanted_temperature(0.0)
    state = controller.state_dict()
    with pytest.raises(DataError, match="state has version 9"):
        controller.load_state_dict({**state, "version": 9})
    with pytest.raises(DataError, match="state lacks curves"):
        controller.load_state_dict({k: v for k, v in state.items() if k != "curves"})


def test_weights_that_run_away_are_told_and_probed_again_soon() -> None:
    controller = CrossingCool(lambda _: 2.0)
    probes, rates, norm = [], [], 10.0
    with pytest.warns(CoolingWarning, match="run away at step"):
        for step in range(300):
            norm *= 1.02 if 150 <= step < 170 else 1.0001
            rates.append(controller.next_rate(step / 300, lambda _: log_normal(-3.0)))
            if controller.wants_curves:
                probes.append(step)
                controller.observe(log_normal(-3.0), weight_norm=norm, gradient_norm=1.0)
    told = next(step for step in range(150, 300) if rates[step] < 0.6 * rates[149])
    assert told < 190
    assert told - 1 + controller.options.shortest in probes
    assert rates[-1] < 0.6 * rates[149]


def test_a_state_with_options_of_another_release_is_refused() -> None:
    state = CrossingCool(PowerSchedule(2.0)).state_dict()
    state["options"]["tomorrow"] = 1
    with pytest.raises(DataError, match="tomorrow"):
        CrossingCool(PowerSchedule(2.0)).load_state_dict(state)
