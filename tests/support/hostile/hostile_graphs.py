"""Models of valid form whose graphs cannot run, most in ONNX' own notation."""

from __future__ import annotations

from pathlib import Path

import onnx
from hostile_models import FLOAT, REFUSED, put, refused
from onnx import TensorProto, helper, parser


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
    "failed on inputs|memory|cannot load|depends on no input",
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
    "no switch of the model ran|no units",
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
