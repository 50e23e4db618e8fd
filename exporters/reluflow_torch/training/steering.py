"""What a controller wants to know about a step, and how it is measured.

By the crossing rates that a step shows, or by D alone for a fitted model (docs/spec.md, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from reluflow.errors import OptionError
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
    start_for_widths,
)
from reluflow_torch.sites.device.transfer import Transfer
from reluflow_torch.sites.patterns import SitePattern
from reluflow_torch.training.probe import Pass, StepProbe, device_of
from reluflow_torch.training.state.ranks import mean_over_ranks, number_of_ranks, sum_over_ranks
from reluflow_torch.training.state.snapshot import TensorStore

Controller = ActCool | CrossingCool
_HOTTEST = 4.0
"""A batch of 128 tells 5 bits from more by 3 samples: nearer to that nothing can be corrected."""
_GAMMA = 2.0
"""Of the default schedule by crossing rates: chosen on validation data, docs/temperature.md."""


def make_controller(
    schedule: Schedule | None, options: ActCoolOptions | CrossingOptions | None, first_rate: float
) -> Controller:
    """Return the controller that the options name; the fitted one where there are none.

    Args:
        schedule: progress in [0, 1] to temperature in bits; None: it is set at the first step.
        options: settings of either controller.
        first_rate: where the first search begins.

    Raises:
        OptionError: options of another kind.
    """
    bits = schedule or PowerSchedule()
    if options is None or isinstance(options, ActCoolOptions):
        return ActCool(bits, options, initial_rate=first_rate)
    if isinstance(options, CrossingOptions):
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

    def first_rate(self, progress: float, passes: Sequence[Pass]) -> float:
        """Return the next rate, found with hypothetical steps."""
        with self._probe.measuring(passes=passes) as measure:
            return self._controller.next_rate(progress, lambda rate: self._agree(measure(rate)))

    def keep_weights(self) -> None:
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

    A probe repeats the passes once after the step. Where the step is too long for the first order,
    it repeats them once more with a part of the step.

    Args:
        controller: that decides.
        probe: that measures.
        optimizer: whose weights the steps move.
    """

    wants_values = True

    def __init__(self, controller: CrossingCool, probe: StepProbe, optimizer: Optimizer) -> None:
        self._controller, self._probe, self._optimizer = controller, probe, optimizer
        self._before = TensorStore()
        self._after = TensorStore()
        self._found: tuple[CrossingCurves, float | None, float] | None = None

    @property
    def will_look(self) -> bool:
        """Whether the next step is measured."""
        return self._controller.will_want_curves

    @property
    def looks(self) -> bool:
        """Whether the step with the latest rate is measured."""
        return self._controller.wants_curves

    def start_at(self, rate: float) -> None:
        """Begin the first search at a rate."""
        self._controller.initial_rate = rate

    def see(self, sites: Sequence[SitePattern]) -> None:
        """Take in the sites of the model before a measured step."""
        if self._controller.samples is None:
            self._controller.samples = sum(site.samples for site in sites) * number_of_ranks()

    def default_schedule(self, widths: Sequence[int]) -> Schedule:
        """Return a schedule that suits switch sites of these widths."""
        bits = start_for_widths(widths, mean=self._controller.options.mean)
        return PowerSchedule(min(bits, _HOTTEST), _GAMMA)

    def first_rate(self, progress: float, passes: Sequence[Pass]) -> float:
        """Return the next rate, found with hypothetical steps."""
        with self._probe.measuring_curves(passes) as measure:
            return self._controller.next_rate(progress, lambda rate: self._agree(measure(rate)))

    def keep_weights(self) -> None:
        """Keep the weights before the step."""
        self._before.save(self._weights())

    def measure(self, passes: Sequence[Pass]) -> StepDistance:
        """Return what the step that was taken has changed; weights are as they were afterwards."""
        rate = float(self._controller.rate or 0.0)
        part = self._controller.part(is_coarse=any(each.batch.is_cast for each in passes))
        # The host waits for the device once: all numbers come together.
        transfer = Transfer()
        whole = self._probe.ask_values(passes, rate, transfer)
        short = None
        if part != 1.0:
            weights = self._weights()
            self._after.save(weights)
            try:
                with torch.no_grad():
                    torch._foreach_lerp_(weights, self._before.copies, 1.0 - part)
                short = self._probe.ask_curves(passes, part * rate, transfer)
            finally:
                self._after.restore()
                self._after.clear()
        norm = transfer.ask(self._norm_before())
        distances, curves = whole()
        bits = None
        if short is not None:
            agreed = self._agree(curves)
            bits = float(agreed.temperature(rate, self._controller.options.mean))
            curves = short()
        self._found = (self._agree(curves), bits, float(norm()))
        return distances

    def tell(self, distances: StepDistance) -> None:
        """Pass the outcome of `measure` to the controller."""
        assert self._found is not None
        curves, bits, norm = self._found
        self._before.clear()
        self._found = None
        self._controller.observe(curves, temperature=bits, weight_norm=norm)

    def _norm_before(self) -> Tensor:
        """Return the norm of all weights before the step, on their device."""
        norms = torch._foreach_norm([*self._before.copies])
        device = norms[0].device
        together = torch.stack([each.to(device, torch.float32) for each in norms])
        norm: Tensor = torch.linalg.vector_norm(together)
        return norm

    def _weights(self) -> list[Tensor]:
        groups = self._optimizer.param_groups
        return [w.detach() for group in groups for w in group["params"] if w.requires_grad]

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
