"""Switches that a model writes out of arithmetic, followed from call to call.

What counts as a switch is defined once, for files and for torch, by
`reluflow.graph.sites.forms.piecewise`; this file only maps the operators of torch to functions.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reluflow.graph.sites.forms import piecewise
from reluflow.graph.sites.forms.piecewise import Kind, Piecewise

_aten = torch.ops.aten
_HELD = 12
"""Results that are remembered: a form takes only a few calls, and each keeps a tensor alive."""
_LOOKED_AT = 4096

Operands = tuple[Any, ...]
_Apply = Callable[..., "Piecewise | None"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How to read one operator.

    Attributes:
        apply: maps the functions of its operands to that of its result.
        starts: it may begin a form; others can only continue one.
        pick: selects its operands from the arguments; None: the positional ones.
        only_at_zero: it is a switch only where the pieces meet at 0.
        is_sign: its step at 0 is a fold; steps of other operators are parts of forms.
    """

    apply: _Apply
    starts: bool = True
    pick: Callable[[tuple[Any, ...], dict[str, Any]], Operands | None] | None = None
    only_at_zero: bool = False
    is_sign: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A tensor that is a function of others, or a known number, with the folds that it contains."""

    tensor: Tensor
    version: int
    forms: tuple[tuple[Tensor, int, Piecewise], ...] = ()
    value: Piecewise | None = None
    parts: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one call does.

    Attributes:
        switch: the tensor and the threshold that it compares, None where it is not a switch.
        known: whether the call was understood as a function of one tensor.
        forms: the functions that its result may be, to be remembered.
        value: the number that all of its result equals, if there is one.
        fold: the tensor that it folds at 0 without being a switch, None where there is none.
        number: of that fold.
        parts: numbers of the folds that it contains, its own included.
    """

    switch: tuple[Tensor, float] | None = None
    known: bool = False
    forms: tuple[tuple[Tensor, Piecewise], ...] = ()
    value: Piecewise | None = None
    fold: Tensor | None = None
    number: int = -1
    parts: frozenset[int] = frozenset()


