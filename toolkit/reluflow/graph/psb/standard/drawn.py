"""Functions that decode weights with their random draws, in standard operators.

The functions that converted files carry round to nearest. Those made here differ in what is rounded
away: it comes from the seed, by the arithmetic of the native library.
"""

from __future__ import annotations

from pathlib import Path

from onnx import AttributeProto, FunctionProto, NodeProto, helper

from reluflow.graph.proto.own_domain import FIXED_WEIGHTS, OWN_DOMAIN, PSB_PARTS
from reluflow.graph.psb.bodies import leave_out, read_body

_FOLDER = Path(__file__).with_name("functions")
_PIECES = ("PsbXor", "PsbTimes", "PsbMix", "PsbRandom", "PsbDraw", "FixedDraw")
"""In this order: each calls those before it."""
_UNCARRIED = {"drawn": "signed"}
"""As in psb_functions: rounding "half"."""
_DRAWN = {PSB_PARTS: "PsbPartsDrawn", FIXED_WEIGHTS: "FixedWeightsDrawn"}
"""A function that decodes weights, and its name where it draws."""
_HALF = "Half"
_CALLED_WITH = {PSB_PARTS: 4, FIXED_WEIGHTS: 2}
"""Inputs of the decoding functions; a seed follows."""


def decoding_functions(opset: int) -> list[FunctionProto]:
    """Return the functions that decode weights with draws, after those that they call.

    Args:
        opset: the model's version of ONNX's own operators, from 13 on.

    Reference: docs/psb-ops.md, sampled weight and the 8-bit grid.
    """
    pieces = [read_body(name, opset, _FOLDER) for name in _PIECES]
    return [*pieces, _parts(opset, ""), _parts(opset, _HALF), _grid(opset)]


def drawing(function: FunctionProto, rounding: str) -> FunctionProto | None:
    """Return the function of an operator with draws; None: it decodes weights in another way.

    Args:
        function: of an operator, as a file carries it.
        rounding: of the operator, "carried" or "half".
    """
    made = FunctionProto()
    made.CopyFrom(function)
    made.name = drawing_name(function.name, rounding)
    calls = [node for node in made.node if node.op_type in _DRAWN]
    if "seed" not in made.input or len(calls) != 1:
        return None
    call = calls[0]
    if len(call.input) != _CALLED_WITH[call.op_type]:
        return None
    half = _HALF if rounding == "half" and call.op_type == PSB_PARTS else ""
    call.op_type = _DRAWN[call.op_type] + half
    call.input.append("seed")
    call.attribute.append(_passed("stream"))
    made.attribute.append("stream")
    return made


def drawing_name(op: str, rounding: str) -> str:
    """Return the name of an operator's function with draws.

    Args:
        op: name of the operator.
        rounding: of the operator.
    """
    return f"{op}Drawn{_HALF if rounding == 'half' else ''}"


def _parts(opset: int, half: str) -> FunctionProto:
    """Return PsbParts with draws: both places that add one half add what the seed says instead."""
    function = read_body(PSB_PARTS, opset)
    given = ["p16", "nibble", "negative", "emax", "n_int", "samples", "seed"]
    draw = _call("PsbDraw", given, ["offset", "small_offset"], ["stream"])
    _insert(function, draw, before="p_up")
    _maker(function, "p_up").input[1] = "offset"
    _maker(function, "before_half").input[1] = "small_offset"
    leave_out(function, _UNCARRIED if half else {})  # and the halves that nothing reads any longer
    return _named(function, _DRAWN[PSB_PARTS] + half)


def _grid(opset: int) -> FunctionProto:
    """Return FixedWeights with draws, which choose between two magnitudes."""
    function = read_body(FIXED_WEIGHTS, opset)
    given = ["x", "q", "magnitude", "negative", "samples", "seed"]
    draw = _call("FixedDraw", given, ["chosen"], ["weight_shape", "stream"])
    draw.attribute[0].type = AttributeProto.INTS
    _insert(function, draw, before="signed")
    _maker(function, "signed").input[0] = "chosen"
    return _named(function, _DRAWN[FIXED_WEIGHTS])


def _named(function: FunctionProto, name: str) -> FunctionProto:
    function.name = name
    function.input.append("seed")
    function.attribute.append("stream")
    if all(entry.domain != OWN_DOMAIN for entry in function.opset_import):
        function.opset_import.append(helper.make_opsetid(OWN_DOMAIN, 1))
    return function


def _call(op: str, inputs: list[str], outputs: list[str], passed: list[str]) -> NodeProto:
    node = helper.make_node(op, inputs, outputs, domain=OWN_DOMAIN)
    node.attribute.extend(map(_passed, passed))
    return node


def _passed(name: str) -> AttributeProto:
    """Return an attribute that has the value of the function's own."""
    return AttributeProto(name=name, ref_attr_name=name, type=AttributeProto.INT)


def _maker(function: FunctionProto, tensor: str) -> NodeProto:
    node: NodeProto = next(node for node in function.node if tensor in node.output)
    return node


def _insert(function: FunctionProto, node: NodeProto, before: str) -> None:
    """Put a node in front of the one that makes a tensor."""
    place = next(i for i, each in enumerate(function.node) if before in each.output)
    function.node.insert(place, node)
