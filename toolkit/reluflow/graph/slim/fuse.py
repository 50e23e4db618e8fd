"""Switches that are always on: taken out, and the layers around them made one where that saves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import pads_with_zeros
from reluflow.graph.rewrite.linear import Linear, misfit, read_linear, write_linear
from reluflow.graph.rewrite.reader import attribute, name_of
from reluflow.graph.slim.duplicates import Rows, read_rows

F64 = NDArray[np.float64]
_DENSE = ("Gemm", "MatMul")


def drop_switch(editor: Editor, relu: NodeProto) -> Reason | None:
    """Let the readers of a Relu read its input, and remove it; return why that cannot be.

    Args:
        editor: the graph.
        relu: a Relu that is on for all data.
    """
    x, y = relu.input[0], relu.output[0]
    readers = list(editor.readers(y))
    if editor.is_output(y):
        return Reason("its result is an output of the model")
    if any(y not in reader.input for reader in readers):
        return Reason("a subgraph reads its result")
    for reader in readers:
        for position, name in enumerate(reader.input):
            if name == y:
                editor.set_input(reader, position, x)
    editor.remove(relu)
    return None


def fuse_around(editor: Editor, tensor: str) -> tuple[str, str] | Reason:
    """Make one layer of that which makes a tensor and that which reads it; the step is committed.

    Args:
        editor: the graph.
        tensor: between the two layers.

    Returns:
        The names of the two layers, or why there are still two.
    """
    reader = editor.sole_reader(tensor)
    if reader is None:
        return Reason("more than one node reads it")
    rows = read_rows(editor, tensor)
    if isinstance(rows, Reason):
        return rows
    second = read_linear(editor, reader)
    if isinstance(second, Reason):
        return Reason("no linear layer follows directly")
    if second.group > 1 or reader.input[0] != tensor or attribute(reader, "transA", 0):
        return Reason("the layer behind works on groups of channels or transposes its input")
    made = _product(rows, second)
    if isinstance(made, Reason):
        return made
    weight, bias, onto_first = made
    before = rows.linear.weight.size + rows.bias.size + second.weight.size
    if weight.size >= before:
        return Reason(f"one layer would have {weight.size} weights, the two have {before}")
    into = rows.linear if onto_first else second
    stored = weight if into.op == "Conv" or into.transposed else weight.T
    stored = stored / into.alpha
    new_bias = bias if bias.any() or into.bias is not None else None
    failed = misfit(into, stored, new_bias)
    if failed:
        return failed
    names = name_of(rows.linear.node), name_of(reader)
    _join(editor, rows, second, stored, new_bias, onto_first=onto_first)
    editor.settle()
    editor.commit()
    return names


def _product(rows: Rows, second: Linear) -> tuple[F64, F64, bool] | Reason:
    """Return weights `(outputs, inputs, taps...)`, bias, and whether the first one's window."""
    first = rows.linear
    behind = second.alpha * second.weight.astype(np.float64)
    if not (second.op == "Conv" or second.transposed):
        behind = behind.T
    bias = np.zeros(len(behind)) if second.bias is None else second.bias
    bias = bias + behind.reshape(*behind.shape[:2], -1).sum(axis=2) @ rows.bias
    if first.op in _DENSE and second.op in _DENSE:
        return behind @ rows.rows, bias, False
    if first.op != "Conv" or second.op != "Conv":
        return Reason("the layers around it are of different kinds")
    if _is_pointwise(second):
        mixed = behind.reshape(behind.shape[:2])
        return np.tensordot(mixed, rows.rows, 1), bias, True
    if not _is_pointwise(first):
        return Reason("both convolutions have windows of more than one pixel")
    if pads_with_zeros(second) and rows.bias.any():
        return Reason("the convolution behind pads with zeros, which no bias reaches")
    mixed = rows.rows.reshape(rows.rows.shape[:2])
    return np.moveaxis(np.tensordot(behind, mixed, ([1], [0])), -1, 1), bias, False


def _is_pointwise(linear: Linear) -> bool:
    strides = attribute(linear.node, "strides", ())
    taps = set(linear.weight.shape[2:])
    return taps == {1} and set(strides) <= {1} and not any(attribute(linear.node, "pads", ()))  # type: ignore[call-overload,arg-type]


def _join(
    editor: Editor, rows: Rows, second: Linear, weight: F64, bias: F64 | None, *, onto_first: bool
) -> None:
    first = rows.linear
    if not onto_first:
        write_linear(editor, second, weight, bias)
        editor.set_input(second.node, 0, first.node.input[0])
        for node in reversed(rows.nodes):
            editor.remove(node)
        return
    write_linear(editor, first, weight, bias)
    output = second.node.output[0]
    editor.remove(second.node)
    for node in reversed(rows.nodes[1:]):
        editor.remove(node)
    editor.set_output(first.node, 0, output)
