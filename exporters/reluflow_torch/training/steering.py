"""What a controller wants to know about a step, and how it is measured.

By the crossing rates that a step shows, or by D alone for a fitted model (docs/spec.md, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.temperature import (
    ActCool,
    ActCoolOptions,
    CrossingCool,
    CrossingCurve,
    CrossingCurves,
    CrossingOptions,
    PowerSchedule,
    Schedule,
    StepDistance,
    start_for_steps,
    start_for_widths,
)
from reluflow.temperature.schedule import schedule_for_widths
from reluflow_torch.sites.device.transfer import Transfer, waits_for
from reluflow_torch.sites.patterns import SitePattern
from reluflow_torch.training.probe import Pass, StepProbe, device_of
from reluflow_torch.training.state.ranks import mean_over_ranks, number_of_ranks, sum_over_ranks
from reluflow_torch.training.state.snapshot import TensorStore, can_stand_in, standing_in
from reluflow_torch.training.state.update import UpdateLength

Controller = ActCool | CrossingCool


def make_controller(
    schedule: Schedule | None, options: ActCoolOptions | CrossingOptions | None, first_rate: float
) -> Controller:
    """Return the controller that the options name; by crossing rates where there are none.

    Args:
        schedule: progress in [0, 1] to temperature in bits; None: it is set at the first step.
        options: settings of either controller.
        first_rate: where the first search begins.

    Raises:
        OptionError: options of another kind.
    """
    bits = schedule or PowerSchedule()
    if isinstance(options, ActCoolOptions):
        return ActCool(bits, options, initial_rate=first_rate)
    if options is None or isinstance(options, CrossingOptions):
        return CrossingCool(bits, options, initial_rate=first_rate)
    raise OptionError(f"options is {options!r}; give CrossingOptions(...) or ActCoolOptions(...).")


class FittedSteering:
    """Measures D for the controller that fits a model to it.

    Args:
        controller: that decides.
        probe: that measures.
    """

    wants_values = False

    def __init__(self, controller: ActCool, probe: StepProbe) -> None:
        self._controller, self._probe = controller, probe

    @property
    def will_look(self) -> bool:
        """Whether the next step is measured."""
        return self._controller.will_want_distance

    @property
    def looks(self) -> bool:
        """Whether the step with the latest rate is measured."""
        return self._controller.wants_distance

    @property
    def bits(self) -> float:
        """Parts of batches are not for this controller."""
        return 0.0

    def start_at(self, rate: float) -> None:
        """Begin the first search at a rate."""
        self._controller.mu = math.log(rate)

    def see(self, sites: Sequence[SitePattern]) -> None:
        """Take in the sites of the model before a measured step."""
        if self._controller.samples is None:
            samples = sum(site.samples for site in sites)
            self._controller.samples = samples * number_of_ranks()

    def default_schedule(self, widths: Sequence[int]) -> Schedule:
        """Return a schedule that suits switch sites of these widths."""
        return PowerSchedule(start_for_widths(widths))

    def know_length(self, steps: float) -> None:
        """Leave the schedule as it is: the fitted model's start is that of long trainings."""

    def first_rate(self, progress: float, passes: Sequence[Pass]) -> float:
        """Return the next rate, found with hypothetical steps."""
        with self._probe.measuring(passes=passes) as measure:
            return self._controller.next_rate(progress, lambda rate: self._agree(measure(rate)))

    def known_rate(self, progress: float) -> float:
        """Return the next rate where the model of the controller suffices."""
        return self._controller.next_rate(progress, _refuse)

    def keep_weights(self, passes: Sequence[Pass]) -> None:
        """Keep what `measure` needs of the state before the step."""

    def measure(self, passes: Sequence[Pass]) -> StepDistance:
        """Return what the step that was taken has changed."""
        return self._probe.compare(passes)

    def tell(self, distances: StepDistance) -> None:
        """Pass the outcome of `measure` to the controller."""
        self._controller.observe(self._agree(distances))

    def _agree(self, distances: StepDistance) -> float:
        return mean_over_ranks(distances.mean_distance, lambda: device_of(self._probe.model))


