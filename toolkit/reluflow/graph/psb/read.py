"""What a PSB operator can take over: linear operators, batch normalisation, activations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from reluflow.graph.proto.external import BFLOAT16
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import PSB_CONV, PSB_MATMUL
from reluflow.graph.psb.forms.spell import needs_spelling, unfit, why_not_spelled
from reluflow.graph.rewrite.affine import BATCH_NORM, read_batch_norm
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.conv_attributes import explicit_window
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import F64, Linear, read_linear
from reluflow.graph.rewrite.n_bits import MATMUL_N_BITS, read_n_bits

_RANKS = (3, 4)
"""Axes of a convolution's weights and input; PsbConv supports one or two spatial ones."""
CONVERTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul", BATCH_NORM)
_BLOCKED = "com.microsoft.nchwc"
_NO_OPERATOR = {
    "": (
        *("DeformConv", "ConvInteger", "QLinearConv", "MatMulInteger"),
        *("QLinearMatMul", "Einsum", "LSTM", "GRU", "RNN", "Attention"),
    ),
    "com.microsoft": (
        *("FusedConv", "FusedGemm", "FusedMatMul", "NhwcFusedConv", "QLinearConv", "QGemm"),
        *("Attention", "MultiHeadAttention", "DynamicQuantizeMatMul", "MatMulInteger16"),
        *("MatMulIntegerToFloat", "MatMulNBits", "QAttention", "DynamicQuantizeLSTM"),
    ),
    _BLOCKED: ("Conv",),
}
_QUANTISED = {
    *("ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul", "QGemm", "QAttention"),
    *("DynamicQuantizeMatMul", "MatMulInteger16", "MatMulIntegerToFloat", "DynamicQuantizeLSTM"),
}
_FROM_FLOAT = (
    ", which works on quantised activations; convert the float model that it was quantised from, "
    "or its form with QuantizeLinear and DequantizeLinear"
)
_FROM_PLAIN = (
    " in the layout of one kind of processor; convert the file before it was optimised, or one "
    "that ONNX Runtime optimised at the level extended instead of all"
)


@dataclass(eq=False, slots=True)
class Multiply:
    """One operator to convert.

    Attributes:
        op: "PsbConv" or "PsbMatMul".
        node: the node that it replaces.
        x: the tensor that it multiplies.
        weights: as PSB stores them, output channels first.
        bias: `(outputs,)`.
        dtype: element type of the node.
        merged: nodes after it that it takes over, in order.
        attributes: those of a convolution.
        activation: "none", "relu" or "clip".
        bounds: of the activation.
    """

    op: str
    node: NodeProto
    x: str
    weights: NDArray[np.floating[Any]]
    bias: F64
    dtype: np.dtype[Any]
    merged: list[NodeProto] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    activation: str = "none"
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def output(self) -> str:
        """The tensor that it produces."""
        output: str = [self.node, *self.merged][-1].output[0]
        return output


def multiplies(node: NodeProto) -> bool:
    """Tell by its operator whether a node multiplies by weights."""
    domain = domain_of(node.domain)
    own = not domain and node.op_type in CONVERTED_OPS
    return own or node.op_type in _NO_OPERATOR.get(domain, ())


def read_multiply(editor: Editor, node: NodeProto, norms: bool) -> Multiply | Reason:
    """Read a node that `multiplies`, or say why it cannot be converted.

    Args:
        editor: the model.
        node: the node.
        norms: accept batch normalisation.
    """
    if node.op_type == MATMUL_N_BITS and domain_of(node.domain) == "com.microsoft":
        return _few_bits(editor, node)
    if needs_spelling(editor, node):
        return why_not_spelled(editor, node) or Reason("it was not spelled out")
    if domain_of(node.domain) or node.op_type not in CONVERTED_OPS:
        advice = _FROM_FLOAT if node.op_type in _QUANTISED else ""
        if domain_of(node.domain) == _BLOCKED:
            advice = _FROM_PLAIN
        return Reason(f"there is no PSB operator for {node.op_type}{advice}")
    if node.op_type == BATCH_NORM:
        if not norms:
            return Reason("batch normalisation is left in floating point")
        found = _norm(editor, node)
    else:
        linear = read_linear(editor, node)
        found = linear if isinstance(linear, Reason) else _linear(linear)
    return found if isinstance(found, Reason) else _checked(found)


