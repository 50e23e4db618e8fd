"""ActCool: keeps the activation pattern temperature on a schedule (thesis 3.3.2 and A.4)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from reluflow.errors import DataError, DivergenceError, OptionError
from reluflow.temperature._recentre import recentre
from reluflow.temperature._search import Prober, check_distance, fit
from reluflow.temperature.options import MAX_RATE, ActCoolOptions, check_initial_rate
from reluflow.temperature.schedule import Schedule, schedule_from_dict, scheduled_bits
from reluflow.temperature.state import check_state, options_of
from reluflow.temperature.transition import LogNormal, normal_score

STATE_VERSION = 1
FIRST_MU = -1.0
FIRST_SIGMA = 1.0
_LOG_MAX_RATE = math.log(MAX_RATE)
_LEAST_UNCHANGED = 3.0
"""Samples expected to keep their pattern at the hottest T: with a mean of 3, 5 % of probes see none
(exp(-3)), D = 1, which tells nothing of mu; with a mean of 1 it would be 37 %."""


class ActCool:
    """Gives the learning rate at which one step has the scheduled temperature.

    It is independent of any framework: before every optimiser step call `next_rate`; after the
    steps for which `wants_distance` is true, pass the measured D to `observe`. The model of D is
    the log-normal one. A full fit is made at the first step, and again where probes contradict the
    model; between fits a probe moves mu alone. The fit starts from a fixed lattice of rates, so
    that `initial_rate` affects the number of measurements but not the rates.

    Attributes:
        mu: place of the transition, natural logarithm of a rate.
        sigma: width of the transition.
        rate: the rate given last, None before the first.
        samples: samples behind one D, see `ActCoolOptions.samples`; may be set at any time.
        n_fits: full fits made.
        n_measurements: calls of `measure` made by them.
        history: the latest probes as `(step, rate, D, mu, sigma)`, with mu and sigma after the
            probe.

    Example:
        >>> from reluflow.temperature import PowerSchedule
        >>> network = LogNormal(mu=-3.0, sigma=1.2)
        >>> controller = ActCool(PowerSchedule(start=2.0, gamma=1.0))
        >>> rate = controller.next_rate(0.5, lambda rate: float(network.distance(rate)))
        >>> controller.wanted_temperature(0.5), round(float(network.temperature(rate)), 6)
        (1.0, 1.0)
        >>> controller.observe(float(network.distance(rate)))  # D of the step that was taken
        >>> again = ActCool(PowerSchedule(start=2.0, gamma=1.0))
        >>> again.load_state_dict(controller.state_dict())
        >>> again.mu == controller.mu
        True
    """

    def __init__(
        self,
        schedule: Schedule,
        options: ActCoolOptions | None = None,
        *,
        initial_rate: float | None = None,
    ) -> None:
        """Make a controller that has measured nothing yet.

        Args:
            schedule: takes the progress in [0, 1] and returns the target temperature in bits.
            options: settings; those of Table A.1 by default.
            initial_rate: where the first search begins; exp(-1) by default.

        Raises:
            OptionError: an initial rate outside the range of rates.
        """
        self.schedule = schedule
        self.options = options or ActCoolOptions()
        check_initial_rate(initial_rate, self.options.min_rate)
        self.mu = FIRST_MU if initial_rate is None else math.log(initial_rate)
        self.sigma = FIRST_SIGMA
        self.rate: float | None = None
        self.samples = self.options.samples
        self.n_fits = 0
        self.n_measurements = 0
        self.history: deque[tuple[int, float, float, float, float]] = deque(
            maxlen=self.options.history_size
        )
        self._steps = 0
        self._errors = 0
        self._refit_measurements = 0
        self._refit_wanted = False

    @property
    def model(self) -> LogNormal:
        """The current model of D."""
        return LogNormal(self.mu, self.sigma)

    @property
    def steps(self) -> int:
        """Number of rates given."""
        return self._steps

    @property
    def wants_distance(self) -> bool:
        """Whether `observe` wants D of the step that uses the latest rate."""
        return self._steps > 0 and self._is_probe(self._steps)

    @property
    def will_want_distance(self) -> bool:
        """The same for the next step: the value of `wants_distance` after `next_rate`."""
        return self._is_probe(self._steps + 1)

    @property
    def fit_due(self) -> bool:
        """Whether the next call of `next_rate` will call `measure`."""
        if self.n_fits == 0:
            return True
        # A network whose D jumps about would be measured at every step, each measurement a forward
        # pass; refits live on a share of the steps instead, and on a burst at the start.
        allowed = self.options.refit_burst + self.options.refit_share * self._steps
        return self._refit_wanted and self._refit_measurements <= allowed

    def _is_probe(self, number: int) -> bool:
        """Tell whether step `number`, from 1 on, is measured: every 8th, and 1, 2, 4."""
        # Early steps change mu most, and the first fit knew the untrained network alone.
        interval = self.options.probing_interval
        return number % interval == 0 or (number < interval and number & (number - 1) == 0)

    def wanted_temperature(self, progress: float) -> float:
        """Return the target temperature in bits, as far as the samples can resolve it.

        Args:
            progress: share of the training that is done; values above 1 count as 1.

        Raises:
            OptionError: progress or the schedule's answer is negative or NaN.
        """
        bits = scheduled_bits(self.schedule, progress)
        if self.samples is None:
            return bits
        # A T beyond would want fewer unchanged samples than the mean of D can be told from 1 by.
        return min(bits, max(1.0, math.log2(self.samples / _LEAST_UNCHANGED)))

    def next_rate(self, progress: float, measure: Callable[[float], float]) -> float:
        """Return the learning rate of the next step.

        Args:
            progress: share of the training done, a fraction in [0, 1].
            measure: takes a rate and returns D of a hypothetical step with it; called only where
                a full fit is due.

        Returns:
            The rate, within [min_rate, 1e10].

        Raises:
            DivergenceError: the rate would be above 1e10 or is NaN.
            DataError: no rate changes some patterns and leaves others, or a bad D.
            OptionError: a bad progress or temperature.
        """
        bits = self.wanted_temperature(progress)
        if self.fit_due:
            self._fit(measure)
        log_rate = self.mu + self.sigma * normal_score(bits)
        # Not ">": a NaN in mu or sigma must stop the training too.
        if not log_rate <= _LOG_MAX_RATE:
            raise DivergenceError(
                f"the rate for a temperature of {bits:.4g} bits is exp({log_rate:.4g}) at step "
                f"{self._steps} (mu {self.mu:.4g}, sigma {self.sigma:.4g}), above {MAX_RATE:g}: "
                "the training diverges; start again with a lower start temperature."
            )
        # A schedule ends at 0 bits, whose rate is 0; a rate of 0 would leave D nothing to measure.
        self.rate = max(math.exp(log_rate), self.options.min_rate)
        self._steps += 1
        return self.rate

    def observe(self, distance: float) -> None:
        """Take in D of the step just taken with the last rate; adjusts mu (A.4, step 6).

        Args:
            distance: D, a fraction in [0, 1].

        Raises:
            OptionError: no rate has been given yet.
            DataError: D outside [0, 1].
        """
        if self.rate is None:
            raise OptionError("observe has no step to speak of; call next_rate before it.")
        value = check_distance(distance, "distance")
        moved = recentre(self.model, self.rate, value, self.samples)
        # One large move may be a single odd batch; several in a row mean that sigma is wrong as
        # well, which moving mu cannot mend.
        is_jump = abs(moved.mu - self.mu) > self.options.error_threshold
        self._errors = self._errors + 1 if is_jump else 0
        if moved.is_contradiction or self._errors >= self.options.error_count:
            self._refit_wanted = True
        self.mu = moved.mu
        if self.options.history_size:
            self.history.append((self._steps, self.rate, value, self.mu, self.sigma))

    def _fit(self, measure: Callable[[float], float]) -> None:
        """Fit mu and sigma; a refit that finds nothing keeps them."""
        is_first = self.n_fits == 0
        prober = Prober(measure, self.options)
        found = fit(
            prober, self.options, self.mu, self.sigma, is_first=is_first, samples=self.samples
        )
        if found is None and is_first:
            raise DataError(_why_no_fit(prober))
        # A refit in a bad moment must not end a training that an older fit still steers.
        self.mu, self.sigma = found or (self.mu, self.sigma)
        self.n_fits += 1
        self.n_measurements += prober.count
        self._refit_measurements += 0 if is_first else prober.count
        self._errors = 0
        self._refit_wanted = False

    def state_dict(self) -> dict[str, Any]:
        """Return everything that future rates depend on, ready for JSON (floats stay exact)."""
        to_dict = getattr(self.schedule, "to_dict", None)
        return {
            "version": STATE_VERSION,
            "options": self.options.to_dict(),
            "schedule": to_dict() if to_dict else None,
            "mu": self.mu,
            "sigma": self.sigma,
            "rate": self.rate,
            "samples": self.samples,
            "steps": self._steps,
            "errors": self._errors,
            "n_fits": self.n_fits,
            "n_measurements": self.n_measurements,
            "refit_measurements": self._refit_measurements,
            "refit_wanted": self._refit_wanted,
            "history": [list(entry) for entry in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; the next rates are those of the controller that returned it.

        Options and schedule come from the state too; a schedule that is a plain callable is not
        stored, so the one given to the constructor stays.

        Args:
            state: what `state_dict` returned, also after JSON.

        Raises:
            DataError: another version, a field is missing, or an option is not known.
        """
        check_state("state", state, STATE_VERSION, self.state_dict())
        self.options = options_of(ActCoolOptions, state)
        if state["schedule"] is not None:
            self.schedule = schedule_from_dict(state["schedule"])
        self.mu, self.sigma, self.rate = state["mu"], state["sigma"], state["rate"]
        self.samples = state["samples"]
        self.n_fits, self.n_measurements = state["n_fits"], state["n_measurements"]
        self._steps, self._errors = state["steps"], state["errors"]
        self._refit_measurements = state["refit_measurements"]
        self._refit_wanted = state["refit_wanted"]
        self.history = deque(map(tuple, state["history"]), maxlen=self.options.history_size)


def _why_no_fit(prober: Prober) -> str:
    """Return the sentence for a network where no rate changes some patterns but not all."""
    values = set(prober.points.values())
    if values == {0.0}:
        return (
            f"measure gives D = 0 at all of {prober.count} rates: no step changes a pattern; see "
            "that the gradients are not 0 and that the step changes weights before a switch, which "
            "one behind a frozen backbone does not."
        )
    if values == {1.0}:
        return (
            f"measure gives D = 1 at all of {prober.count} rates: patterns change whatever the "
            "step; see that both passes get the same inputs and draw the same random numbers."
        )
    return (
        f"measure gives D = 0 or 1 at all of {prober.count} rates; see that the step "
        "changes the weights and that the samples are more than one."
    )
