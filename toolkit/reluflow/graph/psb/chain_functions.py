"""The operators of chains as model-local functions: standard operators only, nearest mode.

A body gives the bytes that docs/psb-ops.md says, with the sampler `nearest` whatever the node asks
for: integer sums are exact in any order, so that no runtime differs from another. Only the floats
at the ends of a chain are rounded, as the contract says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto, helper

from reluflow.graph.proto.own_domain import (
    ADD_TABLE_PLACE,
    FIXED_ADD,
    FIXED_CONV,
    FIXED_DEFAULTS,
    FIXED_WEIGHTS,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    OWN_DOMAIN,
    FixedPlace,
    PsbPlace,
)
from reluflow.graph.psb.bodies import leave_out, read_body, shorten
from reluflow.graph.psb.function import MIN_IR
from reluflow.graph.rewrite.conv_attributes import explicit_window
from reluflow.graph.rewrite.draft import retain
from reluflow.graph.rewrite.edit import Editor

_OPTIONAL: dict[str, dict[int, dict[str, str]]] = {
    FIXED_CONV: {
        FixedPlace.TABLE: {"looked": "plain"},
        FixedPlace.Z: {"summed": "biased", "e_low": "e_raised", "e_top": "y_top"},
    },
    FIXED_ADD: {ADD_TABLE_PLACE: {"looked": "plain"}},
}
"""Operator -> place of an input -> what the body takes instead where no call has that input."""
_PRODUCTS = (FIXED_CONV, FROM_FIXED_CONV, FROM_FIXED_MATMUL)
"""Operators whose bodies call the function that decodes weights."""


def chain_functions(
    ops: Collection[str], opset: int, places: Mapping[str, Collection[int]] | None = None
) -> list[FunctionProto]:
    """Return the functions of some operators of chains, after the one that products call.

    ONNX's own inliner loses the defaults of functions: every call must give all attributes that a
    body reads, as `add_chain_functions` sees to.

    Args:
        ops: names of operators, such as "FixedConv".
        opset: the model's version of ONNX's own operators, from 13 on.
        places: of each operator those of Z and table that some call has; every call must then
            pass them, an empty one where there is nothing to add or to look up. None: of none.

    Example:
        >>> weights, conv = chain_functions(["FixedConv"], opset=17, places={"FixedConv": [6]})
        >>> weights.name, conv.name, list(conv.input)[4:]
        ('FixedWeights', 'FixedConv', ['samples', 'seed', 'Z'])

    Reference: docs/psb-ops.md, chains.
    """
    functions = [read_body(op, opset) for op in sorted(ops)]
    if any(op in ops for op in _PRODUCTS):
        functions.insert(0, read_body(FIXED_WEIGHTS, opset))
    for function in functions:
        optional, given = _OPTIONAL.get(function.name, {}), (places or {}).get(function.name, ())
        for place, instead in optional.items():
            if place not in given:
                leave_out(function, instead)
        if optional:
            del function.input[max(given, default=min(optional) - 1) + 1 :]
        shorten(function)
    return functions


def add_chain_functions(editor: Editor) -> None:
    """Give every operator of chains in a model its function; the calls pass all that bodies read.

    Attributes that a node leaves out get their default values, `auto_pad` becomes `pads` where
    they do not depend on the input's size, and inputs that only other nodes have become empty
    tensors. Functions of these operators that the model has are replaced.

    Args:
        editor: a model whose operators of chains are written, at opset 13 or newer.

    Reference: docs/psb-ops.md, chains.
    """
    calls = [node for node in editor.nodes if _is_fixed(node)]
    ops = {node.op_type for node in calls}
    places = {op: _used_places(calls, op) for op in _OPTIONAL}
    for node in calls:
        _complete(node)
        _fill(editor, node, places.get(node.op_type, ()))
    functions = editor.proto.functions
    kept = [function for function in functions if not _is_ours(function)]
    del functions[:]
    functions.extend([*kept, *chain_functions(ops, editor.opset, places)])
    editor.raise_ir(MIN_IR)
    if not any(entry.domain == OWN_DOMAIN for entry in editor.proto.opset_import):
        editor.proto.opset_import.append(helper.make_opsetid(OWN_DOMAIN, 1))


def _is_fixed(node: NodeProto) -> bool:
    return node.domain == OWN_DOMAIN and node.op_type in FIXED_DEFAULTS


def _is_ours(function: FunctionProto) -> bool:
    return function.domain == OWN_DOMAIN and function.name in (*FIXED_DEFAULTS, FIXED_WEIGHTS)


def _used_places(calls: Iterable[NodeProto], op: str) -> list[int]:
    """Return the places of the optional inputs that some call of an operator has."""
    same = [node for node in calls if node.op_type == op]
    return [place for place in _OPTIONAL[op] if any(_has(node, place) for node in same)]


def _has(node: NodeProto, place: int) -> bool:
    return len(node.input) > place and bool(node.input[place])


def _complete(node: NodeProto) -> None:
    """Write out every attribute that the body reads."""
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    window: dict[str, Any] = {}
    if "weight_shape" in given and node.op_type != FROM_FIXED_MATMUL:
        window = explicit_window(node, tuple(given["weight_shape"]))
    elif "kernel_shape" in given:
        window = explicit_window(node, (1, 1, *given["kernel_shape"]))
        del window["group"]
    retain(node.attribute, lambda entry: entry.name not in window and entry.name != "pads")
    for name, value in {**FIXED_DEFAULTS[node.op_type], **window}.items():
        if name not in given or name in window:
            node.attribute.append(helper.make_attribute(name, value))


def _fill(editor: Editor, node: NodeProto, places: Collection[int]) -> None:
    """Pass a tensor for every input that the body has: a bias of zero, empty Z and table."""
    if node.op_type in _PRODUCTS and not _has(node, PsbPlace.B):
        zero = np.zeros(1, np.float32)
        editor.set_input(node, PsbPlace.B, editor.add_initializer("chain", "zero", zero))
    first = min(_OPTIONAL.get(node.op_type, ()), default=0)
    for place in range(first, max(places, default=first - 1) + 1):
        if not _has(node, place):
            nothing = editor.add_initializer("chain", "nothing", np.zeros(0, np.uint8))
            editor.set_input(node, place, nothing)
