"""Damaged and hostile models, each a function that writes one below a folder."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import small_models
from onnx import TensorProto, helper, numpy_helper

Builder = Callable[[Path], Path]
REFUSED: dict[str, tuple[Builder, str]] = {}
"""Name -> builder, and a pattern that the sentence must match."""

FLOAT = TensorProto.FLOAT


def refused(pattern: str, name: str = "") -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        REFUSED[name or builder.__name__] = (builder, pattern)
        return builder

    return register


def put(folder: Path, content: bytes | onnx.ModelProto, name: str = "model.onnx") -> Path:
    path = folder / name
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    path.write_bytes(raw)
    return path


def raw_model() -> bytes:
    return small_models.dense().SerializeToString()


# --- files that are no model -------------------------------------------------------------------


def _truncated(share: float) -> Builder:
    return lambda folder: put(folder, raw_model()[: int(len(raw_model()) * share)])


for _share in (0.02, 0.25, 0.5, 0.9, 0.999):
    REFUSED[f"truncated_at_{_share}"] = (_truncated(_share), "truncated or damaged|no graph|no IR")


def _content(raw: bytes) -> Builder:
    return lambda folder: put(folder, raw)


for _name, _raw, _pattern in (
    ("empty_file", b"", "is empty"),
    ("text_file", b"hello, I am no model\n" * 9, "it is text"),
    ("json_file", b'{"ir_version": 8}', "it is text"),
    ("html_page", b"<!DOCTYPE html><html><body>404</body></html>", "it is text"),
    ("gzipped_model", gzip.compress(raw_model()), "not an ONNX file|no graph|not an ONNX model"),
    ("random_bytes", random.Random(1).randbytes(4096), "not an ONNX|no graph"),
    ("zeros", bytes(4096), "not an ONNX|damaged|no graph|no IR"),
    ("pickle_file", b"\x80\x04\x95\x1a\0\0\0\0\0\0\0}\x94.", "not an ONNX"),
    ("zip_file", b"PK\x03\x04" + bytes(60), "not an ONNX"),
    ("png_file", b"\x89PNG\r\n\x1a\n" + bytes(60), "not an ONNX"),
    ("only_an_ir_version", b"\x08\x08", "no graph"),
    ("endless_length", b"\x08\x08\x3a\xff\xff\xff\xff\x0f", "damaged"),
):
    REFUSED[_name] = (_content(_raw), _pattern)


@refused("is a folder")
def folder_as_model(folder: Path) -> Path:
    (folder / "model.onnx").mkdir()
    return folder / "model.onnx"


@refused("does not exist")
def missing_file(folder: Path) -> Path:
    return folder / "model.onnx"


@refused("does not exist")
def dangling_link(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to(folder / "gone.onnx")
    return folder / "model.onnx"


@refused("cannot be read|does not exist")
def link_to_itself(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to(folder / "model.onnx")
    return folder / "model.onnx"


@refused("no regular file|empty|cannot be read")
def device_file(folder: Path) -> Path:
    return Path("/dev/null")


@refused("regular file")
def endless_device(folder: Path) -> Path:
    return Path("/dev/zero")


@refused("regular file")
def named_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


# --- models with one thing wrong ---------------------------------------------------------------


def changed(pattern: str) -> Callable[[Callable[[onnx.ModelProto], None]], Builder]:
    """Register a dense network after a change in place."""

    def register(change: Callable[[onnx.ModelProto], None]) -> Builder:
        def build(folder: Path) -> Path:
            proto = small_models.dense()
            change(proto)
            return put(folder, proto)

        REFUSED[change.__name__] = (build, pattern)
        return build

    return register


@changed("cycle")
def cyclic_graph(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "act1"


@changed("cycle|produced more than once|needs itself")
def node_that_feeds_itself(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].input[0] = "act0"


@changed("reads 'ghost', which nothing")
def undefined_tensor(proto: onnx.ModelProto) -> None:
    proto.graph.node[2].input[0] = "ghost"


@changed("produced more than once|unique")
def tensor_produced_twice(proto: onnx.ModelProto) -> None:
    proto.graph.node[3].output[0] = "act0"
    proto.graph.node[4].input[0] = "act0"


@changed("output 'pre2' twice")
def duplicate_outputs(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(proto.graph.output[0])


@changed("input 'x' twice")
def duplicate_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(proto.graph.input[0])


@changed("same node name|unique")
def duplicate_node_names(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        node.name = "same"


@changed("w0")
def duplicate_initializers(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(proto.graph.initializer[0])


@changed("nothing produces the output 'ghost'")
def output_that_nothing_produces(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].name = "ghost"


@changed("Reluu")
def unknown_op(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].op_type = "Reluu"


@changed("OptimusPrime|com.example|no opset|not a registered")
def unknown_domain(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "OptimusPrime", "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))


@changed("op_type|no op|operator")
def node_without_op(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].ClearField("op_type")


@changed("999|opset")
def opset_999(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 999


@changed("opset")
def opset_minus_one(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = -1


@changed("opset")
def no_opset(proto: onnx.ModelProto) -> None:
    del proto.opset_import[:]


@changed("IR version 999")
def ir_version_999(proto: onnx.ModelProto) -> None:
    proto.ir_version = 999


@changed("IR version")
def ir_version_minus_one(proto: onnx.ModelProto) -> None:
    proto.ir_version = -1


@changed("no graph")
def missing_graph(proto: onnx.ModelProto) -> None:
    proto.ClearField("graph")


@changed("nothing produces|no nodes|no switch")
def no_nodes(proto: onnx.ModelProto) -> None:
    del proto.graph.node[:]


@changed("reads 'x', which nothing")
def input_not_declared(proto: onnx.ModelProto) -> None:
    del proto.graph.input[:]


@changed("no outputs")
def no_outputs(proto: onnx.ModelProto) -> None:
    del proto.graph.output[:]


@changed("attribute|alpha")
def attribute_of_wrong_type(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].attribute.append(helper.make_attribute("alpha", "one"))


@changed("attribute|slope")
def attribute_that_is_unknown(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].attribute.append(helper.make_attribute("slope", 0.5))


@changed("alpha|attribute")
def attribute_twice(proto: onnx.ModelProto) -> None:
    for value in (1.0, 2.0):
        proto.graph.node[0].attribute.append(helper.make_attribute("alpha", value))


@changed("input")
def node_with_too_many_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].input.append("x")


@changed("input")
def node_with_too_few_inputs(proto: onnx.ModelProto) -> None:
    del proto.graph.node[0].input[1:]


@changed("which do not fit|bytes")
def raw_data_too_short(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-2]


@changed("which do not fit|bytes")
def raw_data_too_long(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].raw_data += b"\0" * 4


@changed("w0|elements|data")
def float_data_of_wrong_length(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 5)


@changed("w0|data")
def data_in_two_fields(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].float_data.extend([1.0] * 24)


@changed("w0|data")
def initializer_without_data(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].ClearField("raw_data")


@changed("element type|data type|data_type|w0")
def initializer_of_undefined_type(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_type = 0


@changed("element type|w0")
def initializer_of_type_999(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_type = 999


@changed("negative size")
def negative_dims(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[0] = -4


@changed("bytes|w0")
def huge_declared_dims(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [10**12, 10**12]


@changed("bytes|w0")
def dims_that_overflow(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [2**62, 4, 6]


@changed("string|w0|type")
def weights_of_strings(proto: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("w0", TensorProto.STRING, [4, 6], [b"a"] * 24)  # type: ignore[list-item]
    proto.graph.initializer[0].CopyFrom(tensor)


@changed("string|type|cannot load|numbers")
def string_input(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


@changed("type|cannot load")
def weights_of_another_type(proto: onnx.ModelProto) -> None:
    weights = numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float64)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w0"))


@changed("shape|dimension|mismatch|failed")
def shapes_that_clash(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[:] = [6, 4]


@changed("elements")
def input_of_zero_width(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 0


@changed("elements")
def batch_of_zero(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0


@changed("memory|too large|1000000000000")
def input_of_a_million_million(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 10**12


@changed("scalar without a batch axis")
def scalar_input(proto: onnx.ModelProto) -> None:
    del proto.graph.input[0].type.tensor_type.shape.dim[:]


@changed("no type|type|element")
def input_without_type(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].ClearField("type")


@changed("no switch")
def model_without_a_switch(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Sigmoid"


@changed("initializer has no name|reads 'w0', which nothing")
def initializer_without_name(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].name = ""
