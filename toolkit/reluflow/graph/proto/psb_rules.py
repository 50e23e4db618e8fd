"""The attributes that the operators of our own domain accept: one table per operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import AttributeProto, NodeProto, TensorProto, helper

from reluflow.graph.proto.own_domain import FROM_THE_RUN, PATTERN_HASH, PSB_CONV, PSB_MATMUL
from reluflow.psb import MAX_EXPONENT, P_BITS, SAMPLERS, X_BITS_RANGE

LARGEST = 2**31 - 1
"""Of sizes, strides, dilations and pads, and of the number of weights."""
_SHOWN = 8
"""Numbers of a list that a sentence shows: the longest valid list has 4, a shape or pads."""
_BLOCKS = (0, 8, 16)
"""Channels in a block of ONNX Runtime's NCHWc layout: AVX2's, AVX-512's; 0: the plain layout."""
_KINDS = {
    "INT": (AttributeProto.INT, "a whole number"),
    "INTS": (AttributeProto.INTS, "whole numbers"),
    "FLOAT": (AttributeProto.FLOAT, "a number"),
    "STRING": (AttributeProto.STRING, "text"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The values that one attribute accepts.

    Attributes:
        kind: "INT", "INTS", "FLOAT" or "STRING".
        wanted: the accepted values, in words.
        accepts: tells whether a value of that kind is one of them.
        required: every node must give it.
    """

    kind: str
    wanted: str
    accepts: Callable[[Any], bool]
    required: bool = False


def one_of(*names: str) -> Rule:
    """Return the rule of a text that is one of some names."""
    return Rule("STRING", f"one of {', '.join(names)}", lambda value: value in names)


def number(low: int, high: int) -> Rule:
    """Return the rule of a whole number from `low` to `high`."""
    return Rule("INT", f"{low} to {high}", lambda value: low <= value <= high)


def sizes(values: Sequence[int], low: int = 1) -> bool:
    """Tell whether all numbers are sizes, from `low` on."""
    return all(low <= value <= LARGEST for value in values)


def shape_of(words: str, *ranks: int, holds: str = "weights") -> Rule:
    """Return the rule of a list that every node gives: a shape of one of some ranks."""
    return Rule(
        "INTS",
        f"{words} with sizes from 1 on and at most {LARGEST} {holds}",
        lambda v: len(v) in ranks and sizes(v) and math.prod(v) <= LARGEST,
        required=True,
    )


_ANY = Rule("INT", "any whole number", lambda _: True)
BOUND = Rule("FLOAT", "a number that is not NaN", lambda value: not math.isnan(value))
WEIGHTS = {
    "p_bits": Rule("INT", "1, 2, 3, 4, 6, 8 or 16", lambda v: v in P_BITS),
    "sampler": one_of(*SAMPLERS),
    "rounding": one_of("half", "carried"),
    "stream": number(0, 2**32 - 1),
}
X_BITS = number(*X_BITS_RANGE)
_BOTH = {
    **WEIGHTS,
    "draws": one_of("run", "product"),
    "x_bits": X_BITS,
    "x_exponent": Rule(
        "INT",
        f"{-MAX_EXPONENT} to {MAX_EXPONENT}, or {FROM_THE_RUN} for one from each run",
        lambda value: -MAX_EXPONENT <= value <= MAX_EXPONENT or value == FROM_THE_RUN,
    ),
    "activation": one_of("none", "relu", "clip"),
    "clip_min": BOUND,
    "clip_max": BOUND,
}
_STEPS = Rule("INTS", f"whole numbers from 1 to {LARGEST}", sizes)
WINDOWS = {
    "strides": _STEPS,
    "dilations": _STEPS,
    "pads": Rule("INTS", f"whole numbers from 0 to {LARGEST}", lambda v: sizes(v, 0)),
    "auto_pad": one_of("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
}
CONV_SHAPE = shape_of("[M, C/group, k] or [M, C/group, kH, kW]", 3, 4)
MATMUL_SHAPE = shape_of("[N, K]", 2)
GROUP = number(1, LARGEST)


@dataclass(frozen=True, slots=True)
class Ports:
    """Inputs and outputs of an operator.

    Attributes:
        inputs: name -> the element types that it accepts, in order.
        outputs: names.
        needed: inputs that a node must list.
        optional: those among all inputs that may be empty.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    needed: int
    optional: tuple[str, ...] = ()


_FLOAT, _BYTE = (TensorProto.FLOAT,), (TensorProto.UINT8,)
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {
    "W": _BYTE,
    "emax": (TensorProto.INT8,),
    "B": _FLOAT,
    "samples": (TensorProto.INT64,),
    "seed": (TensorProto.INT64,),
}
REGION = (TensorProto.BOOL, TensorProto.UINT8)
_N_NEEDED = 1 + len(WEIGHT_INPUTS)
PORTS: dict[str, Ports] = {
    PSB_CONV: Ports(
        {"X": _FLOAT, **WEIGHT_INPUTS, "region": REGION, "Z": _FLOAT, "base": _FLOAT},
        ("Y",),
        _N_NEEDED,
        ("B", "region", "Z", "base"),
    ),
    PSB_MATMUL: Ports({"A": _FLOAT, **WEIGHT_INPUTS, "Z": _FLOAT}, ("Y",), _N_NEEDED, ("B", "Z")),
    PATTERN_HASH: Ports({"X": _FLOAT}, ("keys", "active", "nonfinite"), 1),
}
RULES: dict[str, dict[str, Rule]] = {
    PSB_CONV: {
        "weight_shape": CONV_SHAPE,
        **_BOTH,
        **WINDOWS,
        "group": GROUP,
    },
    PSB_MATMUL: {"weight_shape": MATMUL_SHAPE, **_BOTH},
    PATTERN_HASH: {
        "threshold": BOUND,
        "unit_axis": _ANY,
        "seed": _ANY,
        "block": Rule("INT", "0, 8 or 16", lambda value: value in _BLOCKS),
        "units": number(1, LARGEST),
    },
}
"""Operator -> attribute -> rule; docs/psb-ops.md, "Inputs and attributes"."""


def attribute_fault(node: NodeProto, rules: Mapping[str, Rule], in_function: bool) -> str:
    """Return what is wrong with a node's attributes, a clause; "" if nothing is.

    Args:
        node: of one of our operators.
        rules: attribute -> rule, of that operator.
        in_function: an attribute may then take its value from the function's.
    """
    values: dict[str, Any] = {}
    open_names = set()
    for entry in node.attribute:
        if entry.name not in rules:
            accepted = f"{', '.join(rules)} are" if rules else "none is"
            return f"attribute {entry.name} is unknown; {accepted} accepted"
        rule = rules[entry.name]
        kind, words = _KINDS[rule.kind]
        if entry.ref_attr_name:
            if not in_function:
                return (
                    f"attribute {entry.name} refers to {entry.ref_attr_name!r}, which only the "
                    f"nodes of a function can; {rule.wanted} is accepted"
                )
            open_names.add(entry.name)
            continue
        if entry.type != kind:
            found = AttributeProto.AttributeType.Name(entry.type)
            return f"attribute {entry.name} is of type {found}; {words} ({rule.kind}) is wanted"
        value = _value(entry)
        if value is None or not rule.accepts(value):
            return f"attribute {entry.name} is {_shown(value)}; {rule.wanted} is accepted"
        values[entry.name] = value
    for name, rule in rules.items():
        if rule.required and name not in values and name not in open_names:
            return f"attribute {name} is missing; {rule.wanted} is wanted"
    return _together(values)


def _value(entry: AttributeProto) -> Any:
    """Return an attribute's value, text decoded; None where it is not UTF-8."""
    value = helper.get_attribute_value(entry)
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return None


def _shown(value: Any) -> str:
    """Return a value for a sentence, a long list shortened."""
    if value is None or isinstance(value, int | float | str):
        return "text that is not UTF-8" if value is None else repr(value)
    numbers = [str(number) for number in value[:_SHOWN]]
    return f"[{', '.join(numbers)}{', ...' if len(value) > _SHOWN else ''}]"


def _together(values: dict[str, Any]) -> str:
    """Return what is wrong with a combination of attributes that are each accepted alone."""
    shape = values.get("weight_shape")
    fault = _window_fault(values)
    if fault:
        return fault
    group = values.get("group", 1)
    if shape is not None and shape[0] % group:
        return (
            f"attribute group is {group}; a divisor of the {shape[0]} output channels "
            "of weight_shape is accepted"
        )
    low, high = values.get("clip_min", -math.inf), values.get("clip_max", math.inf)
    if not low <= high:
        return (
            f"attribute clip_min is {low}, above clip_max, {high}; clip_min <= clip_max is wanted"
        )
    if "y_min" in values and values["y_min"] > values.get("y_max", LARGEST):
        return (
            f"attribute y_min is {values['y_min']}, above y_max, {values['y_max']}; y_min <= y_max "
            "is wanted"
        )
    if values.get("block") and "units" not in values:
        return "attribute units is missing; a blocked X needs its true number of units"
    return ""


def _window_fault(values: dict[str, Any]) -> str:
    """Return which list has another length than the windows have axes."""
    for whole, behind, words in (("weight_shape", 2, "weights"), ("kernel_shape", 0, "windows")):
        if whole not in values:
            continue
        rank = len(values[whole]) - behind
        for name, each in (("strides", 1), ("dilations", 1), ("pads", 2)):
            given = values.get(name)
            if given is not None and len(given) != each * rank:
                return (
                    f"attribute {name} is {_shown(given)}; {each * rank} whole numbers are wanted "
                    f"for {words} of shape {_shown(values[whole])}"
                )
    return ""
