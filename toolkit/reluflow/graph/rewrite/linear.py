"""Linear operators with constant weights: reading them, and giving them other weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from reluflow.graph.proto.external import is_float
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.versions import NUMPY_BROADCASTING
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.conv_attributes import conv_fault
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of

F64 = NDArray[np.float64]
CONVS = ("Conv", "ConvTranspose")
LINEAR_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(eq=False, slots=True)
class Linear:
    """One linear operator.

    Attributes:
        node: Conv, ConvTranspose, Gemm or MatMul; a BatchNormalization counts as a diagonal one.
        weight: as stored; a BatchNormalization's scale.
        bias: `(outputs,)` added to each output channel, None: nothing.
        add: the Add after a MatMul that holds its bias, None where there is none.
        group: groups of a convolution, else 1.
        alpha: factor of the weights (Gemm).
    """

    node: NodeProto
    weight: NDArray[np.floating]
    bias: F64 | None
    add: NodeProto | None = None
    group: int = 1
    alpha: float = 1.0

    @property
    def op(self) -> str:
        """The operator's name."""
        op: str = self.node.op_type
        return op

    @property
    def output(self) -> str:
        """The tensor that holds the result, bias included."""
        output: str = (self.add or self.node).output[0]
        return output

    @property
    def transposed(self) -> bool:
        """Whether weights are stored outputs first (Conv, Gemm with transB)."""
        return self.op == "Conv" or bool(attribute(self.node, "transB", 0))

    @property
    def n_outputs(self) -> int:
        """Number of output channels."""
        shape: tuple[int, ...] = self.weight.shape
        if self.op == "ConvTranspose":
            return shape[1] * self.group
        return shape[0 if self.transposed else -1]

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        shape: tuple[int, ...] = self.weight.shape
        if self.op == "Conv":
            return shape[1] * self.group
        return shape[1 if self.transposed else 0]

    def along_outputs(self, values: F64) -> F64:
        """Shape `(outputs,)` numbers so that they multiply the weights of each output."""
        if self.op == "ConvTranspose":
            return self._grouped(values, self.weight.shape[0])
        if self.op in CONVS:
            return values.reshape(-1, *[1] * (self.weight.ndim - 1))
        return values[:, None] if self.transposed else values

    def along_inputs(self, values: F64) -> F64:
        """Shape `(inputs,)` numbers so that they multiply the weights of each input."""
        if self.op == "Conv":
            return self._grouped(values, self.weight.shape[0])
        if self.op in CONVS:
            return values.reshape(-1, *[1] * (self.weight.ndim - 1))
        return values if self.transposed else values[:, None]

    def _grouped(self, values: F64, rows: int) -> F64:
        """Spread one number per channel over `rows` rows, each of which sees one group."""
        per_group = values.reshape(self.group, -1)
        spread = np.repeat(per_group, rows // self.group, axis=0)
        return spread.reshape(*spread.shape, *[1] * (self.weight.ndim - 2))

    def through(self, shift: F64) -> F64:
        """Return the output for a constant `(inputs,)` input, ignoring borders."""
        spread: F64 = self.alpha * self.weight.astype(np.float64) * self.along_inputs(shift)
        if self.op == "Conv" or self.transposed:
            spread = spread.reshape(len(spread), -1).T
        return np.asarray(spread.sum(axis=0), np.float64)


def read_linear(editor: Editor, node: NodeProto) -> Linear | Reason:
    """Read a linear operator, or say why it cannot be changed.

    Args:
        editor: the model.
        node: any node.

    Returns:
        The operator with its constants, or the reason, a phrase.
    """
    if domain_of(node.domain) or node.op_type not in LINEAR_OPS:
        return Reason(f"{node.op_type} is no linear operator with weights")
    weight = editor.constant(node.input[1])
    if weight is None:
        left = node.op_type == "MatMul" and editor.constant(node.input[0]) is not None
        if left:
            return Reason("its constant is the left factor")
        return Reason(f"weights {node.input[1]!r} are computed")
    if not is_float(weight.dtype):
        return Reason(f"weights {node.input[1]!r} are {weight.dtype}, not floating point")
    if node.op_type in ("Gemm", "MatMul") and weight.ndim != 2:
        return Reason(f"weights {node.input[1]!r} have {weight.ndim} axes; 2 are accepted")
    fault = conv_fault(node, weight.shape) if node.op_type in CONVS else ""
    if fault:
        return Reason(fault)
    rank = editor.rank(node.input[0])
    if node.op_type in CONVS and rank not in (None, weight.ndim):
        return Reason(f"its weights have shape {list(weight.shape)}, but its input has {rank} axes")
    linear = Linear(node, weight, None)
    if node.op_type == "MatMul":
        _read_add(editor, linear)
        return linear
    if node.op_type in CONVS:
        linear.group = int(str(attribute(node, "group", 1)))
    linear.alpha = float(str(attribute(node, "alpha", 1.0)))
    return _read_bias(editor, linear)


def _read_bias(editor: Editor, linear: Linear) -> Linear | Reason:
    node = linear.node
    name = node.input[2] if len(node.input) > 2 else ""
    beta = float(str(attribute(node, "beta", 1.0)))
    if not name or beta == 0:
        return linear
    value = editor.constant(name)
    if value is None:
        return Reason(f"bias {name!r} is computed")
    bias = _as_bias(value, linear.n_outputs)
    if bias is None:
        return Reason(f"bias {name!r} has shape {list(value.shape)}, not one number an output")
    linear.bias = beta * bias
    return linear


def _read_add(editor: Editor, linear: Linear) -> None:
    """Find the Add after a MatMul that adds one number per output."""
    output = linear.node.output[0]
    reader = editor.sole_reader(output)
    if editor.opset < NUMPY_BROADCASTING:
        return
    if reader is None or reader.op_type != "Add" or domain_of(reader.domain):
        return
    other = reader.input[1] if reader.input[0] == output else reader.input[0]
    value = editor.constant(other)
    bias = None if value is None else _as_bias(value, linear.n_outputs)
    if bias is not None:
        linear.add, linear.bias = reader, bias


def _as_bias(value: np.ndarray, outputs: int) -> F64 | None:
    """Return a bias as `(outputs,)`, None where it varies along other axes or adds axes."""
    if value.ndim > 2 or (value.ndim == 2 and value.shape[0] != 1):
        return None
    if value.size not in (1, outputs) or (value.ndim and value.shape[-1] not in (1, outputs)):
        return None
    return np.broadcast_to(value.reshape(-1).astype(np.float64), (outputs,))


def misfit(linear: Linear, weight: F64, bias: F64 | None) -> Reason | None:
    """Return why numbers do not fit into an operator's data type, None where they do."""
    dtype = linear.weight.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [part.astype(dtype) for part in (weight, bias) if part is not None]
    fits = all(np.isfinite(part).all() for part in parts)
    return None if fits else Reason(f"the folded numbers do not fit into {dtype}")


def write_linear(editor: Editor, linear: Linear, weight: F64, bias: F64 | None) -> None:
    """Give an operator other weights; tensors that other nodes read stay as they are.

    Args:
        editor: the model.
        linear: what `read_linear` returned.
        weight: shaped as stored, without the operator's alpha.
        bias: `(outputs,)`, None where the operator still has none.
    """
    dtype = linear.weight.dtype
    node = linear.node
    editor.put_constant(node, 1, weight.astype(dtype), f"{name_of(node)}/weight", "folded")
    if bias is None:
        return
    if node.op_type == "MatMul":
        _write_add(editor, linear, bias.astype(dtype))
        return
    editor.put_constant(node, 2, bias.astype(dtype), f"{name_of(node)}/bias", "folded")
    for entry in [a for a in node.attribute if a.name == "beta"]:
        node.attribute.remove(entry)


def _write_add(editor: Editor, linear: Linear, bias: np.ndarray) -> None:
    if linear.add is not None:
        place = 1 if linear.add.input[0] == linear.node.output[0] else 0
        editor.put_constant(linear.add, place, bias, "", "folded")
        return
    node, output = linear.node, linear.node.output[0]
    inner = editor.fresh(output, "product")
    name = editor.add_initializer(f"{name_of(node)}/bias", "folded", bias)
    editor.set_output(node, 0, inner)
    add = helper.make_node("Add", [inner, name], [output], name=f"{name_of(node)}/add_bias")
    linear.add = editor.insert(add, after=node)
