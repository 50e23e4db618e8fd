"""ActCoolLR: a learning rate scheduler that follows what one step changes (thesis 3.3)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from reluflow.errors import DataError, DivergenceError, OptionError
from reluflow.temperature import (
    ActCool,
    ActCoolOptions,
    CrossingOptions,
    Schedule,
    StepDistance,
)
from reluflow.temperature.crossing.part_size import Examples
from reluflow.temperature.state import check_state
from reluflow_torch.sites.hooked.compiled import Compile
from reluflow_torch.sites.hooks import WeakHook
from reluflow_torch.sites.part import batch_size
from reluflow_torch.sites.patterns import MAX_SAMPLES, Patterns
from reluflow_torch.sites.unwrap import (
    bare_optimizer,
    called_module,
    eager_module,
    is_compiled,
)
from reluflow_torch.training.averaging import Averaging
from reluflow_torch.training.checks import check_pair, is_overflow
from reluflow_torch.training.clock import Clock, check_total
from reluflow_torch.training.closure import Closure, with_closure
from reluflow_torch.training.follow import TrainingPasses
from reluflow_torch.training.part_size import can_be_cut, part_size
from reluflow_torch.training.probe import Pass, StepProbe, device_of, no_site_text
from reluflow_torch.training.site_groups import GroupRates
from reluflow_torch.training.state.ranks import mean_over_ranks, number_of_ranks
from reluflow_torch.training.state.rates import (
    are_marks,
    rate_marks,
    rate_ratios,
    read_rates,
    searchable,
    set_rates,
    trained_weights,
)
from reluflow_torch.training.steering import (
    Controller,
    CurveSteering,
    FittedSteering,
    make_controller,
)

STATE_VERSION = 2
_LARGE_RATE = 1e6
_NEW = {"site_factors", "is_length_due", "part"}
"""Fields that states of this version may lack."""


class ActCoolLR(LRScheduler):
    """Keep the activation pattern temperature of a training run on a schedule.

    Use it like any other scheduler of torch: `optimizer.step(); scheduler.step()`. At every
    optimiser step it sets the rate at which, by the curves of its latest probes, the target share
    of activation patterns changes. Every 8th to 64th step it measures what the step did, with one
    more forward pass or two; at the start it first tries a few hypothetical steps and undoes them
    bit for bit. The optimiser's own `lr` sets the ratios between parameter groups, not the size of
    the rates.

    Time is the number of `scheduler.step()` calls, by batch or by epoch as you like, or with
    `clock="steps"` the number of optimiser steps. A step may consist of several passes, as with
    accumulated gradients: all of them are measured.

    Args:
        optimizer: any with one gradient per step: SGD, AdamW, SAM around them, ...; not LBFGS. It
            may take a closure.
        model: the module that the training loop calls, compiled or in DDP as it is there.
        total_steps: number of `scheduler.step()` calls in the whole training, resumed parts
            included; None: the temperature stays at its start until `extend` names a number,
            or `progress` tells the time.
        schedule: progress in [0, 1] to temperature in bits; by default `PowerSchedule`
            from the start that `start_for_widths` finds for the model's switch sites, and
            `start_for_steps` for a training of fewer than 500 steps.
        options: settings of the controller: `CrossingOptions`, which steer by crossing rates, or
            `ActCoolOptions`, which fit the model of the thesis; None: the former's defaults.
        progress: number of `scheduler.step()` calls so far to progress in [0, 1]; for
            trainings that end by epoch, by clock or by budget.
        max_samples: bound on samples per switch site of one measurement.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish count as switch sites; None: where the
            model runs no other switch, with a `SmoothWarning`.
        examples: measure on this many first examples of each batch only, to save time; run as a
            batch of their own where the model joins examples (batch normalisation, dropout).
            "auto": 16 or 32, more where the temperature is high (see `PartSize`), and all in the
            first probes, where examples join and each is one sample of a site, with
            `ActCoolOptions` and in graphs of probes. None: all.
        compile_probes: `torch.compile`, or a function that calls it with other settings, to run the
            passes of probes in a graph of their own; for a compiled model whose switches are all
            modules, and long trainings. None: they run as the model is written.
        controller: replaces the one made of `schedule` and `options`.
        clock: "steps" where `total_steps` counts optimiser steps, however often
            `scheduler.step()` is called (Accelerate calls it once per process); "calls" where it
            counts these; None: the calls, with a `ClockWarning` where they differ from the
            steps.
        site_span: the rate of a parameter group made by `site_groups` follows the temperature of
            its own site, at most this many times above or below the rate of the network; 1: all
            groups keep their ratios. Wants `CrossingOptions`.
        watch_updates: whether the length of each update of SGD is read before its step, which is
            made no longer than usual where that is 8 times more (`CrossingOptions.outlier`): one
            odd batch would else go far beyond the temperature. On an accelerator the host waits for
            it at each step; None: on one CPU process. Other optimisers bound their updates.

    Attributes:
        controller: the `CrossingCool` or `ActCool` that decides; its mu, sigma, n_fits may be
            read any time.
        distances: what the latest measured step changed, per site; None before the first.
        n_probes: number of steps measured.

    Raises:
        OptionError: an argument makes no sense, or LBFGS or DataParallel is given.

    Example:
        >>> from reluflow.temperature import PowerSchedule
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> scheduler = ActCoolLR(optimizer, model, total_steps=10, schedule=PowerSchedule(1.0))
        >>> for _ in range(10):
        ...     optimizer.zero_grad()
        ...     model(torch.randn(32, 4)).square().mean().backward()
        ...     _ = optimizer.step()
        ...     scheduler.step()
        >>> scheduler.progress
        1.0
        >>> scheduler.extend(20)  # the training goes on
        >>> scheduler.progress
        0.5

    Reference: docs/spec.md, section 6; thesis 3.3.2 and A.4.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module,
        total_steps: int | None = None,
        *,
        schedule: Schedule | None = None,
        options: ActCoolOptions | CrossingOptions | None = None,
        progress: Callable[[int], float] | None = None,
        max_samples: int = MAX_SAMPLES,
        smooth: bool | None = None,
        examples: Examples = "auto",
        compile_probes: Compile | None = None,
        controller: Controller | None = None,
        clock: str | None = None,
        site_span: float = 1.0,
        watch_updates: bool | None = None,
    ) -> None:
        check_pair("ActCoolLR", optimizer, model)
        if total_steps is not None and progress is not None:
            raise OptionError(
                f"total_steps is {total_steps} and progress is given too, but one alone tells "
                "the time; leave one of them out."
            )
        if controller is not None and (schedule is not None or options is not None):
            raise OptionError(
                "controller is given together with schedule or options, which it has already; "
                "give them to the controller."
            )
        if schedule is not None and not callable(schedule):
            raise OptionError(
                f"schedule is {schedule!r}, but takes the progress and gives bits; give "
                "PowerSchedule(start=...) or a function."
            )
        if compile_probes is not None and not is_compiled(called_module(model)):
            raise OptionError(
                f"compile_probes is given, but model {type(model).__name__} is not compiled, so "
                "probes would compare passes that round differently; leave compile_probes out."
            )
        self._clock = Clock(total_steps, clock)
        bare = bare_optimizer(optimizer)
        self._progress = progress
        self._ratios = rate_ratios(read_rates(bare))
        self._probe = StepProbe(
            eager_module(model),
            bare,
            ratios=self._ratios,
            max_samples=max_samples,
            smooth=smooth,
            compile=compile_probes,
        )
        first = max(read_rates(bare))
        self.controller = controller or make_controller(schedule, options, searchable(first))
        self._steering = (
            FittedSteering(self.controller, self._probe)
            if isinstance(self.controller, ActCool)
            else CurveSteering(self.controller, self._probe, bare, watch_updates)
        )
        self._probe.values = self._steering.wants_values
        is_whole = not self._steering.wants_values or compile_probes is not None
        self._part = part_size(
            None if is_whole and examples == "auto" else examples, self._probe.model
        )
        self._sites = GroupRates(site_span, bare, self.controller)
        self._has_own_controller = controller is None
        self._has_own_start = schedule is None and controller is None
        # Only after a call of `step` is it known how many steps one stands for, as in an epoch.
        self._is_length_due = self._has_own_start
        self.distances: StepDistance | None = None
        self.n_probes = 0
        self._rates: list[float] = []
        self._written: list[float] = []
        self._is_fresh = True
        self._is_leading = True
        self._averaging = Averaging()
        self._probed: list[Pass] = []
        self._closure: Closure | None = None
        self._frozen: set[str] = set()
        self._n_trained = -1
        self._is_nan_told = False
        self._passes = TrainingPasses(
            model,
            self._probe,
            WeakHook(self, "_is_measurement_due"),
            WeakHook(self, "_examples"),
        )
        self._handles = [
            bare.register_step_pre_hook(WeakHook(self, "_before_step")),
            bare.register_step_post_hook(WeakHook(self, "_after_step")),
        ]
        super().__init__(bare)

    @property
    def total_steps(self) -> int | float:
        """Number of ticks of the whole training; infinite while it is not known."""
        return math.inf if self._clock.total is None else self._clock.total

    @property
    def _step_count(self) -> int:
        """Number of calls of `step`, that of the constructor included; torch's counter.

        Derived, since others add to it: Accelerate does at every accumulated batch, and makes no
        more calls once it is above `total_steps`.
        """
        return max(0, self.last_epoch + 1)

    @_step_count.setter
    def _step_count(self, value: int) -> None:
        pass

    @property
    def progress(self) -> float:
        """Share of the training that is done, a fraction in [0, 1]."""
        if self._progress is not None:
            return float(self._progress(max(0, self.last_epoch)))
        total = self._clock.total
        return 0.0 if total is None else min(1.0, self._clock.time(self.last_epoch) / total)

    @property
    def temperature(self) -> float:
        """Current target temperature of the schedule, in bits."""
        return self.controller.wanted_temperature(self.progress)

    @property
    def forward_passes(self) -> int:
        """Number of forward passes beyond those of the training."""
        return self._probe.forward_passes

    def extend(self, total_steps: int) -> None:
        """Set a new number of total steps, for a budget that is known late or changes.

        Args:
            total_steps: of the whole training, including those already made.

        Raises:
            OptionError: it is not positive.
        """
        check_total(total_steps)
        self._clock.total = total_steps

    def close(self) -> None:
        """Release the optimiser and the model; the last rates stay."""
        for handle in self._handles:
            handle.remove()
        self._passes.close()

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates in use; the next ones are found at the next optimiser step."""
        groups = self.optimizer.param_groups
        return [*self._rates, *(group["lr"] for group in groups[len(self._rates) :])]

    def step(self, epoch: int | None = None) -> None:
        """Count a call, as the loop of the training makes it after each step of the optimiser.

        Args:
            epoch: sets the number of calls so far, as `SequentialLR` does; deprecated elsewhere.
        """
        if hasattr(LRScheduler, "_update_lr"):
            super().step(epoch)
            return
        # In older versions of torch `step` does it all by itself.
        self._begin_call()
        super().step(epoch)
        self._end_call()

    def _update_lr(self, epoch: int | None = None) -> None:
        self._begin_call()
        super()._update_lr(epoch)
        self._end_call()

    def _begin_call(self) -> None:
        if self.last_epoch >= 0:  # not the call that a constructor makes
            self._averaging.check_call()
            groups = self.optimizer.param_groups
            # Gradients that are not finite excuse a step not seen: GradScaler has skipped it.
            self._clock.check_seen(w.grad for group in groups for w in group["params"])
            self._clock.call()

    def _end_call(self) -> None:
        if self._is_length_due and self._clock.steps > 0 and self.progress > 0:
            self._is_length_due = False
            self._steering.know_length(self._clock.steps / self.progress)
        self._written = rate_marks(self.optimizer)
        self._is_fresh = self._is_leading = True

    def _is_measurement_due(self) -> bool:
        is_due = self.controller.fit_due or self._steering.will_look
        return self._leads() and is_due

    def _examples(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
        """Return how many first examples of a batch are measured on, None for all."""
        if not can_be_cut(args, kwargs) and self._part.is_auto:
            return None
        return self._part.at(self._steering.bits, self.n_probes)

    def _leads(self) -> bool:
        """Tell whether the rates are ours: in SequentialLR another scheduler may have a turn."""
        return self.last_epoch >= 0 and self._is_leading

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Set the rates of the step that is about to be taken."""
        self._clock.see_step()
        self._closure = None
        if not self._leads() or self._has_handed_over():
            return None
        if self._progress is None:
            self._clock.lead_step(self.last_epoch)
        # Where no pass was watched there is nothing to measure with.
        if not self._passes.are_watched and len(args) == 1 and not kwargs:
            self._use_rate(self._steering.known_rate(self.progress))
            return None
        model = self._probe.model if self._is_measurement_due() else None
        given = with_closure(
            args, kwargs, lambda closure: Closure(closure, optimizer, model, self._set_coming_rates)
        )
        if given is not None:
            self._closure = given[0]
            return given[1]
        # A fused optimiser skips such a step inside; a measurement with its gradients would be NaN.
        if not is_overflow(optimizer):
            self._set_coming_rates()
        return None

    def _has_handed_over(self) -> bool:
        """Do nothing where another scheduler has taken over, as SequentialLR allows."""
        if self._averaging.begins(self.optimizer):
            self._is_leading = False
            return True
        if not self._is_overwritten():
            return False
        # Before our first step, others may still set the start: a warm-up, or the user.
        if not self._rates:
            self._start_from(read_rates(self.optimizer))
            return False
        # Between our call and the step it is a quarrel; later, SequentialLR is going on.
        self._averaging.has_rates = self._is_fresh and bool(self._averaging.is_known)
        if self._is_fresh and not self._averaging.has_rates:
            raise OptionError(
                f"the learning rates are {read_rates(self.optimizer)}, but ActCoolLR.step() left "
                f"others ({self._last_lr}): someone else sets them too; put ActCoolLR last in a "
                "ChainedScheduler, join schedulers by SequentialLR, or close() this one where its "
                "part is over."
            )
        self._is_leading = False
        return True

    def _is_overwritten(self) -> bool:
        """Tell whether the rates are others than those that this scheduler wrote."""
        return not are_marks(self.optimizer, self._written)

    def _has_lost_lead(self) -> bool:
        """Tell whether another scheduler has begun its turn since the last step."""
        is_turn = not self._is_fresh or Averaging.shares(self.optimizer)
        return bool(self._rates) and is_turn and self._is_overwritten()

    def _start_from(self, rates: list[float]) -> None:
        """Treat rates that were set before the first step as the optimiser's initial ones."""
        self._ratios[:] = rate_ratios(rates)
        self.base_lrs = [*rates]
        self._written = rate_marks(self.optimizer)
        if self._has_own_controller and self.controller.n_fits == 0:
            self._steering.start_at(searchable(max(rates)))

    def _set_coming_rates(self) -> None:
        controller, passes = self.controller, self._passes
        self._add_new_groups()
        is_fit_due = controller.fit_due
        if is_fit_due or self._steering.will_look:
            self._look_before()
        if is_fit_due:
            self._use_rate(self._steering.first_rate(self.progress, passes.kept))
        else:
            self._use_rate(self._steering.known_rate(self.progress))
        if self._steering.looks:
            self._probed = [each for each in passes.kept if each.patterns is not None]
            self._steering.keep_weights(self._probed)

    def _use_rate(self, rate: float) -> None:
        """Write the rates of the coming step; no more than that happens where none is measured."""
        self._add_new_groups()
        self._rates = [rate * ratio for ratio in self._ratios]
        set_rates(self.optimizer, self._rates)
        self._written = rate_marks(self.optimizer)
        self._last_lr = list(self._rates)
        self._is_fresh = False
        self._clock.steps += 1

    def _look_before(self) -> None:
        """Ensure that the patterns of the current weights are known, and that there are any."""
        passes = self._passes
        if not passes.kept:
            raise DataError(
                "ActCoolLR has seen no forward pass of its model in train() mode and with "
                "gradients before optimizer.step(); give it the very module that the training "
                "loop calls, and compile or wrap that module first."
            )
        self._probe.look(passes.kept)
        if self.controller.fit_due:
            self._learn_part()
        if not any(each.patterns for each in passes.kept):
            raise OptionError(no_site_text(self._probe))
        # Frozen sites never change. They would hold D below 1 at any rate, and the fit would take
        # that for the width of the transition.
        self._leave_out_frozen()
        passes.kept = [each for each in passes.kept if each.patterns]
        patterns = [site for each in passes.kept for site in (each.patterns or {}).values()]
        if self._has_own_start and self.controller.n_fits == 0:
            widths = {site.name: site.units for site in patterns}
            self.controller.schedule = self._steering.default_schedule([*widths.values()])
        self._steering.see(patterns)

    def _learn_part(self) -> None:
        """Find out by a pass or two what a part of a batch tells."""
        first = self._passes.kept[0]
        batch = replace(first.batch, examples=None)
        size = batch_size(batch.args, batch.kwargs)
        is_cut = self._part.is_used and can_be_cut(batch.args, batch.kwargs)
        if is_cut and size:
            try:
                patterns = first.patterns
                if first.batch.examples is not None or patterns is None:
                    patterns = self._probe.patterns(batch, first.random)
                self._part.see((site.samples for site in patterns.values()), size)
                self._probe.learn_joins(Pass(batch, patterns, first.random), self._part.least)
                # A part would run before the step too, and tell less: here batches are small.
                if self._part.is_auto and self._probe.joins and not self._part.are_many:
                    self._part.take_whole()
            except Exception as error:  # a model may say anything of a batch of another size
                if not self._part.is_auto:
                    raise
                self._part.take_whole()
                warnings.warn(
                    f"model {type(self._probe.model).__name__} does not run on a part of a batch "
                    f"({type(error).__name__}: {error}), so probes repeat whole batches; give "
                    "examples=None.",
                    RuntimeWarning,
                    stacklevel=2,
                )
        # Batch normalisation across processes wants as many passes of each of them.
        joins = float(self._probe.joins is not False)
        if (
            self._part.is_auto
            and mean_over_ranks(joins, self._device) > 0
            and number_of_ranks() > 1
        ):
            self._part.take_whole()

    def _leave_out_frozen(self) -> None:
        """Leave sites out that no step changes, as all weights before them are frozen.

        Raises:
            OptionError: no site is left.
        """
        kept = self._passes.kept
        trained = trained_weights(self.optimizer, self._ratios)
        # Measured again only when layers are frozen or thawed: it costs a step and a forward pass.
        if len(trained) != self._n_trained:
            self._n_trained = len(trained)
            self._frozen = set()
            # By trial, not by walking the graph: at a rate this large whatever can change does.
            if any(id(w) not in trained for w in self._probe.model.parameters()):
                with self._probe.measuring(passes=kept) as measure:
                    sites = measure(_LARGE_RATE).sites
                self._frozen = {site.name for site in sites if site.changed == 0}
        if not self._frozen:
            return
        names = [name for each in kept for name in (each.patterns or {})]
        if self._frozen.issuperset(names):
            raise OptionError(
                f"no step of the optimizer changes a pattern: all weights that it trains lie "
                f"behind the last of the {len(set(names))} switch sites ({names[-1]}), as behind a "
                "frozen backbone; train a layer before a switch, or take another scheduler."
            )
        for each in kept:
            sites_left = (s for s in (each.patterns or {}).values() if s.name not in self._frozen)
            each.patterns = Patterns(sites_left)

    def _device(self) -> torch.device:
        return device_of(self._probe.model)

    def _after_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Measure what the step has changed, where the controller needs it."""
        if self._closure is not None and self._closure.calls == 0:
            raise OptionError(
                f"optimizer {type(optimizer).__name__} was given a closure and did not call it, so "
                "its step came before its rate; call step() without a closure."
            )
        if self._probed:
            probed, self._probed = self._probed, []
            self.distances = self._steering.measure(probed)
            self.n_probes += 1
            self._tell_nans()
            # On all ranks or none: one that raised alone would leave the others waiting for it.
            if mean_over_ranks(float(self._has_diverged()), self._device) > 0:
                raise DivergenceError(
                    f"pre-activations are NaN after step {self.last_epoch} with rate "
                    f"{self.controller.rate}: the training has diverged; start again from the "
                    "last checkpoint with a lower start temperature."
                )
            self._steering.tell(self.distances)
            self._sites.follow(self._ratios, self.controller, self._frozen)
        self._passes.forget()
        # Whoever leads: another scheduler's turn may end before the next pass.
        self._passes.watch(is_needed=self.controller.fit_due or self._steering.will_look)

    def _tell_nans(self) -> None:
        """Warn once of NaNs that were there before the step; only now were they read."""
        nans = self._probe.nans_before
        if nans and not self._is_nan_told and self._are_weights_finite():
            self._is_nan_told = True
            warnings.warn(
                f"{nans} pre-activations are NaN before step {self.last_epoch} and "
                "count as inactive; look for NaN in the inputs.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _has_diverged(self) -> bool:
        """Tell whether the step caused NaNs; those of the inputs were there before."""
        nans = 0 if self.distances is None else self.distances.nans
        if nans > self._probe.nans_before:
            return True
        return nans > 0 and not self._are_weights_finite()

    def _are_weights_finite(self) -> bool:
        return all(bool(weight.isfinite().all()) for weight in self._probe.model.parameters())

    def _add_new_groups(self) -> None:
        """Give groups that were added to the optimiser their ratio to the rate in use."""
        groups = self.optimizer.param_groups
        if len(self._ratios) == len(groups):
            return
        for group in groups[len(self._ratios) :]:
            leader = max(self._rates or read_rates(self.optimizer)[: len(self._ratios)])
            self._ratios.append(float(group["lr"]) / leader)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that future rates depend on, plain values ready for JSON.

        A `progress` callable and a schedule that is a plain function are not included: pass the
        same ones again.
        """
        return {
            "version": STATE_VERSION,
            "controller": self.controller.state_dict(),
            "total_steps": self._clock.total,
            "optimizer_steps": self._clock.steps,
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "_last_lr": [float(rate) for rate in self._last_lr],
            "base_lrs": [float(rate) for rate in self.base_lrs],
            "ratios": list(self._ratios),
            "site_factors": self._sites.state(),
            "rates": list(self._rates),
            "is_fresh": self._is_fresh,
            "is_leading": self._is_leading and not self._has_lost_lead(),
            "is_length_due": self._is_length_due,
            "frozen": sorted(self._frozen),
            "n_trained": self._n_trained,
            "n_probes": self.n_probes,
            "part": {**self._part.state(), "joins": self._probe.joins},
            "forward_passes": self._probe.forward_passes,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state: the next rates are those of the scheduler that returned it.

        Also load model and optimiser, and torch's random state where the model draws random
        numbers. A `total_steps` given to this scheduler takes precedence over that of the state, so
        a training run can be extended; so does a `clock`.

        Args:
            state_dict: what `state_dict` returned, also after JSON.

        Raises:
            DataError: another version, or a field is missing.
        """
        check_state("state_dict", state_dict, STATE_VERSION, self.state_dict().keys() - _NEW)
        self.controller.load_state_dict(state_dict["controller"])
        if self._clock.total is None and self._progress is None:
            self._clock.total = state_dict["total_steps"]
        self._clock.steps = state_dict["optimizer_steps"]
        self.last_epoch = state_dict["last_epoch"]
        self._last_lr = list(state_dict["_last_lr"])
        self.base_lrs = list(state_dict["base_lrs"])
        self._ratios[:] = state_dict["ratios"]
        self._sites.load(state_dict.get("site_factors", {}))
        self._is_length_due = state_dict.get("is_length_due", False)
        self._rates = list(state_dict["rates"])
        self._written = []
        self._averaging = Averaging()
        self._passes.forget()
        self._frozen, self._n_trained = set(state_dict["frozen"]), state_dict["n_trained"]
        self._is_fresh, self._is_leading = state_dict["is_fresh"], state_dict["is_leading"]
        self.n_probes = state_dict["n_probes"]
        part = state_dict.get("part", {"is_auto": False, "samples": 1, "joins": None})
        self._part.load(part)
        self._probe.joins = part["joins"]
        self._probe.forward_passes = state_dict["forward_passes"]
        self._passes.watch(is_needed=True)

    def __repr__(self) -> str:
        total = "?" if self._clock.total is None else self._clock.total
        rate = "not set" if self.controller.rate is None else f"{self.controller.rate:.4g}"
        return (
            f"ActCoolLR(step {self.last_epoch} of {total}, {self.temperature:.3g} bits wanted, "
            f"rate {rate}, mu {self.controller.mu:.3g}, sigma {self.controller.sigma:.3g}, "
            f"{self.controller.n_fits} fits, {self.n_probes} probes)"
        )
