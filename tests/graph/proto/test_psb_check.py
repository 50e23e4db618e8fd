"""Every way in which a node of our own domain can be wrong is a sentence at load."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser

from reluflow.errors import ModelError
from reluflow.graph import find_psb, load, to_psb

_FLOAT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,2,6,6] x) => (float[N,3] y)
<float[4,1,3,3] k = {K}, float[4,3] w = {1,2,3,4,5,6,7,8,9,1,2,3}, int64[2] axes = {2, 3}>
{
    [conv] c = Conv <group: int = 2, pads: ints = [1,1,1,1]> (x, k)
    r = Relu(c)
    m = ReduceMean <axes: ints = [2, 3], keepdims: int = 0> (r)
    [mm] y = MatMul(m, w)
}""".replace("{K}", "{" + ",".join(str(v % 7 - 3) for v in range(36)) + "}")

Change = Callable[[ModelProto, NodeProto], None]


def converted() -> ModelProto:
    proto = ModelProto()
    proto.ParseFromString(to_psb(load(parser.parse_model(_FLOAT))).model.serialize())
    return proto


def node_named(proto: ModelProto, name: str) -> NodeProto:
    return next(node for node in proto.graph.node if node.name == name)


def put(name: str, value: object) -> Change:
    """Replace an attribute of a node."""

    def change(proto: ModelProto, node: NodeProto) -> None:
        for entry in [entry for entry in node.attribute if entry.name == name]:
            node.attribute.remove(entry)
        if value is not None:
            node.attribute.append(helper.make_attribute(name, value))

    return change


def feed(place: int, name: str) -> Change:
    def change(proto: ModelProto, node: NodeProto) -> None:
        node.input[place] = name

    return change


def store(place: int, array: np.ndarray) -> Change:
    """Replace the value of an initializer that a node reads."""

    def change(proto: ModelProto, node: NodeProto) -> None:
        name = node.input[place]
        tensor = next(t for t in proto.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return change


def store_constant(place: int, array: np.ndarray) -> Change:
    """The same by a Constant node."""

    def change(proto: ModelProto, node: NodeProto) -> None:
        value = numpy_helper.from_array(array)
        made = helper.make_node("Constant", [], ["other"], value=value)
        proto.graph.node.insert(0, made)
        node_named(proto, node.name).input[place] = "other"

    return change


def shorten(count: int) -> Change:
    def change(proto: ModelProto, node: NodeProto) -> None:
        del node.input[count:]

    return change


def reference(proto: ModelProto, node: NodeProto) -> None:
    put("p_bits", None)(proto, node)
    entry = AttributeProto(name="p_bits", type=AttributeProto.INT, ref_attr_name="bits")
    node.attribute.append(entry)


def broken_text(proto: ModelProto, node: NodeProto) -> None:
    put("sampler", None)(proto, node)
    node.attribute.append(AttributeProto(name="sampler", type=AttributeProto.STRING, s=b"\xff"))


def two_outputs(proto: ModelProto, node: NodeProto) -> None:
    node.output.append("more")


def rename(proto: ModelProto, node: NodeProto) -> None:
    node.op_type = "PsbPool"


def float_samples(proto: ModelProto, node: NodeProto) -> None:
    value = next(v for v in proto.graph.input if v.name == "samples")
    value.type.tensor_type.elem_type = TensorProto.FLOAT
    tensor = next(t for t in proto.graph.initializer if t.name == "samples")
    tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.float32), "samples"))


