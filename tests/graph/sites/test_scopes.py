"""Sites in subgraphs and local functions: found, tapped where ONNX allows it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from reluflow.graph import find_sites, load, tap

X = np.array([[1, -2, 3, -4], [-1, 2, -3, 4]], np.float32)
IF = """
g (float[N,4] x, bool c) => (float[N,4] y) {
  a = Neg(x)
  [choice] y = If (c) <
    then_branch = t () => (float[N,4] t1) { t0 = Add(a, a) [act] t1 = Relu(t0) },
    else_branch = e () => (float[N,4] e1) { [act] e1 = LeakyRelu <alpha = 0.5> (a) }>
}"""
LOOP = """
g (float[2,4] x, int64 n) => (float[2,4] y) {
  t = Constant <value = bool {1}> ()
  [rounds] y = Loop (n, t, x) <
    body = b (int64 i, bool k, float[2,4] h) => (bool k2, float[2,4] h2)
    { k2 = Identity(k) m = Neg(h) [act] r = Relu(m) h2 = Sub(h, r) }>
}"""
SCAN = """
g (float[2,4] x, float[3,2,4] s) => (float[2,4] y, float[3,2,4] z) {
  [steps] y, z = Scan <num_scan_inputs = 1,
    body = b (float[2,4] h, float[2,4] e) => (float[2,4] h2, float[2,4] o)
    { p = Add(h, e) [act] h2 = Relu(p) o = Identity(h2) }> (x, s)
}"""


def everything(model):
    return tap(model, find_sites(model))


@pytest.mark.parametrize("condition", [True, False])
def test_if_delivers_the_branch_that_ran(text_model, check_tap, condition):
    model = text_model(IF)
    sites = find_sites(model)
    assert [(s.name, s.op, s.tensor, s.scope) for s in sites] == [
        ("choice/then_branch/act", "Relu", "t0", "choice/then_branch"),
        ("choice/else_branch/act", "LeakyRelu", "a", "choice/else_branch"),
    ]
    result = everything(model)
    assert result.refused == ()
    out = check_tap(model, result, {"x": X, "c": np.array(condition)})
    ran, idle = result.done if condition else result.done[::-1]
    np.testing.assert_array_equal(out[ran.output], -2 * X if condition else -X)
    assert out[idle.output].shape == (0, 4)


def test_loop_stacks_its_iterations(text_model, check_tap):
    model = text_model(LOOP)
    (site,) = find_sites(model)
    assert (site.name, site.tensor, site.scope, site.unit_axis) == ("act", "m", "rounds/body", -1)
    result = everything(model)
    out = check_tap(model, result, {"x": X, "n": np.array(3)})
    h, expected = X, []
    for _ in range(3):
        expected.append(-h)
        h = h - np.maximum(-h, 0)
    np.testing.assert_array_equal(out[result.done[0].output], expected)
    assert result.done[0].unit_axis == -1


def test_loop_without_iterations_gives_no_samples(text_model, check_tap):
    model = text_model(LOOP)
    result = everything(model)
    out = check_tap(model, result, {"x": X, "n": np.array(0)})
    assert out[result.done[0].output].shape[0] == 0


def test_unit_axis_moves_behind_the_iterations(text_model, check_tap):
    text = LOOP.replace("[2,4]", "[1,2,2,2]")
    model = text_model(text)
    (site,) = find_sites(model)
    result = everything(model)
    assert (site.unit_axis, result.done[0].unit_axis) == (1, 2)
    out = check_tap(model, result, {"x": X.reshape(1, 2, 2, 2), "n": np.array(2)})
    assert out[result.done[0].output].shape == (2, 1, 2, 2, 2)


def test_scan_stacks_its_steps(text_model, check_tap):
    model = text_model(SCAN)
    result = everything(model)
    steps = np.stack([X, -X, 2 * X])
    out = check_tap(model, result, {"x": X, "s": steps})
    h, expected = X, []
    for step in steps:
        expected.append(h + step)
        h = np.maximum(h + step, 0)
    np.testing.assert_array_equal(out[result.done[0].output], expected)


def test_scan_with_output_axes_gets_one_more(text_model, check_tap):
    proto = text_model(SCAN)._proto
    node = proto.graph.node[0]
    node.attribute.append(helper.make_attribute("scan_output_axes", [0]))
    node.attribute.append(helper.make_attribute("scan_output_directions", [0]))
    model = load(proto)
    result = everything(model)
    check_tap(model, result, {"x": X, "s": np.stack([X, X, X])})


def test_if_in_if(text_model, check_tap):
    inner = (
        "If (c) <then_branch = tt () => (float[N,4] u) { u = Relu(a) }, "
        "else_branch = te () => (float[N,4] v) { v = Identity(a) }>"
    )
    text = IF.replace("t0 = Add(a, a) [act] t1 = Relu(t0)", f"[inner] t1 = {inner}")
    model = text_model(text)
    sites = find_sites(model)
    assert sites[0].scope == "choice/then_branch/inner/then_branch"
    result = everything(model)
    assert result.refused == ()
    out = check_tap(model, result, {"x": X, "c": np.array(True)})
    np.testing.assert_array_equal(out[result.done[0].output], -X)
    out = check_tap(model, result, {"x": X, "c": np.array(False)})
    assert out[result.done[0].output].size == 0


def test_loop_in_if(text_model, check_tap):
    body = LOOP[LOOP.index("[rounds]") : LOOP.rindex("}")].replace(
        "y = Loop (n, t, x)", "t1 = Loop (n, t, a)"
    )
    text = (
        "g (float[2,4] x, bool c, int64 n) => (float[2,4] y) { a = Neg(x) t = Identity(c) "
        f"y = If (c) <then_branch = tb () => (float[2,4] t1) {{ {body} }}, "
        "else_branch = eb () => (float[2,4] e1) { e1 = Identity(a) }> }"
    )
    model = text_model(text)
    result = everything(model)
    assert result.refused == () and len(result.done) == 1
    for condition, iterations in ((True, 2), (False, 0)):
        feeds = {"x": X, "c": np.array(condition), "n": np.array(2)}
        out = check_tap(model, result, feeds)
        assert out[result.done[0].output].shape == (iterations, 2 if condition else 0, 4)


def refusal_of(model):
    (site,) = find_sites(model)
    result = tap(model, [site])
    assert result.done == () and result.refused[0].reason == site.untappable
    return site.untappable


def test_if_in_a_loop_is_refused(text_model):
    branch = (
        "q = Greater(i, i) r = If (q) <then_branch = tt () => (float[2,4] u) { u = Relu(m) }, "
        "else_branch = te () => (float[2,4] v) { v = Identity(m) }>"
    )
    assert "not every iteration runs it" in refusal_of(
        text_model(LOOP.replace("[act] r = Relu(m)", branch))
    )


def test_loop_in_a_loop_is_refused(text_model):
    inner = (
        "r = Loop (n, k, m) <body = bb (int64 j, bool kk, float[2,4] hh) => "
        "(bool kk2, float[2,4] hh2) { kk2 = Identity(kk) hh2 = Relu(hh) }>"
    )
    model = text_model(LOOP.replace("[act] r = Relu(m)", inner))
    assert "a loop inside a loop" in refusal_of(model)


def test_loop_of_unknown_size_is_refused(text_model):
    text = LOOP.replace("h) => (bool k2, float[2,4] h2)", "h) => (bool k2, float[?,4] h2)").replace(
        "bool k, float[2,4] h", "bool k, float[?,4] h"
    )
    assert "may change from iteration to iteration" in refusal_of(text_model(text))


def test_rank_unknown_in_a_subgraph_is_refused(text_model):
    text = (
        "g (float[N,4] x, int64[K] s, bool c) => (float[] y) { "
        "y = If (c) <then_branch = t () => (t1) { r = Reshape(x, s) t1 = Relu(r) }, "
        "else_branch = e () => (e1) { e1 = Reshape(x, s) }> }"
    )
    proto = text_model(text)._proto
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert "number of dimensions is not known" in refusal_of(load(proto))


def test_other_bodies_are_refused(text_model):
    text = (
        "g (seq(float[N,4]) x) => (seq(float[N,4]) y) { y = SequenceMap <body = "
        "b (float[N,4] e) => (float[N,4] r) { r = Relu(e) }> (x) }"
    )
    (site,) = find_sites(text_model(text))
    assert "inside SequenceMap, whose body cannot get another output" in site.untappable


FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
g (float[N,4] x) => (float[N,4] y) { [one] a = local.f(x) b = local.f(a) [act] y = Relu(b) }
<domain: "local", opset_import: ["" : 17, "local" : 1]>
f (x) => (y) { z = Neg(x) [act] r = Relu(z) w = local.h <slope = 0.25> (r) y = Neg(w) }
<domain: "local", opset_import: ["" : 17]>
h <slope> (x) => (y) { q = Add(x, x) [leak] y = LeakyRelu <alpha: float = @slope> (q) }
"""


