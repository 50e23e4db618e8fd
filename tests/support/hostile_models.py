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
from onnx import TensorProto, helper, numpy_helper, parser

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
    tensor = helper.make_tensor("w0", TensorProto.STRING, [4, 6], [b"a"] * 24)
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


# --- whole models in ONNX' own notation --------------------------------------------------------


def written(name: str, pattern: str, body: str, opset: int = 17, extra: str = "") -> None:
    """Register a model in the text notation; `extra` are its functions."""
    header = f'<ir_version: 9, opset_import: ["" : {opset}, "local" : 1]>'

    def build(folder: Path) -> Path:
        return put(folder, parser.parse_model(f"{header} {body} {extra}"))

    REFUSED[name] = (build, pattern)


written(
    "gemm_shape_mismatch_at_run_time",
    "failed on inputs",
    """g (float[N,A] x) => (float[N,B] y) <float[2,2] w = {1,2,3,4}>
    { h = MatMul(x, w) y = Relu(h) }""",
)
written(
    "reshape_to_the_impossible",
    "failed on inputs|cannot load",
    "g (float[N,4] x) => (float[?,?] y) <int64[2] s = {3,5}> { h = Reshape(x, s) y = Relu(h) }",
)
written(
    "gather_out_of_range",
    "failed on inputs|cannot load|valid",
    "g (float[N,4] x) => (float[N] y) <int64 i = {9}> { h = Gather<axis = 1>(x, i) y = Relu(h) }",
)
written(
    "add_of_two_types",
    "type|valid",
    "g (float[N,4] x) => (float[N,4] y) <double[4] w = {1,2,3,4}> { h = Add(x, w) y = Relu(h) }",
)
written(
    "relu_of_booleans",
    "type|valid|cannot load|no switch",
    "g (bool[N,4] x) => (bool[N,4] y) { y = Relu(x) }",
)
written(
    "relu_of_complex_numbers",
    "type|valid|cannot load|no switch",
    "g (complex64[N,4] x) => (complex64[N,4] y) { y = Relu(x) }",
)
written(
    "relu_of_float8",
    "type|valid|cannot load",
    "g (float8e4m3fn[N,4] x) => (float8e4m3fn[N,4] y) { y = Relu(x) }",
    opset=19,
)
written(
    "sequence_input",
    "only numbers|sequence|tensor",
    "g (seq(float[N,4]) x) => (float[N,4] y) <int64 i = {0}> { h = SequenceAt(x, i) y = Relu(h) }",
)
written(
    "optional_input",
    "only numbers|optional|tensor",
    "g (optional(float[N,4]) x) => (float[N,4] y) { h = OptionalGetElement(x) y = Relu(h) }",
    opset=18,
)
written(
    "million_million_elements_at_run_time",
    "failed on inputs|memory|cannot load",
    """g (float[N,4] x) => (float[?,?] y) <int64[2] s = {1000000, 1000000}>
    { z = ConstantOfShape(s) a = ReduceSum(x) h = Add(z, a) y = Relu(h) }""",
)
written(
    "tile_beyond_memory",
    "failed on inputs|memory|cannot load",
    """g (float[N,4] x) => (float[?,?] y) <int64[2] s = {4000000000, 4000000000}>
    { h = Tile(x, s) y = Relu(h) }""",
)
written(
    "branches_of_different_type",
    "type|valid|cannot load",
    """g (float[N,4] x, bool[1] c) => (float[N,4] y) {
    h = If (c) <
      then_branch = t () => (float[N,4] a) { a = Identity(x) },
      else_branch = e () => (int64[N,4] b) { b = Cast<to = 7>(x) }>
    y = Relu(h) }""",
)
written(
    "branches_of_different_number",
    "output|valid|cannot load",
    """g (float[N,4] x, bool[1] c) => (float[N,4] y) {
    h = If (c) <
      then_branch = t () => (float[N,4] a) { a = Identity(x) },
      else_branch = e () => (float[N,4] b, float[N,4] d) { b = Neg(x) d = Neg(x) }>
    y = Relu(h) }""",
)
written(
    "branch_reads_what_is_not_there",
    "reads 'ghost'",
    """g (float[N,4] x, bool[1] c) => (float[N,4] y) {
    h = If (c) <
      then_branch = t () => (float[N,4] a) { a = Identity(ghost) },
      else_branch = e () => (float[N,4] b) { b = Neg(x) }>
    y = Relu(h) }""",
)
written(
    "if_without_else",
    "else_branch|valid",
    """g (float[N,4] x, bool[1] c) => (float[N,4] y) {
    h = If (c) <then_branch = t () => (float[N,4] a) { a = Identity(x) }>
    y = Relu(h) }""",
)
written(
    "condition_that_is_no_boolean",
    "type|valid|cannot load",
    """g (float[N,4] x) => (float[N,4] y) {
    h = If (x) <
      then_branch = t () => (float[N,4] a) { a = Identity(x) },
      else_branch = e () => (float[N,4] b) { b = Neg(x) }>
    y = Relu(h) }""",
)
written(
    "loop_body_of_wrong_arity",
    "input|valid|cannot load|Loop",
    """g (float[N,4] x) => (float[N,4] y) <int64 n = {3}, bool c = {1}> {
    h = Loop (n, c, x) <body = b (int64 i) => (float[N,4] o) { o = Neg(x) }>
    y = Relu(h) }""",
)
written(
    "constant_without_value",
    "Constant|valid|value",
    "g (float[N,4] x) => (float[N,4] y) { k = Constant() h = Add(x, k) y = Relu(h) }",
)
written(
    "prelu_slope_of_wrong_shape",
    "failed on inputs|cannot load|shape",
    "g (float[N,4] x) => (float[N,4] y) <float[3] s = {1,2,3}> { y = PRelu(x, s) }",
)
written(
    "switch_over_no_units",
    "no units|zero|elements|unit",
    """g (float[N,4] x) => (float[N,0] y) <int64[1] a = {2}, int64[1] b = {2}, int64[1] c = {1}>
    { h = Slice(x, a, b, c) y = Relu(h) }""",
)
CALLS = """
<domain: "local", opset_import: ["" : 17, "local" : 1]>
{} (a) => (b) {{ c = Relu(a) b = local.{}(c) }}"""
written(
    "function_that_calls_itself",
    "calls itself|recurs|cycle|valid",
    "g (float[N,4] x) => (float[N,4] y) { y = local.f(x) }",
    extra=CALLS.format("f", "f"),
)
written(
    "functions_that_call_each_other",
    "calls itself|recurs|cycle|valid",
    "g (float[N,4] x) => (float[N,4] y) { y = local.f(x) }",
    extra=CALLS.format("f", "h") + CALLS.format("h", "f"),
)
written(
    "function_that_reads_what_is_not_there",
    "ghost|valid|cannot load",
    "g (float[N,4] x) => (float[N,4] y) { y = local.f(x) }",
    extra='<domain: "local", opset_import: ["" : 17]> f (a) => (b) { b = Add(a, ghost) }',
)
written(
    "function_that_is_missing",
    "local|f|valid|cannot load",
    "g (float[N,4] x) => (float[N,4] y) { h = local.f(x) y = Relu(h) }",
)


