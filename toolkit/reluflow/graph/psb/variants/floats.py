"""A converted model expressed in floating point, for comparison with the conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    ADDEND_PLACE,
    FROM_THE_RUN,
    PSB_CONV,
    PSB_MATMUL,
    PsbPlace,
)
from reluflow.graph.psb.nodes import code_of, find_psb, psb_places, refuse_chains
from reluflow.graph.psb.to_psb import PsbChanges
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of
from reluflow.psb import PsbCode, sampled_weights

_WINDOW = ("strides", "dilations", "pads", "group", "auto_pad")
_WIDEST = 16
"""Most bits of an activation."""
_AT_ONCE = 2**21
"""Weights decoded at a time: bounds memory, a few numbers of 8 bytes each. Not measured."""


def psb_in_floats(model: Model) -> Rewritten[tuple[str, ...]]:
    """Replace all PSB operators by float operators with the same weights.

    The weights are those of the default run (64 samples, nearest), activations are not rounded: the
    only remaining difference is the rounding of activations to fixed point.

    Args:
        model: of `to_psb`, not changed.

    Returns:
        The new model, and the names of the operators that were changed.

    Raises:
        ModelError: an operator passes bytes or int16 in a chain.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> psb_in_floats(to_psb(load(proto)).model).model.n_nodes
        3
    """
    refuse_chains(model, "it cannot work on floats")
    editor = Editor(model)
    places = psb_places(editor)
    names = tuple(name_of(node) for _, node in places)
    for place, node in places:
        _write_floats(place, node)
    return editor.finish(names)


def with_wide_activations(
    model: Model, *, beside_chains: bool = False
) -> Rewritten[tuple[str, ...]]:
    """Give all PSB operators activations of 16 bits whose scale each run chooses.

    Args:
        model: of `to_psb`, not changed.
        beside_chains: leave operators that pass bytes or int16 as they are, and change the others.

    Returns:
        The new model, and the names of the operators that were changed.

    Raises:
        ModelError: an operator passes bytes or int16 in a chain.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_psb, load, to_psb, with_wide_activations
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> [node.x_bits for node in find_psb(with_wide_activations(converted).model)]
        [16]
    """
    if not beside_chains:
        refuse_chains(model, "its activations cannot have 16 bits")
    editor = Editor(model)
    nodes = [node for _, node in psb_places(editor) if node.op_type in (PSB_CONV, PSB_MATMUL)]
    names = tuple(map(name_of, nodes))
    for node in nodes:
        for entry in [a for a in node.attribute if a.name in ("x_bits", "x_exponent")]:
            node.attribute.remove(entry)
        node.attribute.append(helper.make_attribute("x_bits", _WIDEST))
    return editor.finish(names)


def with_activations(
    result: Rewritten[PsbChanges], x_bits: int, x_exponents: Mapping[str, int]
) -> Rewritten[PsbChanges]:
    """Give the activations of a converted model other bits and scales; weights stay as stored.

    Args:
        result: of `to_psb`, not changed.
        x_bits: bits of a fixed-point activation, 2 to 16.
        x_exponents: tensor -> f, as `PsbOptions` takes them.

    Returns:
        What `to_psb` would have made with these options.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> result = to_psb(load("models/fashion_resnet8.onnx"))
        >>> wide = with_activations(result, 16, {"image": 14})
        >>> [(node.psb.x_bits, node.psb.x_exponent) for node in wide.done.converted[:2]]
        [(16, 14), (16, None)]

    Reference: docs/psb-ops.md, activations.
    """
    editor = Editor(result.model)
    read = {node.psb.name: node.x for node in result.done.converted}
    for _, node in psb_places(editor):
        exponent = int(x_exponents.get(read[name_of(node)], FROM_THE_RUN))
        for entry in node.attribute:
            if entry.name in ("x_bits", "x_exponent"):
                entry.i = x_bits if entry.name == "x_bits" else exponent
    model = editor.finish(()).model
    psb = {node.name: node for node in find_psb(model)}
    converted = tuple(replace(node, psb=psb[node.psb.name]) for node in result.done.converted)
    return replace(result, model=model, done=replace(result.done, converted=converted))


def _write_floats(editor: Editor, node: NodeProto) -> None:
    planes, emax, bias = (editor.constant(name) for name in node.input[PsbPlace.W : PsbPlace.B + 1])
    assert planes is not None and emax is not None and bias is not None  # checked at load
    weights = _executed(code_of(node, planes, emax))
    output = node.output[0]
    bias = np.broadcast_to(bias, emax.shape)  # a single 0 stands for zeros in all channels
    steps = [_product(editor, node, weights, bias, editor.fresh(output, "sum"))]
    place = ADDEND_PLACE[node.op_type]
    added = node.input[place] if len(node.input) > place else ""
    constant = editor.constant(added) if added else None
    if added and (constant is None or constant.size):
        summed = editor.fresh(output, "added")
        steps.append(helper.make_node("Add", [steps[-1].output[0], added], [summed]))
    steps.append(_activation(editor, node, steps[-1].output[0]))
    editor.replace(node, steps[0])
    for before, step in pairwise(steps):
        editor.insert(step, after=before)


def _executed(code: PsbCode) -> np.ndarray:
    """Return the weights of a nearest run in float32, some channels at a time."""
    weights = np.empty(code.words.shape, np.float32)
    rows = max(1, _AT_ONCE // max(1, code.words[:1].size))
    for start in range(0, len(weights), rows):
        part = slice(start, start + rows)
        some = PsbCode(code.words[part], code.emax[part], code.p_bits)
        weights[part] = sampled_weights(some, 0, "nearest")
    return weights


def _product(
    editor: Editor, node: NodeProto, weights: np.ndarray, bias: np.ndarray, output: str
) -> NodeProto:
    name = name_of(node)
    b = editor.add_initializer(name, "bias", bias.astype(np.float32))
    if node.op_type == PSB_CONV:
        w = editor.add_initializer(name, "weights", weights)
        window = {key: attribute(node, key) for key in _WINDOW}
        given: dict[str, Any] = {k: value for k, value in window.items() if value is not None}
        return helper.make_node(
            "Conv", [node.input[PsbPlace.X], w, b], [output], name=name, **given
        )
    w = editor.add_initializer(name, "weights", np.ascontiguousarray(weights.T))
    product = editor.fresh(output, "product")
    first = helper.make_node("MatMul", [node.input[PsbPlace.X], w], [product], name=name)
    editor.insert(first, after=editor.producer(node.input[PsbPlace.X]))
    return helper.make_node("Add", [product, b], [output], name=f"{name}/bias")


def _activation(editor: Editor, node: NodeProto, x: str) -> NodeProto:
    output, name = node.output[0], f"{name_of(node)}/activation"
    kind = attribute(node, "activation", "none")
    if kind == "relu":
        return helper.make_node("Relu", [x], [output], name=name)
    if kind != "clip":
        return helper.make_node("Identity", [x], [output], name=name)
    bounds = [
        editor.add_initializer(name, key, np.asarray(attribute(node, key, usual), np.float32))
        for key, usual in (("clip_min", -np.inf), ("clip_max", np.inf))
    ]
    return helper.make_node("Clip", [x, *bounds], [output], name=name)