def test_functions_nested_and_called_twice(check_tap):
    model = load(onnx.parser.parse_model(FUNCTIONS))
    sites = find_sites(model)
    assert [(s.name, s.tensor, s.scope, s.units) for s in sites] == [
        ("one:f/act", "z", "one:f", 4),
        ("one:f/w:h/leak", "q", "one:f/w:h", 4),
        ("b:f/act", "z", "b:f", 4),
        ("b:f/w:h/leak", "q", "b:f/w:h", 4),
        ("act", "b", "", 4),
    ]
    result = everything(model)
    assert result.refused == ()
    out = check_tap(model, result, {"x": X})
    value = X
    for first, second in (result.done[:2], result.done[2:4]):
        np.testing.assert_array_equal(out[first.output], -value)
        doubled = 2 * np.maximum(-value, 0)
        np.testing.assert_array_equal(out[second.output], doubled)
        value = -np.where(doubled < 0, 0.25 * doubled, doubled)
    np.testing.assert_array_equal(out[result.done[4].output], value)


def test_functions_stay_where_no_tap_needs_them_inlined():
    model = load(onnx.parser.parse_model(FUNCTIONS))
    result = tap(model, [site for site in find_sites(model) if not site.scope])
    assert len(result.model._proto.functions) == 2


def test_subgraph_in_a_function(check_tap):
    text = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
