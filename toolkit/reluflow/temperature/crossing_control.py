"""ActCool by crossing rates: its curve is counted, not fitted (docs/spec.md, section 6)."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from reluflow.errors import DataError, OptionError
from reluflow.temperature.crossing import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.bound import RateBound
from reluflow.temperature.crossing.lattice import BINS
from reluflow.temperature.crossing.options import CrossingOptions
from reluflow.temperature.crossing.outliers import UpdateGuard
from reluflow.temperature.options import MAX_RATE, check_initial_rate
from reluflow.temperature.schedule import Schedule, schedule_from_dict, scheduled_bits
from reluflow.temperature.state import check_state, options_of

STATE_VERSION = 1
_FIRST_RATE = 0.01
_SETTLED = 2.0
"""A first curve is believed where the step that gave it and the one it asks for differ less."""
_PART = 0.5
"""Bits of the part of a step that is measured where the whole step is too long."""
_LEAST_BITS = 0.01
"""A colder step that shows no change says nothing."""
_MOST_PARTS = 64.0
_LEAST_PART = 1e-6
"""Of a step, so that float32 still tells it from none."""
_SHORT_MEMORY, _FIRST_PROBES = 0.5, 7
"""At first earlier curves are forgotten sooner."""
_EARLY_GAIN, _MOVING_GAIN = 0.75, 0.5
"""Over the first probes, and where the curve moves, they count more."""
_HIGHEST_RISE = 0.4
"""How far one probe moves the curve to higher rates, at most, as a logarithm."""
_LAG_GAIN, _MOST_LAG = 0.15, 0.15
"""Curves that move to one side stay behind, by as much as probes lie beside them on average: the
rate makes up for it, by so much at most, as a logarithm."""
_FALL = 0.1
"""Share of the training over which falling curves are not made up for: on F1 that ends at once."""
_LAG_CHANCE, _LEAST_LAG = _LAG_GAIN / (2.0 - _LAG_GAIN), 1e-12
"""Of the mean square of these misses: that of their mean by chance, by which it is shrunk."""
_EARLY_PROBES, _EARLY_SHARE = 20, 0.35
"""Probes, and share of the training, in which curves move most."""
_MOST_BEYOND = 2.0
"""How far the rate goes on beyond that of the highest temperature that samples resolve."""
_FIRST_STRETCH = 1.25
"""From one probe to the next, over the first steps."""
_RISE, _LEAST_RISE = 0.05, 4
"""Of the training, and steps, over which the temperature rises where that is shorter."""
_PLACE, _LEAST_PLACE = 1.0, 0.25
"""Bits where the curves of two probes are compared: many samples tell the rates there."""
_STRAIGHT, _MOST_STRAIGHT = 0.05, 3
"""Where whole steps tell the place of their curve as well as a part of the way does, as a logarithm
of the rate, and how many probes in a row then go without the part."""
_BELOW = 0.9
"""Of the highest temperature of a curve, up to which it has a rate."""
_TRACE = 0.01
"""Samples below which a cell of old curves is dropped, so that a saved state stays small."""
_DRIFT_MEMORY = 0.7
_CALM = 0.08
"""How far probes lie beside the curve on average, as a logarithm of the rate."""
_BEYOND_CHANCE = 0.6
"""Of the root mean square of these moves: chance alone has a mean of 0.42."""
_EARLY_LONGEST, _LONGEST_SHARE = 1 / 60, 1 / 16
"""Of the training, between two probes: early, and later."""
_FAR = 1.1
"""A probe so far beside the curve, as a logarithm of the rate, brings the next one forward."""
_QUARTILES = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""
_TOLD = 4.0
"""A bound that lowers the rate by more than this factor is told."""


class CoolingWarning(UserWarning):
    """ActCool keeps the rate far below that of the scheduled temperature, and says why.

    Example:
        >>> issubclass(CoolingWarning, UserWarning)
        True
    """


class CrossingCool:
    """Gives the learning rate at which one step has the scheduled temperature.

    It is independent of any framework. Before every optimiser step call `next_rate`; after the
    steps for which `wants_curves` is true, pass `observe` the curves that the step showed. The
    rates come from the curves of the latest probes together, so that the noise of one batch does
    not move them.

    Steps of one rate differ: the place of the curves follows the probes by a part
    (`CrossingOptions.gain`), and their shapes add up around it. It follows faster by the
    first probes, and where many in a row miss it on the same side; upwards by 1.5 times at most.

    Where the gradient vanishes, as when a network memorises its data, or the weights grow or run
    away, a fixed temperature would end the training: from there on the rate is bound (see
    `RateBound`), so that the training cools earlier than scheduled, and says so by a
    `CoolingWarning`. An update far longer than usual gets a lower rate (see `UpdateGuard`), and no
    probe learns from it.

    Args:
        schedule: takes the progress in [0, 1] and returns the target temperature in bits.
        options: settings.
        initial_rate: of the first hypothetical step.

    Attributes:
        curves: those of the latest probes together, None before the first.
        rate: the rate given last, None before the first.
        samples: samples of all sites behind the first probe, where known; for the record alone.
        interval: steps between two probes at present.
        n_measurements: hypothetical steps made for the first curve.
        n_held: steps whose rate was bound.
        n_outliers: steps whose rate was lowered since their update was far longer than usual.
        history: the latest probes as `(step, rate, bits wanted, bits measured)`.

    Raises:
        OptionError: an initial rate outside the range of rates.

    Example:
        >>> from reluflow.temperature import PowerSchedule
        >>> network = CrossingCurves({"relu": CrossingCurve.of(np.geomspace(1e-3, 1.0, 4097))})
        >>> controller = CrossingCool(PowerSchedule(start=2.0, gamma=1.0))
        >>> rate = controller.next_rate(0.5, lambda rate: network)
        >>> round(controller.wanted_temperature(0.5), 2), round(float(network.temperature(rate)), 2)
        (1.0, 0.2)
        >>> controller.observe(network, weight_norm=1.0)  # of the step that was taken
        >>> controller.part()  # the whole step is short enough
        1.0
        >>> again = CrossingCool(PowerSchedule(start=2.0, gamma=1.0))
        >>> again.load_state_dict(controller.state_dict())
        >>> again.next_rate(0.6, lambda rate: network) == controller.next_rate(
        ...     0.6, lambda rate: network
        ... )
        True

    Reference: docs/spec.md, section 6; thesis 3.3.2.
    """

    def __init__(
        self,
        schedule: Schedule,
        options: CrossingOptions | None = None,
        *,
        initial_rate: float | None = None,
    ) -> None:
        self.schedule = schedule
        self.options = options or CrossingOptions()
        check_initial_rate(initial_rate, self.options.min_rate)
        self.initial_rate = _FIRST_RATE if initial_rate is None else initial_rate
        self.curves: CrossingCurves | None = None
        self.rate: float | None = None
        self.samples: int | None = None
        self.interval = self.options.shortest
        self.n_measurements = self.n_probes = self.n_held = self.n_outliers = 0
        self.history: deque[tuple[int, float, float, float]] = deque(
            maxlen=self.options.history_size
        )
        self._steps = 0
        self._next_probe = 1
        self._drift = self._scatter = 0.0
        self._bound = RateBound(self.options)
        self._guard = UpdateGuard(self.options)
        self._progress = self._bits = 0.0
        self._is_warm = False
        self._told: set[str] = set()
        self._bend = self._lag = 0.0
        self._ahead = 1.0
        self._n_bends = self._n_alone = self._alone_for = 0

    @property
    def steps(self) -> int:
        """Number of rates given."""
        return self._steps

    @property
    def mu(self) -> float:
        """Place of the transition: natural logarithm of the rate of 1 bit."""
        rate = self.initial_rate if self.curves is None else self._rate_of(1.0)
        return math.log(rate) if 0 < rate < math.inf else math.inf

    @property
    def sigma(self) -> float:
        """Width of the transition: that of a log-normal model with the same quartiles of D."""
        if self.curves is None:
            return 1.0
        low, high = (
            self.curves.rate(-math.log2(1.0 - quartile), self.options.mean)
            for quartile in (0.25, 0.75)
        )
        return math.log(high / low) / _QUARTILES if 0 < low and high < math.inf else math.inf

    @property
    def n_fits(self) -> int:
        """1 once the first curve is known, 0 before."""
        return int(self.curves is not None)

    @property
    def fit_due(self) -> bool:
        """Whether the next call of `next_rate` will call `measure`."""
        return self.curves is None

    @property
    def wants_curves(self) -> bool:
        """Whether `observe` wants the curves of the step that uses the latest rate."""
        return self._steps > 0 and self._steps == self._next_probe

    @property
    def will_want_curves(self) -> bool:
        """The same for the next step: the value of `wants_curves` after `next_rate`."""
        return self._steps + 1 >= self._next_probe

    @property
    def latest_temperature(self) -> float:
        """Temperature of a step at the latest rate by the curves so far, in bits; 0 without any."""
        if self.curves is None or self.rate is None:
            return 0.0
        return float(self.curves.temperature(self.rate, self.options.mean))

    def part(self, *, is_coarse: bool = False) -> float:
        """Return the part of the latest step from which its curves are to be taken.

        The curves are of first order: a step of many bits moves later layers so far that they
        would be wrong. Where the comparisons of both have differed by the same all along, three of
        four probes go without the part. A cold step moves pre-activations less than 16 bits can
        hold.

        Args:
            is_coarse: whether pre-activations have 16 bits, as under autocast.

        Returns:
            A fraction in (0, 1]; of a cold step where they are coarse, a multiple up to 64.
        """
        if self.curves is None or self.rate is None:
            return 1.0
        bits = self.latest_temperature
        if bits <= self.options.short and not (is_coarse and bits < _PART / 2.0):
            return 1.0
        if bits > self.options.short and self._n_alone > 0:
            return 1.0
        wanted = self._rate_of(min(_PART, self.options.short)) / self.rate
        return min(max(wanted, _LEAST_PART), _MOST_PARTS if is_coarse else 1.0)

    def wanted_temperature(self, progress: float) -> float:
        """Return the target temperature in bits, as far as the samples can resolve it.

        Args:
            progress: share of the training that is done; values above 1 count as 1.

        Raises:
            OptionError: progress or the schedule's answer is negative or NaN.
        """
        bits = scheduled_bits(self.schedule, progress)
        return bits if self.curves is None else min(bits, self.curves.resolved(self.options.mean))

    def next_rate(
        self,
        progress: float,
        measure: Callable[[float], CrossingCurves],
        *,
        update: float | None = None,
    ) -> float:
        """Return the learning rate of the next step.

        Args:
            progress: share of the training done, a fraction in [0, 1].
            measure: takes a rate and returns the curves that a hypothetical step with it shows;
                called before the first step only.
            update: length of the coming update without its rate, in any unit; None: not known, or
                the optimiser bounds it, as Adam does.

        Returns:
            The rate, within [min_rate, 1e10].

        Raises:
            DataError: no step changes a pattern.
            OptionError: a bad progress or temperature.
        """
        if self.curves is None:
            self._find_first(progress, measure)
        assert self.curves is not None
        options = self.options
        scheduled = scheduled_bits(self.schedule, progress)
        wanted = min(scheduled, self.curves.resolved(options.mean))
        is_risen = self._steps >= options.warm_up_steps
        bits = wanted if is_risen else self._rise(progress) * wanted
        rate = self.curves.rate(bits, options.mean) * self._ahead
        self._bound.see_rate(bits, rate)
        if wanted > 0:  # T of independent units is in proportion to the rate
            rate *= min(scheduled / wanted, _MOST_BEYOND)
        if not self._is_warm:
            self._is_warm = is_risen and progress >= options.warm_up
        if self._bound.is_bound:
            rate = self._bounded(bits, rate)
        self._bits, self._progress = bits, min(progress, 1.0)
        self._steps += 1
        if update is not None:
            rate *= self._caution(update)
        self.rate = min(max(rate, options.min_rate), MAX_RATE)
        return self.rate

    def _caution(self, update: float) -> float:
        """Return by what the rate is multiplied: below 1 where the update is far too long."""
        factor = self._guard.factor(update)
        if factor < 1.0:
            self.n_outliers += 1
            self._next_probe = max(self._next_probe, self._steps + 1)  # it tells of no other step
            self._warn(
                "outlier",
                f"the update of step {self._steps} is {1.0 / factor:.3g} times longer than usual, "
                "so its step is made no longer than usual; look for odd examples, or clip the "
                "gradients.",
            )
        return factor

    def _rise(self, progress: float) -> float:
        """Return the part of the temperature that the coming step is to have.

        Momentum and the squares of Adam have not seen a gradient yet: the first steps differ so
        much from those that follow that they begin cold.
        """
        step = self._steps + 1
        soon = min(step / (_LEAST_RISE + 1), progress / _RISE)
        return min(1.0, max(step / (self.options.warm_up_steps + 1), soon))

    def observe(
        self,
        curves: CrossingCurves,
        *,
        weight_norm: float | None = None,
        gradient_norm: float | None = None,
        straight: CrossingCurves | None = None,
    ) -> None:
        """Take in what the step just taken with the last rate showed.

        Args:
            curves: of the step; where it is longer than its `part`, along the way from that to the
                whole step.
            weight_norm: Euclidean norm of all trained weights, where it is known.
            gradient_norm: that of the gradient of the step; where it is not known the rate is
                bound all the time.
            straight: where the curves are along a way, those of first order of the whole step: by
                these the controller learns whether the next probes can do without a part.

        Raises:
            OptionError: no rate has been given yet.
            DataError: the curves have other sites than before.
        """
        if self.rate is None or self.curves is None:
            raise OptionError("observe has no step to speak of; call next_rate before it.")
        mean = self.options.mean
        curves = _without_held(curves)
        if curves.highest(mean) <= 0:
            if self._bits > _LEAST_BITS:  # a step near 0 bits moves less than float32 can hold
                self._warn(
                    "dead",
                    f"step {self._steps} changed no pattern, and no rate would: all units are off, "
                    "or the gradient is 0; the rates go on by what was known before; start again "
                    "with a lower start temperature.",
                )
            self._pace(0.0)
            return
        bend = 0.0
        if straight is not None:
            self._see_bend(curves, _without_held(straight))
        elif self._n_alone > 0 and self.latest_temperature > self.options.short:
            self._n_alone, bend = self._n_alone - 1, self._bend
        moved = self._moved(curves) - bend
        if not self._is_first():
            self._lag += _LAG_GAIN * (moved - self._lag)
            if self._progress < _FALL:
                self._lag = max(self._lag, 0.0)
            told = max(1.0 - _LAG_CHANCE * self._scatter / max(self._lag**2, _LEAST_LAG), 0.0)
            self._ahead = math.exp(min(max(told * self._lag, -_MOST_LAG), _MOST_LAG))
        self._take_in(curves, moved, bend)
        self.n_probes += 1
        if self.options.history_size:
            measured = float(curves.temperature(self.rate, mean))
            self.history.append((self._steps, self.rate, self._bits, measured))
        self._pace(moved)
        has_run = self._bound.see(
            self._steps,
            self._bits,
            self.rate,
            needed=self._rate_of(min(self._bound.hottest, self.curves.resolved(mean))),
            weights=weight_norm,
            gradient=gradient_norm,
            is_settled=not self._is_first(),
            is_warm=self._is_warm,
        )
        if has_run:
            self._warn(
                "bound",
                f"the weights run away at step {self._steps}, with a rate of {self.rate:.3g} and "
                f"{self._bits:.3g} bits; the rate is lowered to "
                f"{self._bound.limit(self._bits):.3g}, and the training cools earlier than "
                "scheduled.",
            )
            self.interval = self.options.shortest
            self._next_probe = self._steps + self.interval

    def _moved(self, curves: CrossingCurves) -> float:
        """Return by how much the curves of a probe lie beside the earlier ones, as a logarithm."""
        assert self.curves is not None
        mean = self.options.mean
        bits = min(max(self._bits, _LEAST_PLACE), _PLACE)
        bits = min(bits, _BELOW * curves.highest(mean), _BELOW * self.curves.highest(mean))
        before, now = self._rate_of(bits), curves.rate(bits, mean)
        return math.log(now / before) if 0 < before < math.inf and 0 < now < math.inf else 0.0

    def _see_bend(self, curves: CrossingCurves, straight: CrossingCurves) -> None:
        """Learn how far the place by a whole step lies beside that by a part of it."""
        mean = self.options.mean
        bits = min(_PLACE, _BELOW * curves.highest(mean), _BELOW * straight.highest(mean))
        true, seen = curves.rate(bits, mean), straight.rate(bits, mean)
        bend = math.log(seen / true) if 0 < true < math.inf and 0 < seen < math.inf else math.inf
        is_same = abs(bend - self._bend) < _STRAIGHT
        self._alone_for = min(2 * self._alone_for + 1, _MOST_STRAIGHT) if is_same else 0
        self._n_alone = self._alone_for
        if math.isfinite(bend):
            self._n_bends += 1
            self._bend += (bend - self._bend) / min(self._n_bends, 2)

    def _take_in(self, curves: CrossingCurves, moved: float, bend: float) -> None:
        """Merge the curves of a probe with the earlier ones, all brought to one place.

        The place follows the probes, and the counts of their shapes add up there: otherwise the
        curves of a network that moves would be too wide. `bend` is how far off the place is by
        these curves alone.
        """
        assert self.curves is not None
        gain = _MOVING_GAIN if self._is_moving() else self.options.gain
        if self._is_first():
            # A rate that is too high may make the network need a still higher one.
            gain = _MOVING_GAIN if moved > 0 else 1.0
        elif self.n_probes < _EARLY_PROBES:
            gain = _EARLY_GAIN
        gain = min(gain, _HIGHEST_RISE / moved) if moved > 0 else gain
        is_short = self.n_probes < _FIRST_PROBES
        memory = min(self.options.memory, _SHORT_MEMORY) if is_short else self.options.memory
        if self.n_probes == 0:
            self.curves = curves
            return
        place = curves.shifted((gain - 1.0) * moved - bend)
        self.curves = _merged(self.curves.shifted(gain * moved), memory, place)

    def _pace(self, moved: float) -> None:
        """Choose the step of the next probe: soon where the curve moves, late where it is calm."""
        self._drift = _DRIFT_MEMORY * self._drift + (1.0 - _DRIFT_MEMORY) * moved
        self._scatter = _DRIFT_MEMORY * self._scatter + (1.0 - _DRIFT_MEMORY) * moved * moved
        if self._is_first():
            self._next_probe = max(self._steps + 1, int(_FIRST_STRETCH * self._steps))
            return
        options = self.options
        if abs(moved) > _FAR:
            self.interval = options.shortest
        elif self._is_moving():
            self.interval = max(options.shortest, self.interval // 2)
        else:
            self.interval = min(options.longest, 2 * self.interval)
        # Not so late that a short training would be over after a few of them.
        share = _EARLY_LONGEST if self._progress < _EARLY_SHARE else _LONGEST_SHARE
        steps = int(share * self._steps / self._progress) if self._progress > 0 else 0
        self._next_probe = self._steps + max(options.shortest, min(self.interval, steps))

    def _is_first(self) -> bool:
        """Tell whether momentum and the squares of Adam still grow."""
        return self._steps < 2 * self.options.shortest

    def _is_moving(self) -> bool:
        """Tell whether the latest curves lie on one side of the earlier ones, beyond chance."""
        return abs(self._drift) > max(_CALM, _BEYOND_CHANCE * math.sqrt(self._scatter))

    def _rate_of(self, bits: float) -> float:
        """Return the rate with temperature `bits`, by the curves."""
        assert self.curves is not None
        return self.curves.rate(bits, self.options.mean)

    def _bounded(self, bits: float, rate: float) -> float:
        """Return a rate, or the highest that is allowed at a temperature once rates are bound."""
        bound = self._bound.limit(bits)
        if rate <= bound:
            return rate
        self.n_held += 1
        if rate >= _TOLD * bound:
            self._warn(
                "bound",
                f"{bits:.3g} bits at step {self._steps} would need a rate of {rate:.3g}, as the "
                f"gradient vanishes or the weights grow; the rate is held at {bound:.3g}, and the "
                "training cools earlier than scheduled.",
            )
        return bound

    def _warn(self, kind: str, text: str) -> None:
        """Warn of a kind of trouble once."""
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(text, CoolingWarning, stacklevel=6)

    def _find_first(self, progress: float, measure: Callable[[float], CrossingCurves]) -> None:
        """Measure hypothetical steps until one is of the size that its own curve asks for."""
        rate, mean = self.initial_rate, self.options.mean
        for _ in range(self.options.first_passes):
            curves = _without_held(measure(rate))
            self.n_measurements += 1
            bits = min(_PART, scheduled_bits(self.schedule, progress), curves.resolved(mean))
            wanted = curves.rate(bits, mean)
            if not 0 < wanted < MAX_RATE:
                break
            if rate / _SETTLED < wanted < rate * _SETTLED:
                break
            rate = max(wanted, self.options.min_rate)
        if curves.highest(mean) <= 0:
            raise DataError(
                f"a step of any rate leaves all patterns as they are ({self.n_measurements} were "
                "tried); see that the gradients are not 0 and that the step changes weights before "
                "a switch, which one behind a frozen backbone does not."
            )
        self.curves = curves

    def state_dict(self) -> dict[str, Any]:
        """Return everything that future rates depend on, ready for JSON (floats stay exact)."""
        to_dict = getattr(self.schedule, "to_dict", None)
        return {
            "version": STATE_VERSION,
            "model": "crossing",
            "options": asdict(self.options),
            "schedule": to_dict() if to_dict else None,
            "curves": None if self.curves is None else _packed(self.curves),
            **{name: getattr(self, name) for name in _PUBLIC},
            **{name: getattr(self, f"_{name}") for name in _PRIVATE},
            "told": sorted(self._told),
            **self._bound.state_dict(),
            **self._guard.state_dict(),
            "history": [list(entry) for entry in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; the next rates are those of the controller that returned it.

        Options and schedule come from the state too; a schedule that is a plain callable is not
        stored, so the one given to the constructor stays.

        Args:
            state: what `state_dict` returned, also after JSON.

        Raises:
            DataError: another version, or a field is missing.
        """
        check_state("state", state, STATE_VERSION, self.state_dict().keys() - _NEW_FIELDS)
        self.options = options_of(CrossingOptions, state)
        if state["schedule"] is not None:
            self.schedule = schedule_from_dict(state["schedule"])
        self.curves = None if state["curves"] is None else _unpacked(state["curves"])
        for name in _PUBLIC:
            setattr(self, name, state.get(name, 0) if name in _NEW_FIELDS else state[name])
        for name in _PRIVATE:
            setattr(self, f"_{name}", state.get(name, _NEW.get(name)))
        self._bound = RateBound(self.options)
        self._bound.load_state_dict(state)
        self._guard = UpdateGuard(self.options)
        self._guard.load_state_dict(state)
        self._told = set(state.get("told", _TOLD_KINDS if state.get("is_told") else ()))
        self.history = deque(map(tuple, state["history"]), maxlen=self.options.history_size)