def _linear(linear: Linear) -> Multiply | Reason:
    node = linear.node
    weights = linear.weight
    if linear.alpha != 1:
        weights = linear.alpha * weights.astype(np.float64)
    bias = np.zeros(linear.n_outputs) if linear.bias is None else linear.bias
    dtype = linear.weight.dtype
    if linear.op == "Conv":
        if weights.ndim not in _RANKS:
            return Reason(f"it has {weights.ndim - 2} spatial axes; 1, 2 and 3 are accepted")
        attributes = explicit_window(node, weights.shape)
        return Multiply(PSB_CONV, node, node.input[0], weights, bias, dtype, attributes=attributes)
    merged = [] if linear.add is None else [linear.add]
    stored = weights if linear.transposed else weights.T
    return Multiply(PSB_MATMUL, node, node.input[0], stored, bias, dtype, merged)


def _few_bits(editor: Editor, node: NodeProto) -> Multiply | Reason:
    """Read a product with weights of a few bits; its output has the type of its scales."""
    found = read_n_bits(editor, node)
    if isinstance(found, Reason):
        return found
    weights, bias = found
    return _checked(Multiply(PSB_MATMUL, node, node.input[0], weights, bias, weights.dtype))


def _norm(editor: Editor, node: NodeProto) -> Multiply | Reason:
    """Read a batch normalisation as a depthwise 1x1 convolution."""
    affine = read_batch_norm(editor, node)
    if isinstance(affine, Reason):
        return affine
    rank = editor.rank(node.input[0]) or editor.rank(node.output[0])
    if rank not in _RANKS:
        axes = "an unknown number of" if rank is None else rank
        return Reason(f"its input has {axes} axes; as a PSB multiply-add it needs 3 or 4")
    scale = editor.constant(node.input[1])
    known = editor.types.get(node.input[0])
    narrow: dict[int, np.dtype[Any]] = {
        TensorProto.FLOAT16: np.dtype(np.float16),
        TensorProto.BFLOAT16: BFLOAT16,
    }
    stored: np.dtype[Any] = np.dtype(np.float32) if scale is None else scale.dtype
    dtype = stored if known is None else narrow.get(known.elem_type, stored)
    channels = affine.factor.size
    weights = affine.factor.reshape(-1, *[1] * (rank - 1))
    attributes = {"group": channels}
    return Multiply(
        PSB_CONV, node, node.input[0], weights, affine.shift, dtype, attributes=attributes
    )


def _checked(found: Multiply) -> Multiply | Reason:
    reason = unfit(found.weights, found.dtype)
    if reason is not None:
        return reason
    if found.weights.dtype == BFLOAT16:
        found.weights = found.weights.astype(np.float32)
    return found


@dataclass(frozen=True, slots=True)
class Activation:
    """A Relu or a Clip that a PSB operator can take over.

    Attributes:
        node: the Relu or Clip.
        name: "relu" or "clip".
        bounds: lower and upper.
    """

    node: NodeProto
    name: str
    bounds: tuple[float, float]


def read_activation(editor: Editor, tensor: str) -> Activation | None:
    """Return the Relu or the Clip with constant bounds that is the only reader of a tensor."""
    reader = editor.sole_reader(tensor)
    if reader is None or domain_of(reader.domain) or reader.input[0] != tensor:
        return None
    if reader.op_type == "Relu":
        return Activation(reader, "relu", (0.0, np.inf))
    if reader.op_type != "Clip":
        return None
    low, high = _bound(editor, reader, 1, -np.inf), _bound(editor, reader, 2, np.inf)
    if low is None or high is None or not low <= high:
        return None
    return Activation(reader, "clip", (low, high))


def fuse_activation(editor: Editor, found: Multiply) -> None:
    """Take over the activation that is the only reader of the result."""
    activation = read_activation(editor, found.output)
    if activation is not None:
        found.activation, found.bounds = activation.name, activation.bounds
        found.merged.append(activation.node)


def _bound(editor: Editor, node: NodeProto, position: int, default: float) -> float | None:
    """Return a Clip's bound, None where it is computed."""
    if len(node.input) <= position or not node.input[position]:
        return default
    value = editor.constant(node.input[position])
    return None if value is None or value.size != 1 else float(value.reshape(-1)[0])
