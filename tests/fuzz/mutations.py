"""Mutations of ONNX models that know their structure: fields, edges, sizes, attributes, calls."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

T = TypeVar("T")
Mutation = Callable[[ModelProto, random.Random], None]
MUTATIONS: list[Mutation] = []

SIZES = [-(2**63), -1, 0, 1, 2, 3, 5, 7, 64, 65535, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-38, 3e38, float("inf"), float("-inf"), float("nan")]
NAMES = ["", "x", "ghost", "samples", "seed", "a" * 300, "ü/..\n\x1b[31m", "0"]
DOMAINS = ["", "ai.onnx", "ai.onnx.ml", "ai.reluflow", "com.microsoft", "local", "nowhere"]
OPS = """Relu LeakyRelu PRelu Clip Max Min Where Add Mul Div Sub MatMul Gemm Conv ConvTranspose
BatchNormalization LayerNormalization InstanceNormalization Reshape Transpose Squeeze Unsqueeze
Concat Split Slice Gather GatherND Pad Resize Expand Tile ConstantOfShape Range Shape Cast Identity
Softmax ReduceSum ReduceMean MaxPool AveragePool GlobalAveragePool Dropout QuantizeLinear
DequantizeLinear QLinearConv If Loop Scan LSTM GRU RNN TopK NonZero Einsum OneHot CumSum Sign Abs
Erf Gelu HardSwish HardSigmoid Softplus Elu Selu Celu ThresholdedRelu Greater And Not Constant
RandomNormalLike Trilu PsbConv PsbMatMul PatternHash""".split()


def mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


def graphs(proto: ModelProto) -> Iterator[GraphProto]:
    """Yield the main graph and every subgraph, those in functions too."""
    yield proto.graph
    for nodes in (proto.graph.node, *(f.node for f in proto.functions)):
        yield from _inner(nodes)


def _inner(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            for graph in [attribute.g] if attribute.HasField("g") else list(attribute.graphs):
                yield graph
                yield from _inner(graph.node)


def nodes_of(proto: ModelProto) -> list[NodeProto]:
    found = [node for graph in graphs(proto) for node in graph.node]
    return found + [node for function in proto.functions for node in function.node]


def tensors_of(proto: ModelProto) -> list[TensorProto]:
    found = [tensor for graph in graphs(proto) for tensor in graph.initializer]
    return found + [a.t for n in nodes_of(proto) for a in n.attribute if a.HasField("t")]


def names_of(proto: ModelProto) -> list[str]:
    found = {name for node in nodes_of(proto) for name in (*node.input, *node.output)}
    return sorted(found | {tensor.name for tensor in proto.graph.initializer})


def _one(rng: random.Random, items: Iterable[T]) -> T | None:
    listed = list(items)
    return rng.choice(listed) if listed else None


# --- fields --------------------------------------------------------------------------------------


@mutation
def header(proto: ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.5:
        proto.ir_version = rng.choice([0, 2, 3, 4, 7, 8, 10, 13, 99, -1])
    else:
        entry = rng.choice(proto.opset_import) if proto.opset_import else proto.opset_import.add()
        entry.version = rng.choice([0, 1, 6, 9, 11, 13, 17, 21, 25, 99, -1])
        if rng.random() < 0.2:
            entry.domain = rng.choice(DOMAINS)


@mutation
def operator(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is not None:
        node.op_type = rng.choice(OPS) if rng.random() < 0.8 else rng.choice(NAMES)
        if node.op_type.startswith(("Psb", "Pattern")) or rng.random() < 0.1:
            node.domain = rng.choice(DOMAINS) if rng.random() < 0.3 else "ai.reluflow"
            if all(entry.domain != node.domain for entry in proto.opset_import):
                proto.opset_import.append(helper.make_opsetid(node.domain, 1))


@mutation
def names(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is not None:
        node.name = rng.choice(NAMES)
    tensor = _one(rng, tensors_of(proto))
    if tensor is not None and rng.random() < 0.4:
        tensor.name = rng.choice(NAMES + names_of(proto))


@mutation
def value_types(proto: ModelProto, rng: random.Random) -> None:
    graph = rng.choice(list(graphs(proto)))
    value = _one(rng, [*graph.input, *graph.output, *graph.value_info])
    if value is None:
        return
    how = rng.randrange(4)
    if how == 0:
        value.type.tensor_type.elem_type = rng.randrange(0, 26)
    elif how == 1:
        value.ClearField("type")
    elif how == 2:
        value.type.tensor_type.ClearField("shape")
    else:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1


# --- edges ---------------------------------------------------------------------------------------


@mutation
def rewire(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is not None and node.input:
        place = rng.randrange(len(node.input))
        node.input[place] = rng.choice([*names_of(proto), "", "ghost"])


@mutation
def inputs_of_a_node(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is None:
        return
    how = rng.randrange(4)
    if how == 0:
        node.input.append(rng.choice([*names_of(proto), ""]))
    elif how == 1 and node.input:
        del node.input[rng.randrange(len(node.input)) :]
    elif how == 2 and len(node.input) > 1:
        flipped = list(node.input)
        rng.shuffle(flipped)
        node.input[:] = flipped
    elif node.input:
        node.input[rng.randrange(len(node.input))] = ""


@mutation
def outputs_of_a_node(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is None:
        return
    if rng.random() < 0.5 or not node.output:
        node.output.append(rng.choice([*names_of(proto), "", "fresh"]))
    else:
        node.output[rng.randrange(len(node.output))] = rng.choice(["", "fresh", *names_of(proto)])


@mutation
def nodes_of_a_graph(proto: ModelProto, rng: random.Random) -> None:
    graph = rng.choice(list(graphs(proto)))
    if not graph.node:
        return
    place, how = rng.randrange(len(graph.node)), rng.randrange(4)
    if how == 0:
        del graph.node[place]
    elif how == 1:
        graph.node.append(graph.node[place])
    elif how == 2:
        order = [NodeProto.FromString(n.SerializeToString()) for n in graph.node]
        rng.shuffle(order)
        del graph.node[:]
        graph.node.extend(order)
    else:
        made = helper.make_node(
            rng.choice(OPS), [rng.choice(names_of(proto)) for _ in range(rng.randrange(4))], ["new"]
        )
        graph.node.insert(place, made)
        _read(graph.node[-1], "new", rng)


def _read(node: NodeProto, name: str, rng: random.Random) -> None:
    if node.input:
        node.input[rng.randrange(len(node.input))] = name


@mutation
def inputs_and_outputs(proto: ModelProto, rng: random.Random) -> None:
    graph = rng.choice(list(graphs(proto)))
    values = rng.choice([graph.input, graph.output])
    how = rng.randrange(4)
    if how == 0 and values:
        del values[rng.randrange(len(values))]
    elif how == 1:
        values.add().name = rng.choice(names_of(proto) + NAMES)
    elif how == 2 and values:
        values.append(rng.choice(values))
    elif values:
        rng.choice(values).name = rng.choice(names_of(proto) + NAMES)


# --- sizes ---------------------------------------------------------------------------------------


@mutation
def declared_sizes(proto: ModelProto, rng: random.Random) -> None:
    graph = rng.choice([proto.graph, *graphs(proto)])
    value = _one(rng, [*graph.input, *graph.output, *graph.value_info])
    if value is None:
        return
    dims = value.type.tensor_type.shape.dim
    if not dims or rng.random() < 0.2:
        dims.add().dim_value = rng.choice(SIZES)
    elif rng.random() < 0.2:
        del dims[rng.randrange(len(dims))]
    elif rng.random() < 0.3:
        rng.choice(dims).dim_param = rng.choice(["N", "M", "", "ü", "N+1"])
    else:
        rng.choice(dims).dim_value = rng.choice(SIZES)


@mutation
def sizes_of_a_tensor(proto: ModelProto, rng: random.Random) -> None:
    tensor = _one(rng, tensors_of(proto))
    if tensor is None:
        return
    how = rng.randrange(5)
    if how == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(SIZES)
    elif how == 1:
        dims = list(tensor.dims)
        rng.shuffle(dims)
        tensor.dims[:] = dims
    elif how == 2 and len(tensor.dims) > 1:
        first = tensor.dims[0] * tensor.dims[1]  # another rank, the same number of elements
        tensor.dims[:] = [first, *tensor.dims[2:]]
    elif how == 3:
        tensor.dims.append(1)
    else:
        del tensor.dims[:]


@mutation
def content_of_a_tensor(proto: ModelProto, rng: random.Random) -> None:
    tensor = _one(rng, tensors_of(proto))
    if tensor is None:
        return
    how = rng.randrange(6)
    if how == 0:
        tensor.data_type = rng.randrange(0, 26)
    elif how == 1:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif how == 2:
        tensor.raw_data = rng.randbytes(len(tensor.raw_data))
    elif how == 3:
        tensor.float_data.append(1.0)
    elif how == 4:
        tensor.ClearField("raw_data")
    elif tensor.data_type == TensorProto.INT64 and len(tensor.raw_data) >= 8:
        at = 8 * rng.randrange(len(tensor.raw_data) // 8)
        value = rng.choice(SIZES).to_bytes(8, "little", signed=True)
        tensor.raw_data = tensor.raw_data[:at] + value + tensor.raw_data[at + 8 :]
    elif tensor.data_type == TensorProto.INT64 and tensor.int64_data:
        tensor.int64_data[rng.randrange(len(tensor.int64_data))] = rng.choice(SIZES)


# --- attributes ----------------------------------------------------------------------------------


@mutation
def attribute_value(proto: ModelProto, rng: random.Random) -> None:
    attribute = _one(rng, [a for node in nodes_of(proto) for a in node.attribute])
    if attribute is None:
        return
    if attribute.type == AttributeProto.INT:
        attribute.i = rng.choice(SIZES)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = rng.choice(
            [b"", b"SAME_UPPER", b"VALID", b"\xff\xfe", b"binomial", b"linear"]
        )
    elif attribute.type == AttributeProto.INTS:
        how = rng.randrange(3)
        if how == 0:
            del attribute.ints[rng.randrange(len(attribute.ints) + 1) :]
        elif how == 1 or not attribute.ints:
            attribute.ints.append(rng.choice(SIZES))
        else:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(SIZES)
    elif attribute.type == AttributeProto.FLOATS:
        attribute.floats.append(rng.choice(FLOATS))
    elif attribute.type == AttributeProto.STRINGS:
        attribute.strings.append(rng.choice([b"Relu", b"Tanh", b"", b"Affine"]))


@mutation
def attributes_of_a_node(proto: ModelProto, rng: random.Random) -> None:
    node = _one(rng, nodes_of(proto))
    if node is None:
        return
    how = rng.randrange(5)
    known = "axis axes perm alpha group strides pads dilations kernel_shape transB to value".split()
    if how == 0 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif how == 1 and node.attribute:
        node.attribute.append(rng.choice(node.attribute))
    elif how == 2 and node.attribute:
        rng.choice(node.attribute).type = rng.randrange(0, 15)
    elif how == 3 and node.attribute:
        rng.choice(node.attribute).ref_attr_name = rng.choice(["outer", "alpha", ""])
    else:
        value = rng.choice([rng.choice(SIZES), rng.choice(FLOATS), [1, 2], "text", [0.5]])
        node.attribute.append(helper.make_attribute(rng.choice(known), value))


# --- functions and subgraphs ---------------------------------------------------------------------


@mutation
def into_a_function(proto: ModelProto, rng: random.Random) -> None:
    """Move a node of the main graph into a function of its own, rightly or not quite."""
    if not proto.graph.node:
        return
    place = rng.randrange(len(proto.graph.node))
    node = NodeProto.FromString(proto.graph.node[place].SerializeToString())
    name = f"f{len(proto.functions)}"
    opsets = list(proto.opset_import)
    if rng.random() < 0.2:
        opsets = [helper.make_opsetid("", rng.choice([1, 11, 13, 17, 99]))]
    inputs = list(dict.fromkeys(filter(None, node.input)))
    outputs = list(dict.fromkeys(filter(None, node.output)))
    given = list(inputs)
    if rng.random() < 0.3:
        rng.choice([inputs, outputs, given]).append("extra")
    function = helper.make_function("local", name, inputs, outputs, [node], opsets)
    proto.functions.append(function)
    call = helper.make_node(name, given, list(filter(None, node.output)), domain="local")
    proto.graph.node[place].CopyFrom(call)
    if all(entry.domain != "local" for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("local", 1))


@mutation
def into_a_subgraph(proto: ModelProto, rng: random.Random) -> None:
    """Move a node of the main graph into both branches of an If, or the body of a Loop."""
    if not proto.graph.node:
        return
    place = rng.randrange(len(proto.graph.node))
    node = proto.graph.node[place]
    outputs = list(filter(None, node.output))
    branches = []
    for branch in range(2):
        copy = NodeProto.FromString(node.SerializeToString())
        copy.output[:] = [f"{name}_b{branch}" if name else "" for name in node.output]
        values = [helper.make_empty_tensor_value_info(name) for name in copy.output if name]
        branches.append(helper.make_graph([copy], f"branch{branch}", [], values))
    condition = helper.make_tensor(f"cond_{place}", TensorProto.BOOL, [], [rng.random() < 0.5])
    proto.graph.initializer.append(condition)
    if rng.random() < 0.7:
        made = helper.make_node(
            "If", [condition.name], outputs, then_branch=branches[0], else_branch=branches[1]
        )
    else:
        body = branches[0]
        for name, kind in (("iter", TensorProto.INT64), ("keep", TensorProto.BOOL)):
            body.input.append(helper.make_tensor_value_info(name, kind, []))
        body.output.insert(0, helper.make_tensor_value_info("keep", TensorProto.BOOL, []))
        trips = helper.make_tensor(f"trips_{place}", TensorProto.INT64, [], [rng.choice(SIZES)])
        proto.graph.initializer.append(trips)
        made = helper.make_node("Loop", [trips.name, rng.choice(["", condition.name])], outputs)
        made.attribute.append(helper.make_attribute("body", body))
    proto.graph.node[place].CopyFrom(made)


# --- external data -------------------------------------------------------------------------------


@mutation
def out_of_the_file(proto: ModelProto, rng: random.Random) -> None:
    """Mark tensors as external; `finish` writes the file, `proto` says where, rightly or not."""
    for tensor in proto.graph.initializer:
        if tensor.HasField("raw_data") and rng.random() < 0.5:
            tensor.data_location = TensorProto.EXTERNAL
            changed = {
                "offset": str(rng.choice([-1, 1, 2**62])),
                "length": str(rng.choice(SIZES)),
                "location": rng.choice(["", "/etc/passwd", "../w", "gone", "w/..", "model.onnx"]),
            }
            wrong = rng.choice(list(changed)) if rng.random() < 0.3 else ""
            for key, value in {"location": "w", "offset": "", "length": ""}.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, changed[key] if key == wrong else value


def finish(proto: ModelProto, folder: Path, rng: random.Random) -> Path:
    """Write a mutated model and its external data; now and then some bytes are damaged."""
    data = bytearray()
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and tensor.HasField("raw_data"):
            for entry in tensor.external_data:
                if not entry.value and entry.key != "location":
                    size = len(data) if entry.key == "offset" else len(tensor.raw_data)
                    entry.value = str(size)
            data += tensor.raw_data
            tensor.ClearField("raw_data")
    if data:
        cut = len(data) - rng.randrange(1, 9) if rng.random() < 0.1 else len(data)
        (folder / "w").write_bytes(data[: max(cut, 0)])
    raw = bytearray(proto.SerializeToString())
    if rng.random() < 0.05 and raw:
        for _ in range(rng.randrange(1, 5)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    path = folder / "model.onnx"
    path.write_bytes(raw)
    return path


def mutate(proto: ModelProto, rng: random.Random) -> list[str]:
    """Apply one to four mutations in place; return their names."""
    chosen = [rng.choice(MUTATIONS) for _ in range(rng.choice([1, 1, 2, 2, 3, 4]))]
    for change in chosen:
        change(proto, rng)
    return [change.__name__ for change in chosen]