_PUBLIC = (
    "rate",
    "samples",
    "interval",
    "initial_rate",
    "n_measurements",
    "n_probes",
    "n_held",
    "n_outliers",
)
_NEW = {"bend": 0.0, "n_bends": 0, "n_alone": 0, "alone_for": 0, "lag": 0.0, "ahead": 1.0}
"""Fields that states of this version may lack, and what these then are."""
_NEW_FIELDS = {
    *_NEW,
    *("least", "ceiling", "speed", "run_speed", "seen_at", "n_runaways"),
    *("usual", "n_updates", "n_outliers", "told"),
}
_TOLD_KINDS = ("bound", "dead")
"""What a state that knows only whether it has warned may have warned of."""
_PRIVATE = (
    *("steps", "next_probe", "drift", "scatter", "bits", "progress", "is_warm"),
    *_NEW,
)


def _merged(earlier: CrossingCurves, memory: float, new: CrossingCurves) -> CrossingCurves:
    """Return old and new curves together, without the traces of very old ones."""
    counts = {
        name: (np.where(curve.counts < _TRACE, 0.0, curve.counts), curve.units)
        for name, curve in (earlier * memory + new).items()
    }
    return CrossingCurves(
        {name: CrossingCurve(kept, units) for name, (kept, units) in counts.items() if kept.any()}
    )