ATTRIBUTES = [
    (
        "mm",
        put("weight_shape", None),
        r"'mm' \(PsbMatMul\): attribute weight_shape is missing; \[N",
    ),
    ("mm", put("weight_shape", [3, 4, 1]), r"attribute weight_shape is \[3, 4, 1\]; \[N, K\]"),
    ("mm", put("weight_shape", [2**40, 2**40]), "weight_shape is .1099511627776, 1099511627776"),
    ("mm", put("weight_shape", [2**16, 2**16]), "at most 2147483647 weights is accepted"),
    ("mm", put("weight_shape", [0, 4]), r"weight_shape is \[0, 4\]"),
    ("conv", put("weight_shape", [4, -1, 3, 3]), r"weight_shape is \[4, -1, 3, 3\]"),
    ("conv", put("weight_shape", 4), "weight_shape is of type INT; whole numbers .INTS. is wanted"),
    ("conv", put("p_bits", 5), "attribute p_bits is 5; 1, 2, 3, 4, 6, 8 or 16 is accepted"),
    ("conv", put("p_bits", "four"), "attribute p_bits is of type STRING"),
    ("conv", put("x_bits", 17), "attribute x_bits is 17; 2 to 16 is accepted"),
    ("conv", put("x_bits", [1.5, 2.0]), "attribute x_bits is of type FLOATS"),
    ("conv", put("x_exponent", -101), "x_exponent is -101; -100 to 100, or -1000"),
    ("conv", put("x_exponent", 1.5), "attribute x_exponent is of type FLOAT"),
    ("conv", put("stream", -1), "attribute stream is -1; 0 to 4294967295 is accepted"),
    ("conv", put("sampler", "dice"), "attribute sampler is 'dice'; one of systematic, binomial"),
    ("conv", broken_text, "attribute sampler is text that is not UTF-8"),
    ("conv", put("draws", "never"), "attribute draws is 'never'; one of run, product"),
    ("conv", put("activation", "elu"), "attribute activation is 'elu'; one of none, relu, clip"),
    ("conv", put("clip_min", float("nan")), "attribute clip_min is nan; a number that is not NaN"),
    ("conv", put("clip_max", -1.0), "attribute clip_min is 0.0, above clip_max, -1.0"),
    ("conv", put("strides", [1]), r"attribute strides is \[1\]; 2 whole numbers are wanted"),
    ("conv", put("strides", [1, 0]), r"attribute strides is \[1, 0\]; whole numbers from 1 to"),
    ("conv", put("dilations", [2**31, 1]), "attribute dilations is .2147483648, 1."),
    ("conv", put("pads", [1] * 9), r"attribute pads is \[1, 1, 1, 1, 1, 1, 1, 1, ...\]; 4 whole"),
    (
        "conv",
        put("pads", [0, 0, 0, -1]),
        r"attribute pads is \[0, 0, 0, -1\]; whole numbers from 0",
    ),
    ("conv", put("group", 3), "attribute group is 3; a divisor of the 4 output channels"),
    ("conv", put("auto_pad", "SAME"), "attribute auto_pad is 'SAME'; one of NOTSET"),
    (
        "conv",
        put("kernel_shape", [3, 3]),
        "attribute kernel_shape is unknown; weight_shape, p_bits",
    ),
    ("mm", put("strides", [1, 1]), "attribute strides is unknown"),
    ("conv", reference, "attribute p_bits refers to 'bits', which only the nodes of a function"),
]
INPUTS = [
    ("mm", shorten(1), "1 inputs are given; 6 to 7 are wanted: A, W, emax"),
    ("conv", shorten(5), "5 inputs are given; 6 to 9 are wanted: X, W, emax"),
    ("mm", feed(1, ""), "its input W is left out; give one"),
    ("mm", feed(4, ""), "its input samples is left out; give one"),
    ("mm", two_outputs, "its outputs are .*; 1 is wanted: Y"),
    ("conv", rename, "ai.reluflow has no such operator; PsbConv, PsbMatMul, PatternHash"),
    ("conv", feed(0, "axes"), "its input X, 'axes', is of type INT64; FLOAT is wanted"),
    ("mm", feed(1, "x"), "its input W, 'x', is of type FLOAT; UINT8 is wanted"),
    ("mm", float_samples, "its input samples, 'samples', is of type FLOAT; INT64 is wanted"),
    ("mm", store(1, np.zeros((9, 2), np.float32)), "is of type FLOAT; UINT8"),
    ("mm", store(1, np.zeros((), np.uint8)), r"has shape \[\]; \[9, 2\] is wanted for weights"),
    ("mm", store(1, np.zeros((3, 2), np.uint8)), r"has shape \[3, 2\]; \[9, 2\] is wanted"),
    ("mm", store(1, np.zeros((9, 1), np.uint8)), r"has shape \[9, 1\]; \[9, 2\] is wanted"),
    ("mm", store(2, np.zeros((3, 1), np.int8)), r"its input emax, .*, has shape \[3, 1\]; \[3\]"),
    ("mm", store(3, np.zeros(4, np.float32)), r"its input B, .*, has shape \[4\]; \[3\]"),
    ("mm", store_constant(1, np.zeros((2, 2), np.uint8)), r"has shape \[2, 2\]; \[9, 2\]"),
    ("mm", store_constant(4, np.array([1, 2])), r"its input samples has shape \[2\]; one number"),
    ("mm", store_constant(4, np.array(3)), "its input samples is 3; one of 0, 1, 2, 4, 8"),
    ("conv", store_constant(5, np.zeros((1, 1), np.int64)), r"its input seed has shape \[1, 1\]"),
]


