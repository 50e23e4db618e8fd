"""The switch sites of a jaxpr, found without running it (docs/spec.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from reluflow_jax.sites.values import UNITS, Value, of_array, of_constant, outputs

Path = tuple[int, ...]
"""Where an equation is: its number in the jaxpr, then that in the jaxpr it calls, and so on."""
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
"""Equations that run another jaxpr once, and the parameter that holds it."""
SMOOTH = {*("gelu", "silu", "swish", "elu", "celu", "selu", "softplus", "mish", "squareplus")}
KINDS = SMOOTH | {
    *("relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_tanh", "hard_silu", "hard_swish"),
}
"""Names of functions that a site is called by."""
_CHOICE = 3
"""Operands of a choice between two values."""


@dataclass(frozen=True, slots=True)
class Site:
    """One switch site of a function, as `sites_of` returns them.

    Attributes:
        name: kind and number, in the order in which the function runs its sites.
        kind: "relu", "relu6", "leaky_relu", ...: the function that holds the switch, where it has
            one of these names.
        shape: of the pre-activation, for the batch that was traced.
        unit_axis: the axis of the units.
        threshold: value at which a unit switches.
        is_smooth: whether it is a smooth relative, such as GELU.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    unit_axis: int
    threshold: float = 0.0
    is_smooth: bool = False

    @property
    def units(self) -> int:
        """Width d of the site."""
        return self.shape[self.unit_axis]

    @property
    def samples(self) -> int:
        """Samples of the batch that was traced: inputs times pixels or positions."""
        found = 1
        for place, size in enumerate(self.shape):
            found *= 1 if place == self.unit_axis else size
        return found


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What looks like a switch and is not a site, as `left_out_of` returns it.

    Attributes:
        what: function or primitive.
        reason: why not, half a sentence.
    """

    what: str
    reason: str


@dataclass(slots=True)
class Found:
    """What is found in a jaxpr.

    Attributes:
        sites: by the place of the equation that reads the pre-activation, and the number of the
            operand.
        left_out: what looks like a switch and is not a site.
    """

    sites: dict[tuple[Path, int], Site] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


class Finder:
    """Walks a jaxpr and the ones it calls, and notes where switches read their values.

    Args:
        smooth: whether smooth relatives count.
    """

    def __init__(self, *, smooth: bool) -> None:
        self._smooth = smooth
        self._reads: dict[int, tuple[Path, int]] = {}
        self._known: dict[int, Value] = {}
        self.found = Found()

    def walk(
        self,
        jaxpr: Any,
        constants: Sequence[Any],
        arguments: Sequence[Value],
        path: Path = (),
        calls: tuple[str, ...] = (),
    ) -> list[Value]:
        """Return what is known of the outputs of a jaxpr.

        Args:
            jaxpr: an open one.
            constants: arrays of its constants.
            arguments: what is known of its inputs.
            path: of the equation that calls it.
            calls: names of the functions around it.
        """
        known: dict[Any, Value] = {}
        known.update(zip(jaxpr.constvars, map(of_constant, constants), strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))
        for index, eqn in enumerate(jaxpr.eqns):
            inputs = [
                of_constant(var.val) if hasattr(var, "val") else known[var] for var in eqn.invars
            ]
            place = (*path, index)
            for number, value in enumerate(inputs):
                self._reads.setdefault(value.number, (place, number))
                self._known.setdefault(value.number, value)
            known.update(zip(eqn.outvars, self._outputs(eqn, inputs, place, calls), strict=True))
        return [of_constant(v.val) if hasattr(v, "val") else known[v] for v in jaxpr.outvars]

    def _outputs(
        self, eqn: Any, inputs: list[Value], place: Path, calls: tuple[str, ...]
    ) -> list[Value]:
        name = eqn.primitive.name
        called = inner_jaxpr(eqn)
        if called is not None:
            inside = (*calls, str(eqn.params.get("name", name)))
            if inside[-1] in SMOOTH and inputs and inputs[0].has_batch:
                if self._smooth:
                    self._add(inputs[0], 0.0, "smooth", inside)
                return [of_array(var.aval, inputs[0].axes) for var in eqn.outvars]
            return self.walk(called.jaxpr, called.consts, inputs, place, inside)
        switched = self._switched(eqn, inputs)
        if switched is not None:
            value, threshold, kind = switched
            if kind != "smooth" or self._smooth:
                self._add(value, threshold, kind, calls)
        for hidden in _jaxprs(eqn.params):
            self._leave_out_hidden(hidden, name, inputs)
        return outputs(eqn, inputs)

    def _switched(self, eqn: Any, inputs: list[Value]) -> tuple[Value, float, str] | None:
        """Return the pre-activation of an equation that is a switch, its threshold, its kind."""
        name = eqn.primitive.name
        if name == "max" and len(inputs) == 2:
            for one, other in (inputs, inputs[::-1]):
                if other.constant == 0.0 and one.has_batch:
                    return one, 0.0, "relu"
        if name == "clamp" and inputs[0].constant == 0.0 and inputs[1].has_batch:
            return inputs[1], 0.0, "relu"
        if name == "select_n" and len(inputs) == _CHOICE and inputs[0].above is not None:
            return self._selected(*inputs)
        if name == "mul" and len(inputs) == 2:
            for one, other in (inputs, inputs[::-1]):
                if other.above is not None and one.has_batch and one.origin == other.above[0]:
                    return self._known[one.origin], other.above[1], "relu"
                same = one.has_batch and other.has_batch and one.origin == other.origin
                if same and one.is_line and other.is_curved:
                    return self._known[one.origin], 0.0, "smooth"
        return None

    def _selected(self, which: Value, no: Value, yes: Value) -> tuple[Value, float, str] | None:
        """Tell whether one of two straight or curved functions of a compared value is taken."""
        assert which.above is not None
        number, threshold = which.above
        both = (no, yes)
        own = [each.has_batch and each.origin == number for each in both]
        if not any(mine and each.is_line for mine, each in zip(own, both, strict=True)):
            return None
        value = self._known.get(number)
        if value is None:
            return None
        if all(own):  # two multiples with different slopes, or the exponential function below
            kind = "smooth" if no.is_curved or yes.is_curved else "leaky_relu"
            is_same = no.number == yes.number
            return None if is_same or threshold != 0.0 else (value, 0.0, kind)
        other = no if own[1] else yes
        return (value, threshold, "relu") if other.constant == 0.0 else None

    def _add(self, value: Value, threshold: float, kind: str, calls: tuple[str, ...]) -> None:
        place = self._reads[value.number]
        is_smooth = kind == "smooth"
        kind = next((name for name in calls if name in KINDS), kind)
        if place in self.found.sites:
            return
        if UNITS not in value.axes:
            reason = "no layer behind it says which of its axes are units"
            self.found.left_out.append(LeftOut(f"{kind} of shape {value.shape}", reason))
            return
        name = f"{kind}_{len(self.found.sites)}"
        axis = value.axes.index(UNITS)
        self.found.sites[place] = Site(name, kind, value.shape, axis, threshold, is_smooth)

    def _leave_out_hidden(self, jaxpr: Closed, name: str, inputs: Sequence[Value]) -> None:
        """Say of a loop or a branch how many switches nobody sees inside it."""
        inside = Finder(smooth=False)
        variables = jaxpr.jaxpr.invars
        given = inputs[len(inputs) - len(variables) :] if len(variables) <= len(inputs) else ()
        arguments = [of_array(var.aval) for var in variables]
        for place, value in enumerate(given):
            arguments[place] = _carried(value, variables[place].aval)
        inside.walk(jaxpr.jaxpr, jaxpr.consts, arguments)
        if count := len(inside.found.sites):
            reason = f"values inside are not seen, those of {count} switches among them"
            self.found.left_out.append(LeftOut(name, reason))


def _carried(value: Value, aval: Any) -> Value:
    """Return what a loop or a branch knows of an operand, or of one slice of it."""
    shape = tuple(getattr(aval, "shape", ()))
    for skipped in (0, 1):
        if value.shape[skipped:] == shape:
            return of_array(aval, value.axes[skipped:])
    return of_array(aval)


@dataclass(frozen=True, slots=True)
class Closed:
    """A jaxpr with its constants.

    Attributes:
        jaxpr: the open one.
        consts: arrays.
    """

    jaxpr: Any
    consts: Sequence[Any]


def inner_jaxpr(eqn: Any) -> Closed | None:
    """Return the jaxpr that an equation runs once, None where it runs none.

    Args:
        eqn: of a jaxpr.
    """
    key = CALLS.get(eqn.primitive.name)
    inner = eqn.params.get(key) if key else None
    return None if inner is None else _closed(inner)


def _closed(jaxpr: Any) -> Closed:
    inner = getattr(jaxpr, "jaxpr", None)
    return Closed(jaxpr, ()) if inner is None else Closed(inner, jaxpr.consts)


def _jaxprs(params: Any) -> Iterator[Closed]:
    """Give the jaxprs among the parameters of an equation, as those of a loop."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if hasattr(each, "eqns"):
                yield _closed(each)
