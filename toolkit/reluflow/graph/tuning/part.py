"""A part of a model: what lies between tensors that are known and tensors that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.reader import Reader, read_graph, reads


def take_part(
    model: Model, known: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> Rewritten[tuple[str, ...]]:
    """Return the model that computes some tensors of the main graph from others.

    Args:
        model: the model, not changed.
        known: tensors that need not be computed, with a value of each, whose type and number of
            axes the part takes over; those that are not needed are left out.
        wanted: the outputs of the part, none of them known and none an input of the model.

    Returns:
        A model with only the nodes and constants that are needed, and the names of its inputs: of
        the known tensors first, then those of the model.

    Raises:
        OptionError: a wanted tensor is not made by any node.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y)
        ...     { h = Neg(x) r = Relu(h) s = Exp(r) y = Add(s, h) }''')
        >>> part = take_part(load(proto), {"r": np.ones((2, 4), np.float32)}, ["s"])
        >>> part.done, part.model.outputs, part.model.n_nodes
        (('r',), ('s',), 1)
    """
    reader = read_graph(model)
    made = {name for node in reader.nodes for name in node.output}
    missing = [name for name in wanted if name not in made]
    if missing:
        raise OptionError(
            f"wanted names {missing[0]!r}, which no node of the main graph makes; give outputs of "
            "its nodes."
        )
    nodes, needed = _behind(reader.nodes, set(known), wanted)
    source = reader.proto.graph
    made_here = {name for node in nodes for name in node.output}
    given = [name for name in known if name in needed and name not in made_here]
    inputs = [value for value in source.input if value.name in needed]
    proto = ModelProto()
    proto.ir_version = reader.proto.ir_version
    proto.opset_import.extend(reader.proto.opset_import)
    proto.functions.extend(reader.proto.functions)
    graph = proto.graph
    graph.name = source.name
    graph.node.extend(nodes)
    graph.initializer.extend(t for t in source.initializer if t.name in needed)
    graph.sparse_initializer.extend(t for t in source.sparse_initializer if t.values.name in needed)
    graph.input.extend([*(_value(name, known[name]) for name in given), *inputs])
    graph.output.extend(_output(reader, name) for name in wanted)
    part = Model(proto, base_dir=model.base_dir, notes=model.notes)
    constants = {tensor.name for tensor in source.initializer}
    own = [value.name for value in inputs if value.name not in constants]
    return Rewritten(part, (*given, *own))


def _behind(
    nodes: Sequence[NodeProto], known: set[str], wanted: Sequence[str]
) -> tuple[list[NodeProto], set[str]]:
    """Return the nodes that the wanted tensors need, in order, and all tensors that these read."""
    open_, needed, taken = set(wanted), set[str](), []
    for node in reversed(nodes):
        if open_.intersection(node.output):
            taken.append(node)
            read = set(reads(node))
            needed |= read
            open_ |= read - known
    return taken[::-1], needed


def _value(name: str, example: np.ndarray) -> ValueInfoProto:
    """Declare an input; sizes that a shape is read from are fixed, others are free."""
    kind = helper.np_dtype_to_tensor_dtype(example.dtype)
    sizes = example.dtype.kind in "iu" and example.ndim <= 1
    shape = list(example.shape) if sizes else [None] * example.ndim
    return helper.make_tensor_value_info(name, kind, shape)


def _output(reader: Reader, name: str) -> ValueInfoProto:
    """Declare an output; where its type is not known, ONNX Runtime finds it."""
    found = reader.types.get(name)
    if found is None or not found.elem_type:
        return ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, found.elem_type, found.shape)