@pytest.mark.parametrize(("name", "change", "sentence"), ATTRIBUTES + INPUTS)
def test_a_wrong_node_is_one_sentence(name: str, change: Change, sentence: str) -> None:
    proto = converted()
    change(proto, node_named(proto, name))
    with pytest.raises(ModelError, match=sentence) as caught:
        load(proto)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; convert the float model again.")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("conv", put("x_exponent", -1000)),
        ("conv", put("x_exponent", 7)),
        ("conv", put("auto_pad", "SAME_LOWER")),
        ("mm", put("p_bits", 4)),
        ("mm", store_constant(4, np.array([16]))),
        ("mm", feed(3, "")),
    ],
)
def test_what_the_contract_allows_is_accepted(name: str, change: Change) -> None:
    proto = converted()
    change(proto, node_named(proto, name))
    assert len(find_psb(load(proto))) == 2


def test_nodes_in_subgraphs_and_functions_are_looked_at() -> None:
    inner = converted()
    put("x_bits", 1)(inner, node_named(inner, "mm"))
    node_named(inner, "mm").output[0] = "y2"
    branch = helper.make_graph(
        [node_named(inner, "mm")], "b", [], [helper.make_tensor_value_info("y2", 1, None)]
    )
    outer = converted()
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    outer.graph.input.append(flag)
    outer.graph.node.append(
        helper.make_node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch)
    )
    outer.graph.output.append(helper.make_tensor_value_info("z", 1, None))
    with pytest.raises(ModelError, match="x_bits is 1; 2 to 16"):
        load(outer)
    made = converted()
    body = NodeProto()
    body.CopyFrom(node_named(made, "mm"))
    put("draws", "twice")(made, body)
    body.input[:] = ["A", "W", "e", "", "n", "s"]
    body.output[0] = "Y"
    imports = [helper.make_opsetid("ai.reluflow", 1)]
    made.functions.append(
        helper.make_function("mine", "f", ["A", "W", "e", "n", "s"], ["Y"], [body], imports)
    )
    with pytest.raises(ModelError, match="draws is 'twice'"):
        load(made)


def test_computed_planes_load_but_are_not_described() -> None:
    proto = converted()
    node = node_named(proto, "mm")
    proto.graph.input.append(helper.make_tensor_value_info("bits", TensorProto.UINT8, [9, 2]))
    node.input[1] = "bits"
    model = load(proto)
    with pytest.raises(ModelError, match=r"'mm' \(PsbMatMul\) computes its input W, 'bits', or"):
        find_psb(model)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((3, 2), np.uint8), r"'mm' \(PsbMatMul\) has bit planes uint8 \(3, 2\) and"),
        (np.zeros((9, 2), np.float32), r"'mm' \(PsbMatMul\) has bit planes float32"),
        (np.zeros((), np.uint8), r"has bit planes uint8 \(\) and"),
    ],
)
def test_planes_that_a_node_copies_are_looked_at_as_well(array: np.ndarray, sentence: str) -> None:
    proto = converted()
    proto.graph.initializer.append(numpy_helper.from_array(array, "stored"))
    proto.graph.node.insert(0, helper.make_node("Identity", ["stored"], ["copied"]))
    node_named(proto, "mm").input[1] = "copied"
    with pytest.raises(ModelError, match=sentence):
        find_psb(load(proto))
