"""Capture the binary activation patterns of every switch site while a model runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from reluflow.errors import OptionError
from reluflow_torch.sites.bits import above_threshold, switch_bits
from reluflow_torch.sites.forms import READABLE, Forms, Reading
from reluflow_torch.sites.layer_names import LayerNames
from reluflow_torch.sites.modules import ModuleStack
from reluflow_torch.sites.ops import SMOOTH, SWITCHES, UNIT_AXIS
from reluflow_torch.sites.pixels import sample_units

MAX_SAMPLES = 4096
Part = tuple[int, int]
"""How many first examples of a batch are read, and how many it has."""
_CHOICES = slice(1, 3)
"""What torch.where chooses between, behind the mask."""


@dataclass(frozen=True, slots=True, eq=False)
class SitePattern:
    """The pattern of the samples of one switch site in one forward pass.

    A `PatternCapture` holds one per call of a switch.

    Attributes:
        name: path of the module and, from the second call on, `#2`, `#3` ...; a functional
            ReLU adds `/relu` to the path of the module that calls it.
        op: the operator, such as `relu`.
        bits: `(rows, units)` or `(rows, units, pixels)` bool on the model's device: whether a
            pre-activation is above the threshold.
        nans: how many of these pre-activations were NaN; NaN is inactive.
        population: number of samples at the site, before the selection.
        layer: path of the module whose weights feed the site, such as `fc1`; "" where a
            function or nothing with weights does.
        values: the pre-activations less the threshold, float32 or wider, in the layout of `bits`
            and above 0 where these are set; None where the capture did not ask for them.
    """

    name: str
    op: str
    bits: Tensor
    nans: Tensor | int
    population: int
    layer: str = ""
    values: Tensor | None = None

    @property
    def units(self) -> int:
        """Number of units d."""
        return self.bits.shape[1]

    @property
    def samples(self) -> int:
        """Number of samples that were kept."""
        return self.bits.numel() // max(1, self.units)


@dataclass(frozen=True, slots=True)
class OtherFold:
    """A call that folds at 0 but is not a switch: |x|, min(x, 0), sign(x); listed, not counted.

    `PatternCapture` lists it.

    Attributes:
        name: formed like the name of a site.
        op: the operator, such as `abs`.
        layer: path of the module whose weights feed it, as in `SitePattern`.
    """

    name: str
    op: str
    layer: str = ""


class Patterns(Mapping[str, SitePattern]):
    """The patterns of one forward pass by site name, in the order of the calls.

    `PatternCapture` returns them.

    Args:
        sites: the patterns.
        folds: other folds at 0, where the pass was followed for names.
    """

    def __init__(self, sites: Iterable[SitePattern], folds: Iterable[OtherFold] = ()) -> None:
        self._sites = {site.name: site for site in sites}
        self.folds = tuple(folds)

    def __getitem__(self, name: str) -> SitePattern:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """What a capture records; the fields are those of SitePattern.

    Attributes:
        name: without its number.
    """

    name: str
    op: str
    bits: Tensor
    nans: Tensor | int
    population: int
    values: Tensor | None = None

    def named(self, name: str, layer: str, op: str | None = None) -> SitePattern:
        """Return the pattern under its full name, and the operator's where it was not known."""
        return SitePattern(
            name, op or self.op, self.bits, self.nans, self.population, layer, self.values
        )


