"""The operators of chains of 16 bits as model-local functions: standard operators, nearest mode.

A body gives the values that docs/psb-ops.md says, with the sampler `nearest` whatever the node asks
for. Its sums are those of bytes: inputs and weights in two parts of 8 bits each, which ConvInteger
multiplies exactly.
"""

from __future__ import annotations

import numpy as np
from onnx import FunctionProto, NodeProto, helper

from reluflow.graph.proto.own_domain import (
    FIXED_16_DEFAULTS,
    FIXED_CONV_16,
    OWN_DOMAIN,
    PSB_PARTS,
    FixedPlace,
    PsbPlace,
)
from reluflow.graph.psb.bodies import leave_out, read_body, shorten
from reluflow.graph.psb.function import MIN_IR
from reluflow.graph.rewrite.conv_attributes import explicit_window
from reluflow.graph.rewrite.draft import retain
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute

_ADDING_NOTHING = {"summed": "biased", "to_most": "to_y", "to_least": "to_y"}
_UNCARRIED = {"drawn": "signed"}
"""As in psb_functions: rounding "half"."""


def add_chain16_functions(editor: Editor) -> None:
    """Give every operator of chains of 16 bits its function; the calls pass all that bodies read.

    Attributes that a node leaves out get their default values, `auto_pad` becomes `pads` where they
    do not depend on the input's size. The function that decodes weights is shared with PsbConv.

    Args:
        editor: a model whose operators are written, at opset 13 or newer.

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    calls = [node for node in editor.nodes if _is_fixed16(node)]
    convs = [node for node in calls if node.op_type == FIXED_CONV_16]
    adds = any(_has(node, FixedPlace.Z) for node in convs)
    for node in calls:
        _complete(node)
    for node in convs:
        _fill(editor, node, adds)
    functions = editor.proto.functions
    kept = [f for f in functions if f.domain != OWN_DOMAIN or f.name not in FIXED_16_DEFAULTS]
    shared = []
    if convs and not any(f.domain == OWN_DOMAIN and f.name == PSB_PARTS for f in kept):
        shared = [_parts(editor.opset, str(attribute(convs[0], "rounding", "half")))]
    own = [_body(op, editor.opset, adds) for op in sorted({node.op_type for node in calls})]
    del functions[:]
    functions.extend([*shared, *kept, *own])
    editor.raise_ir(MIN_IR)
    if not any(entry.domain == OWN_DOMAIN for entry in editor.proto.opset_import):
        editor.proto.opset_import.append(helper.make_opsetid(OWN_DOMAIN, 1))


def _is_fixed16(node: NodeProto) -> bool:
    return node.domain == OWN_DOMAIN and node.op_type in FIXED_16_DEFAULTS


def _has(node: NodeProto, place: int) -> bool:
    return len(node.input) > place and bool(node.input[place])


def _parts(opset: int, rounding: str) -> FunctionProto:
    function = read_body(PSB_PARTS, opset)
    if rounding == "half":
        leave_out(function, _UNCARRIED)
    shorten(function)
    return function


def _body(op: str, opset: int, adds: bool) -> FunctionProto:
    function = read_body(op, opset)
    if op == FIXED_CONV_16 and not adds:
        leave_out(function, _ADDING_NOTHING)
        del function.input[FixedPlace.Z :]
    shorten(function)
    return function


def _complete(node: NodeProto) -> None:
    """Write out every attribute that the body reads."""
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    wanted: dict[str, object] = dict(FIXED_16_DEFAULTS[node.op_type])
    window: dict[str, object] = {}
    if node.op_type == FIXED_CONV_16:
        wanted["z_exponent"] = given.get("y_exponent", wanted["y_exponent"])
        window = explicit_window(node, tuple(given["weight_shape"]))
    elif "kernel_shape" in given:
        window = explicit_window(node, (1, 1, *given["kernel_shape"]))
        del window["group"]
    retain(node.attribute, lambda entry: entry.name not in window and entry.name != "pads")
    for name, value in {**wanted, **window}.items():
        if name not in given or name in window:
            node.attribute.append(helper.make_attribute(name, value))


def _fill(editor: Editor, node: NodeProto, adds: bool) -> None:
    """Pass a tensor for every input that the body has: a bias of zero, an empty Z."""
    if not _has(node, PsbPlace.B):
        zero = np.zeros(1, np.float32)
        editor.set_input(node, PsbPlace.B, editor.add_initializer("chain", "zero", zero))
    if adds and not _has(node, FixedPlace.Z):
        nothing = np.zeros(0, np.int16)
        editor.set_input(node, FixedPlace.Z, editor.add_initializer("chain", "nothing", nothing))
