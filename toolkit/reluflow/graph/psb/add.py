"""Additions after PSB operators: the last step of the operator adds the other tensor itself."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import ADDEND_PLACE
from reluflow.graph.psb.nodes import is_psb, psb_places
from reluflow.graph.psb.read import read_activation
from reluflow.graph.psb.write import activation_attributes
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

_ADD_FROM_OPSET = 7
"""Before, Add broadcast by attributes."""


_Fused = dict[str, tuple[str, tuple[str, ...]]]


def fuse_additions(editor: Editor) -> tuple[_Fused, ...]:
    """Fuse every Add that is the only reader of a PSB operator, and its activation, into it.

    As far as the graph tells, the other tensor must have the same shape, so that nothing is
    broadcast. Where one Add joins two operators, the later one takes it over. As only the Add reads
    the operator's result, the other tensor cannot depend on it: the operator moves to the place of
    the last node that it takes over, and the order stays valid.

    Args:
        editor: a model whose PSB operators are written.

    Returns:
        For each graph of the model: old output of an operator -> its new output, and the names of
        the nodes taken over.
    """
    fused = tuple(map(_fuse, editor.everywhere()))
    _fill_absent(editor)
    return fused


def _fuse(editor: Editor) -> _Fused:
    """Fuse the additions of one graph."""
    fused = {}
    # From the end: where an Add joins two operators, the later one has its other input ready.
    for node in reversed(editor.nodes.copy()):
        add = _addition(editor, node) if is_psb(node) else None
        if add is not None:
            merged = _take_over(editor, node, add)
            fused[node.output[0]] = (merged[-1].output[0], tuple(map(name_of, merged)))
    return fused


def _addition(editor: Editor, node: NodeProto) -> NodeProto | None:
    """Return the Add that an operator can take over."""
    output = node.output[0]
    add = editor.sole_reader(output)
    if attribute(node, "activation", "none") != "none" or add is None or domain_of(add.domain):
        return None
    old = editor.opset < _ADD_FROM_OPSET
    if add.op_type not in ("Add", "Sum") or len(add.input) != 2 or old:
        return None
    return add if _same_shape(editor, output, _other(add, output)) else None


def _other(add: NodeProto, tensor: str) -> str:
    found: str = add.input[1] if add.input[0] == tensor else add.input[0]
    return found


def _same_shape(editor: Editor, left: str, right: str) -> bool:
    known = [editor.types.get(tensor) for tensor in (left, right)]
    shapes = [None if found is None else found.shape for found in known]
    return shapes[0] is not None and shapes[0] == shapes[1] and None not in shapes[0]


def _take_over(editor: Editor, node: NodeProto, add: NodeProto) -> list[NodeProto]:
    """Write the operator again in the place of the last node that it takes over."""
    merged = [add]
    attributes = {}
    found = read_activation(editor, add.output[0])
    if found is not None:
        merged.append(found.node)
        attributes = activation_attributes(found.name, found.bounds)
    fused = NodeProto()
    fused.CopyFrom(node)
    _put_addend(fused, _other(add, node.output[0]))
    fused.output[0] = output = merged[-1].output[0]
    for entry in [entry for entry in fused.attribute if entry.name in attributes]:
        fused.attribute.remove(entry)
    fused.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
    # The place of the last node, not of the operator: the addend may be made between the two.
    editor.replace(merged[-1], fused)
    for gone in [*reversed(merged[:-1]), node]:
        editor.remove(gone)
    typed = editor.types.get(output)
    if typed is not None and typed.shape is not None:
        editor.describe(output, TensorProto.FLOAT, typed.shape)
    return merged


def _put_addend(node: NodeProto, tensor: str) -> None:
    missing = ADDEND_PLACE[node.op_type] - len(node.input)
    node.input.extend([*[""] * missing, tensor])


def _fill_absent(editor: Editor) -> None:
    """Give the operators that add nothing an empty tensor to add, if others add something.

    One function describes all operators of a kind, and standard operators cannot skip an input that
    the caller of the function left out.
    """
    places = psb_places(editor)
    adding = {node.op_type for _, node in places if _adds(node)}
    for place, node in places:
        if node.op_type in adding and not _adds(node):
            empty = place.add_initializer("psb", "nothing", np.zeros(0, np.float32))
            place.set_input(node, ADDEND_PLACE[node.op_type], empty)


def _adds(node: NodeProto) -> bool:
    return len(node.input) > ADDEND_PLACE[node.op_type]