class CurveSteering:
    """Measures the crossing rates of steps, for the controller that steers by them.

    A probe repeats the passes once after the step. Where the step may be too long for the first
    order, it repeats them once more at a part of the way, so that the curves begin right and still
    go through what the whole step has changed.

    Args:
        controller: that decides.
        probe: that measures.
        optimizer: whose weights the steps move.
        watch: whether the length of each update is read, which waits for the device; None: on one
            CPU process.
    """

    wants_values = True

    def __init__(
        self,
        controller: CrossingCool,
        probe: StepProbe,
        optimizer: Optimizer,
        watch: bool | None = None,
    ) -> None:
        self._controller, self._probe, self._optimizer = controller, probe, optimizer
        self._update, self._watch = UpdateLength(optimizer), watch
        self._before = TensorStore()
        self._after = TensorStore()
        self._found: tuple[CrossingCurves, CrossingCurves | None, list[float]] | None = None
        self._length = self._gradient = torch.zeros(())
        self._part = 1.0

    @property
    def will_look(self) -> bool:
        """Whether the next step is measured."""
        return self._controller.will_want_curves

    @property
    def looks(self) -> bool:
        """Whether the step with the latest rate is measured."""
        return self._controller.wants_curves

    @property
    def bits(self) -> float:
        """Temperature of a step at the latest rate by the curves so far, in bits; 0 without any."""
        return self._controller.latest_temperature

    def start_at(self, rate: float) -> None:
        """Begin the first search at a rate."""
        self._controller.initial_rate = rate

    def see(self, sites: Sequence[SitePattern]) -> None:
        """Take in the sites of the model before a measured step."""
        if self._controller.samples is None:
            self._controller.samples = sum(site.samples for site in sites) * number_of_ranks()

    def default_schedule(self, widths: Sequence[int]) -> Schedule:
        """Return a schedule that suits switch sites of these widths."""
        return schedule_for_widths(widths, self._controller.options.mean)

    def know_length(self, steps: float) -> None:
        """Start hotter where the whole training, of so many steps, is short."""
        schedule = self._controller.schedule
        if isinstance(schedule, PowerSchedule):
            self._controller.schedule = replace(
                schedule, start=start_for_steps(schedule.start, steps)
            )

    def first_rate(self, progress: float, passes: Sequence[Pass]) -> float:
        """Return the next rate, found with hypothetical steps."""
        with self._probe.measuring_curves(passes) as measure:
            return self._controller.next_rate(progress, lambda rate: self._agree(measure(rate)))

    def known_rate(self, progress: float) -> float:
        """Return the next rate where the curves suffice; lower where the update is an outlier."""
        update = self._update.read() if self._is_watched() else None
        if self._watch and number_of_ranks() > 1:
            known = math.nan if update is None else update
            update = mean_over_ranks(known, lambda: device_of(self._probe.model))
        return self._controller.next_rate(progress, _refuse, update=update)

    def _is_watched(self) -> bool:
        """Tell whether the length of updates is read, on all ranks or none."""
        if self._watch is None:
            is_free = not waits_for(device_of(self._probe.model))
            self._watch = is_free and number_of_ranks() == 1
        return self._watch

    def keep_weights(self, passes: Sequence[Pass]) -> None:
        """Keep the lengths of weights and gradient before the step, and the weights if needed."""
        weights = self._weights()
        self._part = self._controller.part(is_coarse=any(each.batch.is_cast for each in passes))
        if self._part != 1.0:  # else no other state than those before and after is measured
            self._before.save(weights)
        self._length = _length(weights)
        own = (w for group in self._optimizer.param_groups for w in group["params"])
        self._gradient = _length([w.grad for w in own if w.grad is not None])
        scale = getattr(self._optimizer, "grad_scale", None)  # of a fused optimiser in GradScaler
        if scale is not None:
            self._gradient = self._gradient / scale.to(self._gradient.device)

    def measure(self, passes: Sequence[Pass]) -> StepDistance:
        """Return what the step that was taken has changed; weights are as they were afterwards."""
        rate = float(self._controller.rate or 0.0)
        part = self._part
        # The host waits for the device once: all numbers come together.
        transfer = Transfer()
        way = None
        if part < 1.0:
            with self._moved(part):
                way = part * rate, self._probe.values_now(passes)
        whole = self._probe.ask_values(passes, rate, transfer, way)
        longer = None
        if part > 1.0:  # too coarse a step to tell more than D: the curves are of a longer one
            with self._moved(part):
                longer = self._probe.ask_curves(passes, part * rate, transfer)
        lengths = [transfer.ask(self._length), transfer.ask(self._gradient)]
        distances, curves, straight = whole()
        curves = curves if longer is None else longer()
        straight = None if straight is None else self._agree(straight)
        self._found = self._agree(curves), straight, [float(each()) for each in lengths]
        return distances

    def tell(self, distances: StepDistance) -> None:
        """Pass the outcome of `measure` to the controller."""
        assert self._found is not None
        curves, straight, (weights, gradient) = self._found
        self._found = None
        self._before.clear()
        self._controller.observe(
            curves, weight_norm=weights, gradient_norm=gradient, straight=straight
        )

    @contextmanager
    def _moved(self, part: float) -> Iterator[None]:
        """Put the weights at a part of the way of the step."""
        weights = self._weights()
        if can_stand_in(weights, self._probe.model):
            with torch.no_grad():
                torch._foreach_lerp_(self._before.copies, weights, part)
            with standing_in(weights, self._before.copies):
                yield
            return
        self._after.save(weights)
        try:
            with torch.no_grad():
                torch._foreach_lerp_(weights, self._before.copies, 1.0 - part)
            yield
        finally:
            self._after.restore()
            self._after.clear()

    def _weights(self) -> list[Tensor]:
        groups = self._optimizer.param_groups
        return [w for group in groups for w in group["params"] if w.requires_grad]

    def _agree(self, curves: CrossingCurves) -> CrossingCurves:
        """Return the curves of the samples of all ranks."""
        device: Callable[[], torch.device] = lambda: device_of(self._probe.model)  # noqa: E731
        if number_of_ranks() == 1:
            return curves
        counts = torch.stack([torch.from_numpy(curve.counts) for curve in curves.values()])
        summed = sum_over_ranks(counts, device).numpy()
        return CrossingCurves(
            {
                name: CrossingCurve(row, curve.units)
                for (name, curve), row in zip(curves.items(), summed, strict=True)
            }
        )


def _length(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean length of some tensors together, on the device of the first."""
    if not tensors:
        return torch.zeros(())
    with torch.no_grad():
        lengths: list[Tensor] = [*torch._foreach_norm([*tensors])]
    device = lengths[0].device
    length: Tensor = torch.stack([each.to(device, torch.float32) for each in lengths]).norm()
    return length


def _refuse(rate: float) -> Any:
    """Replace a measurement of D that was not announced."""
    raise DataError(
        f"controller asked for D at rate {rate} while its fit_due was False; let "
        "fit_due say before the forward pass that a fit is coming."
    )