def nested(levels: int) -> onnx.ModelProto:
    """If nodes inside each other."""
    info = helper.make_tensor_value_info
    inner = [helper.make_node("Relu", ["x"], ["y0"])]
    for level in range(1, levels + 1):
        out = [info(f"y{level - 1}", FLOAT, ["N", 4])]
        other = helper.make_node("Neg", ["x"], [f"n{level}"])
        then = helper.make_graph(inner, f"t{level}", [], out)
        neither = helper.make_graph([other], f"e{level}", [], [info(f"n{level}", FLOAT, ["N", 4])])
        node = helper.make_node("If", ["c"], [f"y{level}"], then_branch=then, else_branch=neither)
        inner = [node]
    graph = helper.make_graph(
        inner,
        "g",
        [info("x", FLOAT, ["N", 4]), info("c", TensorProto.BOOL, [1])],
        [info(f"y{levels}", FLOAT, ["N", 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@refused("damaged|nest|not an ONNX")
def nesting_beyond_the_format(folder: Path) -> Path:
    """400 graphs inside each other, written byte by byte: protobuf itself refuses to."""

    def field(number: int, payload: bytes) -> bytes:
        length, head = len(payload), bytearray()
        while length > 127:
            head.append(length & 127 | 128)
            length >>= 7
        return bytes([number << 3 | 2, *head, length]) + payload

    graph = b""
    for _ in range(400):
        attribute = field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, graph)
        graph = field(1, field(4, b"If") + field(5, attribute))
    return put(folder, b"\x08\x08" + field(7, graph))


# --- data beside the model ---------------------------------------------------------------------


def external(pattern: str, **entries: object) -> Callable[[Callable[[Path], None]], Builder]:
    """Register a network whose first weights lie outside; the function writes files."""

    def register(prepare: Callable[[Path], None]) -> Builder:
        def build(folder: Path) -> Path:
            inside = folder / "inside"
            inside.mkdir()
            proto = small_models.dense()
            tensor = proto.graph.initializer[0]
            (folder / "weights.bin").write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in entries.items():
                text = str(value).replace("{folder}", str(folder))
                tensor.external_data.add(key=key, value=text)
            prepare(folder)
            return put(inside, proto)

        REFUSED[prepare.__name__] = (build, pattern)
        return build

    return register


def _move_in(folder: Path, cut: int | None = None) -> None:
    raw = (folder / "weights.bin").read_bytes()
    (folder / "inside" / "w.bin").write_bytes(raw[:cut])


@external("does not exist", location="w.bin")
def external_data_missing(folder: Path) -> None:
    pass


@external("outside the model's folder", location="../weights.bin")
def external_data_one_folder_up(folder: Path) -> None:
    pass


@external("outside the model's folder", location="a/../../weights.bin")
def external_data_up_by_a_detour(folder: Path) -> None:
    (folder / "inside" / "a").mkdir()


@external("absolute path", location="{folder}/weights.bin")
def external_data_by_absolute_path(folder: Path) -> None:
    pass


@external("escapes|link|outside", location="w.bin")
def external_data_by_a_link_out(folder: Path) -> None:
    (folder / "inside" / "w.bin").symlink_to(folder / "weights.bin")


@external("escapes|link|outside", location="a/weights.bin")
def external_data_by_a_linked_folder(folder: Path) -> None:
    (folder / "inside" / "a").symlink_to(folder)


@external("incomplete", location="w.bin")
def external_data_too_short(folder: Path) -> None:
    _move_in(folder, -8)


@external("incomplete", location="w.bin", offset=2**62)
def external_offset_beyond_the_end(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", offset=-4)
def external_offset_negative(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", length=-1)
def external_length_negative(folder: Path) -> None:
    _move_in(folder)


@external("gives|incomplete", location="w.bin", length=2**70)
def external_length_huge(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", offset="ten")
def external_offset_in_words(folder: Path) -> None:
    _move_in(folder)


@external("names no file", offset=0)
def external_data_without_location(folder: Path) -> None:
    pass


@external("does not exist|folder", location=".")
def external_data_in_a_folder(folder: Path) -> None:
    pass


@external("does not exist|regular", location="pipe")
def external_data_in_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "inside" / "pipe")
