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
import string
from collections.abc import Collection
from itertools import product
from pathlib import Path

from onnx import FunctionProto, helper, parser

from reluflow.graph.proto.own_domain import PSB_PARTS, PsbPlace

MIN_OPSET = 13
"""The files are written for this version; nothing in them changes its meaning in later ones."""
MIN_IR = 8
"""The first version of the file format that has model-local functions."""
_FOLDER = Path(__file__).with_name("functions")
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
    shared = _read(PSB_PARTS, opset)
    if rounding == "half":
        _leave_out(shared, _UNCARRIED)
    own = [_read(op, opset) for op in sorted(ops)]
    for function in own:
        if function.name not in adding:
            _leave_out(function, _ADDING_NOTHING)
            del function.input[PsbPlace.SEED + 1 :]
        for name, value in (("clip_min", -math.inf), ("clip_max", math.inf)):
            # the text form has no infinities
            function.attribute_proto.append(helper.make_attribute(name, value))
    for function in (shared, *own):
        _shorten(function)
    return [shared, *own]


def _read(name: str, opset: int) -> FunctionProto:
    """Parse the file of a function and set its version of ONNX's own operators."""
    text = (_FOLDER / f"{name}.onnxtxt").read_text(encoding="utf-8")
    function: FunctionProto = parser.parse_function(text)
    for entry in function.opset_import:
        if not entry.domain:
            entry.version = opset
    return function


def _leave_out(function: FunctionProto, instead: dict[str, str]) -> None:
    """Redirect readers of some tensors to others, then drop the nodes that are no longer read."""
    for node in function.node:
        for position, name in enumerate(node.input):
            node.input[position] = instead.get(name, name)
    needed = set(function.output)
    kept = []
    for node in reversed(function.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    del function.node[:]
    function.node.extend(reversed(kept))


def _shorten(function: FunctionProto) -> None:
    """Give inner tensors names of one or two letters: the body is part of every file."""
    outer = {*function.input, *function.output}
    letters = string.ascii_letters
    free = (name for name in [*letters, *map("".join, product(letters, letters))])
    fresh = (name for name in free if name not in outer)
    short: dict[str, str] = {}
    for node in function.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name and name not in outer:
                    if name not in short:
                        short[name] = next(fresh)
                    names[position] = short[name]
