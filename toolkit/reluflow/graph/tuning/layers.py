"""The layers that a conversion would store, with their numbers, and models with other numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.errors import OptionError
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import PSB_CONV
from reluflow.graph.psb.read import multiplies, read_multiply
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import Linear, read_linear, write_linear
from reluflow.graph.rewrite.reader import Reader, name_of, read_graph, reads

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One operator with constant weights, as `read_layers` finds it.

    Attributes:
        name: of the node, else its first output's.
        op: operator name.
        x: the tensor that it multiplies.
        output: the tensor that holds the result, bias included.
        weights: `(M, C / group, taps...)` or `(N, K)` float32, output channels first.
        bias: `(outputs,)`.
        window: attributes of a convolution (strides, dilations, pads, auto_pad, group), else None.
        addend: the tensor, known before the layer, that only an Add behind it adds to its output;
            None where there is none.
    """

    name: str
    op: str
    x: str
    output: str
    weights: NDArray[np.float32]
    bias: F64
    window: Mapping[str, Any] | None = None
    addend: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What a layer multiplies by and adds; `with_numbers` puts it into a model.

    Attributes:
        weights: in the shape of `Layer.weights`.
        bias: `(outputs,)`.
    """

    weights: NDArray[np.float32]
    bias: F64


def read_layers(
    model: Model, exclude: Collection[str] = ()
) -> tuple[tuple[Layer, ...], tuple[Refused, ...]]:
    """Return the layers of a model whose numbers can be replaced, in graph order.

    Args:
        model: a float model, folded and raised as `plan_psb` leaves it.
        exclude: names of nodes to leave alone.

    Returns:
        Conv, Gemm and MatMul with constant float32 weights; and the operators with weights that
        are not among them, with the reason.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,3] y) <float[2,3] w = {1,2,3,4,5,6}>
        ...     { [first] h = MatMul(x, w) y = Relu(h) }''')
        >>> (layer,), _ = read_layers(load(proto))
        >>> layer.name, layer.x, layer.output, layer.weights.tolist()
        ('first', 'x', 'h', [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])
    """
    editor = Editor(model)
    layers, refused = [], []
    for node in editor.nodes:
        if not multiplies(node):
            continue
        found = EXCLUDED if name_of(node) in exclude else _read(editor, node)
        if isinstance(found, Reason):
            refused.append(Refused(name_of(node), node.op_type, found.text))
        else:
            layers.append(found)
    return tuple(layers), tuple(refused)


def _read(editor: Editor, node: NodeProto) -> Layer | Reason:
    found = read_multiply(editor, node, norms=False)
    if isinstance(found, Reason):
        return found
    if not isinstance(read_linear(editor, node), Linear):
        return Reason("its weights are stored in a few bits already")
    if found.dtype != np.float32:
        return Reason(f"its weights are {found.dtype}; they stay as they are")
    window = found.attributes if found.op == PSB_CONV else None
    weights = np.ascontiguousarray(found.weights, np.float32)
    name = name_of(node)
    addend = _addend(editor, node, found.output)
    return Layer(name, node.op_type, found.x, found.output, weights, found.bias, window, addend)


def _addend(editor: Editor, node: NodeProto, output: str) -> str | None:
    reader = editor.sole_reader(output)
    if reader is None or reader.op_type != "Add" or domain_of(reader.domain):
        return None
    other = next((name for name in reader.input if name != output), None)
    if other is None or editor.constant(other) is not None:
        return None
    before = {name for each in _until(editor.nodes, node) for name in each.output}
    return other if other in before or editor.producer(other) is None else None


def _until(nodes: Sequence[NodeProto], last: NodeProto) -> Sequence[NodeProto]:
    return nodes[: next(place for place, node in enumerate(nodes) if node is last)]


def with_numbers(model: Model, numbers: Mapping[str, Numbers]) -> Rewritten[tuple[str, ...]]:
    """Return a copy of a model in which layers have other weights and biases.

    A layer without a bias gets one where it is not 0. Layers that shared a tensor have one of
    their own afterwards.

    Args:
        model: the model, not changed.
        numbers: `Layer.output` -> what the layer multiplies by and adds.

    Returns:
        The new model and the names of the layers with new numbers.

    Raises:
        OptionError: a name is not that of a layer's output.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,1] y) <float[2,1] w = {1,2}>
        ...     { [first] y = MatMul(x, w) }''')
        >>> new = Numbers(np.array([[3, 4]], np.float32), np.ones(1))
        >>> made = with_numbers(load(proto), {"y": new})
        >>> made.done, read_layers(made.model)[0][0].weights.tolist(), made.model.n_nodes
        (('first',), [[3.0, 4.0]], 2)
    """
    editor = Editor(model)
    done = []
    left = dict(numbers)
    for node in list(editor.nodes):
        if not multiplies(node):
            continue
        linear = read_linear(editor, node)
        if isinstance(linear, Reason) or linear.output not in left:
            editor.forget()
            continue
        editor.settle()
        _put(editor, linear, left.pop(linear.output))
        done.append(name_of(node))
    if left:
        raise OptionError(
            f"numbers name {next(iter(left))!r}, which no layer with constant weights makes; give "
            "outputs of layers that read_layers finds."
        )
    return editor.finish(tuple(done))


def _put(editor: Editor, linear: Linear, new: Numbers) -> None:
    node = linear.node
    for entry in [a for a in node.attribute if a.name == "alpha"]:
        node.attribute.remove(entry)
    stored = new.weights if linear.transposed else new.weights.T
    bias = new.bias if linear.bias is not None or np.any(new.bias) else None
    write_linear(editor, linear, np.asarray(stored, np.float64), bias)


def tensors_needed(model: Model, layer: str) -> tuple[str, ...]:
    """Return the tensors that are known when a layer starts and read by it or behind it.

    Args:
        model: the model.
        layer: `Layer.output`.

    Returns:
        Tensors that depend on the model's inputs, without these, in graph order.

    Raises:
        OptionError: no node makes the tensor.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y)
        ...     { h = Neg(x) r = Relu(h) s = Exp(r) y = Add(s, r) }''')
        >>> tensors_needed(load(proto), "y"), tensors_needed(load(proto), "s")
        (('r', 's'), ('r',))
    """
    reader = read_graph(model)
    places = {name: place for place, node in enumerate(reader.nodes) for name in node.output}
    if layer not in places:
        raise OptionError(f"layer is {layer!r}, which no node makes; give the output of a layer.")
    start = places[layer]
    made = _dependent(reader, model)
    behind = {name for node in reader.nodes[start:] for name in reads(node)}
    return tuple(name for name in made if name in behind and places[name] < start)


def _dependent(reader: Reader, model: Model) -> list[str]:
    """Return what nodes make of the model's inputs, in graph order."""
    known = {spec.name for spec in model.inputs}
    made = []
    for node in reader.nodes:
        if not known.isdisjoint(reads(node)):
            known.update(filter(None, node.output))
            made += list(filter(None, node.output))
    return made
