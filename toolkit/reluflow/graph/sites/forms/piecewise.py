"""Functions of one variable made of two straight pieces: what a written-out switch computes.

This is the one definition of a switch that is written out of simpler operators. It is independent
of frameworks: the site finder applies it to the nodes of a graph, bridges apply it to the calls
that they see.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

Range = tuple[float, float]
"""Smallest and largest value of a number that may differ from unit to unit."""
_ZERO: Range = (0.0, 0.0)


class Kind(enum.Enum):
    """How a function behaves at its knee."""

    LINEAR = "linear"
    STEP = "step"
    FOLD = "fold"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Piecewise:
    """f(x) = slope x + shift, with one slope and shift below a knee and others above it.

    Attributes:
        below: slope left of the knee, as a range over the units.
        above: slope right of it.
        shift_below: f(0) of the left piece.
        shift_above: of the right piece.
        knee: where the pieces meet, None where there is only one piece.
    """

    below: Range
    above: Range
    shift_below: Range = _ZERO
    shift_above: Range = _ZERO
    knee: float | None = None

    @property
    def kind(self) -> Kind:
        """Distinguish a switch from other functions.

        A fold passes |x| or the part below the knee, with one factor: |x|, min(x, 0), -relu(x). A
        step has the same slope on both sides. Everything else is a switch.
        """
        if self.knee is None:
            return Kind.LINEAR
        if self.below == self.above and _is_number(self.below):
            return Kind.LINEAR if self.shift_below == self.shift_above else Kind.STEP
        mirrored = self.below == _times(self.above, (-1.0, -1.0))
        negated = self.below == _ZERO and self.above[1] < 0
        return Kind.FOLD if mirrored or self.above == _ZERO or negated else Kind.SWITCH

    @property
    def is_constant(self) -> bool:
        """Whether each piece is one value."""
        return self.below == _ZERO == self.above


IDENTITY = Piecewise((1.0, 1.0), (1.0, 1.0))
"""f(x) = x."""


def constant(low: float, high: float | None = None) -> Piecewise:
    """Return f(x) = c, with c anywhere from `low` to `high`.

    Args:
        low: the smallest value.
        high: the largest value; None: the same.

    Returns:
        The function.

    Example:
        >>> constant(0.5).is_constant
        True
    """
    value = (low, low if high is None else high)
    return Piecewise(_ZERO, _ZERO, value, value)


def add(f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return f + g, None where they have different knees.

    Args:
        f: a function.
        g: another.

    Returns:
        Their sum.

    Example:
        >>> f = add(IDENTITY, absolute(IDENTITY))  # x + |x|
        >>> f.below, f.above, f.kind.value
        ((0.0, 0.0), (2.0, 2.0), 'switch')
    """
    if None not in (f.knee, g.knee) and f.knee != g.knee:
        return None
    return Piecewise(
        _plus(f.below, g.below),
        _plus(f.above, g.above),
        _plus(f.shift_below, g.shift_below),
        _plus(f.shift_above, g.shift_above),
        g.knee if f.knee is None else f.knee,
    )


def multiply(f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return f g, None where the product is not made of straight pieces.

    Args:
        f: a function.
        g: another; one of them must be constant on each side of the knee.

    Returns:
        Their product.

    Example:
        >>> multiply(IDENTITY, positive(IDENTITY)).kind.value  # x (x > 0)
        'switch'
    """
    if not g.is_constant:
        f, g = g, f
    if not g.is_constant or (None not in (f.knee, g.knee) and f.knee != g.knee):
        return None
    return Piecewise(
        _times(f.below, g.shift_below),
        _times(f.above, g.shift_above),
        _times(f.shift_below, g.shift_below),
        _times(f.shift_above, g.shift_above),
        g.knee if f.knee is None else f.knee,
    )


def negate(f: Piecewise) -> Piecewise:
    """Return -f."""
    found = multiply(f, constant(-1.0))
    assert found is not None  # a constant has no knee
    return found


def divide(f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return f / g, None where g is not a constant away from 0."""
    low, high = g.shift_above
    if g.knee is not None or not g.is_constant or low <= 0 <= high:
        return None
    return multiply(f, constant(1 / high, 1 / low))


def positive(f: Piecewise) -> Piecewise | None:
    """Return the step (f > 0) as 0 or 1, None where its side is not known."""
    found = _crossing(f)
    if found is None or found[1] == 0:
        return None
    knee, side = found
    low, high = (_ZERO, (1.0, 1.0)) if side > 0 else ((1.0, 1.0), _ZERO)
    return Piecewise(_ZERO, _ZERO, low, high, knee)


def absolute(f: Piecewise) -> Piecewise | None:
    """Return |f|, None where f has a knee or not exactly one zero."""
    return maximum(f, negate(f))


def sign(f: Piecewise) -> Piecewise | None:
    """Return the sign of f: -1 below its zero, 1 above; at the zero itself as below."""
    step = positive(f)
    return None if step is None else add(add(step, step) or step, constant(-1.0))


def maximum(f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return max(f, g), None where one has a knee or they do not cross at one point.

    Example:
        >>> maximum(IDENTITY, multiply(IDENTITY, constant(2.0))).above  # max(x, 2 x)
        (2.0, 2.0)
    """
    difference = add(f, negate(g))
    found = None if difference is None else _crossing(difference)
    if found is None:
        return None
    knee, side = found
    low, high = (g, f) if side > 0 else (f, g)
    if side == 0:  # one of them for some units, the other for the rest
        hull = Piecewise(_hull(f.below, g.below), _hull(f.above, g.above), knee=knee)
        return hull if knee == 0 else None
    return Piecewise(low.below, high.above, low.shift_below, high.shift_above, knee)


def minimum(f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return min(f, g), None where `maximum` gives none."""
    found = maximum(negate(f), negate(g))
    return None if found is None else negate(found)


def choose(mask: Piecewise, f: Piecewise, g: Piecewise) -> Piecewise | None:
    """Return f where the step `mask` is 1 and g where it is 0; None where knees differ."""
    if not mask.is_constant or mask.knee is None:
        return None
    if {mask.shift_below, mask.shift_above} != {_ZERO, (1.0, 1.0)}:
        return None
    if any(each.knee not in (None, mask.knee) for each in (f, g)):
        return None
    low, high = (g, f) if mask.shift_above != _ZERO else (f, g)
    return Piecewise(low.below, high.above, low.shift_below, high.shift_above, mask.knee)


def _crossing(f: Piecewise) -> tuple[float, int] | None:
    """Return the only zero of f and the side on which f is above 0: 1, -1, or 0 for unknown."""
    if f.knee is not None or f.above == _ZERO or not _is_number(f.shift_above):
        return None
    (low, high), shift = f.above, f.shift_above[0]
    side = 1 if low >= 0 else -1 if high <= 0 else 0
    if shift == 0:
        return 0.0, side
    return (-shift / low, side) if low == high else None


def _is_number(value: Range) -> bool:
    return value[0] == value[1]


def _plus(a: Range, b: Range) -> Range:
    return a[0] + b[0], a[1] + b[1]


def _times(a: Range, b: Range) -> Range:
    products = [p * q + 0.0 for p in a for q in b]  # + 0.0: no negative zero
    return min(products), max(products)


def _hull(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])
