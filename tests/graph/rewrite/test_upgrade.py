"""Raising the opset: results and metadata stay, or one sentence names the node in the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from rewriting import weights

from reluflow.errors import ModelError
from reluflow.graph import Model, load, upgrade
from reluflow.graph.rewrite.opset.rules import CHANGED
from reluflow.sessions import open_session

IMAGE = "float[1,2,3,4] x"
NUMBERS = weights(1, 2, 3, 4, scale=2)
RESIZE = "float[4] s = {1.0, 1.0, 2.0, 1.5}"

KEPT: dict[str, tuple[int, str, str]] = {
    "resize 10 linear": (10, 'y = Resize <mode = "linear"> (x, s)', RESIZE),
    "resize 10 nearest": (10, "y = Resize (x, s)", RESIZE),
    "resize 10 nearest, shrinks": (
        10, "y = Resize (x, s)", "float[4] s = {1.0, 1.0, 0.7, 0.6}",
    ),
    "resize 10 nearest, mixed": (10, "y = Resize (x, s)", "float[4] s = {1.0, 1.0, 1.7, 0.6}"),
    "resize 10 linear, shrinks": (
        10, 'y = Resize <mode = "linear"> (x, s)', "float[4] s = {1.0, 1.0, 0.7, 0.6}",
    ),
    "resize 11": (
        11,
        'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, r, s)',
        RESIZE + ", float[0] r = {}",
    ),
    "upsample 9 linear": (9, 'y = Upsample <mode = "linear"> (x, s)', RESIZE),
    "upsample 9 nearest": (9, "y = Upsample (x, s)", RESIZE),
    "upsample 7 linear": (
        7, 'y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 3.0]> (x)', "",
    ),
    "upsample 7 nearest": (7, "y = Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x)", ""),
    **{
        f"{op} {opset}, axis {axis}": (opset, f"y = {op}{axis} (x)", "")
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for opset, axis in (
            (7, ""), (9, " <axis = 3>"), (11, " <axis = 2>"), (11, " <axis = -1>"),
            (11, " <axis = -2>"), (12, " <axis = 0>"),
        )
    },
    "squeeze": (11, "y = Squeeze <axes = [0]> (x)", ""),
    "squeeze all": (9, "y = Squeeze (x)", ""),
    "unsqueeze": (11, "y = Unsqueeze <axes = [0, -1]> (x)", ""),
    "reduce sum": (11, "y = ReduceSum <axes = [1, -1], keepdims = 0> (x)", ""),
    "reduce sum of all": (7, "y = ReduceSum (x)", ""),
    "reduce mean": (7, "y = ReduceMean <axes = [1]> (x)", ""),
    "split": (11, "a, b = Split <axis = 3, split = [1, 3]> (x) y = Concat <axis = 3> (b, a)", ""),
    "split evenly": (9, "a, b = Split <axis = 1> (x) y = Sub(a, b)", ""),
    "slice": (9, "y = Slice <axes = [2, 3], starts = [0, -3], ends = [2, 9]> (x)", ""),
    "slice without axes": (7, "y = Slice <starts = [0, 1], ends = [1, 2]> (x)", ""),
    "slice of inputs": (
        10, "y = Slice (x, a, b, c, d)",
        "int64[1] a = {3}, int64[1] b = {0}, int64[1] c = {3}, int64[1] d = {-2}",
    ),
    "top k 9": (9, "y, i = TopK <k = 2, axis = 3> (x)", ""),
    "top k 10": (10, "y, i = TopK (x, k)", "int64[1] k = {3}"),
    "clip": (7, "y = Clip <min = -0.5, max = 6.0> (x)", ""),
    "clip below": (10, "y = Clip <min = 0.0> (x)", ""),
    "clip above": (9, "y = Clip <max = 0.25> (x)", ""),
    "clip of inputs": (11, "y = Clip (x, , m)", "float m = {0.5}"),
    "pad": (7, "y = Pad <pads = [0, 0, 1, 2, 0, 0, 0, 1], value = 1.5> (x)", ""),
    "pad reflected": (10, 'y = Pad <mode = "reflect", pads = [0,0,1,2,0,0,0,1]> (x)', ""),
    "dropout 7": (7, "y = Dropout <ratio = 0.3> (x)", ""),
    "dropout 10": (10, "y, m = Dropout <ratio = 0.3> (x)", ""),
    "batch norm 7": (7, "y = BatchNormalization <spatial = 1> (x, a, a, b, a)",
        "float[2] a = {1.0, 2.0}, float[2] b = {0.5, -1.0}"),
    "batch norm 9": (9, "y = BatchNormalization (x, a, a, b, a)",
        "float[2] a = {1.0, 2.0}, float[2] b = {0.5, -1.0}"),
    "scatter": (9, "y = Scatter <axis = 3> (x, i, u)",
        "int64[1,2,3,1] i = {0,1,2,3,0,1}, float[1,2,3,1] u = {9,8,7,6,5,4}"),
    "max pool": (7, "y = MaxPool <kernel_shape = [2, 2]> (x)", ""),
    "flatten, gemm": (
        9, "f = Flatten(x) y = Gemm <transB = 1> (f, w, c)",
        "float[1,24] w = {" + ",".join(["0.5"] * 24) + "}, float[1] c = {1.0}",
    ),
    "depth to space": (9, "t = Transpose <perm = [0, 3, 1, 2]> (x) "
        "y = DepthToSpace <blocksize = 2> (t)", ""),
    "quantised": (
        10, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
        "float s = {0.1}, uint8 z = {128}",
    ),
    "inside an If": (
        10,
        "m = ReduceMax <keepdims = 0> (x) c = Cast <to = 9> (m) y = If (c) "
        "<then_branch = t () => (float[1,2,3,4] p) { p = Softmax (x) }, "
        "else_branch = e () => (float[1,2,3,4] q) { q = Clip <min = 0.0> (x) }>",
        "",
    ),
}  # fmt: skip


def made(opset: int, body: str, constants: str) -> Model:
    held = f"<{constants}>" if constants else ""
    ir = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7}[opset]
    proto = parser.parse_model(
        f'<ir_version: {max(ir, 4)}, opset_import: ["" : {opset}]> '
        f"g ({IMAGE}) => (float[a] y) {held} {{ {body} }}"
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return load(proto)


def run(model: Model) -> np.ndarray:
    return open_session(model, threads=1, optimisation="none").run({"x": NUMBERS})[0]


@pytest.mark.parametrize("name", KEPT)
def test_numbers_stay(name: str) -> None:
    model = made(*KEPT[name])
    before = model.serialize()
    raised = upgrade(model).model
    assert raised.opset == {"": 13} and model.serialize() == before
    assert any(f"raised from {model.opset['']} to 13" in note for note in raised.notes)
    checked = onnx.shape_inference.infer_shapes(raised._proto, strict_mode=True)
    if checked.graph.output[0].type.tensor_type.HasField("shape"):
        onnx.checker.check_model(checked, full_check=True)
    np.testing.assert_allclose(run(raised), run(model), rtol=1e-6, atol=1e-7)


REFUSED = {
    "scan 8": (
        8, "i = Identity(x) y = Scan <num_scan_inputs = 1, body = b (float[3,4] p) => "
        "(float[3,4] q) { q = Neg(p) }> (, i)", "", "of node 'y' .Scan. Scan of version 8",
    ),
    "spatial 0": (
        7, "y = BatchNormalization <spatial = 0> (x, a, a, a, a)",
        "float[2,3,4] a = {" + ",".join(["1.0"] * 24) + "}", "every position on its own",
    ),
    "mask": (7, "a, y = Dropout(x)", "", "its mask, numbers then and truth values now, is read"),
    "computed scales": (
        10, "m = ReduceMax <axes = [0, 2, 3], keepdims = 0> (x) s = Concat <axis = 0> (m, m) "
        "y = Resize(x, s)", "", "its scales are computed",
    ),
    "old coordinates": (
        11, 'y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, r, s)',
        RESIZE + ", float[0] r = {}", "tf_half_pixel_for_nn are no more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equal_is_refused(name: str) -> None:
    opset, body, constants, reason = REFUSED[name]
    with pytest.raises(ModelError, match=f"cannot be raised to 13.*{reason}.*export it again"):
        upgrade(made(opset, body, constants))


def unknown_type(op: str) -> Model:
    """A node whose input comes from another domain: its element type is unknown."""
    nodes = [helper.make_node("Made", ["x"], ["h"], domain="com.example")]
    attributes = {"min": 0.5} if op == "Clip" else {"pads": [1, 1], "value": 2.0}
    nodes.append(helper.make_node(op, ["h"], ["k"], **attributes))
    nodes.append(helper.make_node("Cast", ["k"], ["y"], to=TensorProto.FLOAT))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [4])]
    )
    imports = [helper.make_opsetid("", 9), helper.make_opsetid("com.example", 1)]
    return load(helper.make_model(graph, opset_imports=imports, ir_version=4))


@pytest.mark.parametrize("op", ["Clip", "Pad"])
def test_bounds_of_an_unknown_type_are_refused(op: str) -> None:
    with pytest.raises(ModelError, match=r"the element type of its input, which its .* need"):
        upgrade(unknown_type(op))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_bounds_have_the_type_of_the_numbers(dtype: type) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Clip", ["x"], ["y"], min=-0.5, max=0.5)],
        "g",
        [value("x", kind, [3])],
        [value("y", kind, [3])],
    )
    imports = [helper.make_opsetid("", 10)]
    raised = upgrade(load(helper.make_model(graph, opset_imports=imports, ir_version=5))).model
    x: np.ndarray = np.array([-2, 0.25, 2], dtype)
    y = open_session(raised, threads=1).run({"x": x})[0]
    assert y.dtype == dtype and y.tolist() == [-0.5, 0.25, 0.5]


def documented(opset: int) -> onnx.ModelProto:
    """A model with every kind of metadata and documentation."""
    softmax = helper.make_node("Softmax", ["x"], ["y"], name="soft", axis=0)
    bounds: dict[str, Any] = {"min": 0.0} if opset < 11 else {}
    old: dict[str, Any] = {"broadcast": 1} if opset < 7 else {}
    clip = helper.make_node("Clip", ["y"], ["z"], name="clip", **bounds)
    value = helper.make_tensor_value_info
    tensor = numpy_helper.from_array(np.ones(2, np.float32), "w")
    graph = helper.make_graph(
        [softmax, clip, helper.make_node("Add", ["z", "w"], ["o"], name="add", **old)],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("o", TensorProto.FLOAT, ["N", 2])],
        [tensor],
        doc_string="the graph",
        value_info=[value("y", TensorProto.FLOAT, ["N", 2])],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 2)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=6, doc_string="the model")
    proto.producer_name, proto.domain, proto.model_version = "hand", "org.example", 7
    annotation = proto.graph.quantization_annotation.add(tensor_name="y")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    holders = [proto, proto.graph, proto.graph.initializer[0], proto.graph.value_info[0]]
    for number, holder in enumerate([*holders, *proto.graph.node, *proto.graph.input]):
        entry = holder.metadata_props.add()
        entry.key, entry.value = "k", str(number)
    for holder in (*proto.graph.node, *proto.graph.input, proto.graph.initializer[0]):
        holder.doc_string = f"about {holder.name}"
    return proto


@pytest.mark.parametrize("opset", [6, 7, 9, 12])
def test_metadata_and_documentation_stay(opset: int) -> None:
    proto = documented(opset)
    new = upgrade(load(proto)).model._proto
    for field in ("metadata_props", "doc_string", "producer_name", "domain", "model_version"):
        assert getattr(new, field) == getattr(proto, field), field
    for field in ("metadata_props", "doc_string", "input", "value_info", "initializer"):
        assert getattr(new.graph, field) == getattr(proto.graph, field), field
    assert new.graph.quantization_annotation == proto.graph.quantization_annotation
    named = {node.name: node for node in new.graph.node}
    for node in proto.graph.node:
        assert named[node.name].metadata_props == node.metadata_props
        assert named[node.name].doc_string == node.doc_string
    assert ("com.example", 2) in [(e.domain, e.version) for e in new.opset_import]


def test_a_replaced_node_keeps_its_name_and_metadata() -> None:
    model = made(9, 'y = Upsample <mode = "linear"> (x, s)', RESIZE)
    node = model._proto.graph.node[0]
    node.name, node.doc_string = "up", "doubles"
    node.metadata_props.add(key="k", value="v")
    (new,) = [n for n in upgrade(model).model._proto.graph.node if n.op_type == "Resize"]
    assert (new.name, new.doc_string, new.metadata_props[0].value) == ("up", "doubles", "v")


OLD = {
    "broadcast along an axis": (6, "y = Add <broadcast = 1, axis = 1> (x, a)"),
    "broadcast from the end": (6, "y = Add <broadcast = 1> (x, row)"),
    "batch norm of inference": (6, "y = BatchNormalization <is_test = 1> (x, a, a, a, a)"),
    "dropout of inference": (6, "y = Dropout <is_test = 1, ratio = 0.5> (x)"),
    "slopes along channels": (6, "y = PRelu(x, a)"),
    "elementwise": (6, "y = Relu(x)"),
    "consumed inputs": (1, "y = Relu <consumed_inputs = [0]> (x)"),
    "shape as attribute": (1, "y = Reshape <shape = [1, 2, 12]> (x)"),
    "type as text": (1, 'h = Cast <to = "DOUBLE"> (x) y = Cast <to = "FLOAT"> (h)'),
    "default axis": (3, "y = Concat (x, x)"),
    "paddings": (1, "y = Pad <paddings = [0, 0, 1, 0, 0, 0, 0, 0], value = 2.0> (x)"),
    "two scales": (1, "y = Upsample <height_scale = 2.0, width_scale = 1.0> (x)"),
    "rounded constants": (1, "y = Selu(x)"),
    "gemm": (6, "f = Flatten(x) y = Gemm <broadcast = 1> (f, m, c)"),
}


def old(opset: int, body: str) -> onnx.ModelProto:
    row, matrix = "float[4] row = {1.0, 2.0, 3.0, 4.0}", ",".join(["0.25"] * 24)
    proto = parser.parse_model(
        f'<ir_version: 4, opset_import: ["" : {opset}]> g ({IMAGE}) => (float[a] y) '
        f"<float[2] a = {{1.0, 2.0}}, {row}, float[24,1] m = {{{matrix}}}, float[1] c = {{3.0}}> "
        f"{{ {body} }}"
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto


@pytest.mark.parametrize("name", OLD)
def test_versions_below_seven(name: str) -> None:
    raised = upgrade(load(old(*OLD[name]))).model
    a = np.array([1, 2], np.float32).reshape(2, 1, 1)
    positive = np.maximum(NUMBERS, 0)
    wanted = {
        "broadcast along an axis": NUMBERS + a,
        "broadcast from the end": NUMBERS + np.array([1, 2, 3, 4], np.float32),
        "batch norm of inference": (NUMBERS - a) / np.sqrt(a + 1e-5) * a + a,
        "dropout of inference": NUMBERS,
        "slopes along channels": np.where(NUMBERS > 0, NUMBERS, NUMBERS * a),
        "elementwise": positive,
        "consumed inputs": positive,
        "shape as attribute": NUMBERS.reshape(1, 2, 12),
        "type as text": NUMBERS,
        "default axis": np.concatenate([NUMBERS, NUMBERS], axis=1),
        "paddings": np.pad(NUMBERS, ((0, 0), (0, 0), (1, 0), (0, 0)), constant_values=2),
        "two scales": np.repeat(NUMBERS, 2, axis=2),
        "rounded constants": 1.0507 * np.where(NUMBERS > 0, NUMBERS, 1.6732 * np.expm1(NUMBERS)),
        "gemm": NUMBERS.reshape(1, -1).sum(axis=1, keepdims=True) / 4 + 3,
    }[name]
    np.testing.assert_allclose(run(raised), wanted, rtol=1e-5, atol=1e-6)


OLD_REFUSED = {
    "training": (6, "y = BatchNormalization(x, a, a, a, a)", "normalises by the batch"),
    "dropping": (6, "y = Dropout(x)", "it drops values at each run"),
    "unknown axes": (
        6, "h = com.example.Made(x) y = Add <broadcast = 1, axis = 1> (h, a)",
        "the axes that it broadcasts along are not known",
    ),
    "unknown slopes": (
        6, "h = com.example.Made(x) y = PRelu(h, a)", "the axes of its slopes are not known"
    ),
    "an attribute that is gone": (
        1, "i, y = LSTM <hidden_size = 2, output_sequence = 1> (x, x, x)",
        "the attribute 'output_sequence' has no equal",
    ),
    "inputs that changed": (1, "y = Tile(x, c, c)", "the inputs changed"),
    "a default that changed": (1, "y = LpPool <kernel_shape = [1, 1]> (x)", "the default of"),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD_REFUSED)
def test_versions_below_seven_without_an_equal_are_refused(name: str) -> None:
    opset, body, reason = OLD_REFUSED[name]
    proto = old(opset, body)
    proto.opset_import.add(domain="com.example", version=1)
    with pytest.raises(ModelError, match=f"has opset {opset} and cannot be raised.*{reason}"):
        upgrade(Model(proto))


def _new_form(op: str, version: int) -> bool:
    """Tell whether a node of an old version is invalid in version 13, or means something else."""
    old, new = (onnx.defs.get_schema(op, v, "") for v in (version, 13))
    if new.deprecated:
        return True
    before, after = (
        {name: (a.type, str(a.default_value)) for name, a in schema.attributes.items()}
        for schema in (old, new)
    )
    gone = any(after.get(name) != kind for name, kind in before.items())
    inputs = [[value.name for value in schema.inputs] for schema in (old, new)]
    return gone or inputs[0] != inputs[1][: len(inputs[0])]


def test_every_operator_whose_form_changed_has_a_rule() -> None:
    history = [s for s in onnx.defs.get_all_schemas_with_history() if not s.domain]
    changed = set()
    for schema in history:
        version = max(schema.since_version, 7)
        if version > 12 or schema.deprecated or schema.since_version > 12:
            continue
        if onnx.defs.get_schema(schema.name, version, "").since_version != schema.since_version:
            continue  # another version was at 7
        if _new_form(schema.name, version):
            changed.add(schema.name)
    assert len(changed) > 10 and changed <= set(CHANGED)
