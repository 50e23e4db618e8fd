"""The activations of a model: tensors that bytes could stand for, and which are never negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.nodes import is_psb
from reluflow.graph.rewrite.reader import Reader, attribute, read_graph

_NEVER = {
    *("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Exp", "Sqrt", "ReduceL1"),
    *("ReduceL2", "ReduceSumSquare", "ThresholdedRelu"),
}
"""Operators without negative results; ThresholdedRelu only for thresholds from 0 on."""
_IF_FIRST = {
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool"),
    *("Reshape", "Transpose", "Flatten", "Identity", "Cast", "Squeeze", "Unsqueeze", "Slice"),
    *("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "Dropout", "Gather"),
    *("Split", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", "LeakyRelu", "HardSwish", "PRelu"),
    *("Elu", "Selu", "Celu", "Mish", "Gelu", "Clip", "GatherElements", "GatherND", "Upsample"),
}
"""Operators whose result is not negative where their first input is not."""
_IF_ALL = {"Add", "Mul", "Div", "Concat", "Sum", "Mean", "Min", "MatMul"}
"""The same for operators that need it of every input."""
_PAD_VALUE = 2
"""Place of the value that Pad fills in."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A floating-point tensor that depends on the model's inputs, as `find_activations` lists it.

    Attributes:
        tensor: its name.
        never_negative: whether the operators that make it exclude values below 0, for any input.
    """

    tensor: str
    never_negative: bool


def find_activations(model: Model) -> tuple[Activation, ...]:
    """Return the activations of a model's main graph: what a chain of bytes may pass.

    These are the float32 inputs and all float32 results of nodes that depend on an input and have
    at least two axes, or an unknown number. Whether one can be negative is decided by the operators
    alone: an input always can, data that happen to be positive do not count.

    Args:
        model: a float or converted model.

    Returns:
        The inputs, then the results in graph order.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,4] y) { a = Relu(x) b = Neg(a)
        ...       y = Concat<axis=1>(a, b) }''')
        >>> [(each.tensor, each.never_negative) for each in find_activations(load(proto))]
        [('x', False), ('a', True), ('b', False), ('y', False)]

    Reference: docs/psb-ops.md, chains.
    """
    reader = read_graph(model)
    given = {tensor.name for tensor in reader.proto.graph.initializer}
    inputs = [value.name for value in reader.proto.graph.input if value.name not in given]
    depends = set(inputs)
    positive: set[str] = set()
    tensors = [name for name in inputs if _is_activation(reader, name)]
    for node in reader.nodes:
        if depends.isdisjoint(node.input) and not _captures(node):
            continue
        outputs = [name for name in node.output if name]
        depends.update(outputs)
        tensors += [name for name in outputs if is_psb(node) or _is_activation(reader, name)]
        if _is_positive(reader, node, positive):
            positive.update(outputs)
    return tuple(Activation(name, name in positive) for name in tensors)


def _captures(node: NodeProto) -> bool:
    """Tell whether a node has subgraphs, which may read tensors that are not among its inputs."""
    return any(entry.HasField("g") or entry.graphs for entry in node.attribute)


def _is_activation(reader: Reader, tensor: str) -> bool:
    known = reader.types.get(tensor)
    if known is None or known.elem_type != TensorProto.FLOAT:
        return False
    return known.shape is None or len(known.shape) > 1


def _is_positive(reader: Reader, node: NodeProto, positive: set[str]) -> bool:
    """Tell whether a node has no result below 0, given the tensors known to have none."""

    def holds(name: str) -> bool:
        return name in positive or _is_constant_from_0(reader, name)

    op, inputs = node.op_type, [name for name in node.input if name]
    if is_psb(node):
        kind = attribute(node, "activation", "none")
        return kind == "relu" or (kind == "clip" and _number(node, "clip_min", -1.0) >= 0)
    if domain_of(node.domain):
        return False
    if op == "ThresholdedRelu":
        return _number(node, "alpha", 1.0) >= 0
    if op == "Mul" and len(inputs) == 2 and inputs[0] == inputs[1]:
        return True
    if op in _NEVER:
        return True
    if op == "Clip" and _lower_bound(reader, node) >= 0:
        return True
    if op == "Max":
        return any(map(holds, inputs))
    if op == "Pad":
        return _pads_from_0(reader, node) and holds(inputs[0])
    if op == "Resize":
        outside = _number(node, "extrapolation_value", 0.0)
        return attribute(node, "mode", "nearest") != "cubic" and outside >= 0 and holds(inputs[0])
    if op == "Where":
        return all(map(holds, inputs[1:]))
    return (op in _IF_FIRST and holds(inputs[0])) or (op in _IF_ALL and all(map(holds, inputs)))


def _is_constant_from_0(reader: Reader, tensor: str) -> bool:
    value = reader.constant(tensor)
    return value is not None and value.dtype.kind in "fiub" and bool(np.all(value >= 0))


def _number(node: NodeProto, name: str, default: float) -> float:
    return float(str(attribute(node, name, default)))


def _lower_bound(reader: Reader, node: NodeProto) -> float:
    """Return the least result of a Clip, minus infinity where the graph does not tell."""
    if len(node.input) > 1 and node.input[1]:
        value = reader.constant(node.input[1])
        return -np.inf if value is None or value.size != 1 else float(value.reshape(()))
    return _number(node, "min", -np.inf)


def _pads_from_0(reader: Reader, node: NodeProto) -> bool:
    """Tell whether what a Pad fills in is not negative: repeated values, or a constant from 0."""
    if attribute(node, "mode", "constant") != "constant":
        return True
    if len(node.input) > _PAD_VALUE and node.input[_PAD_VALUE]:
        return _is_constant_from_0(reader, node.input[_PAD_VALUE])
    return _number(node, "value", 0.0) >= 0
