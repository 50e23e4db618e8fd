"""A training step compiled twice: without a probe for most calls, and with one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCool
from reluflow_jax.training.state import (
    NEVER,
    ActCoolState,
    Place,
    Turn,
    find_state,
    replace_state,
    turn_of,
)

if TYPE_CHECKING:
    from reluflow_jax.training.actcool import ActCool


class Tracing:
    """What `ActCool.wrap` is to write into the step that JAX is tracing.

    Attributes:
        probe: whether the step is measured; None: the compiled step finds out itself.
        is_reached: whether an update has been traced so.

    Example:
        >>> tracing = Tracing()
        >>> tracing.take() is None, tracing.is_reached
        (True, True)
    """

    def __init__(self) -> None:
        self.probe: bool | None = None
        self.is_reached = False

    def take(self) -> bool | None:
        """Return `probe`, and note that it was asked for."""
        self.is_reached = True
        return self.probe

    def with_probe(self, train: Callable[..., Any], probe: bool) -> Callable[..., Any]:
        """Return a function that is traced with or without a probe.

        Args:
            train: makes one update.
            probe: see above.

        Raises:
            OptionError: when it is traced, no update is.
        """

        @functools.wraps(train)
        def traced(*args: Any, **kwargs: Any) -> Any:
            before, self.probe, self.is_reached = self.probe, probe, False
            find_state((args, kwargs))  # refuses several: later calls look at one place alone
            try:
                result = train(*args, **kwargs)
            finally:
                self.probe = before
            if not self.is_reached:
                raise OptionError(
                    f"{getattr(train, '__name__', 'the function')} does not call update() of this "
                    "ActCool, or calls it in a function that jax.jit has compiled already; give "
                    "cool.jit the function without jax.jit."
                )
            return result

        return traced


class SteeredStep:
    """A training step, compiled and steered: the return value of `ActCool.jit`.

    It has two compiled functions, of which a call runs one: that with a probe where the next update
    is to be measured. How many updates there have been it counts itself, as long as each call gets
    the state that the last one returned; else it reads the number from the state. So the device is
    waited for at the probes alone.

    Args:
        cool: the controller.
        tracing: that `cool` looks at in an update.
        train: makes one update.
        compiler: `jax.jit`, or another one like it.
        options: of the compiler.
    """

    def __init__(
        self,
        cool: ActCool,
        tracing: Tracing,
        train: Callable[..., Any],
        compiler: Callable[..., Any],
        options: dict[str, Any],
    ) -> None:
        functools.update_wrapper(self, train)
        self._cool = cool
        self._plain = compiler(tracing.with_probe(train, False), **options)
        self._probing = compiler(tracing.with_probe(train, True), **options)
        self._given, self._returned = Place(), Place()
        self._last: Any = None
        self._made, self._turn = 0, Turn(made=0, probe_at=NEVER, start=0, n_rates=0)
        self._kept: CrossingCool | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the update, and steer where it was measured or the rates have run out.

        Args:
            args: of the function; somewhere in them is the state of the optimiser.
            kwargs: of the function.

        Returns:
            What the function returns, with the next rates in the state.

        Raises:
            DataError: no state of ActCool, or several, among the arguments or in what is returned;
                the call has made several updates; as for `ActCool.steer`.
            OptionError: the function makes no update, or is compiled already.
        """
        state = self._given.state_in((args, kwargs))
        if state.step is not self._last:
            self._turn, self._kept = turn_of(state), None
            self._made = self._turn.made
        function = self._probing if self._made == self._turn.probe_at else self._plain
        result = function(*args, **kwargs)
        self._made += 1
        after = self._returned.state_in(result)
        if self._made >= self._turn.due:
            result = self._steered(result, after)
            after = self._returned.state_in(result)
        self._last = after.step
        return result

    def _steered(self, result: Any, state: ActCoolState) -> Any:
        """Return what the function has returned with new rates in its state."""
        turn, expected = turn_of(state), self._made
        if turn.made > expected:
            raise DataError(
                f"the state has made {turn.made} updates where {expected} were expected: "
                "cool.jit takes a function that makes one update a call; compile one with "
                "several by jax.jit, and call cool.steer behind it."
            )
        self._turn, self._made = turn, turn.made
        if turn.made < turn.due:  # a wrapper has left updates out
            return result
        is_same = self._kept is not None and self._kept is self._cool.latest
        new = self._cool.turned(state, turn, self._kept if is_same else None)
        self._turn, self._kept = turn_of(new._replace(step=turn.made)), self._cool.latest
        return replace_state(result, new)
