"""Closures passed to `optimizer.step`: they compute the gradients while the step runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from reluflow.errors import OptionError
from reluflow_torch.sites.weights import WeightMarks


class Closure:
    """A closure that reports when the gradients exist: after its first call.

    The optimiser calls it, so it runs when and as often as the optimiser wants.

    Args:
        closure: the one that was given.
        optimizer: whose step it was given to.
        model: whose weights must not change before the gradients exist; None: no check.
        then: called once, after the first call.

    Attributes:
        calls: how often the optimiser called it.

    Raises:
        OptionError: when called, the optimiser has moved the weights since the step began.
    """

    def __init__(
        self,
        closure: Callable[..., Any],
        optimizer: Optimizer,
        model: nn.Module | None,
        then: Callable[[], None],
    ) -> None:
        self.calls = 0
        self._closure = closure
        self._optimizer = optimizer
        self._model = model
        self._then = then
        self._start = None if model is None else WeightMarks(model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the closure, if the optimiser has left the weights alone."""
        self.calls += 1
        if self._has_moved():
            name = type(self._optimizer).__name__
            raise OptionError(
                f"optimizer {name} moved the weights of its step before call {self.calls} of its "
                "closure, so no single gradient tells where the step leads; give the optimizer "
                "inside that takes the plain step, or use one that calls its closure first."
            )
        loss = self._closure(*args, **kwargs)
        # What the closure itself moves is its own affair: it may look at neighbouring weights, and
        # put them back up to rounding.
        if self._model is not None:
            self._start = WeightMarks(self._model)
        if self.calls == 1:
            self._then()
        return loss

    def _has_moved(self) -> bool:
        if self._model is None or self._start is None:
            return False
        return not self._start.same_values(WeightMarks(self._model))


def with_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], wrap: Callable[[Callable[..., Any]], Closure]
) -> tuple[Closure, tuple[tuple[Any, ...], dict[str, Any]]] | None:
    """Wrap the closure among the arguments of an optimiser's step.

    Args:
        args: the optimiser and the positional arguments of its step.
        kwargs: its keyword arguments.
        wrap: returns the closure to use instead.

    Returns:
        That closure and the arguments with it; None where no closure was given.
    """
    if len(args) > 1 and callable(args[1]):
        closure = wrap(args[1])
        return closure, ((args[0], closure, *args[2:]), kwargs)
    if callable(kwargs.get("closure")):
        closure = wrap(kwargs["closure"])
        return closure, (args, {**kwargs, "closure": closure})
    return None
