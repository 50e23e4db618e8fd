"""Switches that quantisers hide: a Relu folded into a quantiser's smallest value."""

from __future__ import annotations

from onnx import TensorProto

from reluflow.graph.proto.external import is_float
from reluflow.graph.sites.forms.idioms import produced_by
from reluflow.graph.sites.forms.matches import Match, Matcher
from reluflow.graph.sites.forms.ops import CONTRIB, inside
from reluflow.graph.view.constants import constant, scalar
from reluflow.graph.view.index import Node, Scope

_SMALLEST = {
    TensorProto.UINT8: 0,
    TensorProto.INT8: -128,
    TensorProto.UINT16: 0,
    TensorProto.INT16: -32768,
    getattr(TensorProto, "UINT4", -1): 0,
    getattr(TensorProto, "INT4", -2): -8,
}
_BY_DTYPE = {"uint8": 0, "int8": -128, "uint16": 0, "int16": -32768, "uint4": 0, "int4": -8}
_LINEAR = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "BatchNormalization"}
_NONNEGATIVE = {
    "Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Exp", "Sqrt", "ReduceL1",
    "ReduceL2", "ReduceSumSquare", "ThresholdedRelu",
}  # fmt: skip
_KEPT = {"Relu", "PRelu", "LeakyRelu", "Clip", "ThresholdedRelu", "Max", "HardSwish", "HardSigmoid"}
_KEEPING = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Reshape", "Transpose",
    "Flatten", "Identity", "Cast", "Squeeze", "Unsqueeze", "Slice", "Concat", "Add", "Mul",
    "ReduceMean", "ReduceMax", "ReduceSum", "Dropout", "Resize", "Pad", "Gather", "Split",
    "QuantizeLinear",
}  # fmt: skip
_DEPTH = 12
"""Nodes looked back over for a negative value: a guard; exporters' models need 4."""
_ZERO_POINT = 2
"""Place of the zero point in QuantizeLinear and DequantizeLinear: x, scale, zero point."""
_SUMMANDS_ZEROS = (2, 5)
"""The same of QLinearAdd's two summands: a, scale, zero, b, scale, zero, then the result's."""


def smallest_zero_point(node: Node, scope: Scope, position: int) -> bool:
    """Tell whether the zero point at an input position is the smallest value of its type."""
    if position >= len(node.inputs) or not node.inputs[position]:
        default = int(node.number("output_dtype", TensorProto.UINT8)) or TensorProto.UINT8
        return _SMALLEST.get(default) == 0
    value = constant(scope, node.inputs[position])
    if value is None or value.size == 0:
        return False
    smallest = _BY_DTYPE.get(str(value.dtype))
    return smallest is not None and scalar(scope, node.inputs[position]) == smallest


def nonnegative(scope: Scope, tensor: str) -> bool:
    """Tell whether the graph shows that a tensor has no negative value."""
    level, seen = {tensor}, set[str]()
    for _ in range(_DEPTH):
        operands = set[str]()
        for name in level:
            found = _nonnegative_if(scope, name)
            if found is None:
                return False
            operands |= found
        seen |= level
        level = operands - seen
    return not level


def _nonnegative_if(scope: Scope, tensor: str) -> set[str] | None:
    """Return the tensors that must be non-negative for this one to be so, None if it may not."""
    value = constant(scope, tensor) if tensor else None
    if value is not None:
        numbers = value.dtype.kind in "fiu" or is_float(value.dtype)
        return set() if value.size and numbers and bool((value >= 0).all()) else None
    node = scope.producer(tensor)
    if node is None or node.domain:
        return None
    if node.op in _NONNEGATIVE:
        return set()
    if node.op == "DequantizeLinear":
        # a value stored with zero as the smallest code cannot be negative, whatever produced it
        return set() if smallest_zero_point(node, scope, _ZERO_POINT) else set(node.inputs[:1])
    if node.op in ("Clip", "Max"):
        bounds = [scalar(scope, name) for name in node.inputs[1:] if name]
        low = bounds[0] if bounds else node.number("min", -1.0)
        return set() if low is not None and low >= 0 else None
    if node.op not in _KEEPING:
        return None
    return set(node.inputs if node.op in ("Add", "Mul", "Concat") else node.inputs[:1])


def quantize(node: Node, scope: Scope) -> Match | None:
    """`QuantizeLinear` that clips a linear result at zero: a Relu that the quantiser dropped."""
    producer = produced_by(scope, node.inputs[0], *_LINEAR)
    if producer is None or not smallest_zero_point(node, scope, _ZERO_POINT):
        return None
    # A zero point at the end of the range clips values below zero, which is what a quantiser that
    # fuses Relu writes. Where no negative value comes in, nothing is clipped: it is not a switch.
    if nonnegative(scope, node.inputs[0]) or _switch_follows(node, scope):
        return None
    return Match("QuantizeLinear", node.inputs[0])


def _switch_follows(node: Node, scope: Scope) -> bool:
    """Tell whether the quantiser kept the Relu, so that the Relu is the site."""
    back = [n for n in scope.consumers(node.outputs[0]) if n.op == "DequantizeLinear"]
    readers = [reader for n in back for reader in scope.consumers(n.outputs[0])]
    return bool(readers) and all(not n.domain and n.op in _KEPT for n in readers)


def _inside(position: int) -> Matcher:
    """Make the matcher of an operator that quantises its own result."""

    def match(node: Node, scope: Scope) -> Match | None:
        if not smallest_zero_point(node, scope, position):
            return None
        if node.op == "QLinearAdd" and all(
            smallest_zero_point(node, scope, zero) for zero in _SUMMANDS_ZEROS
        ):
            return None  # a sum of values that cannot be negative
        return inside(node.op, node, 0.0, "values below zero are cut off")

    return match


def _quantised_leaky(node: Node, scope: Scope) -> Match | None:
    """`QLinearLeakyRelu`: above zero is above the input's zero point."""
    zero = scalar(scope, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else 0.0
    if zero is None:
        return None
    return Match(node.op, node.inputs[0], zero)


QUANTISED: dict[tuple[str, str], Matcher] = {
    ("", "QuantizeLinear"): quantize,
    (CONTRIB, "QuantizeLinear"): quantize,
    ("", "QLinearConv"): _inside(7),
    ("", "QLinearMatMul"): _inside(7),
    (CONTRIB, "QLinearConv"): _inside(7),
    (CONTRIB, "QGemm"): _inside(8),
    (CONTRIB, "QLinearAdd"): _inside(7),
    (CONTRIB, "QLinearLeakyRelu"): _quantised_leaky,
}
"""(domain, operator) -> matcher."""
