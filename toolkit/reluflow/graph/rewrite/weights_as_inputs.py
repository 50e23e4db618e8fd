"""Weights fed at run time: initializers that training changes become graph inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from reluflow.errors import OptionError
from reluflow.graph.proto.external import read_tensor, walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.draft import Draft, retain

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
_SHOWN = 8
"""Names that a sentence lists before it only counts the rest."""
_OF_SETTINGS = frozenset(
    "Cast CastLike Clip Dropout DequantizeLinear Equal Greater GreaterOrEqual Less LessOrEqual "
    "Max Min Mod NonMaxSuppression OneHot Pad Pow QuantizeLinear Range Resize Slice TopK "
    "Upsample Where".split()
)
"""Operators whose constants are bounds, sizes and exponents."""


@dataclass(frozen=True, slots=True)
class WeightInput:
    """A weight that is now an input; part of what `weights_as_inputs` returns.

    Attributes:
        name: of the former initializer and of the input.
        dtype: float32, float64 or float16.
        shape: sizes of its axes.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def weights_as_inputs(
    model: Model, names: Collection[str] | None = None
) -> Rewritten[tuple[WeightInput, ...]]:
    """Turn weights into inputs of the graph, so that one session serves every training step.

    By default these are all floating-point initializers of the main graph that have an axis and a
    reader for which they are more than a setting (a bound, a size, an exponent); running statistics
    of batch normalisation are among them. Their values are removed from the file.

    Args:
        model: the model, not changed.
        names: the initializers to use instead; scalars may be among them.

    Returns:
        The new model, whose nodes, outputs and names are those of the old one, with the new
        inputs in the order of the file, and the initializers that stay.

    Raises:
        OptionError: a name is not that of a floating-point initializer of the main graph.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y)
        ...     <float[2] b = {1.0, 2.0}> { a = Add(x, b) y = Relu(a) }''')
        >>> result = weights_as_inputs(load(proto))
        >>> [f"{spec.name}: {spec}" for spec in result.model.inputs]
        ['x: float32 [N, 2]', 'b: float32 [2]']
    """
    taken, refused = _choose(model, names)
    chosen = {tensor.name for tensor in taken}
    draft = Draft(model)
    graph = draft.proto.graph
    listed = {value.name for value in graph.input}
    retain(graph.initializer, lambda tensor: tensor.name not in chosen)
    for tensor in taken:
        if tensor.name not in listed:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(value)
    weights = tuple(
        WeightInput(t.name, helper.tensor_dtype_to_np_dtype(t.data_type), tuple(t.dims))
        for t in taken
    )
    return draft.finish(weights, refused)


def read_weights(model: Model, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the values of the weights that `weights_as_inputs` would take, by name.

    Args:
        model: any model.
        names: the initializers to read instead.

    Raises:
        OptionError: a name is not that of a floating-point initializer of the main graph.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, read_weights
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> read_weights(load(proto))['w'].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    taken, _ = _choose(model, names)
    return {tensor.name: read_tensor(tensor, model.base_dir) for tensor in taken}


def _choose(model: Model, names: Collection[str] | None) -> tuple[list[TensorProto], list[Refused]]:
    tensors = list(model._proto.graph.initializer)
    if names is not None:
        able = {tensor.name for tensor in tensors if tensor.data_type in _FLOATS}
        for name in names:
            if name not in able:
                raise OptionError(
                    f"names holds {name!r}, which is no floating-point initializer of the main "
                    f"graph; accepted are {_listing(sorted(able))}."
                )
        left = [Refused(t.name, "", "it was not asked for") for t in tensors if t.name not in names]
        return [tensor for tensor in tensors if tensor.name in names], left
    readers = _readers(model)
    reasons = [_reason(tensor, readers.get(tensor.name, set())) for tensor in tensors]
    pairs = list(zip(tensors, reasons, strict=True))
    return (
        [tensor for tensor, reason in pairs if not reason],
        [Refused(tensor.name, "", reason.text) for tensor, reason in pairs if reason],
    )


def _reason(tensor: TensorProto, readers: set[str]) -> Reason | None:
    """Say why an initializer is not a weight, None where it is one."""
    if tensor.data_type not in _FLOATS:
        return Reason(f"its type {TensorProto.DataType.Name(tensor.data_type)} is not trained")
    if not tensor.dims:
        return Reason("it is a scalar")
    if not readers:
        return Reason("no node reads it")
    if readers <= _OF_SETTINGS:
        return Reason(f"it is a setting of {', '.join(sorted(readers))}")
    return None


def _readers(model: Model) -> dict[str, set[str]]:
    """Return the operators that read each tensor, subgraphs included."""
    found: dict[str, set[str]] = {}
    for name, op in _reads(model):
        found.setdefault(name, set()).add(op)
    return found


def _reads(model: Model) -> Iterator[tuple[str, str]]:
    for graph in walk_graphs(model._proto):
        for node in graph.node:
            domain = domain_of(node.domain)
            op = f"{domain}.{node.op_type}" if domain else node.op_type
            yield from ((name, op) for name in node.input)
        yield from ((value.name, "an output") for value in graph.output)


def _listing(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f"{shown}, ... ({len(names)} in all)" if len(names) > _SHOWN else shown
