"""Models for the spike: one of 3 GB, and small ones that each contain one thing to be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import onnx.parser
from onnx import ModelProto, TensorProto, helper

HUGE_BYTES = 3 * 2**30
UNKNOWN = b"\xfa\xf0\x04\x05later"
"""A field of number 9999 that holds "later", as a later version of ONNX might write it."""


class Carrier(NamedTuple):
    """A model that contains one thing, and the function that reads it from a model."""

    name: str
    model: ModelProto
    read: Callable[[ModelProto], Any]


def huge(folder: Path) -> Path:
    """Write a model of 3 GB: a MatMul, a Relu after it, one in an If, one in a function.

    The weights are a sparse file: they take no space on disk.
    """
    with open(folder / "w.bin", "wb") as file:
        file.truncate(HUGE_BYTES)
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 17, "here" : 1]>
        g (float[2, K] x, bool c) => (float[2, 64] y) <float[2, 64] d> {
            a = MatMul(x, w)
            b = Relu(a)
            d = Neg(b)
            e = If(c) <
                then_branch = t () => (float[2, 64] p) <float[2, 64] n> { n = Abs(d) p = Relu(n) },
                else_branch = f () => (float[2, 64] q) { q = Identity(d) } >
            y = here.twice(e)
        }
        <domain: "here", opset_import: ["" : 17]>
        twice (u) => (z) { v = Add(u, u) z = Relu(v) }"""
    )
    rows = HUGE_BYTES // 4 // 64
    model.graph.initializer.append(_external("w", "w.bin", HUGE_BYTES, [rows, 64]))
    path = folder / "huge.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _external(name: str, location: str, length: int, dims: list[int]) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": 0, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _plain() -> ModelProto:
    return onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 17]> g (float[2, 4] x) => (float[2, 4] y)
        <float[4] w = {1, 2, 3, 4}> { a = Mul(x, w) y = Relu(a) }"""
    )


PARTS: dict[str, Callable[[ModelProto], Any]] = {
    "the model": lambda m: m,
    "the graph": lambda m: m.graph,
    "a node": lambda m: m.graph.node[0],
    "a tensor": lambda m: m.graph.initializer[0],
    "an input": lambda m: m.graph.input[0],
}


def _holds_unknown(find: Callable[[onnx.ModelProto], Any], model: onnx.ModelProto) -> bool:
    return UNKNOWN in find(model).SerializeToString()


def carriers(folder: Path) -> Iterator[Carrier]:
    """Yield the models; the folder holds an external file that one of them names."""
    for part, find in PARTS.items():
        model = _plain()
        find(model).MergeFromString(UNKNOWN)
        yield Carrier(
            f"unknown field of {part}",
            model,
            partial(_holds_unknown, find),
        )
    yield from _known_fields()
    model = _plain()
    (folder / "small.bin").write_bytes(bytes(16))
    model.graph.initializer[0].CopyFrom(_external("w", "small.bin", 16, [4]))
    model.graph.initializer[0].external_data.add(key="checksum", value="9" * 40)
    yield Carrier(
        "checksum of external data", model, lambda m: str(m.graph.initializer[0].external_data)
    )


def _known_fields() -> Iterator[Carrier]:
    model = _plain()
    model.metadata_props.add(key="k", value="1")
    model.graph.node[0].metadata_props.add(key="k", value="2")
    yield Carrier(
        "metadata of the model and of a node",
        model,
        lambda m: f"{m.metadata_props} {m.graph.node[0].metadata_props}",
    )
    model = _plain()
    model.graph.value_info.append(helper.make_tensor_value_info("gone", 1, [3]))
    yield Carrier("type of a tensor not there", model, lambda m: "gone" in str(m.graph.value_info))
    model = _plain()
    model.training_info.add().algorithm.name = "train"
    yield Carrier("training_info", model, lambda m: len(m.training_info))
    model = _plain()
    model.opset_import[0].domain = "ai.onnx"
    yield Carrier("domain written ai.onnx", model, lambda m: m.opset_import[0].domain)
    model = _plain()
    sparse = model.graph.sparse_initializer.add(dims=[4])
    sparse.values.CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [1], [5.0]))
    sparse.indices.CopyFrom(helper.make_tensor("", TensorProto.INT64, [1], [2]))
    del model.graph.initializer[:]
    yield Carrier("sparse initializer", model, lambda m: len(m.graph.sparse_initializer))
    model = _plain()
    zipped = helper.make_node(
        "ZipMap", ["y"], ["m"], domain="ai.onnx.ml", classlabels_int64s=range(4)
    )
    model.graph.node.append(zipped)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    numbers = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, numbers))
    model.graph.output.append(helper.make_value_info("m", kind))
    yield Carrier("output that is a map", model, lambda m: str(m.graph.output[1]))
    model = _plain()
    model.graph.node.append(helper.make_node("Op", ["x"], ["o"], domain="d", b=[b"\xff", b"\xfe"]))
    model.opset_import.append(helper.make_opsetid("d", 1))
    yield Carrier("strings that are not UTF-8", model, lambda m: str(m.graph.node[1].attribute))