class Forms:
    """Follows the functions that calls compute; only the latest few are remembered.

    A result that is overwritten or written in place is not followed.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._numbers = itertools.count()

    def clear(self) -> None:
        """Forget all tensors."""
        self._held.clear()

    def read(self, key: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reading | None:
        """Read a call before it runs.

        Args:
            key: identity of the operator.
            args: its positional arguments.
            kwargs: the others.

        Returns:
            What it does; None where there is nothing to remember.
        """
        rule = _RULES.get(key)
        if rule is None:
            fill = _FILLS.get(key)
            return None if fill is None else _filled(fill(args, kwargs))
        if not (rule.starts or self._held) and isinstance(args[-1], Tensor):
            return None  # such as the sum of a residual connection
        first = args[0]
        if not rule.starts and isinstance(first, Tensor) and first.dtype is torch.int64:
            return None  # such as the counter of a batch normalisation
        operands = args if rule.pick is None else rule.pick(args, kwargs)
        if operands is None:
            return None
        if rule.pick is None and kwargs.get("alpha", 1) != 1:
            operands = (*operands, kwargs["alpha"])
        followed = [self._find(o) for o in operands]
        if not rule.starts and not any(h is not None and h.forms for h in followed):
            if all(isinstance(o, Tensor) for o in operands):
                return None
        return self._applied(rule, operands, followed)

    def keep(self, result: Any, reading: Reading) -> None:
        """Remember the function of a result, after the call."""
        if not isinstance(result, Tensor) or not (reading.forms or reading.value):
            return
        forms = tuple((x, _version(x), f) for x, f in reading.forms if x is not result)
        if forms or reading.value:
            self._held[id(result)] = _Held(
                result, _version(result), forms, reading.value, reading.parts
            )
            if len(self._held) > _HELD:
                self._held.popitem(last=False)

    def _find(self, operand: Any) -> _Held | None:
        found = self._held.get(id(operand)) if isinstance(operand, Tensor) else None
        if found is None or found.tensor is not operand or found.version != _version(operand):
            return None
        return found

    def _applied(self, rule: _Rule, operands: Operands, followed: list[_Held | None]) -> Reading:
        """Try every tensor that the result may be a function of, the nearest first."""
        bases = [o for o in operands if isinstance(o, Tensor) and o.is_floating_point() and o.dim()]
        for held in followed:
            if held is not None:
                bases += [x for x, version, _ in held.forms if version == _version(x)]
        forms: list[tuple[Tensor, Piecewise]] = []
        values: dict[int, Piecewise | None] = {}
        fold, parts = None, frozenset[int]()
        for x in {id(base): base for base in bases}.values():
            given = [
                _function(o, held, x, values) for o, held in zip(operands, followed, strict=True)
            ]
            known = [f for f in given if f is not None]
            if len(known) < len(given) or any(f.kind is Kind.SWITCH for f in known):
                continue
            found = rule.apply(*known)
            if found is None:
                continue
            through = _parts(operands, followed, x)
            if found.kind is Kind.SWITCH:
                if rule.only_at_zero and found.knee != 0:
                    continue
                assert found.knee is not None
                return Reading((x, found.knee), known=True, parts=through)
            forms.append((x, found))
            parts |= through
            is_fold = found.kind is Kind.FOLD or (rule.is_sign and found.kind is Kind.STEP)
            is_new = not through and all(f.kind is not Kind.FOLD for f in known)
            if fold is None and found.knee == 0 and is_fold and is_new:
                fold = x
        number = -1 if fold is None else next(self._numbers)
        if fold is not None:
            parts |= {number}
        return Reading(known=bool(forms), forms=tuple(forms), fold=fold, number=number, parts=parts)


def _parts(operands: Operands, followed: list[_Held | None], x: Tensor) -> frozenset[int]:
    """Return the folds that operands contain, where they are read as functions of x."""
    found = frozenset[int]()
    for operand, held in zip(operands, followed, strict=True):
        if operand is not x and held is not None and any(base is x for base, _, _ in held.forms):
            found |= held.parts
    return found


def _function(
    operand: Any, held: _Held | None, x: Tensor, values: dict[int, Piecewise | None]
) -> Piecewise | None:
    """Return an operand as a function of x, None where it is not one."""
    if operand is x:
        return piecewise.IDENTITY
    if held is not None:
        for base, version, form in held.forms:
            if base is x and version == _version(x):
                return form
        if held.value is not None:
            return held.value
    if id(operand) not in values:
        values[id(operand)] = _value(operand)
    return values[id(operand)]


def _value(operand: Any) -> Piecewise | None:
    """Return a number, a tensor of one number or zeros as a constant; reads only on the CPU."""
    if isinstance(operand, int | float):
        return piecewise.constant(float(operand))
    if not isinstance(operand, Tensor) or operand.device.type != "cpu":
        return None
    if operand.numel() == 1 and operand.dim() == 0:
        return piecewise.constant(float(operand))
    is_small = operand.is_floating_point() and operand.numel() <= _LOOKED_AT
    return piecewise.constant(0.0) if is_small and not operand.any() else None


def _version(x: Tensor) -> int:
    return -1 if x.is_inference() else x._version


def _filled(value: Any) -> Reading | None:
    is_number = isinstance(value, int | float)
    return Reading(value=piecewise.constant(float(value))) if is_number else None


def _scaled(f: Piecewise, alpha: Piecewise | None) -> Piecewise | None:
    return f if alpha is None else piecewise.multiply(f, alpha)


def _add(f: Piecewise, g: Piecewise, alpha: Piecewise | None = None) -> Piecewise | None:
    scaled = _scaled(g, alpha)
    return None if scaled is None else piecewise.add(f, scaled)


def _sub(f: Piecewise, g: Piecewise, alpha: Piecewise | None = None) -> Piecewise | None:
    return _add(f, piecewise.negate(g), alpha)


def _rsub(f: Piecewise, g: Piecewise, alpha: Piecewise | None = None) -> Piecewise | None:
    scaled = _scaled(f, alpha)
    return None if scaled is None else _sub(g, scaled)


def _above(f: Piecewise, g: Piecewise) -> Piecewise | None:
    difference = piecewise.add(f, piecewise.negate(g))
    return None if difference is None else piecewise.positive(difference)


def _below(f: Piecewise, g: Piecewise) -> Piecewise | None:
    return _above(g, f)


def _not(f: Piecewise) -> Piecewise | None:
    return piecewise.add(piecewise.constant(1.0), piecewise.negate(f))


def _same(f: Piecewise) -> Piecewise:
    return f


def _fill(f: Piecewise, mask: Piecewise, value: Piecewise) -> Piecewise | None:
    return piecewise.choose(mask, value, f)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operands:
    return args[:1]


def _upper(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operands | None:
    """Return x and the upper bound of a clamp that has no lower one."""
    low = args[1] if len(args) > 1 else kwargs.get("min")
    high = args[2] if len(args) > 2 else kwargs.get("max")
    return None if low is not None or high is None else (args[0], high)


def _table(rules: dict[str, _Rule]) -> dict[int, _Rule]:
    """Return the rules by identity of each overload, including in-place ones."""
    found: dict[int, _Rule] = {}
    for names, rule in rules.items():
        for name in names.split():
            packet, _, overload = name.partition(".")
            for spelling in (packet, packet + "_"):
                operator = getattr(getattr(_aten, spelling, None), overload or "default", None)
                if operator is not None:
                    found[id(operator)] = rule
    return found


_SUMS = {
    "add.Tensor add.Scalar": _Rule(_add, starts=False),
    "sub.Tensor sub.Scalar": _Rule(_sub, starts=False),
    "rsub.Tensor rsub.Scalar": _Rule(_rsub, starts=False),
    "mul.Tensor mul.Scalar": _Rule(piecewise.multiply, starts=False),
    "div.Tensor div.Scalar": _Rule(piecewise.divide, starts=False),
}
_BENDS = {
    "neg": _Rule(piecewise.negate),
    "abs": _Rule(piecewise.absolute),
    "sign sgn": _Rule(piecewise.sign, is_sign=True),
    "minimum min.other fmin": _Rule(piecewise.minimum, only_at_zero=True),
    "maximum max.other fmax": _Rule(piecewise.maximum, only_at_zero=True),
    "clamp clamp.Tensor": _Rule(piecewise.minimum, pick=_upper, only_at_zero=True),
    "clamp_max clamp_max.Tensor": _Rule(piecewise.minimum, only_at_zero=True),
}
_CHOICES = {
    "gt.Scalar ge.Scalar gt.Tensor ge.Tensor": _Rule(_above),
    "lt.Scalar le.Scalar lt.Tensor le.Tensor": _Rule(_below),
    "logical_not bitwise_not": _Rule(_not, starts=False),
    "where.self": _Rule(piecewise.choose),
    "masked_fill.Scalar masked_fill.Tensor": _Rule(_fill),
    "_to_copy clone alias detach": _Rule(_same, starts=False, pick=_first),
}
_RULES = _table({**_SUMS, **_BENDS, **_CHOICES})
_FILLS: dict[int, Callable[[tuple[Any, ...], dict[str, Any]], Any]] = {
    id(operator): fill
    for names, fill in (
        ("zeros zeros_like new_zeros", lambda args, kwargs: 0.0),
        ("ones ones_like new_ones", lambda args, kwargs: 1.0),
        ("scalar_tensor", lambda args, kwargs: args[0]),
        ("full full_like", lambda args, kwargs: args[1]),
        ("new_full", lambda args, kwargs: args[2]),
    )
    for name in names.split()
    for operator in [getattr(getattr(_aten, name, None), "default", None)]
    if operator is not None
}
READABLE = frozenset(_RULES) | frozenset(_FILLS)
"""Identities of the operators that `Forms.read` may know."""
