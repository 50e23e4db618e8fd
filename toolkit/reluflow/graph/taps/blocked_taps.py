"""Hashing inside ONNX Runtime's blocked layout, so that taps do not restore the plain order.

ONNX Runtime keeps the activations of its own convolutions in blocks of 8 or 16 channels
(`[N, C / block, H, W, block]` in memory, under the shape `[N, C, H, W]`) and puts a `ReorderOutput`
before everything else that reads them. PatternHash can read the blocks itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from reluflow.graph.proto.check import reads
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.taps.hash_taps import OP

_BLOCKED_DOMAIN = "com.microsoft.nchwc"
_RANK = 4


def has_convolutions(model: Model) -> bool:
    """Tell whether ONNX Runtime may keep activations of a model in blocks.

    Args:
        model: any model.

    Example:
        >>> from reluflow.graph import load
        >>> has_convolutions(load('models/fashion_resnet8.onnx'))
        True
    """
    return any(node.op_type == "Conv" for node in model._proto.graph.node)


def read_blocked(path: str | os.PathLike[str], block: int) -> Model | None:
    """Let the hashes of an optimised model read blocked tensors themselves.

    Every PatternHash moves directly after the node that it reads, so that it finds the data in
    cache when nodes run in the order of the file.

    Args:
        path: a model with PatternHash nodes as ONNX Runtime wrote it after all its optimisations;
            its weights stay in the files next to it.
        block: channels in a block of this machine's layout, 8 or 16.

    Returns:
        The rewritten model, which only the ONNX Runtime that wrote it may run, without
        optimisations; None where no tap restores the plain order of a tensor.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from reluflow.sessions import open_session
        >>> model, _ = blocked_probe()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / 'optimised.onnx'
        ...     session = open_session(model, write_optimised=path)
        ...     changed = read_blocked(path, 8)
        >>> changed is None or changed.outputs == model.outputs
        True
    """
    proto = onnx.load_model(os.fspath(path), load_external_data=False)
    nodes = list(proto.graph.node)
    reorders = {n.output[0]: n for n in nodes if _is(n, "ReorderOutput", _BLOCKED_DOMAIN)}
    for node in nodes:
        if _is(node, OP, OWN_DOMAIN) and node.input[0] in reorders:
            _rewire(node, reorders[node.input[0]], block)
    read = {name for node in nodes for name in reads(node)}
    read |= {value.name for value in proto.graph.output}
    left = [n for n in nodes if not (n.output and n.output[0] in reorders.keys() - read)]
    if len(left) == len(nodes):
        return None
    ordered = [n.SerializeToString() for n in _hashes_behind_their_inputs(left)]
    del proto.graph.node[:]
    proto.graph.node.extend(map(NodeProto.FromString, ordered))
    return Model(proto, base_dir=Path(path).absolute().parent)


def blocked_probe() -> tuple[Model, np.ndarray]:
    """Return a small hashed convolution and an input that reveal the layout of this machine.

    Its 17 channels are not a whole number of blocks of either size.

    Example:
        >>> model, x = blocked_probe()
        >>> x.shape, model.opset['ai.reluflow']
        ((2, 3, 4, 5), 1)
    """
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((17, 3, 1, 1)).astype(np.float32)
    outputs = ["keys", "active", "nonfinite"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["y"]),
            helper.make_node(OP, ["y"], outputs, domain=OWN_DOMAIN),
        ],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 5])],
        [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in outputs],
        [numpy_helper.from_array(weight, "w")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(OWN_DOMAIN, 1)]
    proto: ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return Model(proto), rng.standard_normal((2, 3, 4, 5)).astype(np.float32)


def _is(node: NodeProto, op: str, domain: str) -> bool:
    return node.op_type == op and node.domain == domain


def _rewire(node: NodeProto, reorder: NodeProto, block: int) -> None:
    """Let a hash read what a reorder reads, where its units are the channels."""
    given = {a.name: a.i for a in (*reorder.attribute, *node.attribute)}
    channel_axis = _RANK - 1 if given.get("channels_last") else 1
    if given.get("unit_axis", 1) % _RANK != channel_axis:
        return
    node.input[0] = reorder.input[0]
    kept = [a for a in node.attribute if a.name != "unit_axis"]
    new = {"unit_axis": 1, "block": block, "units": given["channels"]}
    attributes = [*kept, *(helper.make_attribute(k, v) for k, v in new.items())]
    texts = [a.SerializeToString() for a in attributes]
    del node.attribute[:]
    node.attribute.extend(map(onnx.AttributeProto.FromString, texts))


def _hashes_behind_their_inputs(nodes: list[NodeProto]) -> list[NodeProto]:
    made = {name for node in nodes for name in node.output}
    waiting: dict[str, list[NodeProto]] = {}
    for node in nodes:
        if _is(node, OP, OWN_DOMAIN) and node.input[0] in made:
            waiting.setdefault(node.input[0], []).append(node)
    moved = {id(node) for group in waiting.values() for node in group}
    ordered: list[NodeProto] = []
    for node in nodes:
        if id(node) in moved:
            continue
        ordered.append(node)
        for name in node.output:
            ordered += waiting.get(name, [])
    return ordered
