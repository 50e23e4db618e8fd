"""Operators that ONNX Runtime's optimiser fused, written as what they were fused from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper

from reluflow.graph.proto.external import is_float
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.psb.forms.emit import Emitter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

CONTRIB = "com.microsoft"
"""ONNX Runtime's own domain."""
FUSED = {"FusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul"}
"""Operator of com.microsoft -> the one of ONNX that multiplies in it."""
_ADDED = 3
"""Place of the tensor that FusedConv adds before its activation."""
_BATCHES = ("transBatchA", "transBatchB")
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign"), ()),
    **dict.fromkeys(("LeakyRelu", "Elu", "ThresholdedRelu"), ("alpha",)),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}
"""Activation -> its parameters, in the order of `activation_params`."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The activation inside a fused operator.

    Attributes:
        op: operator of ONNX, "": none.
        parameters: of the activation, by name.
    """

    op: str
    parameters: dict[str, float]


@dataclass(eq=False, slots=True)
class Fused:
    """An operator to write as those it was fused from.

    Attributes:
        node: of com.microsoft.
        weight: the constant factor.
        switch: its activation.
    """

    node: NodeProto
    weight: np.ndarray
    switch: Switch


def is_fused(node: NodeProto) -> bool:
    """Tell whether ONNX Runtime's optimiser made a node of several."""
    return domain_of(node.domain) == CONTRIB and node.op_type in FUSED


def read_fused(editor: Editor, node: NodeProto) -> Fused | Reason:
    """Read a fused operator, or say why it cannot be written as others."""
    weight = editor.constant(node.input[1])
    if weight is None or not is_float(weight.dtype):
        return Reason("its weights are computed or no floats")
    if node.op_type == "FusedMatMul":
        turned = [name for name in ("transA", *_BATCHES) if attribute(node, name, 0)]
        return Reason(f"it has {turned[0]}") if turned else Fused(node, weight, Switch("", {}))
    found = read_switch(node)
    return found if isinstance(found, Reason) else Fused(node, weight, found)


def read_switch(node: NodeProto) -> Switch | Reason:
    """Read the activation of a FusedConv or FusedGemm, or say why it cannot be written apart."""
    kind = str(attribute(node, "activation", ""))
    if kind and kind not in _ACTIVATIONS:
        return Reason(f"its activation {kind!r} is not known")
    parameters = _parameters(node, _ACTIVATIONS.get(kind, ()))
    if parameters is None:
        return Reason(f"its activation {kind} has no parameters")
    for entry in node.attribute:
        if entry.type == AttributeProto.INTS and not entry.ints:
            return Reason(f"its attribute {entry.name!r} is empty")
    return Switch(kind, parameters)


def _parameters(node: NodeProto, names: tuple[str, ...]) -> dict[str, float] | None:
    """Return the parameters of the activation inside a node, None where some are missing."""
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    for name, value in zip(names, given.get("activation_params", ()), strict=False):
        given[f"activation_{name}"] = value
    if any(f"activation_{name}" not in given for name in names):
        return None
    return {name: float(given[f"activation_{name}"]) for name in names}


def write_fused(
    editor: Editor, node: NodeProto, switch: Switch, weight: np.ndarray | None = None
) -> str:
    """Replace a fused operator by the product, the sum and the activation in it.

    Args:
        editor: the model.
        node: the operator.
        switch: its activation.
        weight: its constant factor; only a FusedMatMul needs it.

    Returns:
        What it became, a phrase.
    """
    emit = Emitter(editor, node)
    op, inputs = FUSED[node.op_type], list(node.input)
    given = {
        entry.name: helper.get_attribute_value(entry)
        for entry in node.attribute
        if not entry.name.startswith("activation")
    }
    into = [op]
    if op == "MatMul" and weight is not None:
        inputs[1] = emit.constant(_factor(weight, given), "factor")
        given = {}
    added = inputs.pop(_ADDED) if op == "Conv" and len(inputs) > _ADDED else ""
    made = emit.add(op, inputs, name_of(node), **given)
    if added:
        made = emit.add("Add", [made, added])
        into.append("Add")
    if switch.op == "Clip":
        dtype = _float_type(editor, node)
        bounds = [
            emit.constant(np.array(switch.parameters[name], dtype), name)
            for name in _ACTIVATIONS["Clip"]
        ]
        made = emit.add("Clip", [made, *bounds])
    elif switch.op:
        attributes: dict[str, Any] = dict(switch.parameters)
        made = emit.add(switch.op, [made], **attributes)
    into += [switch.op] if switch.op else []
    emit.finish(emit.switched(made))
    return " and ".join([", ".join(into[:-1]), into[-1]] if len(into) > 1 else into)


def _float_type(editor: Editor, node: NodeProto) -> np.dtype[Any]:
    """Return the type in which an operator computes: float32 where the graph does not say."""
    known = editor.types.get(node.input[0])
    return helper.tensor_dtype_to_np_dtype((known and known.elem_type) or TensorProto.FLOAT)


def _factor(weight: np.ndarray, given: dict[str, object]) -> np.ndarray:
    """Return the constant factor of a FusedMatMul, transposed and scaled as its attributes say."""
    turned = weight.swapaxes(-1, -2) if given.get("transB") else weight
    alpha = np.float64(str(given.get("alpha", 1.0)))
    return np.ascontiguousarray(turned * alpha).astype(weight.dtype)
