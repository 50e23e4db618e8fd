"""ActCool for optax: learning rates that follow what one step changes (thesis 3.3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from reluflow.errors import DataError, OptionError
from reluflow.temperature import (
    CrossingCool,
    CrossingCurves,
    CrossingOptions,
    Schedule,
)
from reluflow.temperature.crossing.part_size import Examples, PartSize
from reluflow.temperature.schedule import schedule_for_widths, scheduled_bits
from reluflow_jax.sites.curves import (
    count,
    curves_of,
    first_rates,
    rates_along,
    rates_to,
    values_and_slopes,
    values_at,
)
from reluflow_jax.sites.patterns import no_site_text
from reluflow_jax.sites.taps import Forward, Traced, batch_size, first_inputs
from reluflow_jax.training.compiled import SteeredStep, Tracing
from reluflow_jax.training.state import (
    NEVER,
    ActCoolState,
    Turn,
    find_state,
    initial_state,
    pack,
    planned,
    replace_state,
    saved_in,
    turn_of,
    unpack,
)

MAX_SAMPLES = 4096
"""Samples per switch site of one probe."""
_LOOKS = 64
"""At a schedule, for the highest temperature."""


class ActCool:
    """Keep the activation pattern temperature of a training on a schedule.

    `wrap` puts it around an optimiser of optax whose learning rate is 1: its steps are multiplied
    by the rate at which, by the curves of the latest probes, the wanted share of activation
    patterns changes. Rates are an array in the optimiser's state, so a compiled step stays as it
    is. `jit` compiles the training step twice, and calls the one with a probe every 8th to 64th
    time: it counts crossing rates on the device, from one derivative along the step, and the
    controller on the host takes the counts, some kB, and puts the rates up to the next probe into
    the state. All other steps only read their rate. Where `jax.jit` compiles the step instead, each
    holds a branch with the probe, and `steer` is called behind it.

    The very first update only measures: weights stay as they are, while the inner optimiser has
    seen its gradient.

    Args:
        forward: takes the weights and the inputs of a batch, as the loss of the training calls it:
            with the statistics of the batch where batch normalisation uses them.
        weights: as passed to `init`; shapes will do.
        inputs: of a batch, arrays or shapes.
        total_steps: number of updates in the whole training, resumed parts included.
        schedule: progress in [0, 1] to temperature in bits; by default it falls from the start that
            `start_for_widths` finds for the switch sites.
        options: settings of the controller.
        initial_rate: of the first hypothetical step.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish count as switch sites.
        max_samples: bound on the samples of a switch site in one probe, chosen at random.
        examples: measure on this many first examples of a batch, which run as a batch of their
            own. "auto": 16 or 32, more where the temperature is high
            (`reluflow.temperature.crossing.part_size`), and all in the first five probes. None:
            all.
        axis_name: of `shard_map`, where the update runs inside one; each device then
            counts its own samples, and the sums steer. A `jit` over arrays that lie on several
            devices needs none.

    Attributes:
        sites: the switch sites, in the order in which the function runs them.
        total_steps: may be set to a new number, for a budget that changes; it counts from the next
            probe on.

    Raises:
        OptionError: an argument makes no sense, or the function does not run on so many examples.
        DataError: the function runs no switch site, or the batch has no first axis.

    Warns:
        RuntimeWarning: with "auto" the function does not run on a part of a batch.

    Example:
        >>> from reluflow.temperature import PowerSchedule
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights["first"]) @ weights["last"]
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> weights = {
        ...     "first": jax.random.normal(keys[0], (4, 16)),
        ...     "last": jax.random.normal(keys[1], (16, 1)),
        ... }
        >>> x = jax.random.normal(keys[2], (64, 4))
        >>> cool = ActCool(forward, weights, x, total_steps=20, schedule=PowerSchedule(0.5))
        >>> optimizer = cool.wrap(optax.sgd(1.0, momentum=0.9))
        >>> state = optimizer.init(weights)
        >>> @cool.jit
        ... def train(weights, state, x):
        ...     loss = lambda weights: jnp.mean(forward(weights, x) ** 2)
        ...     value, gradients = jax.value_and_grad(loss)(weights)
        ...     changes, state = optimizer.update(gradients, state, weights, inputs=(x,))
        ...     return optax.apply_updates(weights, changes), state, value
        >>> values = []
        >>> for step in range(20):
        ...     weights, state, value = train(weights, state, x)
        ...     values.append(float(value))
        >>> values[-1] < values[0], cool.controller(state).n_probes > 2
        (True, True)

    Reference: docs/spec.md, section 6; thesis 3.3.2.
    """

    def __init__(
        self,
        forward: Forward,
        weights: Any,
        *inputs: Any,
        total_steps: int,
        schedule: Schedule | None = None,
        options: CrossingOptions | None = None,
        initial_rate: float | None = None,
        smooth: bool = False,
        max_samples: int | None = MAX_SAMPLES,
        examples: Examples = "auto",
        axis_name: str | None = None,
    ) -> None:
        if not isinstance(total_steps, int) or isinstance(total_steps, bool) or total_steps < 1:
            raise OptionError(
                f"total_steps is {total_steps!r}, but counts the updates of the training; give a "
                "whole number from 1 on."
            )
        if max_samples is not None and max_samples < 1:
            raise OptionError(f"max_samples is {max_samples}; give a number from 1 on, or None.")
        self.sites = tuple(Traced(forward, weights, inputs, smooth=smooth).found.sites.values())
        if not self.sites:
            raise DataError(no_site_text())
        self.total_steps = total_steps
        self._forward = forward
        self._options = options or CrossingOptions()
        widths = [site.units for site in self.sites]
        self._schedule = schedule or schedule_for_widths(widths, self._options.mean, total_steps)
        self._initial_rate = initial_rate
        self._smooth, self._max_samples, self._axis_name = smooth, max_samples, axis_name
        self._names = [site.name for site in self.sites]
        self._table = max(self._options.longest, 2 * self._options.shortest) + 1
        CrossingCool(self._schedule, self._options, initial_rate=initial_rate)  # refuses bad ones
        self._size = PartSize(examples)
        self._size.see((site.samples for site in self.sites), batch_size(inputs))
        self._parts = self._parts_of(weights, inputs)
        self._seen = 0
        self._due: int | None = None
        self._kept: tuple[CrossingCool, Any] | None = None
        self._tracing = Tracing()

    def _parts_of(self, weights: Any, inputs: Sequence[Any]) -> list[int]:
        """Return the numbers of examples that a probe may take, each of them compiled."""
        hottest = max(scheduled_bits(self._schedule, step / _LOOKS) for step in range(_LOOKS + 1))
        size = batch_size(inputs)
        # Inside shard_map a batch may be that of one device, of which there are several.
        is_some = self._axis_name is not None
        found = [each for each in self._size.up_to(hottest) if is_some or each < size]
        for examples in found[:1]:
            problem = self._problem_with(weights, inputs, min(examples, max(1, size // 2)))
            if not problem:
                continue
            if not self._size.is_auto:
                raise OptionError(
                    f"examples is {examples}, but forward does not run on a part of a batch "
                    f"({problem}); leave examples out."
                )
            warnings.warn(
                f"forward does not run on a part of a batch ({problem}), so probes take whole "
                "batches; give examples=None.",
                RuntimeWarning,
                stacklevel=3,
            )
            self._size.take_whole()
            return []
        return found

    def _problem_with(self, weights: Any, inputs: Sequence[Any], examples: int) -> str:
        """Return why a probe cannot be made on the first examples, empty where it can."""
        first = jax.eval_shape(lambda *each: first_inputs(each, examples), *inputs)
        try:
            sites = Traced(self._forward, weights, first, smooth=self._smooth).found.sites.values()
        except Exception as error:  # a function may say anything of a batch of another size
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        size = batch_size(inputs)
        whole = [(site.name, site.units, site.samples * examples) for site in self.sites]
        if [(site.name, site.units, site.samples * size) for site in sites] != whole:
            return "it has other switch sites there"
        return ""

    def wrap(
        self, optimizer: optax.GradientTransformation
    ) -> optax.GradientTransformationExtraArgs:
        """Return the optimiser with the rates of this controller.

        Its `update` takes the inputs of the batch as keyword `inputs`, a tuple; they are looked at
        in the steps that are measured.

        Args:
            optimizer: with a learning rate of 1; another one scales the rates that are reported,
                not the steps.

        Returns:
            A transformation to use like any other: in `optax.chain` behind clipping, with weight
            decay inside.

        Raises:
            OptionError: `update` is called without `params` or `inputs`.
        """
        inner = optax.with_extra_args_support(optimizer)

        def init(weights: Any) -> ActCoolState:
            state = initial_state(inner.init(weights), len(self.sites), self._table)
            placed: ActCoolState = jax.tree.map(jnp.asarray, state)
            return placed

        def update(
            gradients: Any,
            state: ActCoolState,
            params: Any = None,
            *,
            inputs: Sequence[Any] | None = None,
            **extra: Any,
        ) -> tuple[Any, ActCoolState]:
            _check_update(params, inputs)
            step, after = inner.update(gradients, state.inner, params, **extra)
            place = jnp.clip(state.step - state.start, 0, jnp.maximum(state.n_rates - 1, 0))
            rate = state.table[place]

            def probe() -> tuple[Any, Any]:
                return self._probe(gradients, params, step, inputs, rate, state)

            def old() -> tuple[Any, Any]:
                return state.found, state.lengths

            is_probe = self._tracing.take()
            if is_probe is None:
                found, lengths = jax.lax.cond(state.step == state.probe_at, probe, old)
            else:
                found, lengths = probe() if is_probe else old()
            return _scaled(step, rate), state._replace(
                inner=after,
                step=state.step + 1,
                rate=rate,
                found=found,
                lengths=lengths,
            )

        return optax.GradientTransformationExtraArgs(init, update)

    def jit(
        self, train: Callable[..., Any], *, compiler: Callable[..., Any] = jax.jit, **options: Any
    ) -> SteeredStep:
        """Compile a training step, and steer it.

        It is compiled twice, with a probe and without, so that a step which is not measured costs
        hardly more than a plain one; there is no call of `steer`.

        Args:
            train: makes one update of the wrapped optimiser; takes its state somewhere among the
                arguments, and returns it. It is not compiled yet.
            compiler: another one like `jax.jit`, such as `equinox.filter_jit`.
            options: of the compiler, such as `donate_argnums`.

        Returns:
            The function to call in its place; only calls outside other compiled functions steer.
        """
        return SteeredStep(self, self._tracing, train, compiler, options)

    def _probe(
        self,
        gradients: Any,
        weights: Any,
        step: Any,
        inputs: Any,
        rate: Any,
        state: ActCoolState,
    ) -> tuple[Any, Any]:
        """Return both counts of a step, and the lengths of weights and gradient."""
        count_devices: Any = jax.lax.axis_size
        devices = 1 if self._axis_name is None else count_devices(self._axis_name)
        # Of all devices together; each takes its share.
        parts = [each for each in self._parts if -(-each // devices) < batch_size(inputs)]

        def on(examples: int | None) -> Callable[[], Any]:
            some = inputs if examples is None else first_inputs(inputs, -(-examples // devices))
            return lambda: self._counts(weights, moved, step, some, rate, state.part)

        # Before the branches, where the compiler finds them to be the weights of the step itself.
        moved = optax.apply_updates(weights, _scaled(step, rate))
        place = jnp.sum(jnp.asarray(parts, jnp.int32) < state.examples)
        place = jnp.where(state.examples > 0, place, len(parts))
        counts = jax.lax.switch(place, [on(each) for each in [*parts, None]])
        if self._axis_name is not None:
            add: Any = jax.lax.psum
            counts = add(counts, self._axis_name)
        lengths = jnp.stack([optax.tree.norm(weights), optax.tree.norm(gradients)])
        return counts.astype(jnp.int32), lengths.astype(jnp.float32)

    def _counts(
        self, weights: Any, moved: Any, step: Any, inputs: Sequence[Any], rate: Any, part: Any
    ) -> Any:
        """Return the counts of a step on some inputs, and those of its ends alone.

        The latter are 0 where the former are of first order, or of the ends themselves.
        """
        kwargs: dict[str, Any] = {"smooth": self._smooth, "max_samples": self._max_samples}

        def ends() -> Any:
            return values_at(self._forward, moved, inputs, **kwargs)

        def straight() -> Any:
            found = count(
                rates_to(values_at(self._forward, weights, inputs, **kwargs), ends(), rate)
            )
            return jnp.stack([found, jnp.zeros_like(found)])

        def along() -> Any:
            values, slopes = values_and_slopes(self._forward, weights, step, inputs, **kwargs)
            last = ends()
            found = rates_along(values, slopes, last, (part * rate, rate))
            return jnp.stack([count(found), count(rates_to(values, last, rate))])

        def first() -> Any:
            values, slopes = values_and_slopes(self._forward, weights, step, inputs, **kwargs)
            found = count(first_rates(values, slopes))
            return jnp.stack([found, jnp.zeros_like(found)])

        kind = jnp.where(part >= 1.0, 2, jnp.where(part > 0.0, 1, 0))
        return jax.lax.switch(kind, [straight, along, first])

    def steer(self, optimizer_state: Any, step: int | None = None) -> Any:
        """Take in what the latest probe has counted, and set the rates up to the next one.

        Call it after every update that `jax.jit` has compiled, outside the step; what `jit` of
        this class has compiled needs it not. It waits for the device at the probes
        only. Where several updates run in one compiled loop, call it after the loop; the rate of a
        probe then holds to the end of the loop.

        Args:
            optimizer_state: that `update` returned; ActCool's may be anywhere inside.
            step: number of updates so far, a resumed training's earlier ones included; None: it is
                read from the state, for which every call waits.

        Returns:
            The state to go on with.

        Raises:
            DataError: no step changes a pattern, the state is another one's, or it has made
                another number of updates.
        """
        if step is not None and self._due is not None and self._seen <= step <= self._seen + 1:
            self._seen = step
            if step < self._due:
                return optimizer_state
        state = find_state(optimizer_state)
        turn = turn_of(state)
        if step is not None and step != turn.made:
            raise DataError(
                f"step is {step}, but the state has made {turn.made} updates; give the number of "
                "all updates so far, those before a resumed training's start included."
            )
        self._seen, self._due = turn.made, turn.due
        if turn.made < turn.due:
            return optimizer_state
        new = self.turned(state, turn)
        self._due = turn_of(new).due
        return replace_state(optimizer_state, new)

    def turned(
        self, state: ActCoolState, turn: Turn, kept: CrossingCool | None = None
    ) -> ActCoolState:
        """Return a state with the rates up to the next probe, which lie on the host.

        Args:
            state: behind the last of its rates.
            turn: what it says of that.
            kept: the controller in it, where that is known without a look.

        Raises:
            DataError: as for `steer`.
        """
        controller = self._controller_of(state) if kept is None else kept
        self._kept = None  # it is changed from here on, and one that is refused stays behind
        curves: CrossingCurves | None = None
        if turn.is_probed:
            found, lengths = jax.device_get((state.found, state.lengths))
            curves = curves_of(self.sites, found[0])
            if controller.curves is not None:
                weights, gradient = (float(each) for each in lengths)
                controller.observe(
                    curves,
                    weight_norm=weights,
                    gradient_norm=gradient,
                    straight=curves_of(self.sites, found[1]) if found[1].any() else None,
                )
        rates: list[float] = []
        while len(rates) < self._table:
            rates.append(self._rate(controller, turn.made + len(rates), curves))
            if controller.wants_curves:
                break
        table = np.zeros(self._table + 1, np.float32)
        table[: len(rates)], table[-1] = rates, self._part(controller)
        probe_at = turn.made + len(rates) - 1 if controller.wants_curves else NEVER
        examples = self._size.at(controller.latest_temperature, controller.n_probes) or 0
        saved = pack(controller, self._names)
        self._kept = controller, saved
        after = Turn(turn.made, probe_at, turn.made, len(rates))
        new: ActCoolState = state._replace(plan=planned(after, examples), table=table, saved=saved)
        return new

    @property
    def latest(self) -> CrossingCool | None:
        """The controller in the state that was given new rates last, None before the first."""
        return None if self._kept is None else self._kept[0]

    def _part(self, controller: CrossingCool) -> float:
        """Return the part of the step that is of first order; 0 where only its ends are run."""
        part = min(controller.part(), 1.0)
        return 0.0 if part == 1.0 and controller.latest_temperature > self._options.short else part

    def _rate(self, controller: CrossingCool, step: int, first: CrossingCurves | None) -> float:
        def measured(rate: float) -> CrossingCurves:
            assert first is not None  # the first update is a probe
            return first  # a derivative: the curves of steps of any rate

        return controller.next_rate(min(1.0, step / self.total_steps), measured)

    def controller(self, optimizer_state: Any) -> CrossingCool:
        """Return the controller as it is in a state, to look at its curves, mu, sigma, bounds.

        Args:
            optimizer_state: of the optimiser.

        Returns:
            A copy; it has given its rates up to the next probe already.

        Raises:
            DataError: the state holds no ActCool, or that of other sites.
        """
        return self._unpacked(saved_in(find_state(optimizer_state)))

    def _controller_of(self, state: ActCoolState) -> CrossingCool:
        """Return the controller in a state: the one at hand, where it is the very same."""
        saved = saved_in(state)
        if self._kept is not None and np.array_equal(saved, self._kept[1]):
            return self._kept[0]
        return self._unpacked(saved)

    def _unpacked(self, saved: Any) -> CrossingCool:
        found = CrossingCool(self._schedule, self._options, initial_rate=self._initial_rate)
        unpack(found, saved, self._names)
        return found


def _scaled(step: Any, rate: Any) -> Any:
    """Return a step of rate 1 times a rate, an array of one number."""
    return jax.tree.map(lambda each: rate.astype(each.dtype) * each, step)


def _check_update(weights: Any, inputs: Any) -> None:
    if weights is None:
        raise OptionError(
            "params is None; call update(gradients, state, params, inputs=...), since a probe "
            "looks at the network at its weights."
        )
    if not isinstance(inputs, tuple | list):
        raise OptionError(
            f"inputs is {type(inputs).__name__}; call update(gradients, state, params, "
            "inputs=(x, ...)) with a tuple of what forward takes behind the weights."
        )


def rate_of(optimizer_state: Any) -> Any:
    """Return the learning rate of the latest step, an array of one number.

    Args:
        optimizer_state: of an optimiser with `ActCool.wrap` inside.

    Raises:
        DataError: it holds no state of ActCool.

    Example:
        >>> forward = lambda w, x: jax.nn.relu(x @ w)
        >>> w, x = jnp.ones((2, 2)), jnp.ones((4, 2))
        >>> optimizer = ActCool(forward, w, x, total_steps=9).wrap(optax.sgd(1.0))
        >>> float(rate_of(optimizer.init(w)))
        0.0
    """
    return find_state(optimizer_state).rate