def _without_held(curves: CrossingCurves) -> CrossingCurves:
    """Return curves without the samples that change at once.

    A unit lies exactly at the threshold where an earlier one holds it there, as behind another
    ReLU. It is released somewhere on the way; nobody knows where, and counted at 0 it would freeze
    the rate.
    """
    if not any(curve.counts[0] for curve in curves.values()):
        return curves
    found = {}
    for name, curve in curves.items():
        counts = curve.counts.copy()
        counts[0] = 0.0
        if counts.any():
            found[name] = CrossingCurve(counts, curve.units)
    return CrossingCurves(found or dict(curves))


def _packed(curves: CrossingCurves) -> list[dict[str, Any]]:
    """Return curves as plain values: of each site the bins that hold samples."""
    return [
        {
            "site": name,
            "units": curve.units,
            "bins": np.flatnonzero(curve.counts).tolist(),
            "samples": curve.counts[curve.counts > 0].tolist(),
        }
        for name, curve in curves.items()
    ]


def _unpacked(sites: list[dict[str, Any]]) -> CrossingCurves:
    curves = {}
    for site in sites:
        counts = np.zeros(BINS)
        counts[site["bins"]] = site["samples"]
        curves[site["site"]] = CrossingCurve(counts, site["units"])
    return CrossingCurves(curves)
