"""Every way in which an operator of chains can be wrong is a sentence at load."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chain_cases import one_node, random_bytes, random_conv, random_end
from onnx import ModelProto, helper

from reluflow.errors import ModelError
from reluflow.graph import Model, find_psb, load
from reluflow.graph.proto.chain_rules import CHAIN_PORTS, CHAIN_RULES
from reluflow.graph.proto.own_domain import FIXED_DEFAULTS, FIXED_WEIGHTS
from reluflow.graph.psb.chain_functions import add_chain_functions
from reluflow.graph.rewrite.edit import Editor

Change = Callable[[ModelProto], None]
WINDOW = {"kernel_shape": [2, 2]}


def model(op: str) -> ModelProto:
    """Return a model of one call with its function, as a file with chains has it."""
    byte = np.zeros((1, 6, 6, 4), np.uint8)
    if op == "FixedConv":
        case = random_conv(6)
        constants = case.constants | {"table": np.arange(256).astype(np.uint8)}
        given = one_node(op, case.inputs, constants, case.attributes)
    elif op in ("FromFixedConv", "FromFixedMatMul"):
        case = next(case for seed in range(20) if (case := random_end(seed)).op == op)
        given = one_node(op, case.inputs, case.constants, case.attributes)
    elif op == "ToFixed":
        given = one_node(op, {"x": np.zeros((1, 3, 4, 4), np.float32)}, {}, {"y_zero": 128})
    elif op in ("FromFixed", "FixedGlobalPool"):
        given = one_node(op, {"x": byte}, {}, {"x_zero": 128})
    elif op == "FixedMaxPool":
        given = one_node(op, {"x": byte}, {}, WINDOW)
    else:
        case = next(case for seed in range(9) for case in random_bytes(seed) if case.op == op)
        given = one_node(op, case.inputs, case.constants, case.attributes)
    editor = Editor(Model(given))
    add_chain_functions(editor)
    return ModelProto.FromString(editor.finish(()).model.serialize())


def put(name: str, value: Any) -> Change:
    def change(proto: ModelProto) -> None:
        node = proto.graph.node[0]
        for entry in [entry for entry in node.attribute if entry.name == name]:
            node.attribute.remove(entry)
        if value is not None:
            node.attribute.append(helper.make_attribute(name, value))

    return change


def feed(place: int, name: str) -> Change:
    def change(proto: ModelProto) -> None:
        proto.graph.node[0].input[place] = name

    return change


def cut(name: str, size: int) -> Change:
    """Shorten a constant that the node reads."""

    def change(proto: ModelProto) -> None:
        (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
        width = len(tensor.raw_data) // tensor.dims[0]
        tensor.raw_data = tensor.raw_data[: size * width]
        tensor.dims[0] = size

    return change


FAULTS = [
    ("FixedConv", put("weight_shape", None), "attribute weight_shape is missing"),
    ("FixedConv", put("x_exponent", 101), "attribute x_exponent is 101; -100 to 100 is accepted"),
    ("FixedConv", put("y_zero", 64), "attribute y_zero is 64; 0 or 128 is accepted"),
    ("FixedConv", put("z_zero", 1.0), "attribute z_zero is of type FLOAT; a whole number"),
    ("FixedConv", put("y_max", 300), "attribute y_max is 300; 0 to 255 is accepted"),
    ("FixedConv", put("sampler", "binomial"), "sampler is 'binomial'; one of systematic, nearest"),
    ("FixedConv", put("draws", "product"), "attribute draws is 'product'; one of run is accepted"),
    ("FixedConv", put("x_bits", 8), "attribute x_bits is unknown; weight_shape, p_bits"),
    ("FixedConv", put("pads", [1]), r"attribute pads is \[1\]; . whole numbers are wanted"),
    ("FixedConv", put("group", 7919), "attribute group is 7919; a divisor of the"),
    ("FixedConv", put("p_bits", 16), "its input W, .*, has shape"),
    ("FixedConv", feed(0, "emax"), "its input X, 'emax', is of type INT8; UINT8 is wanted"),
    ("FixedConv", feed(4, ""), "its input samples is left out; give one"),
    ("FixedConv", cut("table", 9), r"its input table, 'table', has shape \[9\]; \[256\] is wanted"),
    ("ToFixed", put("fills_quads", 2), "attribute fills_quads is 2; 0 to 1 is accepted"),
    ("ToFixed", put("x_exponent", 2), "attribute x_exponent is unknown; y_exponent, y_zero"),
    ("FromFixed", put("x_exponent", -(2**40)), "x_exponent is -1099511627776; -100 to 100"),
    ("FromFixed", feed(0, ""), "its input X is left out; give one"),
    ("FromFixedConv", put("y_exponent", 2), "attribute y_exponent is unknown; weight_shape"),
    ("FromFixedConv", put("weight_shape", [2, 3]), r"weight_shape is \[2, 3\]; \[M, C/group, k\]"),
    ("FromFixedConv", feed(0, "emax"), "its input X, 'emax', is of type INT8; UINT8 is wanted"),
    ("FromFixedMatMul", put("weight_shape", [2]), r"weight_shape is \[2\]; \[N, K\] with sizes"),
    ("FromFixedMatMul", put("sampler", "binomial"), "sampler is 'binomial'; one of systematic"),
    ("FromFixedMatMul", put("strides", [1]), "attribute strides is unknown; weight_shape, p_bits"),
    ("FixedMaxPool", put("kernel_shape", None), "attribute kernel_shape is missing"),
    ("FixedMaxPool", put("kernel_shape", [0, 2]), r"kernel_shape is \[0, 2\]; \[k\] or \[kH, kW\]"),
    ("FixedMaxPool", put("kernel_shape", [2] * 3), r"attribute kernel_shape is \[2, 2, 2\]"),
    ("FixedMaxPool", put("strides", [1]), "2 whole numbers are wanted for windows of shape"),
    ("FixedMaxPool", put("ceil_mode", 1), "attribute ceil_mode is unknown; kernel_shape"),
    ("FixedGlobalPool", put("x_zero", -128), "attribute x_zero is -128; 0 or 128 is accepted"),
    ("FixedAveragePool", put("count_include_pad", -1), "count_include_pad is -1; 0 to 1"),
    ("FixedAveragePool", put("auto_pad", "SAME"), "attribute auto_pad is 'SAME'; one of NOTSET"),
    ("FixedGlobalAveragePool", put("y_min", 256), "attribute y_min is 256; 0 to 255 is accepted"),
    ("FixedAdd", put("b_exponent", [1]), "attribute b_exponent is of type INTS; a whole number"),
    ("FixedAdd", feed(1, ""), "its input B is left out; give one"),
    ("FixedMul", put("s_zero", 2), "attribute s_zero is 2; 0 or 128 is accepted"),
    ("FixedResize", put("coordinates", 4), "attribute coordinates is 4; 0 to 3 is accepted"),
    ("FixedResize", feed(1, "x"), "its input sizes, 'x', is of type UINT8; INT64 is wanted"),
    ("FixedTable", put("y_zero", 0), "attribute y_zero is unknown; none is accepted"),
    ("FixedTable", cut("table", 255), r"its input table, 'table', has shape \[255\]; \[256\]"),
]


@pytest.mark.parametrize(("op", "change", "sentence"), FAULTS)
def test_a_wrong_node_is_one_sentence(op: str, change: Change, sentence: str) -> None:
    proto = model(op)
    change(proto)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(proto)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; convert the float model again.")


def test_bounds_in_the_wrong_order_are_refused() -> None:
    proto = model("FixedMul")
    put("y_min", 9)(proto)
    put("y_max", 8)(proto)
    with pytest.raises(ModelError, match="y_min is 9, above y_max, 8; y_min <= y_max is wanted"):
        load(proto)


@pytest.mark.parametrize("op", FIXED_DEFAULTS)
@pytest.mark.parametrize("carries", [True, False])
def test_a_right_node_loads_with_its_function_and_without(op: str, carries: bool) -> None:
    proto = model(op)
    if not carries:
        del proto.functions[:]
    loaded = load(proto)
    products = ("FixedConv", "FromFixedConv", "FromFixedMatMul")
    assert len(find_psb(loaded)) == (op in products)


def test_each_operator_has_rules_and_ports() -> None:
    assert CHAIN_RULES.keys() == CHAIN_PORTS.keys() >= FIXED_DEFAULTS.keys()
    assert FIXED_WEIGHTS not in CHAIN_RULES
    for op, defaults in FIXED_DEFAULTS.items():
        assert defaults.keys() <= CHAIN_RULES[op].keys(), op
        assert all(CHAIN_RULES[op][name].accepts(value) for name, value in defaults.items())
