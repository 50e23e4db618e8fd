"""The comparison of a rewritten model with the original finds what differs, or says why not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser
from rewriting import N, build, norm, weights

from reluflow.errors import EquivalenceError, ModelError
from reluflow.evaluation import (
    Equivalence,
    OutputDifference,
    compare_models,
    convert,
    proven,
)
from reluflow.graph import (
    Model,
    PsbOptions,
    fold_batchnorm,
    has_narrow_floats,
    load,
    psb_in_floats,
    replaceable_inputs,
    rounds_activations,
    to_psb,
    upgrade,
    with_wide_activations,
)

IMAGE = ("N", 4, "H", "W")


def text(body: str, signature: str, constants: str = "", opset: int = 17) -> Model:
    held = f"<{constants}>" if constants else ""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    return load(parser.parse_model(f"{head} g {signature} {held} {{ {body} }}"))


def network(scale: float = 1.0, opset: int = 17) -> Model:
    rng = np.random.default_rng(2)
    bn, constants = norm("h", "i", 8)
    tensors = {name: rng.standard_normal(a.shape).astype("f") for name, a in constants.items()}
    tensors["bn.v"] = np.abs(tensors["bn.v"]) + np.float32(0.3)
    tensors["w"] = (scale * rng.standard_normal((8, 4, 3, 3))).astype("f")
    conv = N("Conv", ["x", "w"], ["h"], name="conv", pads=[1, 1, 1, 1])
    return build([conv, bn, N("Relu", ["i"], ["y"])], tensors, IMAGE, opset=opset)


def test_a_fold_is_within_some_roundings_and_says_what_was_fed() -> None:
    model = network()
    found = compare_models(model, fold_batchnorm(model).model)
    assert found.holds and found.largest is not None and 0 < found.largest < 1e-4
    assert found.relative is not None and found.relative < 1e-6
    shapes = [f"x float32 [{batch}, 4, 32, 32]" for batch in (1, 3, 2)]
    assert list(found.inputs) == shapes
    assert "largest difference" in str(found) and "over 3 random inputs" in str(found)
    assert found.to_dict()["outputs"][0]["output"] == "y"


def test_other_weights_do_not_pass() -> None:
    found = compare_models(network(), network(1.01))
    assert not found.holds and found.relative is not None and found.relative > 1e-3
    with pytest.raises(EquivalenceError, match=r"the fold changed what the model computes: output"):
        proven("the fold", network(), network(1.01))


def shaped(nodes: list[str], opset: int = 17) -> Model:
    return text(" ".join(nodes), "(float[N,4] x) => (float[N,4] y)", "", opset)


WRONG: dict[str, tuple[Callable[[], Model], str]] = {
    "another name": (
        lambda: text("z = Relu(x)", "(float[N,4] x) => (float[N,4] z)"),
        r"gives \['z'\] where \['y'\] were",
    ),
    "another type": (
        lambda: text("h = Relu(x) y = Cast <to = 11> (h)", "(float[N,4] x) => (double[N,4] y)"),
        r"output 'y' is float64 \[1, 4\] where it was float32",
    ),
    "another shape": (
        lambda: text("h = Relu(x) y = Transpose(h)", "(float[N,4] x) => (float[M,N] y)"),
        r"output 'y' is float32 \[4, 1\] where it was float32 \[1, 4\]",
    ),
    "not valid": (
        lambda: Model(_broken()),
        "the rewritten model is not valid ONNX",
    ),
    "does not load": (
        lambda: text("y = Relu(x)", "(float16[N,4] x) => (float16[N,4] y)"),
        "the model failed on inputs",
    ),
}


def _broken() -> ModelProto:
    proto = ModelProto()
    proto.CopyFrom(shaped(["y = Relu(x)"])._proto)
    proto.graph.node[0].input[0] = "nobody"
    return proto


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_rewrite_is_refused(name: str) -> None:
    make, reason = WRONG[name]
    with pytest.raises(EquivalenceError, match=f"a rewrite went wrong.*{reason}"):
        compare_models(shaped(["y = Relu(x)"]), make())


NOT_COMPARED: dict[str, tuple[Callable[[], Model], str]] = {
    "chance": (
        lambda: shaped(["r = RandomNormalLike(x)", "y = Add(x, r)"]),
        "its outputs differ from run to run",
    ),
    "no numbers": (
        lambda: shaped(["z = Sub(x, x)", "y = Div(z, z)"]),
        "its outputs hold no finite numbers",
    ),
    "unknown rank": (lambda: _unknown_rank(), "input 'x' has an unknown number of axes"),
    "text": (
        lambda: text("y = Identity(x)", "(string[N] x) => (string[N] y)"),
        "input 'x' is not made of numbers",
    ),
    "too large": (
        lambda: text("y = Relu(x)", "(float[65536,65536] x) => (float[65536,65536] y)"),
        r"input 'x' has \[65536, 65536\] elements",
    ),
    "does not run": (
        lambda: text(
            "y = Reshape(x, s)", "(float[N,4] x) => (float[a,b] y)", "int64[2] s = {7, 7}"
        ),
        "the model failed on inputs",
    ),
    "an unknown operator": (lambda: _unknown_operator(), "ONNX Runtime cannot load"),
}


def _unknown_rank() -> Model:
    proto = ModelProto()
    proto.CopyFrom(shaped(["y = Relu(x)"])._proto)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    return Model(proto)


def _unknown_operator() -> Model:
    proto = ModelProto()
    proto.CopyFrom(shaped(["y = Relu(x)"])._proto)
    proto.graph.node[0].domain = "com.example"
    proto.opset_import.add(domain="com.example", version=1)
    return Model(proto)


@pytest.mark.parametrize("name", NOT_COMPARED)
def test_what_cannot_be_compared_has_a_reason(name: str) -> None:
    make, reason = NOT_COMPARED[name]
    found = compare_models(make(), make())
    assert found.holds and found.largest is None and not found.outputs
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)
    assert str(found) == f"not compared: {found.reason}"


def test_a_model_that_does_not_run_is_no_fault_of_its_rewrite() -> None:
    old = NOT_COMPARED["does not run"][0]()
    with pytest.raises(ModelError, match=r"the model does not run \(.*is not\s+kept \(the rewr"):
        compare_models(old, Model(_broken()))


INPUTS = {
    "images of bytes": ("(uint8[N,H,W] x) => (float[N,H,W] y)", "y = Cast <to = 1> (x)", "uint8"),
    "tokens": ("(int64[N,T] x) => (float[N,T] y)", "y = Cast <to = 1> (x)", "int64"),
    "masks": ("(bool[N,T] x) => (float[N,T] y)", "y = Cast <to = 1> (x)", "bool"),
    "halves": ("(float16[N,T] x) => (float[N,T] y)", "y = Cast <to = 1> (x)", "float16"),
    "fixed": ("(float[5,7] x) => (float[5,7] y)", "y = Neg(x)", "float32 [5, 7]"),
    "a size that fits": (
        "(float[N,S] x) => (float[N,K] y)", "y = Reshape <allowzero = 0> (x, s)", "[1, 96]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_have_the_types_and_sizes_that_the_model_takes(name: str) -> None:
    signature, body, fed = INPUTS[name]
    constants = "int64[3] s = {0, 48, 2}" if "s)" in body else ""
    signature = signature.replace("[N,K]", "[N,K,L]")
    found = compare_models(text(body, signature, constants), text(body, signature, constants))
    assert fed in found.inputs[0] and found.largest == 0 and len(found.inputs) == 3


def with_default(bias: float, listed: bool = True) -> Model:
    proto = ModelProto()
    body = "y = Add(x, b)" if listed else "y = Add(x, c)"
    signature = "(float[N,2] x, float[2] b) => (float[N,2] y)"
    constants = f"float[2] b = {{{bias}, {bias}}}, float[2] c = {{{bias}, {bias}}}"
    proto.CopyFrom(text(body, signature, constants)._proto)
    return load(proto)


def test_defaults_are_fed_other_values_where_both_models_have_them() -> None:
    assert list(replaceable_inputs(with_default(2.0))) == ["b"]
    assert compare_models(with_default(2.0), with_default(2.0)).largest == 0
    deaf = with_default(2.0, listed=False)  # lists "b", and does not read it
    found = compare_models(with_default(2.0), deaf)
    assert not found.holds
    first = OutputDifference("y", 0.0, 0.0, 0.0, 1)
    assert Equivalence((first,), 1e-3, ("x",)).holds


def test_old_models_have_nothing_to_replace() -> None:
    model = build([N("Add", ["x", "b"], ["y"])], {"b": weights(2)}, ("N", 2), opset=9, ir=3)
    assert replaceable_inputs(model) == {}


def test_sequences_and_maps_are_compared() -> None:
    def made(scale: float) -> Model:
        nodes = [
            helper.make_node("Mul", ["x", "s"], ["h"]),
            helper.make_node(
                "ZipMap", ["h"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[3, 5]
            ),
        ]
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
        kind = helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
        output = helper.make_value_info("y", helper.make_sequence_type_proto(kind))
        tensor = numpy_helper.from_array(np.array(scale, np.float32), "s")
        graph = helper.make_graph(nodes, "g", [value], [output], [tensor])
        imports = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
        return Model(helper.make_model(graph, opset_imports=imports, ir_version=8))

    assert compare_models(made(2.0), made(2.0)).largest == 0
    found = compare_models(made(2.0), made(2.1))
    assert not found.holds and found.relative == pytest.approx(0.05, abs=0.01)


def test_whole_numbers_count_by_share_and_bind_where_only_rounding_is_accepted() -> None:
    best = "i = ArgMax <axis = 1, keepdims = 0> ({}) y = Relu(x)"
    signature = "(float[N,4] x) => (int64[N] i, float[N,4] y)"
    old = text(best.format("x"), signature)
    new = text(f"n = Neg(x) {best.format('n')}", signature)
    found = compare_models(old, new)
    assert not found.holds and found.outputs[0].whole and found.outputs[0].largest == 1
    assert compare_models(old, new, accepted=0.1).holds


def test_precision_is_told_from_the_graph() -> None:
    half = build([N("Relu", ["x"], ["y"])], {}, ("N", 2), dtype=np.float16)
    cast = shaped(["h = Cast <to = 10> (x)", "y = Cast <to = 1> (h)"])
    quantised = shaped(["q, s, z = DynamicQuantizeLinear(x)", "y = DequantizeLinear(q, s, z)"])
    weighted = build([N("Add", ["x", "b"], ["y"])], {"b": weights(2)}, ("N", 2), dtype=np.float16)
    assert has_narrow_floats(cast) and has_narrow_floats(weighted) and not has_narrow_floats(half)
    assert rounds_activations(quantised) and not rounds_activations(cast)
    accepted = [compare_models(m, m).accepted for m in (network(), cast, quantised)]
    assert accepted == [1e-3, 2**-5, 0.1]


@pytest.mark.parametrize("opset", [9, 11, 17])
def test_a_conversion_is_proven_in_three_steps(opset: int) -> None:
    done = convert(network(opset=opset), PsbOptions(p_bits=2))
    rewrites, operators, precision = done.rewrites, done.operators, done.precision
    assert rewrites.holds and rewrites.relative is not None and rewrites.relative < 1e-5
    assert operators.relative is not None and operators.relative < 1e-3
    assert precision.relative is not None and 1e-3 < precision.relative < 0.5
    assert [text.partition(":")[0] for text in done.sentences()] == [
        "Folding and raising",
        "Operators with 16-bit activations, same weights",
        "What the chosen precision costs",
    ]
    assert set(done.to_dict()) == {"rewrites", "operators", "precision"}
    assert done.plan.model.opset[""] >= 13


def test_pruning_counts_as_precision() -> None:
    done = convert(network(), PsbOptions(prune=0.5))
    assert done.rewrites.holds and done.operators.holds
    assert done.precision.relative is not None and done.precision.relative > 0.05


def test_operators_that_do_something_else_are_refused() -> None:
    made = to_psb(network()).model
    node = next(n for n in made._proto.graph.node if n.op_type == "PsbConv")
    floats = psb_in_floats(made).model
    (pads,) = [a for a in node.attribute if a.name == "pads"]
    del pads.ints[:]
    pads.ints.extend([0, 0, 2, 2])
    with pytest.raises(EquivalenceError, match=r"the conversion changed what the model computes"):
        proven("the conversion", floats, made, accepted=0.1)


def residual(op: str) -> Model:
    nodes = [N(op, ["x", "w"], ["h"], name="first"), N("Relu", ["h"], ["r"])]
    nodes += [N(op, ["r", "w"], ["k"], name="second"), N("Add", ["k", "x"], ["s"])]
    nodes += [N("Clip", ["s", "low", "high"], ["y"])]
    shape, x = ((4, 4, 1, 1), (2, 4, 5, 5)) if op == "Conv" else ((4, 4), (3, 4))
    tensors = {"w": weights(*shape), "low": np.array(-1, "f"), "high": np.array(2, "f")}
    return build(nodes, tensors, x)


@pytest.mark.parametrize("op", ["Conv", "MatMul"])
def test_floats_take_over_all_that_an_operator_does(op: str) -> None:
    made = to_psb(residual(op)).model
    floats = psb_in_floats(made).model
    assert not any(node.domain for node in floats._proto.graph.node)
    found = compare_models(floats, with_wide_activations(made).model)
    assert found.relative is not None and found.relative < 1e-3


def test_nothing_to_convert_is_said() -> None:
    done = convert(shaped(["y = Relu(x)"]))
    assert str(done.operators) == "not compared: nothing was converted"
    with pytest.raises(ModelError, match="holds PSB operators already"):
        convert(to_psb(network()).model)


def test_raising_is_compared() -> None:
    model = text("y = Softmax <axis = 1> (x)", "(float[N,3,4] x) => (float[N,3,4] y)", opset=11)
    assert compare_models(model, upgrade(model).model).largest == pytest.approx(0, abs=1e-7)
    wrong = text("y = Softmax <axis = 1> (x)", "(float[N,3,4] x) => (float[N,3,4] y)", opset=13)
    assert not compare_models(model, wrong).holds


def test_a_named_size_is_the_same_in_all_inputs() -> None:
    signature = "(float[N,T,4] x, float[1,N,4] h, float[T] t) => (float[a,b,c] y)"
    model = text("s = Transpose <perm = [1, 0, 2]> (h) y = Add(x, s)", signature)
    found = compare_models(model, model)
    assert found.inputs[1] == ("x float32 [3, 3, 4], h float32 [1, 3, 4], t float32 [3]")
    apart = text("y = Add(x, x)", "(float[N,T,4] x, float[1,N,S] h) => (float[N,T,4] y)")
    assert compare_models(apart, apart).inputs[2] == ("x float32 [2, 32, 4], h float32 [1, 2, 32]")
