"""One clock: do the calls of `scheduler.step()` keep pace with the optimiser's steps?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

from torch import Tensor

from reluflow.errors import DataError, OptionError

CLOCKS = ("calls", "steps")
_STEPS_TO_JUDGE = 4
_PATIENCE = 20
_TOO_MANY_CALLS = 1.5
"""Calls a step: Accelerate on two processes makes 2, a stray call at the start hardly 1.5."""


class ClockWarning(UserWarning):
    """The schedule ends sooner or later than `total_steps` suggests, or has ended.

    `ActCoolLR` issues it.
    """


class Clock:
    """Counts steps and calls, tells the time, and warns once where they diverge.

    Args:
        total: number of ticks of the whole training; None where it is not known.
        kind: what counts: "calls" of `scheduler.step()` or "steps" of the optimiser; None: the
            calls, with a warning where they differ from the steps.

    Attributes:
        total: see above.
        steps: optimiser steps that the scheduler set the rate of.

    Raises:
        OptionError: total or kind makes no sense.
    """

    def __init__(self, total: int | None, kind: str | None) -> None:
        check_total(total)
        if kind is not None and kind not in CLOCKS:
            raise OptionError(
                f"clock is {kind!r}; give 'calls' where total_steps counts calls of "
                "scheduler.step(), or 'steps' where it counts steps of the optimizer."
            )
        self.total = total
        self.steps = 0
        self._kind = kind
        self._is_seen = False
        self._led = self._calls = self._calls_unseen = 0
        self._led_since_call = 0
        self._told: set[str] = set()

    def time(self, calls: int) -> int:
        """Return the number of ticks so far.

        Args:
            calls: of `scheduler.step()`, since the schedule began.
        """
        return self.steps if self._kind == "steps" else max(0, calls)

    def see_step(self) -> None:
        """Count a step of the optimiser, whoever sets its rate."""
        self._is_seen = True

    def lead_step(self, calls: int) -> None:
        """Count a step whose rate the scheduler is about to set; warn where that is suspicious."""
        total = self.total
        if total is not None and self.time(calls) >= total:
            unit = "steps of the optimizer" if self._kind == "steps" else "calls"
            self._warn(
                "end",
                f"total_steps is {total} and {self.time(calls)} {unit} are over, but the "
                "optimizer goes on, at the rate of 0 bits that ends a schedule; give the "
                "total_steps of the whole training, or name it by extend().",
            )
        is_judged = self._kind is None and total is not None and self._led >= _STEPS_TO_JUDGE
        if is_judged and self._calls >= _TOO_MANY_CALLS * self._led:
            ratio = self._calls / self._led
            self._warn(
                "fast",
                f"scheduler.step() is called {ratio:.3g} times for each step of the optimizer, and "
                f"total_steps = {total} counts the calls, so the schedule ends after "
                f"{math.ceil((total or 0) / ratio)} steps (Accelerate calls it once a process); "
                "give clock='steps' if total_steps counts steps, clock='calls' if this is meant.",
            )
        self._led += 1
        self._led_since_call += 1

    def call(self) -> None:
        """Count a call of `scheduler.step()`; warn where too many steps precede it."""
        since, self._led_since_call = self._led_since_call, 0
        total = self.total
        if self._led:
            self._calls += 1
        if self._kind is None and total is not None and 2 <= since <= total:
            self._warn(
                "slow",
                f"the optimizer took {since} steps before this call of scheduler.step(), and "
                f"total_steps = {total} counts the calls, so the schedule ends after about "
                f"{since * total} steps; call scheduler.step() after each (Lightning: interval "
                "'step'), or give clock='steps' if total_steps counts steps, clock='calls' if this "
                "is meant.",
            )

    def check_seen(self, gradients: Iterable[Tensor | None]) -> None:
        """Refuse a call of `scheduler.step()` while no step of the optimiser was ever seen.

        A `GradScaler` skips the first steps while gradients overflow, so a call is accepted where
        gradients are not finite, or are already deleted.

        Args:
            gradients: of the optimiser's parameters.

        Raises:
            DataError: none was seen.
        """
        if self._is_seen:
            return
        self._calls_unseen += 1
        patience = min(_PATIENCE, self.total or _PATIENCE)
        if self._calls_unseen < patience and not _are_finite(gradients):
            return
        raise DataError(
            f"scheduler.step() was called {self._calls_unseen} times, but ActCoolLR has seen no "
            "step of its optimizer, so no rate was set; give it the very optimizer whose step() "
            "the loop calls, and call that before scheduler.step(), not inside torch.compile."
        )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(text, ClockWarning, stacklevel=4)


def _are_finite(gradients: Iterable[Tensor | None]) -> bool:
    """Tell whether there are gradients and all are finite."""
    found = [gradient for gradient in gradients if gradient is not None]
    return bool(found) and all(bool(gradient.isfinite().all()) for gradient in found)


def check_total(total_steps: int | None) -> None:
    """Refuse a number of steps that makes no sense.

    Raises:
        OptionError: it is below 1 or not a whole number.
    """
    if total_steps is None:
        return
    if isinstance(total_steps, bool) or not isinstance(total_steps, int) or total_steps < 1:
        raise OptionError(
            f"total_steps is {total_steps!r}, but counts the calls of scheduler.step(); give a "
            "whole number from 1 on, or None."
        )
