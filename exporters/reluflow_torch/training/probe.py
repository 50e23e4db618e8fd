"""What would one optimiser step change? Try it, measure, and restore everything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reluflow.errors import DataError, OptionError
from reluflow.temperature import CrossingCurves, StepDistance, merged, pooled
from reluflow_torch.sites.chain import Chain, ChainCapture
from reluflow_torch.sites.device.transfer import Transfer
from reluflow_torch.sites.distance import ask_distances, distances
from reluflow_torch.sites.hooked.capture import HookCapture, HookedSites
from reluflow_torch.sites.hooked.compiled import Compile, CompiledSites
from reluflow_torch.sites.modules import all_modules
from reluflow_torch.sites.part import batch_size, first_inputs, first_patterns
from reluflow_torch.sites.patterns import (
    MAX_SAMPLES,
    Part,
    PatternCapture,
    Patterns,
    SiteNames,
    check_max_samples,
)
from reluflow_torch.sites.unwrap import eagerly
from reluflow_torch.sites.weights import WeightMarks
from reluflow_torch.training.crossing import ask_curves
from reluflow_torch.training.state.rates import set_rates
from reluflow_torch.training.state.snapshot import BufferSnapshot, RandomState, StepSnapshot

Capture = PatternCapture | ChainCapture | HookCapture
_FIRST_LOOKS = 4
_LOOKS_BETWEEN = 16
_TOLERANCE = 0.01  # rounding may flip a pre-activation at 0; batch normalisation flips most


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The inputs of one forward pass and the conditions it ran under.

    Attributes:
        args: positional arguments of the model.
        kwargs: its keyword arguments.
        autocast: device type, whether autocast was on there, and its number type.
        versions: how often each tensor had been written to, to detect later writes.
        examples: how many first ones are measured on; None: as many as the probe says.

    Example:
        >>> batch = Batch.now((torch.ones(4, 2),), {}, torch.device("cpu"))
        >>> batch.is_cast
        False
        >>> with batch.casting():
        ...     (batch.args[0] @ torch.ones(2, 2)).dtype
        torch.float32
        >>> _ = batch.args[0].mul_(2)
        >>> batch.check_unchanged()
        Traceback (most recent call last):
        reluflow.errors.DataError: ...
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    autocast: tuple[tuple[str, bool, torch.dtype], ...] = ()
    versions: tuple[int, ...] = ()
    examples: int | None = None

    @classmethod
    def now(
        cls,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        device: torch.device,
        examples: int | None = None,
    ) -> Batch:
        """Return the inputs of a pass that is about to start.

        Args:
            args: positional arguments of the model.
            kwargs: its keyword arguments.
            device: on which the model runs; whether autocast is on there is recorded.
            examples: how many first ones are measured on; None: as many as the probe says.
        """
        # CPU too: a model on a GPU may run parts of itself there, under an autocast of their own.
        kinds = dict.fromkeys((device.type, "cpu"))
        autocast = tuple(
            (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in kinds
        )
        return cls(args, kwargs, autocast, _versions(args, kwargs), examples)

    @contextmanager
    def casting(self) -> Iterator[None]:
        """Cast as the pass did.

        Yields:
            Nothing; autocast is as it was for the pass.
        """
        with ExitStack() as stack:
            for kind, enabled, dtype in self.autocast:
                stack.enter_context(
                    torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False)
                )
            yield

    @property
    def is_cast(self) -> bool:
        """Whether autocast was on."""
        return any(enabled for _, enabled, _ in self.autocast)

    def check_unchanged(self) -> None:
        """Refuse a batch whose tensors were overwritten since the pass.

        Raises:
            DataError: one was.
        """
        if _versions(self.args, self.kwargs) != self.versions:
            raise DataError(
                "the input of the model was changed in place after the forward pass that used "
                "it, so the pass cannot be repeated; write into a copy of the batch instead."
            )


@dataclass(slots=True, eq=False)
class Pass:
    """One forward pass before a step.

    Attributes:
        batch: its inputs and conditions.
        patterns: of the weights that the step starts from; None: not known.
        random: state of the generators at its start; None: the model draws nothing, or the
            present state will do.
        weights: those that it ran with.
    """

    batch: Batch
    patterns: Patterns | None = None
    random: RandomState | None = None
    weights: WeightMarks | None = None


def _versions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
    return tuple(
        value._version
        for value in (*args, *kwargs.values())
        if isinstance(value, Tensor) and not value.is_inference()
    )


class SmoothWarning(UserWarning):
    """A model without another switch has smooth activations, which count as switches at 0.

    `ActCoolLR`, `PatternMonitor` and `sensitivity` issue it.
    """


class StepProbe:
    """Measure D of hypothetical steps of an optimiser on one batch.

    Parameters, gradients, optimiser state, buffers and random generators are restored bit for bit
    after every measurement; Python attributes that a module sets in its forward pass are not.
    Python's and numpy's generators are restored where the first pass drew from them.

    Args:
        model: an eager module, without wrappers of `torch.compile` and DDP.
        optimizer: whose own `step` is tried, so momentum, weight decay and clipping count.
        ratios: rate of each parameter group as a multiple of the rate that is tried; None: all 1.
        max_samples: bound on samples per site.
        smooth: whether smooth activations are sites too; None: where the model runs no other
            switch, with a `SmoothWarning`.
        examples: measure on this many first examples of each batch only, run as a batch of their
            own. None: on all.
        compile: such as `torch.compile`, to repeat passes in a graph of their own where all
            switches are modules; None: they run as the model is written.

    Attributes:
        values: whether the passes that it captures and repeats keep their pre-activations.
        forward_passes: number of passes that it has made.
        joins: whether the model treats an example in another way where others are in the batch, as
            batch normalisation and dropout do; None: not known.

    Raises:
        OptionError: `examples` or `max_samples` is below 1, or `optimizer` is LBFGS.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> x = torch.ones(4, 2)
        >>> model(x).sum().backward()
        >>> probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with probe.measuring(x) as measure:
        ...     (measure(1e-6).mean_distance, measure(1e3).mean_distance)
        (0.0, 1.0)
        >>> # what it is made of
        >>> batch = Batch.now((x,), {}, torch.device("cpu"))
        >>> with probe.capture() as first, probe.capture_of(batch) as second:
        ...     _ = model(x)
        >>> list(first.take()), list(second.take())
        (['1'], ['1'])
        >>> probe.must_run_alone(batch)  # the whole batch is measured
        False
        >>> passes = [Pass(batch, probe.patterns(batch), probe.random_state())]
        >>> probe.look(passes)
        >>> probe.compare(passes).mean_distance  # the weights have not changed
        0.0
        >>> passes = [Pass(batch, probe.patterns(batch, values=True), probe.random_state())]
        >>> with probe.measuring_curves(passes) as measure:
        ...     list(measure(1e-3))
        ['1']
        >>> distances, curves = probe.compare_values(passes, 1e-3)
        >>> transfer = Transfer()  # brings the numbers of both together
        >>> way = 5e-4, probe.values_now(passes)
        >>> whole = probe.ask_values(passes, 1e-3, transfer, way)
        >>> both = whole, probe.ask_curves(passes, 1.0, transfer)
        >>> list(both[0]()[1]), list(both[1]())
        (['1'], ['1'])
        >>> start = probe.marks()
        >>> with probe.stepping(passes) as stepped, stepped(1e3):
        ...     probe.compare(passes).mean_distance, probe.marks() == start
        (1.0, False)
        >>> probe.settle_smooth(passes)  # decided already: there is a ReLU
        >>> probe.smooth
        False
        >>> few = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1), examples=2)
        >>> few.patterns(batch)["1"].samples, few.part(batch)
        (2, (2, 4))
        >>> few.learn_joins(Pass(batch, second.take()), 2)
        >>> few.joins
        False

    Reference: docs/spec.md, section 5, hypothetical probe.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        ratios: list[float] | None = None,
        max_samples: int = MAX_SAMPLES,
        smooth: bool | None = None,
        examples: int | None = None,
        compile: Compile | None = None,
    ) -> None:
        if examples is not None and examples < 1:
            raise OptionError(
                f"examples is {examples}, but a distance wants at least 1 example; give a "
                "positive number, such as 64, or None."
            )
        if isinstance(optimizer, torch.optim.LBFGS):
            raise OptionError(
                "optimizer is LBFGS, whose step runs the model many times, but a probe wants "
                "one step for one gradient; use SGD, AdamW or another first-order optimizer."
            )
        check_max_samples(max_samples)
        self.ratios = ratios if ratios is not None else [1.0] * len(optimizer.param_groups)
        self.forward_passes = 0
        self.is_running = False
        self.model = model
        self.values = False
        self.joins: bool | None = None
        self._host_draws = True
        self.nans_before = 0
        self._is_first = True
        self._compile = compile
        self._as_written: set[int] = set()
        self._is_graph_told = False
        self._smooth = smooth
        self._count_smooth(bool(smooth))
        self._n_looks = 0
        self.trusts_marks = True
        self._optimizer = optimizer
        self._examples = examples
        self._max_samples = max_samples
        self._buffers = BufferSnapshot(model)
        self._step = StepSnapshot(optimizer)

    @property
    def smooth(self) -> bool:
        """Whether smooth activations count as sites, as far as this is decided."""
        return bool(self._smooth)

    def _count_smooth(self, smooth: bool) -> None:
        self._names = SiteNames()
        self._hooked = HookedSites(self.model, self._names, smooth=smooth)
        self._graph = (
            None
            if self._compile is None
            else CompiledSites(self.model, self._hooked, self._compile)
        )

    def settle_smooth(self, passes: Sequence[Pass]) -> None:
        """Count smooth activations from now on where these passes ran no other switch.

        Decided once, by the first passes that are looked at, and only where `smooth` is None.

        Args:
            passes: their `patterns` are found anew where the decision changes them.

        Warns:
            SmoothWarning: smooth activations count.
        """
        if self._smooth is not None:
            return
        unknown = [each for each in passes if each.patterns is None]
        self._smooth = not (
            any(each.patterns for each in passes)
            or any(self.patterns(each.batch, each.random) for each in unknown)
        )
        if not self._smooth:
            return
        self._count_smooth(True)
        for each in passes:
            each.patterns = self.patterns(each.batch, each.random, values=self.values)
        found = dict.fromkeys(site.op for p in passes for site in (p.patterns or {}).values())
        if found:
            warnings.warn(
                f"model {type(self.model).__name__} runs no ReLU or other switch, so its smooth "
                f"activations ({', '.join(found)}) count as switches at 0; give smooth=True if "
                "that is meant, or smooth=False.",
                SmoothWarning,
                stacklevel=2,
            )

    def capture(
        self,
        max_samples: int | None = None,
        *,
        values: bool = False,
        part: Part | None = None,
    ) -> PatternCapture:
        """Return a context that captures the patterns of the passes inside it.

        Args:
            max_samples: bound on samples per site; None: the probe's own.
            values: whether to keep the pre-activations too.
            part: which examples of the batch to read; None: all.
        """
        return PatternCapture(
            self.model,
            max_samples=max_samples or self._max_samples,
            smooth=self.smooth,
            names=self._names,
            values=values,
            part=part,
        )

    def capture_of(self, batch: Batch, *, values: bool = False) -> Capture:
        """Return a context that captures the patterns of a training pass on a batch.

        Args:
            batch: inputs and conditions of the pass.
            values: whether to keep the pre-activations too.
        """
        part = self.part(batch)
        # A plain chain of layers tells its patterns from the module's outputs, without a dispatch
        # for every operator. Under autocast its layers would run in other types than the
        # training's.
        chain = None if batch.is_cast else Chain.of(self.model, batch.args, batch.kwargs)
        if chain is None:
            return self._capture(self._max_samples, values=values, part=part)
        return ChainCapture(chain, self._max_samples, values=values, part=part)

    def _capture(
        self, max_samples: int, *, values: bool, part: Part | None = None
    ) -> PatternCapture | HookCapture:
        """Return a capture by hooks where they see all sites, else by the mode."""
        hooks = self._hooked.capture(max_samples, values=values, part=part)
        return hooks or self.capture(max_samples, values=values, part=part)

    def random_state(self) -> RandomState:
        """Return the current state of the generators that the model may use."""
        return RandomState(device_of(self.model), with_host=self._host_draws)

    def patterns(
        self,
        batch: Batch,
        random: RandomState | None = None,
        *,
        values: bool = False,
        max_samples: int | None = None,
    ) -> Patterns:
        """Run the model once more as in training, without gradients or lasting effects.

        Args:
            batch: what to run it on; only the first `examples` are used.
            random: state of the generators to start from; None: the current one.
            values: whether to keep the pre-activations too.
            max_samples: bound on samples per site; None: the probe's own.

        Returns:
            The patterns of all sites.

        Raises:
            DataError: the batch was overwritten since.
        """
        batch.check_unchanged()
        args, kwargs = self._inputs(batch)
        bound = max_samples or self._max_samples
        if self._graph is not None:
            compiled = self._compiled(self._graph, batch, random, bound, values=values)
            if compiled is not None:
                return compiled
        elif not batch.is_cast:
            chain = Chain.of(self.model, args, kwargs)
            if chain is not None:
                return self._patterns_of_chain(chain, args[0], bound, values=values)
        found = self._repeat(batch, random, bound, values=values)
        if found is None:  # on a path through the model that hooks have not seen
            found = self._repeat(batch, random, bound, values=values)
        assert found is not None
        return found

    def _compiled(
        self,
        graph: CompiledSites,
        batch: Batch,
        random: RandomState | None,
        max_samples: int,
        *,
        values: bool,
    ) -> Patterns | None:
        """Repeat a pass in a graph; None where it is to run as the model is written."""
        args, kwargs = self._inputs(batch)
        # Rounding differs between both: one probe compares passes of one kind.
        is_refused = id(batch) in self._as_written
        if is_refused or not graph.takes(args, kwargs, max_samples, batch.autocast):
            self._as_written.add(id(batch))
            self._tell_graph(graph)
            return None
        with self._restoring(random), self._casting(batch):
            found = graph.patterns(args, kwargs, max_samples, values=values)
        if found is None:
            self._as_written.add(id(batch))
            self._tell_graph(graph)
        else:
            self.forward_passes += 1
        return found

    def _tell_graph(self, graph: CompiledSites) -> None:
        """Warn once where no graph can be made."""
        reason = "" if self._hooked.are_all_seen else "a switch is a function, not a module"
        if graph.error is not None:
            reason = (
                f"{type(graph.error).__name__}: {str(graph.error).strip().partition(chr(10))[0]}"
            )
        if reason and not self._is_graph_told:
            self._is_graph_told = True
            warnings.warn(
                f"model {type(self.model).__name__} cannot be probed as a graph ({reason}), so "
                "passes of probes run as it is written; leave compile_probes out.",
                RuntimeWarning,
                stacklevel=2,
            )

    @contextmanager
    def _restoring(self, random: RandomState | None) -> Iterator[None]:
        """Run a pass without gradients and without lasting effects.

        Args:
            random: state of the generators to start from; None: the current one.
        """
        now = self.random_state()
        self._buffers.save()
        if random is not None:
            random.restore()
        self.is_running = True
        try:
            with torch.no_grad():
                yield
            # Seen once, in the first pass: most models draw from torch alone, and the states of
            # Python's and numpy's generators need not be saved for them.
            if self._is_first:
                self._host_draws, self._is_first = now.host_has_moved(), False
        finally:
            self.is_running = False
            self._buffers.restore()
            now.restore()

    @staticmethod
    def _casting(batch: Batch) -> AbstractContextManager[None]:
        is_needed = any(on or torch.is_autocast_enabled(kind) for kind, on, _ in batch.autocast)
        return batch.casting() if is_needed else nullcontext()

    def _repeat(
        self, batch: Batch, random: RandomState | None, max_samples: int, *, values: bool
    ) -> Patterns | None:
        """Run the model once more; None where its sites must be looked at by the mode."""
        args, kwargs = self._inputs(batch)
        with (
            self._restoring(random),
            eagerly(self.model),
            self._capture(max_samples, values=values) as capture,
            self._casting(batch),
        ):
            self.model(*args, **kwargs)
        self.forward_passes += 1
        return capture.take()

    def _patterns_of_chain(
        self, chain: Chain, x: Tensor, max_samples: int, *, values: bool
    ) -> Patterns:
        self._buffers.save()
        try:
            with torch.no_grad():
                found = chain.patterns(x, max_samples, values=values)
        finally:
            self._buffers.restore()
        self.forward_passes += 1
        return found

    def part(self, batch: Batch) -> Part | None:
        """Return how many first examples of a batch are measured on, and its size; None: all.

        Args:
            batch: of a pass.
        """
        examples = batch.examples or self._examples
        size = None if examples is None else batch_size(batch.args, batch.kwargs)
        return None if examples is None or size is None or size <= examples else (examples, size)

    def must_run_alone(self, batch: Batch) -> bool:
        """Tell whether the part of a batch has other patterns in the whole than on its own.

        Args:
            batch: of a pass.
        """
        # Sums of another batch size round differently, which 16 bits show.
        return self.part(batch) is not None and (self.joins is not False or batch.is_cast)

    def _inputs(self, batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the inputs of a pass."""
        part = self.part(batch)
        if part is None:
            return batch.args, batch.kwargs
        return first_inputs(batch.args, batch.kwargs, part[0])

    def learn_joins(self, whole: Pass, examples: int) -> None:
        """Find out by one pass whether examples have the same patterns in the batch and without.

        Args:
            whole: a pass with patterns of all its examples.
            examples: how many first ones run on their own.
        """
        batch = replace(whole.batch, examples=examples)
        part = self.part(batch)
        if part is None or not whole.patterns:
            return
        # As many pixels of each example as in the whole batch, so that both can be compared.
        bound = max(1, self._max_samples // part[1]) * examples
        alone = self.patterns(batch, whole.random, max_samples=bound)
        if any(site.bits.shape[0] % part[1] for site in whole.patterns.values()):
            self.joins = True
            return
        first = first_patterns(whole.patterns, *part)
        found = distances(first, alone)
        self.joins = len(found.sites) < len(first) or found.mean_distance > _TOLERANCE

    def marks(self) -> WeightMarks:
        """Return marks of the present weights, of their values where these are to be looked at.

        To compare values is to read all weights, and to wait for the device. Where all writes have
        left traces in the first few probes, those between are trusted to do so too.
        """
        is_due = self._n_looks < _FIRST_LOOKS or self._n_looks % _LOOKS_BETWEEN == 0
        return WeightMarks(self.model, with_values=is_due or not self.trusts_marks)

    def look(self, passes: Sequence[Pass]) -> None:
        """Ensure that each pass has the patterns of the current weights.

        A pass that ran with other weights is repeated: with those that SAM had moved, those of
        `functional_call`, or those before weights were swapped. So is a part of a batch whose
        patterns are others than in the whole.

        Args:
            passes: their `patterns` are set; of the first `examples` only.

        Raises:
            DataError: a batch was overwritten since its pass.
        """
        now = self.marks() if any(each.patterns is not None for each in passes) else None
        self._n_looks += 1
        self._as_written.clear()
        for each in passes:
            if each.patterns is not None and each.weights is not None and now is not None:
                self.trusts_marks &= each.weights.leave_traces(now)
            if each.patterns is None or each.weights != now:
                each.patterns = self.patterns(each.batch, each.random, values=self.values)
        self.settle_smooth(passes)

    def compare(self, passes: Sequence[Pass]) -> StepDistance:
        """Return D between the patterns of some passes and those of the current weights.

        Args:
            passes: those whose `patterns` are not set are left out.
        """
        transfer = Transfer()
        asked = [
            ask_distances(each.patterns, self.patterns(each.batch, each.random), transfer)
            for each in passes
            if each.patterns is not None
        ]
        found = [read() for read in asked]
        self.nans_before = sum(nans for _, nans in found)
        return pooled([distance for distance, _ in found])

    def values_now(self, passes: Sequence[Pass]) -> list[Patterns]:
        """Return the patterns and pre-activations of the current weights.

        Args:
            passes: those whose `patterns` are not set are left out.
        """
        return [
            self.patterns(each.batch, each.random, values=True)
            for each in passes
            if each.patterns is not None
        ]

    def compare_values(
        self, passes: Sequence[Pass], rate: float
    ) -> tuple[StepDistance, CrossingCurves]:
        """Return what `compare` returns, and the curves that the step shows to first order.

        Args:
            passes: with patterns that hold their pre-activations.
            rate: of the step between both, or of the part of it that was made.
        """
        distances, curves, _ = self.ask_values(passes, rate, Transfer())()
        return distances, curves

    def ask_values(
        self,
        passes: Sequence[Pass],
        rate: float,
        transfer: Transfer,
        way: tuple[float, list[Patterns]] | None = None,
    ) -> Callable[[], tuple[StepDistance, CrossingCurves, CrossingCurves | None]]:
        """Return a function that gives what `compare_values` does, once the numbers are there.

        With a `way` the curves go along it, and those of the whole step to first order come third.

        Args:
            passes: with patterns that hold their pre-activations.
            rate: of the step between both, or of the part of it that was made.
            transfer: which is asked for the numbers; it may bring others on the same way.
            way: rate and `values_now` of a state between both, which tells the start of the
                curves; None: they are of first order.
        """
        distances, curves, straight = [], [], []
        known = [(each, each.patterns) for each in passes if each.patterns is not None]
        for index, (each, before) in enumerate(known):
            after = self.patterns(each.batch, each.random, values=True)
            states = [] if way is None else [(way[0], way[1][index])]
            distances.append(ask_distances(before, after, transfer))
            curves.append(ask_curves(before, [*states, (rate, after)], transfer))
            if states:
                straight.append(ask_curves(before, [(rate, after)], transfer))

        def read() -> tuple[StepDistance, CrossingCurves, CrossingCurves | None]:
            found = [distance() for distance in distances]
            self.nans_before = sum(nans for _, nans in found)
            return (
                pooled([distance for distance, _ in found]),
                merged(each() for each in curves),
                merged(each() for each in straight) if straight else None,
            )

        return read

    def ask_curves(
        self, passes: Sequence[Pass], rate: float, transfer: Transfer
    ) -> Callable[[], CrossingCurves]:
        """Return a function that gives the curves of `compare_values` alone.

        Args:
            passes: with patterns that hold their pre-activations.
            rate: of the part of a step that was made.
            transfer: which is asked for the numbers.
        """
        curves = [
            ask_curves(
                each.patterns,
                [(rate, self.patterns(each.batch, each.random, values=True))],
                transfer,
            )
            for each in passes
            if each.patterns is not None
        ]
        return lambda: merged(read() for read in curves)

    @contextmanager
    def measuring(
        self,
        *args: Any,
        batch: Batch | None = None,
        before: Patterns | None = None,
        random: RandomState | None = None,
        passes: Sequence[Pass] | None = None,
        step_kwargs: dict[str, Any] | None = None,
    ) -> Iterator[Callable[[float], StepDistance]]:
        """Yield `measure(rate)`; all measurements inside share one snapshot.

        Args:
            *args: inputs of the model, where `batch` is not given.
            batch: inputs and conditions of the pass that made the gradients.
            before: patterns of the present weights; None: one more pass finds them.
            random: generators at the start of that pass.
            passes: several passes that made the gradients, instead of one batch.
            step_kwargs: keyword arguments for the optimiser's step.

        Yields:
            A function from a rate to the distances of a step with it.
        """
        if passes is None:
            used = batch if batch is not None else Batch.now(args, {}, device_of(self.model))
            passes = [Pass(used, before, random)]

        def measure(rate: float) -> StepDistance:
            with stepped(rate):
                return self.compare(passes)

        with self.stepping(passes, step_kwargs) as stepped:
            yield measure

    @contextmanager
    def measuring_curves(
        self, passes: Sequence[Pass]
    ) -> Iterator[Callable[[float], CrossingCurves]]:
        """Yield `measure(rate)` as `measuring` does, for the curves that a step shows.

        Args:
            passes: those that made the gradients.

        Yields:
            A function from a rate to the curves of a step with it, to first order.
        """

        def measure(rate: float) -> CrossingCurves:
            with stepped(rate):
                return self.ask_curves(passes, rate, Transfer())()

        with self.stepping(passes, values=True) as stepped:
            yield measure

    @contextmanager
    def stepping(
        self,
        passes: Sequence[Pass],
        step_kwargs: dict[str, Any] | None = None,
        *,
        values: bool = False,
    ) -> Iterator[Callable[[float], AbstractContextManager[None]]]:
        """Yield `stepped(rate)`, a context in which the model has made a step of that rate.

        Args:
            passes: that made the gradients; their `patterns` and `random` are set.
            step_kwargs: keyword arguments for the optimiser's step.
            values: whether patterns that are not there yet are to keep pre-activations.

        Yields:
            A function from a rate to a context; all of them share one snapshot.
        """

        @contextmanager
        def stepped(rate: float) -> Iterator[None]:
            now = self.random_state()
            for each in passes:
                each.random = each.random or now
                if each.patterns is None:
                    each.patterns = self.patterns(each.batch, each.random, values=values)
            if not saved:
                self._step.save()
                saved.append(True)
            try:
                set_rates(self._optimizer, [rate * ratio for ratio in self.ratios])
                bare_step(self._optimizer)(self._optimizer, **(step_kwargs or {}))
                yield
            finally:
                self._step.restore()
                now.restore()

        saved: list[bool] = []
        try:
            yield stepped
        finally:
            self._step.clear()


def no_site_text(probe: StepProbe) -> str:
    """Return the sentence on a model in which a probe finds no site.

    Args:
        probe: of the model.
    """
    return (
        f"model {type(probe.model).__name__} ran no ReLU or other switch site, so no pattern can "
        "change; "
        + (
            "train a network with one."
            if probe.smooth
            else "leave smooth=False out if it uses GELU or SiLU."
        )
    )


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU where it has none."""
    modules = [*all_modules(model)]
    for kind in ("_parameters", "_buffers"):
        for module in modules:
            for tensor in getattr(module, kind).values():
                if tensor is not None:
                    return tensor.device  # type: ignore[no-any-return]
    return torch.device("cpu")


def bare_step(optimizer: Optimizer) -> Callable[..., Any]:
    """Return the optimiser's step without the hooks that torch and others hang on it."""
    step: Callable[..., Any] = type(optimizer).step
    return getattr(step, "__wrapped__", step) if getattr(step, "hooked", False) else step
