"""What is known of a value of a jaxpr without running it: its axes, and what it is made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BATCH, UNITS, OTHER = "batch", "units", ""
"""What an axis enumerates: inputs, the units of the layer behind it, or something else."""
Axes = tuple[str, ...]
_numbers = itertools.count()


@dataclass(frozen=True)
class Value:
    """One value of a jaxpr.

    Attributes:
        shape: of the array.
        axes: what each of its axes enumerates.
        constant: where all its entries are the same known number, that number.
        number: of the value; calls pass it on.
        root: number of the value that this one is a function of, entry by entry.
        is_scaled: whether it is the root, or a multiple of it.
        is_curved: whether a function that saturates or grows exponentially is part of it.
        above: of a comparison, the number of the value and the constant it is compared with.
    """

    shape: tuple[int, ...]
    axes: Axes
    constant: float | None = None
    number: int = field(default_factory=lambda: next(_numbers))
    root: int | None = None
    is_scaled: bool = False
    is_curved: bool = False
    above: tuple[int, float] | None = None

    @property
    def has_batch(self) -> bool:
        """Whether it differs from input to input."""
        return BATCH in self.axes

    @property
    def origin(self) -> int:
        """Number of the root, or its own."""
        return self.number if self.root is None else self.root

    @property
    def is_line(self) -> bool:
        """Whether it is a value itself or a multiple of one."""
        return self.root is None or self.is_scaled


def of_array(aval: Any, axes: Axes | None = None, constant: float | None = None) -> Value:
    """Return what is known of an array or its abstract value.

    Args:
        aval: with a shape.
        axes: of the array; None: nothing is known of them.
        constant: its number, where all entries are the same.
    """
    shape = tuple(getattr(aval, "shape", ()))
    return Value(shape, axes if axes is not None else (OTHER,) * len(shape), constant)


def of_constant(value: Any) -> Value:
    """Return what is known of a literal or a constant of a jaxpr.

    Args:
        value: number or array.

    Example:
        >>> of_constant(np.zeros(())).constant
        0.0
    """
    is_key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    # An array of a trace in progress has no number yet.
    if is_key or isinstance(value, jax.core.Tracer) or np.size(value) != 1:
        return of_array(value)
    found = np.asarray(value).reshape(-1)[0]
    number = float(found) if np.issubdtype(found.dtype, np.number) else None
    return of_array(value, None, number)


def outputs(eqn: Any, inputs: Sequence[Value]) -> list[Value]:
    """Return what is known of the outputs of an equation that calls no other jaxpr.

    Args:
        eqn: of a jaxpr.
        inputs: what is known of its operands.
    """
    rule = _RULES.get(eqn.primitive.name, _same_shape)
    found = [_checked(rule(eqn, inputs, var.aval), var.aval) for var in eqn.outvars]
    return [_made_of(eqn, inputs, each) for each in found]


def _checked(axes: Axes | None, aval: Any) -> Value:
    shape = tuple(getattr(aval, "shape", ()))
    return of_array(aval, axes if axes is not None and len(axes) == len(shape) else None)


def _made_of(eqn: Any, inputs: Sequence[Value], found: Value) -> Value:
    """Add to an output of which value it is a function, and of what kind."""
    name = eqn.primitive.name
    if name in _KEEP and inputs:
        first = inputs[0]
        if first.shape == found.shape and first.has_batch:
            return replace(first, number=found.number, root=first.origin, is_scaled=first.is_line)
        return replace(found, constant=first.constant)
    if name in _COMPARE and len(inputs) == 2:
        for one, other in (inputs, inputs[::-1]):
            if one.is_line and one.has_batch and other.constant is not None:
                return replace(found, above=(one.origin, other.constant))
    varying = [each for each in inputs if each.has_batch]
    roots = {each.origin for each in varying}
    if len(roots) != 1 or name not in _ENTRYWISE or found.shape != varying[0].shape:
        return found
    rest = [each for each in inputs if not each.has_batch]
    scales = name in _SCALES and len(varying) == 1 and (name != "div" or inputs[0].has_batch)
    if not scales and any(each.constant is None for each in rest):
        return found
    return replace(
        found,
        root=roots.pop(),
        is_scaled=scales and varying[0].is_line,
        is_curved=name in _CURVED or any(each.is_curved for each in varying),
    )


_KEEP = {
    *("convert_element_type", "broadcast_in_dim", "reshape", "copy", "stop_gradient"),
    *("pvary", "pcast"),  # inside shard_map
}
_COMPARE = {"gt", "ge", "lt", "le"}
_SCALES = {"mul", "div", "neg"}
_CURVED = {"tanh", "erf", "erfc", "logistic", "exp", "exp2", "expm1", "log1p"}
_ENTRYWISE = _SCALES | _CURVED | {"add", "sub", "integer_pow", "square", "pow", "select_n", "log"}


def _same_shape(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes | None:
    """Merge the axes of all operands of one shape, and keep those of one rank."""
    shape = tuple(getattr(aval, "shape", ()))
    same = [each for each in inputs if each.shape == shape]
    if not same:
        same = [each for each in inputs if len(each.shape) == len(shape) and each.has_batch][:1]
    if not same:
        return None
    same = sorted(same, key=lambda each: not each.has_batch)
    columns = zip(*(each.axes for each in same), strict=True)
    return tuple(next((axis for axis in column if axis), OTHER) for column in columns)


def _reduced(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    gone = eqn.params.get("axes", eqn.params.get("dimensions", ()))
    return tuple(axis for place, axis in enumerate(inputs[0].axes) if place not in gone)


def _transposed(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    return tuple(inputs[0].axes[place] for place in eqn.params["permutation"])


def _broadcast(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    axes = [OTHER] * len(aval.shape)
    for place, to in enumerate(eqn.params["broadcast_dimensions"]):
        if inputs[0].shape[place] == aval.shape[to]:
            axes[to] = inputs[0].axes[place]
    return tuple(axes)


def _reshaped(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    """Follow the axes through groups that hold the same number of entries."""
    axes: list[str] = []
    for old, new in _groups(inputs[0].shape, aval.shape):
        kinds = [inputs[0].axes[place] for place in old]
        if len(old) == len(new):
            axes += kinds
            continue
        group = [OTHER] * len(new)
        if group and UNITS in kinds:
            group[-1] = UNITS
        if group and BATCH in kinds and not (len(new) == 1 and UNITS in kinds):
            group[0] = BATCH
        axes += group
    return tuple(axes)


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
    """Give the shortest runs of axes of two shapes that hold as many entries."""
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = [], []
        n_left = n_right = 1
        while True:
            if n_left <= n_right and i < len(old):
                n_left, i = n_left * old[i], i + 1
                left.append(i - 1)
            elif j < len(new):
                n_right, j = n_right * new[j], j + 1
                right.append(j - 1)
            else:
                break
            if n_left == n_right and left and right:
                break
        yield left, right


def _product(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    """Name the axes of a product: those that weights alone bring are units."""
    (left_gone, right_gone), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left, right = inputs[0], inputs[1]
    axes = [left.axes[i] or right.axes[j] for i, j in zip(left_batch, right_batch, strict=True)]
    for one, other, gone in (
        (left, right, {*left_gone, *left_batch}),
        (right, left, {*right_gone, *right_batch}),
    ):
        kept = [axis for place, axis in enumerate(one.axes) if place not in gone]
        if not one.has_batch:
            kept = [UNITS] * len(kept)
        elif not other.has_batch:
            kept = [OTHER if axis == UNITS else axis for axis in kept]
        axes += kept
    return _last_units(axes)


def _last_units(axes: Sequence[str]) -> Axes:
    """Keep the last of several axes of units: a layer of many heads has one more."""
    places = [place for place, axis in enumerate(axes) if axis == UNITS]
    return tuple(OTHER if place in places[:-1] else axis for place, axis in enumerate(axes))


def _convolution(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes:
    numbers = eqn.params["dimension_numbers"]
    axes = [OTHER] * len(aval.shape)
    axes[numbers.out_spec[0]] = inputs[0].axes[numbers.lhs_spec[0]]
    axes[numbers.out_spec[1]] = UNITS
    return tuple(axes)


def _gathered(eqn: Any, inputs: Sequence[Value], aval: Any) -> Axes | None:
    """Name the axes of rows that are looked up, as those of an embedding."""
    numbers = eqn.params["dimension_numbers"]
    if inputs[0].has_batch:
        return inputs[0].axes if len(inputs[0].axes) == len(aval.shape) else None
    axes = [UNITS] * len(aval.shape)
    places = [place for place in range(len(axes)) if place not in numbers.offset_dims]
    for place, axis in zip(places, inputs[1].axes[:-1], strict=False):
        axes[place] = axis
    return _last_units(axes)


_RULES = {
    "transpose": _transposed,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshaped,
    "squeeze": _reduced,
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "gather": _gathered,
    **dict.fromkeys(
        (f"reduce_{kind}" for kind in ("sum", "max", "min", "prod", "and", "or")), _reduced
    ),
    "argmax": _reduced,
    "argmin": _reduced,
}
