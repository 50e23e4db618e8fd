"""Loading: what a model says about itself, and one sentence for everything that is wrong."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.errors import ModelError
from reluflow.graph import find_sites, load

TEXT = "g (float[N,4] x) => (float[N,4] y) { [act] y = Relu(x) }"


def info(name, shape=(1, 3), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def build(nodes, inputs=None, outputs=None, initializers=(), ir=8, opset=17):
    inputs = [info("x")] if inputs is None else inputs
    outputs = [info("y")] if outputs is None else outputs
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(
        graph, ir_version=ir, opset_imports=[helper.make_opsetid("", opset)], producer_name="hand"
    )


def relu():
    return helper.make_node("Relu", ["x"], ["y"])


def test_a_model_describes_itself(tmp_path):
    weights = numpy_helper.from_array(np.ones((3, 5), np.float32), "w")
    proto = build(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        [info("x", ("batch", 3)), info("w", (3, 5))],
        [info("y", ("batch", 5))],
        [weights],
        ir=3,
    )
    proto.producer_version = "1.0"
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    model = load(path)
    assert model.path == path and model.base_dir == tmp_path
    assert [(s.name, str(s)) for s in model.inputs] == [("x", "float32 [batch, 3]")]
    assert model.outputs == ("y",)
    assert (model.opset, model.ir_version, model.producer) == ({"": 17}, 3, "hand 1.0")
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (model.n_nodes, model.n_parameters, model.size_bytes) == (2, 15, path.stat().st_size)
    assert model.external_files == () and model.notes == ()


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "proto"])
def test_sources(tmp_path, parse, kind):
    proto = parse(TEXT)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    sources = {"path": path, "str": str(path), "bytes": path.read_bytes(), "proto": proto}
    model = load(sources[kind])
    assert model.serialize() == path.read_bytes()
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_protobuf_given_is_copied(parse):
    proto = parse(TEXT)
    model = load(proto)
    proto.graph.node[0].op_type = "Neg"
    assert len(find_sites(model)) == 1


def test_sizes_unknown_and_strings_in_inputs(parse):
    proto = parse("g (float[?,4] x, string[2] s) => (float[?,4] y) { y = Relu(x) }")
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1
    model = load(proto)
    assert model.inputs[0].shape == (None, None)
    assert model.inputs[1].dtype == object


def test_nodes_out_of_order_are_sorted_and_said():
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])]
    model = load(build(nodes))
    assert "not in topological order; they were sorted" in model.notes[0]
    assert [site.tensor for site in find_sites(model)] == ["a"]


def test_unknown_domain_is_accepted(parse):
    text = "g (float[N,4] x) => (float[N,4] y) { a = com.example.Custom(x) y = Relu(a) }"
    assert len(find_sites(load(parse(text, extra=', "com.example" : 1')))) == 1


def test_output_without_a_shape_is_accepted(parse):
    proto = parse(TEXT)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert load(proto).outputs == ("y",)


def test_shapes_that_cannot_be_inferred_leave_sites_without_shape(parse):
    text = (
        "g (float[N,4] x, float[3,5] v, float[2] q) => (float[N,4] y) "
        "{ a = MatMul(v, q) b = Reshape(a, a) y = Relu(b) }"
    )
    (site,) = find_sites(load(parse(text)))
    assert site.shape is None and site.units is None


def refused(source, match):
    with pytest.raises(ModelError, match=match) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_wrong_kind_of_source():
    refused(3, "model 3 is a int; give a path, the bytes of an ONNX file, an onnx.ModelProto, an")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello, this is a text\n", "is not a binary ONNX file: it is text"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is not an ONNX file: its bytes are no protobuf message"),
        (b"\x08\x08", "is not an ONNX model: it holds no graph"),
        (b"\x12\x04abcd", "is not an ONNX model: it holds no IR version"),
    ],
)
def test_content_that_is_no_model(tmp_path, content, match):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    refused(path, f"model '.*m.onnx' {match}")
    refused(content, f"the model {match}")


def test_truncated_file(parse):
    refused(parse(TEXT).SerializeToString()[:40], "40 bytes are truncated or damaged")


def test_missing_file_folder_and_pipe(tmp_path):
    refused(tmp_path / "no.onnx", "does not exist; give the path of an .onnx file")
    refused(tmp_path, "is a folder; give the .onnx file inside it")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is no regular file")
    refused("a\0b", "cannot be read: .*null")


SHORT = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], raw_data=b"123")
NEGATIVE = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-3], raw_data=b"")
STRANGE = TensorProto(name="w", data_type=99, dims=[3], raw_data=b"123")
NAMELESS = TensorProto(data_type=TensorProto.FLOAT, dims=[1], raw_data=b"1234")
ADD = helper.make_node("Add", ["x", "w"], ["y"])
BROKEN = {
    "ir-99": (build([relu()], ir=99), "has ONNX IR version 99; versions 3 to"),
    "ir-2": (build([relu()], ir=2), "has ONNX IR version 2; versions 3 to"),
    "opset-999": (build([relu()], opset=999), "imports opset 999; opsets 1 to"),
    "no-outputs": (build([relu()], outputs=[]), "has no outputs"),
    "output-twice": (build([relu()], outputs=[info("y"), info("y")]), "lists the output 'y' twice"),
    "input-twice": (build([relu()], [info("x"), info("x")]), "lists the input 'x' twice"),
    "undefined": (
        build([helper.make_node("Relu", ["q"], ["y"])]),
        r"node 'y' \(Relu\) reads 'q', which nothing produces",
    ),
    "undefined-output": (build([relu()], outputs=[info("z")]), "nothing produces the output 'z'"),
    "produced-twice": (build([relu(), relu()]), "'y' is produced more than once"),
    "cycle": (
        build(
            [
                helper.make_node("Add", ["x", "b"], ["a"]),
                helper.make_node("Relu", ["a"], ["b"]),
                helper.make_node("Neg", ["b"], ["y"]),
            ]
        ),
        r"has a cycle through or before node 'a' \(Add\)",
    ),
    "unknown-op": (
        build([helper.make_node("Rellu", ["x"], ["y"], name="n")]),
        r"is not valid ONNX: No Op registered for Rellu with domain_version of 17 "
        r"in node 'n' \(Rellu\); export the model again",
    ),
    "unknown-attribute": (
        build([helper.make_node("Relu", ["x"], ["y"], foo=1)]),
        "Unrecognized attribute: foo",
    ),
    "short-data": (build([ADD], initializers=[SHORT]), "holds 3 bytes, which do not fit"),
    "negative-size": (build([ADD], initializers=[NEGATIVE]), r"has the negative size \[-3\]"),
    "strange-type": (build([ADD], initializers=[STRANGE]), "of element type 99"),
    "nameless": (build([ADD], initializers=[NAMELESS]), "an initializer has no name"),
    "no-opset": (build([relu()]), "must specify opset_import"),
}
del BROKEN["no-opset"][0].opset_import[:]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models(name):
    refused(*BROKEN[name])


def test_name_that_is_no_text(parse):
    data = parse(TEXT).SerializeToString().replace(b"act", b"\xff\xfe\xfd")
    refused(data, "is damaged: the name .* is not UTF-8 text")


def test_subgraph_that_reads_what_nothing_produces(parse):
    text = (
        "g (float[N,4] x, bool c) => (float[N,4] y) { y = If (c) "
        "<then_branch = t () => (float[N,4] u) { u = Relu(x) }, "
        "else_branch = e () => (float[N,4] v) { v = Relu(q) }> }"
    )
    refused(parse(text), "reads 'q', which nothing produces")


def test_subgraph_in_wrong_order(parse):
    text = (
        "g (float[N,4] x, bool c) => (float[N,4] y) { y = If (c) "
        "<then_branch = t () => (float[N,4] u) { u = Relu(w) w = Neg(x) }, "
        "else_branch = e () => (float[N,4] v) { v = Relu(x) }> }"
    )
    refused(parse(text), "reads 'w', which nothing produces")


def test_all_models_shipped_with_onnx_load():
    folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".onnx"))
    assert len(names) >= 9
    for name in names:
        assert find_sites(load(os.path.join(folder, name)))


def test_values_that_do_not_fit_their_size():
    zero = TensorProto(name="zero", data_type=TensorProto.FLOAT, float_data=[0.0, 0.0])
    clip = helper.make_node("Clip", ["x", "zero"], ["y"])
    with pytest.raises(ModelError, match=r"tensor 'zero' .* holds values that do not fit"):
        find_sites(load(build([clip], initializers=[zero])))


def test_open_channels_are_those_of_the_convolution(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,C,H,W] x, float[N,K] y) => (float[N,M,P,Q] z)
        <float[4,2,1,1] w = {1,2,3,4,5,6,7,8}> { z = Conv<group = 2>(x, w) }"""
    model = load(onnx.parser.parse_model(text))
    assert [str(spec) for spec in model.inputs] == ["float32 [N, 4, H, W]", "float32 [N, K]"]
