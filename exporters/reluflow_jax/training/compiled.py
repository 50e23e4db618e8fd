"""A training step compiled twice: without a probe for most calls, and with one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from reluflow.errors import DataError, OptionError
from reluflow_jax.training.state import NEVER, ActCoolState, find_state

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
        self._last: Any = None
        self._made, self._probe_at, self._due = 0, 0, 0

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
        state = find_state((args, kwargs))
        if state.step is not self._last:
            self._read(state)
        function = self._probing if self._made == self._probe_at else self._plain
        result = function(*args, **kwargs)
        self._made += 1
        after = find_state(result)
        if self._made >= self._due:
            expected = self._made
            self._read(after)  # less than expected where a wrapper has left updates out
            if self._made > expected:
                raise DataError(
                    f"the state has made {self._made} updates where {expected} were expected: "
                    "cool.jit takes a function that makes one update a call; compile one with "
                    "several by jax.jit, and call cool.steer behind it."
                )
            result = self._cool.steer(result)
            after = find_state(result)
            self._read(after)
        self._last = after.step
        return result

    def _read(self, state: ActCoolState) -> None:
        """Learn from a state how many updates there were, and which one is measured next."""
        made, self._probe_at, start, n_rates = (
            int(each)
            for each in jax.device_get((state.step, state.probe_at, state.start, state.n_rates))
        )
        self._made = made
        self._due = start + n_rates if self._probe_at == NEVER else self._probe_at + 1