g (float[N,4] x, bool c) => (float[N,4] y) { [call] y = local.f(x, c) }
<domain: "local", opset_import: ["" : 17]>
f (x, c) => (y) { a = Neg(x) [pick] y = If (c) <
    then_branch = t () => (t1) { t0 = Add(a, a) t1 = Relu(t0) },
    else_branch = e () => (e1) { e1 = Identity(a) }> }
"""
    model = load(onnx.parser.parse_model(text))
    (site,) = find_sites(model)
    assert (site.scope, site.tensor) == ("call:f/pick/then_branch", "t0")
    result = everything(model)
    out = check_tap(model, result, {"x": X, "c": np.array(True)})
    np.testing.assert_array_equal(out[result.done[0].output], -2 * X)


def test_function_in_a_subgraph(check_tap):
    text = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
g (float[N,4] x, bool c) => (float[N,4] y) { [pick] y = If (c) <
    then_branch = t () => (float[N,4] t1) { [call] t1 = local.f(x) },
    else_branch = e () => (float[N,4] e1) { e1 = Identity(x) }> }
<domain: "local", opset_import: ["" : 17]>
f (x) => (y) { a = Neg(x) y = Relu(a) }
"""
    model = load(onnx.parser.parse_model(text))
    (site,) = find_sites(model)
    assert (site.scope, site.tensor) == ("pick/then_branch/call:f", "a")
    result = everything(model)
    out = check_tap(model, result, {"x": X, "c": np.array(True)})
    np.testing.assert_array_equal(out[result.done[0].output], -X)


def test_function_of_an_older_opset_of_the_same_meaning_is_tapped(check_tap):
    proto = onnx.parser.parse_model(FUNCTIONS)
    proto.functions[0].opset_import[0].version = 16
    model = load(proto)
    result = everything(model)
    assert result.refused == ()
    check_tap(model, result, {"x": X})


def test_function_of_another_opset_is_reported_but_not_tapped():
    text = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1, "com.example" : 1]>
g (float[N,4] x) => (float[N,4] y) { [call] a = local.f(x) y = Relu(a) }
<domain: "local", opset_import: ["" : 17, "com.example" : 2]>
f (x) => (y) { a = com.example.Custom(x) b = Relu(a) y = com.example.Custom(b) }
"""
    model = load(onnx.parser.parse_model(text))
    inner, outer = find_sites(model)
    assert (inner.scope, inner.tensor) == ("call:f", "a")
    assert "imports another opset than the model" in inner.untappable
    assert (outer.scope, outer.tensor, outer.untappable) == ("", "a", "")
    assert [t.output for t in everything(model).done] == ["a/pre_activation"]