def read_site(
    name: str,
    op: str,
    x: Tensor,
    unit_axis: int,
    max_samples: int,
    threshold: float = 0.0,
    *,
    is_switched: bool = False,
    with_values: bool = False,
    part: Part | None = None,
) -> Site:
    """Read the samples of a site.

    Args:
        name: of the site, without its number.
        op: the operator.
        x: pre-activations; or the output of a ReLU, if `is_switched`.
        unit_axis: see `sample_units`.
        max_samples: bound on the samples.
        threshold: the value at which the site switches.
        is_switched: whether `x` is 0 at and below the threshold.
        with_values: whether to keep the pre-activations, which `x` must be then.
        part: which examples of a batch to read, where the rows of `x` belong to examples.
    """
    rows = x.detach()
    if part is not None and len(rows) % part[1] == 0:
        rows = rows[: len(rows) // part[1] * part[0]]
    samples = sample_units(rows, unit_axis, max_samples)
    bits, nans = switch_bits(samples, threshold, is_switched=is_switched)
    values = None
    if with_values:
        # Fewer samples than there are were gathered, which copies them.
        is_fresh = samples.numel() < rows.numel()
        values = above_threshold(samples, threshold, is_fresh=is_fresh)
    return Site(name, op, bits, nans, x.numel() // bits.shape[1], values)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at every operator tells of a site.

    Attributes:
        base: its name without its number.
        name: as in `SitePattern`.
        layer: as there.
        op: as there.
        axis: of its units, see `sample_units`.
    """

    base: str
    name: str
    layer: str
    op: str
    axis: int


@dataclass(frozen=True, slots=True)
class Look:
    """One pass that was followed operator by operator and module by module.

    Attributes:
        called: paths of the activation modules, in the order of their calls.
        sites: in the same order.
    """

    called: tuple[str, ...]
    sites: tuple[Seen, ...]


class SiteNames:
    """Names of the sites of a model, in the order in which their operators ran.

    Attributes:
        are_wanted: whether the next pass is to be followed module by module.
        on_look: called with each pass that was, while the model is still what it was then.
    """

    def __init__(self) -> None:
        self.are_wanted = True
        self.on_look: Callable[[Look], None] = _ignore
        self._known: dict[tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]] = {}

    def name(
        self, sites: Sequence[Site], layers: Sequence[str] | None
    ) -> tuple[tuple[str, str], ...]:
        """Return the names of the sites and their layers: learns from those that have them.

        Where a model takes a path that was not seen before, the next pass collects names.

        Args:
            sites: in the order of the calls.
            layers: what feeds each; None where the sites have no names of their own either.
        """
        way = tuple((site.op, site.bits.shape[1]) for site in sites)
        if layers is not None:
            self._known[way] = tuple(zip(_names_of(sites), layers, strict=True))
        names = self._known.get(way)
        self.are_wanted = names is None
        return tuple((name, "") for name in _names_of(sites)) if names is None else names


def _ignore(look: Look) -> None:
    """Do nothing."""


def _names_of(sites: Sequence[Site]) -> tuple[str, ...]:
    return numbered(site.name for site in sites)


class PatternCapture(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Capture the patterns of all switch sites that run inside the `with` block.

    Works below autograd, so modules, functions, Tensor methods and in-place forms look
    alike, and what the model computes stays the same bit for bit. Nothing is copied to the
    host. Compiled graphs hide their operators: run them eagerly, as the scheduler does.

    Args:
        model: names the sites.
        max_samples: bound on the samples (rows or pixels) kept per site; which ones depends
            on the shape alone. A distance D then has the standard error sqrt(D(1 - D)/n),
            more where pixels of an image change together.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish are sites too (threshold 0).
        names: names found by earlier captures of the same model; avoids following its modules at
            every pass. None: names are found again.
        values: whether to keep the pre-activations too, as `SitePattern.values`; they are copied
            before an in-place switch overwrites them.
        part: which examples of a batch to read, and its size; for a model that treats each on its
            own. None: all.

    Raises:
        OptionError: `max_samples` below 1.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with PatternCapture(model) as capture:
        ...     _ = model(torch.ones(4, 2))
        >>> [(site.name, site.samples, site.units) for site in capture.take().values()]
        [('1', 4, 3)]
        >>> # in two steps, where a pass may fail
        >>> capture = PatternCapture(model)
        >>> _ = capture.__enter__()
        >>> _ = model(torch.ones(4, 2))
        >>> capture.abandon()
        >>> capture.detach()
        >>> list(capture.patterns)
        ['1']

    Other folds at 0 (|x|, min(x, 0), sign(x)) are listed in `patterns.folds`, as
    `reluflow inspect` lists it for a file.

    Reference: docs/spec.md, section 1 and section 2.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        max_samples: int = MAX_SAMPLES,
        smooth: bool = False,
        names: SiteNames | None = None,
        values: bool = False,
        part: Part | None = None,
    ) -> None:
        check_max_samples(max_samples)
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = SiteNames() if names is None else names
        self._stack = ModuleStack(model) if self._names.are_wanted else None
        self._max_samples = max_samples
        self._with_values = values
        self._part = part
        self._rules = {**SWITCHES, **SMOOTH} if smooth else SWITCHES
        self._sites: list[Site] = []
        self._unit_axes: list[int] = []
        self._axes: dict[int, int] = {}
        self._compared: dict[int, tuple[Tensor, Tensor, float]] = {}
        self._forms = Forms()
        self._layers = None if self._stack is None else LayerNames()
        self._fed_by: list[str] = []
        self._folds: dict[int, tuple[str, str, str]] = {}

    @property
    def patterns(self) -> Patterns:
        """What was captured so far."""
        return self.take()

    def take(self) -> Patterns:
        """Return what was captured so far."""
        names = self._names.name(self._sites, None if self._stack is None else self._fed_by)
        if self._stack is not None:
            seen = zip(self._sites, names, self._unit_axes, strict=True)
            self._names.on_look(
                Look(
                    tuple(self._stack.called),
                    tuple(
                        Seen(site.name, name, layer, site.op, axis)
                        for site, (name, layer), axis in seen
                    ),
                )
            )
        folds = zip(
            numbered(name for name, _, _ in self._folds.values()),
            self._folds.values(),
            strict=True,
        )
        return Patterns(
            (
                site.named(name, layer)
                for (name, layer), site in zip(names, self._sites, strict=True)
            ),
            (OtherFold(name, op, layer) for name, (_, op, layer) in folds),
        )

    def __enter__(self) -> PatternCapture:
        if self._stack is not None:
            self._stack.attach()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()
        self.detach()

    def abandon(self) -> None:
        """Stop capturing, but leave the hooks: torch walks through them after a failed pass."""
        super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._compared.clear()
        self._forms.clear()
        if self._layers is not None:
            self._layers.clear()

    def detach(self) -> None:
        """Remove the hooks that `abandon` left."""
        if self._stack is not None:
            self._stack.detach()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Look at the arguments of a switch before it runs, as it may overwrite them."""
        kwargs = kwargs or {}
        key = id(func)
        # Read at its result: relu(x) > 0 exactly where x > 0, and in-place forms overwrite x.
        if key in _RELUS:
            if self._with_values:
                self._keep(func, args[0], 0.0)
            result = func(*args, **kwargs)
            if not self._with_values:
                self._keep(func, args[0], 0.0, result)
            if self._layers is not None:
                self._layers.see(key, args, result, "")
            return result
        rule = self._rules.get(key)
        found = None if rule is None else rule(args, kwargs)
        reading = None
        if found is None and key in READABLE:
            reading = self._forms.read(key, args, kwargs)
            if reading is not None:
                found = reading.switch
        if found is not None:
            self._keep(func, *found)
        elif func is _WHERE and not (reading is not None and reading.known):
            self._keep_where(func, args)
        result = func(*args, **kwargs)
        if reading is not None:
            self._forms.keep(result, reading)
            self._list(func, reading)
        if self._layers is not None and self._stack is not None:
            self._layers.see(key, args, result, self._stack.path)
        axis = UNIT_AXIS.get(key)
        if axis is not None:
            made = result[0] if isinstance(result, tuple | list) else result
            # By size: an operator that is not a layer keeps the number of elements, and identity
            # would not outlive a view.
            self._axes[made.numel()] = axis
        elif key in _COMPARISONS:
            x, threshold = args[0], args[1]
            if x.is_floating_point():
                # The mask is kept as well: an id is used again once its tensor is gone.
                self._compared[id(result)] = (result, x, float(threshold))
        return result

    def _list(self, func: Any, reading: Reading) -> None:
        """List a fold; remove folds that turn out to be parts of a switch."""
        if reading.switch is not None:
            for number in reading.parts:
                self._folds.pop(number, None)
        elif reading.fold is not None and self._stack is not None and self._layers is not None:
            op = func.overloadpacket.__name__.strip("_")
            fed_by = self._layers.of(reading.fold)
            self._folds[reading.number] = (self._stack.name(op), op, fed_by)

    def _keep_where(self, func: Any, args: tuple[Any, ...]) -> None:
        """Keep `where(x > t, x, ...)`, the written-out form; other choices are not switches."""
        mask, x, threshold = self._compared.get(id(args[0]), (None, None, 0.0))
        if mask is args[0] and x is not None and any(x is value for value in args[_CHOICES]):
            self._keep(func, x, threshold)

    def _keep(self, func: Any, x: Tensor, threshold: float, switched: Tensor | None = None) -> None:
        if x.dim() == 0 or x.numel() == 0 or not x.is_floating_point():
            return
        if torch._C._len_torch_dispatch_stack():  # a capture around this one
            with _disable_current_modes():
                self._note(func, x, threshold, switched)
        else:
            self._note(func, x, threshold, switched)

    def _note(self, func: Any, x: Tensor, threshold: float, switched: Tensor | None) -> None:
        op = func.overloadpacket.__name__.strip("_")
        name = op if self._stack is None else self._stack.name(op)
        axis = self._axes.get(x.numel(), 1 if x.dim() > 2 else -1)
        self._sites.append(
            read_site(
                name,
                op,
                x if switched is None else switched,
                axis,
                self._max_samples,
                threshold,
                is_switched=switched is not None,
                with_values=self._with_values,
                part=self._part,
            )
        )
        self._unit_axes.append(axis)
        self._fed_by.append("" if self._layers is None else self._layers.of(x))


def numbered(bases: Iterable[str]) -> tuple[str, ...]:
    """Return the names with `#2`, `#3` ... from the second call of the same site on."""
    calls: Counter[str] = Counter()
    names = []
    for base in bases:
        calls[base] += 1
        names.append(base if calls[base] == 1 else f"{base}#{calls[base]}")
    return tuple(names)


def check_max_samples(max_samples: int) -> None:
    """Refuse a bound that leaves no sample.

    Raises:
        OptionError: it is below 1.
    """
    if max_samples < 1:
        raise OptionError(
            f"max_samples is {max_samples}, but a distance wants at least 1 sample; "
            "give a positive number, such as 4096."
        )


_RELUS = frozenset((id(torch.ops.aten.relu.default), id(torch.ops.aten.relu_.default)))
_WHERE = torch.ops.aten.where.self
_COMPARISONS = frozenset(
    id(getattr(torch.ops.aten, name).Scalar) for name in ("gt", "ge", "lt", "le")
)
