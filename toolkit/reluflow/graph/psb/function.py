"""The PSB operators as model-local functions: standard operators only, nearest mode.

The bodies are in the folder functions, in ONNX's textual syntax, with the input Z and rounding
"carried"; parts that a model does not need are removed here. A body does what docs/psb-ops.md says,
except for the sum: a float32 Conv or MatMul of the same integers, rounded in the order in which the
runtime adds. The |error| of one output is at most gamma = (k + 4) 2^-24 / (1 - (k + 4) 2^-24) times
sum |x_int w'| in units of the last scale, k products in the sum; bias, Z and activation follow as
in the contract.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from onnx import FunctionProto, helper

from reluflow.graph.proto.own_domain import PSB_PARTS, PSB_WEIGHTS, PsbPlace
from reluflow.graph.psb.bodies import leave_out, read_body, shorten

MIN_OPSET = 13
"""The files are written for this version; nothing in them changes its meaning in later ones."""
MIN_IR = 8
"""The first version of the file format that has model-local functions."""
_UNCARRIED = {"drawn": "signed"}
"""Rounding "half": the weights before the remainders of earlier ones are carried to them."""
_ADDING_NOTHING = {"summed": "biased"}
"""Without the input Z: the result before Z is added."""


def psb_functions(
    ops: Collection[str], opset: int, adding: Collection[str] = (), rounding: str = "carried"
) -> list[FunctionProto]:
    """Return the functions of some operators, after the one that they share and call.

    The writer gives every call all attributes that a body reads, since ONNX's own inliner loses the
    defaults of functions.

    Args:
        ops: "PsbConv", "PsbMatMul" or both.
        opset: the model's version of ONNX's own operators, from 13 on.
        adding: those of them that have the input Z; every call must then pass it, an empty one
            where there is nothing to add.
        rounding: of bits that are shifted out, "carried" or "half".

    Example:
        >>> parts, conv = psb_functions(["PsbConv"], opset=17)
        >>> parts.name, conv.name, conv.opset_import[0].version
        ('PsbParts', 'PsbConv', 17)
        >>> list(conv.input)
        ['X', 'W', 'emax', 'B', 'samples', 'seed']
    """
    shared = read_body(PSB_PARTS, opset)
    if rounding == "half":
        leave_out(shared, _UNCARRIED)
    own = [read_body(op, opset) for op in sorted(ops)]
    for function in own:
        if function.name not in adding:
            leave_out(function, _ADDING_NOTHING)
            del function.input[PsbPlace.SEED + 1 :]
        for name, value in (("clip_min", -math.inf), ("clip_max", math.inf)):
            # the text form has no infinities
            function.attribute_proto.append(helper.make_attribute(name, value))
    for function in (shared, *own):
        shorten(function)
    return [shared, *own]


def weights_function(opset: int) -> FunctionProto:
    """Return the function that decodes stored weights.

    Args:
        opset: the model's version of ONNX's own operators, from 13 on.
    """
    function = read_body(PSB_WEIGHTS, opset)
    shorten(function)
    return function
