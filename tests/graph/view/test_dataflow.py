"""What a pre-activation depends on decides whether its switch counts, never how it got there."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from reluflow.graph import find_sites, load, survey_sites

FLOATS = "float[N,4] x"
ROWS = [
    # id, opset, body from x to y = Relu(q) or Max(q, ...), tensors of the sites
    ("if-steered-by-sizes", 17,
     "s = Shape(x) d = Gather(s, one_i) c = Equal(d, one_i) q = If (c) <then_branch = t () => "
     "(float[N,4] a) { a = Neg(x) }, else_branch = e () => (float[N,4] b) { b = Identity(x) }> "
     "y = Relu(q)", ["q"]),
    ("nested-if", 17,
     "s = Shape(x) d = Gather(s, one_i) c = Equal(d, one_i) q = If (c) <then_branch = t () => "
     "(float[N,4] a) { a = If (c) <then_branch = u () => (float[N,4] v) { v = Neg(x) }, "
     "else_branch = w () => (float[N,4] z) { z = Neg(x) }> }, else_branch = e () => "
     "(float[N,4] b) { b = ConstantOfShape(s) }> y = Relu(q)", ["q"]),
    ("loop-counted-by-sizes", 17,
     "s = Shape(x) n = Gather(s, zero_i) q = Loop (n,, four) <body = b (int64 i, bool c, "
     "float[4] p) => (bool co, float[4] r) { co = Identity(c) t = Gather(x, i) r = Add(p, t) }> "
     "y = Relu(q)", ["q"]),
    ("loop-that-stops-by-data", 17,
     "s = Shape(x) n = Gather(s, zero_i) q = Loop (n,, four) <body = b (int64 i, bool c, "
     "float[4] p) => (bool co, float[4] r) { m = ReduceMax <keepdims = 0> (x) "
     "co = Greater(m, zero) r = Identity(p) }> y = Relu(q)", ["q"]),
    ("scan-over-data", 17,
     "s = Shape(x) o = ConstantOfShape(s) q = Scan <num_scan_inputs = 1, body = b (float[4] e) => "
     "(float[4] f) { h = ReduceSum <keepdims = 0> (x, zero_a) f = Add(e, h) }> (o) y = Relu(q)",
     ["q"]),
    ("random-normal-like", 17, "s = Shape(x) o = ConstantOfShape(s) q = RandomNormalLike(o) "
     "y = Relu(q)", ["q"]),
    ("random-uniform", 17, "q = RandomUniform <shape = [2, 4]> () y = Relu(q)", ["q"]),
    ("bernoulli", 17, "s = Shape(x) o = ConstantOfShape <value = float[1] {0.5}> (s) "
     "q = Bernoulli(o) y = Relu(q)", ["q"]),
    ("active-dropout", 17, "s = Shape(x) o = ConstantOfShape <value = float[1] {1.0}> (s) "
     "q = Dropout(o, half, true) y = Relu(q)", ["q"]),
    ("table-of-parameters", 17, "s = Shape(x) n = Gather(s, zero_i) r = Range(zero_i, n, one_i) "
     "m = Mod(r, two_i) q = Gather(table, m) y = Relu(q)", ["q"]),
    ("table-of-data", 17, "s = Shape(x) n = Gather(s, zero_i) r = Range(zero_i, n, one_i) "
     "q = Gather(x, r) y = Relu(q)", ["q"]),
    ("number-of-values-found", 17, "z = NonZero(x) s = Shape(z) f = Cast <to = 1> (s) y = Relu(f)",
     ["f"]),
    ("in-a-function", 17, "q = f.hidden(x) y = Relu(q)", ["q"]),
]  # fmt: skip
SIZES = [
    ("max-of-a-size", "s = Shape(x) c = Max(s, zero_i) y = Expand(x, c)", ["Max"]),
    ("distance-table", "s = Shape(x) n = Gather(s, zero_i) r = Range(zero_i, n, one_i) "
     "d = Neg(r) a = Abs(d) m = Min(a, zero_i) y = Expand(x, s)", ["Abs", "Min"]),
    ("idle-dropout", "s = Shape(x) o = ConstantOfShape(s) q = Dropout(o, half, false) y = Relu(q)",
     ["Relu"]),
    ("if-of-sizes", "s = Shape(x) d = Gather(s, one_i) c = Equal(d, one_i) q = If (c) "
     "<then_branch = t () => (int64[2] a) { a = Identity(s) }, else_branch = e () => "
     "(int64[2] b) { b = Neg(s) }> r = Max(q, zero_i) y = Expand(x, r)", ["Max"]),
    ("loop-of-sizes", "s = Shape(x) n = Gather(s, zero_i) q = Loop (n,, s) <body = b (int64 i, "
     "bool c, int64[2] p) => (bool co, int64[2] r) { co = Identity(c) r = Add(p, one_i) }> "
     "m = Max(q, zero_i) y = Expand(x, m)", ["Max"]),
    ("eye", "e = EyeLike(x) m = Relu(e) y = Add(x, m)", ["Relu"]),
]  # fmt: skip
CONSTANTS = (
    "int64 zero_i = {0}, int64 one_i = {1}, int64 two_i = {2}, int64[1] zero_a = {0}, "
    "float zero = {0.0}, float half = {0.5}, bool true = {1}, bool false = {0}, "
    "float[4] four = {0.0, 0.0, 0.0, 0.0}, "
    "float[2,4] table = {1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0}"
)
FUNCTION = (
    '\n<domain: "f", opset_import: ["" : 17]> hidden (v) => (w) '
    "{ s = Shape(v) n = ConstantOfShape(s) w = Add(n, v) }"
)


def graph(body: str) -> str:
    return f"g ({FLOATS}) => (float[M,K] y) <{CONSTANTS}> {{ {body} }}"


@pytest.mark.parametrize(
    ("opset", "body", "tensors"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_values_that_depend_on_data_or_chance_are_sites(text_model, opset, body, tensors):
    extra = FUNCTION if "hidden" in body else ""
    model = text_model(graph(body) + extra, opset=opset, extra=', "f" : 1')
    assert [site.tensor for site in find_sites(model)] == tensors


@pytest.mark.parametrize(("body", "ops"), [row[1:] for row in SIZES], ids=[r[0] for r in SIZES])
def test_what_sizes_alone_decide_is_left_out_with_the_reason(text_model, body, ops):
    survey = survey_sites(text_model(graph(body)))
    assert survey.sites == () and survey.folds == ()
    assert [node.op for node in survey.left_out] == ops
    assert {node.reason for node in survey.left_out} == {
        "it is made of sizes and single constants alone"
    }


def test_an_operator_of_another_domain_may_read_anything(text_model):
    text = graph("s = Shape(x) q = shop.Unknown(s) y = Relu(q)")
    (site,) = find_sites(text_model(text, extra=', "shop" : 1'))
    assert site.tensor == "q"


def shifting_loop(n: int):
    """A Loop that passes a value on from one carried variable to the next."""
    value = helper.make_tensor_value_info
    carried = [f"c{i}" for i in range(n)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])]
        + [
            helper.make_node("Identity", [carried[i - 1] if i else "x"], [f"o{i}"])
            for i in range(n)
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, [])]
        + [value(name, TensorProto.FLOAT, None) for name in carried],
        [value("on", TensorProto.BOOL, [])]
        + [value(f"o{i}", TensorProto.FLOAT, None) for i in range(n)],
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["z"]),
        helper.make_node("Size", ["x"], ["n"]),
        helper.make_node("Loop", ["n", "", *["z"] * n], [f"r{i}" for i in range(n)], body=body),
        helper.make_node("Relu", [f"r{n - 1}"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_values_that_wander_through_a_loop_are_followed(n):
    (site,) = find_sites(load(shifting_loop(n)))
    assert site.tensor == f"r{n - 1}"


def test_a_thousand_carried_values_are_followed_too():
    assert len(find_sites(load(shifting_loop(1000)))) == 1
