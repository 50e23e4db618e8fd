"""Conformance table: one row for each form of a switch site."""

from __future__ import annotations

import pytest

from reluflow.graph import find_sites

ROWS = [
    # id, opset, body (x: float[N,4] unless said), op, tensor, threshold
    ("relu", 17, "y = Relu(x)", "Relu", "x", 0),
    ("prelu", 17, "y = PRelu(x, s)", "PRelu", "x", 0),
    ("leaky", 17, "y = LeakyRelu <alpha = 0.1> (x)", "LeakyRelu", "x", 0),
    ("thresholded", 17, "y = ThresholdedRelu <alpha = 0.5> (x)", "ThresholdedRelu", "x", 0.5),
    ("thresholded-default", 17, "y = ThresholdedRelu(x)", "ThresholdedRelu", "x", 1),
    ("clip-attribute", 9, "y = Clip <min = 0.0, max = 6.0> (x)", "Clip", "x", 0),
    ("clip-initializers", 17, "y = Clip(x, zero, six)", "Clip", "x", 0),
    ("clip-min-only", 17, "y = Clip(x, zero)", "Clip", "x", 0),
    (
        "clip-constant-nodes",
        17,
        "a = Constant <value_float = 0.0> () b = Constant <value = float {6.0}> () "
        "y = Clip(x, a, b)",
        "Clip",
        "x",
        0,
    ),
    (
        "clip-cast-chain",
        17,
        "a = Constant <value_int = 0> () b = Cast <to = 1> (a) c = Identity(b) y = Clip(x, c)",
        "Clip",
        "x",
        0,
    ),
    (
        "clip-squeezed-list",
        17,
        "a = Constant <value_floats = [0.0]> () b = Squeeze(a) y = Clip(x, b)",
        "Clip",
        "x",
        0,
    ),
    ("max-right", 17, "y = Max(x, zero)", "Max", "x", 0),
    ("max-left", 17, "y = Max(zero, x)", "Max", "x", 0),
    ("max-zeros", 17, "y = Max(x, zeros)", "Max", "x", 0),
    (
        "max-zeros-like",
        17,
        "s = Shape(x) z = Expand(zero, s) y = Max(x, z)",
        "Max",
        "x",
        0,
    ),
    (
        "max-constant-of-shape",
        17,
        "s = Shape(x) z = ConstantOfShape <value = float[1] {0.0}> (s) y = Max(x, z)",
        "Max",
        "x",
        0,
    ),
    ("max-scaled", 17, "a = Mul(x, tenth) y = Max(x, a)", "Max", "x", 0),
    ("max-scaled-left", 17, "a = Mul(tenth, x) y = Max(a, x)", "Max", "x", 0),
    ("min-of-max", 17, "a = Max(x, zero) y = Min(a, six)", "Max", "x", 0),
    ("max-of-min", 17, "a = Min(x, six) y = Max(a, zero)", "Max", "x", 0),
    ("neg-min-neg", 17, "a = Neg(x) b = Min(a, zero) y = Neg(b)", "Min", "x", 0),
    ("hard-swish", 17, "y = HardSwish(x)", "HardSwish", "x", -3),
    ("hard-sigmoid", 17, "y = HardSigmoid(x)", "HardSigmoid", "x", -2.5),
    (
        "hard-sigmoid-keras",
        17,
        "y = HardSigmoid <alpha = 0.25, beta = 0.5> (x)",
        "HardSigmoid",
        "x",
        -2,
    ),
    (
        "x-times-hard-sigmoid",
        13,
        "h = HardSigmoid <alpha = 0.25, beta = 0.5> (x) y = Mul(x, h)",
        "HardSigmoid",
        "x",
        -2,
    ),
    (
        "x-times-clip",
        13,
        "a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)",
        "Clip",
        "a",
        0,
    ),
    (
        "where-greater",
        17,
        "a = Mul(x, tenth) g = Greater(x, zero) y = Where(g, x, a)",
        "Where",
        "x",
        0,
    ),
    (
        "where-greater-equal",
        17,
        "a = Mul(x, tenth) g = GreaterOrEqual(x, zero) y = Where(g, x, a)",
        "Where",
        "x",
        0,
    ),
    ("where-less", 17, "a = Mul(x, tenth) g = Less(x, zero) y = Where(g, a, x)", "Where", "x", 0),
    ("where-less-equal", 17, "g = LessOrEqual(x, zero) y = Where(g, zero, x)", "Where", "x", 0),
    ("where-mirrored", 17, "g = Less(zero, x) y = Where(g, x, zero)", "Where", "x", 0),
    ("where-not", 17, "g = Greater(x, zero) n = Not(g) y = Where(n, zero, x)", "Where", "x", 0),
    ("where-zeros", 17, "g = Greater(x, zeros) y = Where(g, x, zeros)", "Where", "x", 0),
    ("where-threshold", 17, "g = Greater(x, tenth) y = Where(g, x, zero)", "Where", "x", 0.1),
    (
        "where-divided",
        17,
        "a = Div(x, six) g = Greater(x, zero) y = Where(g, x, a)",
        "Where",
        "x",
        0,
    ),
    (
        "mask-times-x",
        17,
        "g = Greater(x, zero) m = Cast <to = 1> (g) y = Mul(m, x)",
        "Mul",
        "x",
        0,
    ),
    (
        "two-relu-prelu",
        17,
        "p = Relu(x) n = Neg(x) q = Relu(n) r = Mul(q, tenth) y = Sub(p, r)",
        "PRelu",
        "x",
        0,
    ),
]
SMOOTH_ROWS = [
    ("gelu", 20, "y = Gelu(x)", "Gelu"),
    (
        "gelu-erf",
        17,
        "d = Div(x, root2) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
        "Gelu",
    ),
    (
        "gelu-erf-half-first",
        17,
        "h = Mul(x, half) d = Div(x, root2) e = Erf(d) a = Add(e, one) y = Mul(h, a)",
        "Gelu",
    ),
    (
        "gelu-tanh",
        17,
        "p = Pow(x, three) q = Mul(p, tenth) s = Add(x, q) t = Mul(s, half) u = Tanh(t) "
        "v = Add(u, one) w = Mul(x, v) y = Mul(w, half)",
        "Gelu",
    ),
    ("silu", 17, "s = Sigmoid(x) y = Mul(x, s)", "Silu"),
    ("swish", 24, "y = Swish(x)", "Swish"),
    ("elu", 17, "y = Elu(x)", "Elu"),
    ("celu", 17, "y = Celu(x)", "Celu"),
    ("selu", 17, "y = Selu(x)", "Selu"),
    ("softplus", 17, "y = Softplus(x)", "Softplus"),
    ("softplus-spelled", 17, "e = Exp(x) a = Add(e, one) y = Log(a)", "Softplus"),
    ("mish", 18, "y = Mish(x)", "Mish"),
    ("mish-spelled", 17, "p = Softplus(x) t = Tanh(p) y = Mul(x, t)", "Mish"),
    (
        "elu-where",
        17,
        "e = Exp(x) s = Sub(e, one) g = Greater(x, zero) y = Where(g, x, s)",
        "Elu",
    ),
]
NONE = [
    ("clip-minus-one", 17, "m = Neg(one) y = Clip(x, m, one)"),
    ("clip-epsilon", 17, "y = Clip(x, tenth)"),
    ("max-epsilon", 17, "y = Max(x, tenth)"),
    ("max-two-tensors", 17, "a = Exp(x) y = Max(x, a)"),
    ("max-abs", 17, "a = Neg(x) y = Max(x, a)"),
    ("min-only", 17, "y = Min(x, six)"),
    ("where-upper-cut", 17, "g = Greater(x, six) y = Where(g, six, x)"),
    ("where-mask", 17, "e = Equal(x, zero) y = Where(e, zero, x)"),
    ("where-other", 17, "a = Exp(x) g = Greater(a, one) y = Where(g, x, x)"),
    ("sigmoid", 17, "y = Sigmoid(x)"),
    ("tanh-product", 17, "t = Tanh(x) y = Mul(x, t)"),
    ("gate-of-other", 17, "a = MatMul(x, square) s = Sigmoid(a) y = Mul(x, s)"),
    ("sizes", 17, "s = Shape(x) z = Constant <value_int = 0> () c = Max(s, z) y = Expand(x, c)"),
]
SCALARS = (
    "float zero = {0.0}, float one = {1.0}, float six = {6.0}, float three = {3.0}, "
    "float tenth = {0.1}, float half = {0.5}, float root2 = {1.41421356}, "
    "float[4] zeros = {0.0, 0.0, 0.0, 0.0}, float[4] s = {0.1, 0.1, 0.1, 0.1}, "
    "float[4,4] square = {1.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,1.0}"
)


def _graph(body: str) -> str:
    constants = (
        SCALARS.replace("float[4] s =", "float[4] slopes =") if " s = " in f" {body}" else SCALARS
    )
    return f"g (float[N,4] x) => (float[N,4] y) <{constants}> {{ {body} }}"


@pytest.mark.parametrize(
    ("opset", "body", "op", "tensor", "threshold"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_form_is_one_site(text_model, opset, body, op, tensor, threshold):
    model = text_model(_graph(body), opset=opset, ir=10)
    (site,) = find_sites(model)
    assert (site.op, site.tensor) == (op, tensor)
    assert site.threshold == pytest.approx(threshold, abs=1e-6)
    assert (site.unit_axis, site.units, site.shape) == (-1, 4, ("N", 4))
    assert not site.smooth and not site.untappable and site.scope == ""
    assert find_sites(model, smooth=True) == (site,)


@pytest.mark.parametrize(
    ("opset", "body", "op"), [r[1:] for r in SMOOTH_ROWS], ids=[r[0] for r in SMOOTH_ROWS]
)
def test_smooth_form_is_a_site_on_request(text_model, opset, body, op):
    model = text_model(_graph(body), opset=opset, ir=10)
    assert find_sites(model) == ()
    (site,) = find_sites(model, smooth=True)
    assert (site.op, site.tensor, site.threshold, site.smooth) == (op, "x", 0, True)
    assert (site.unit_axis, site.units) == (-1, 4)


@pytest.mark.parametrize(("opset", "body"), [r[1:] for r in NONE], ids=[r[0] for r in NONE])
def test_no_switch(text_model, opset, body):
    assert find_sites(text_model(_graph(body), opset=opset, ir=10), smooth=True) == ()


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21, 25])
def test_opsets(text_model, opset):
    text = (
        "g (float[1,3,8,8] x, float[5,3,3,3] w) => (float[1,5,6,6] y) "
        "{ c = Conv(x, w) y = Relu(c) }"
    )
    model = text_model(text, opset=opset, ir=10)
    (site,) = find_sites(model)
    assert (site.op, site.tensor, site.unit_axis, site.units, site.shape) == (
        "Relu",
        "c",
        1,
        5,
        (1, 5, 6, 6),
    )


def test_integer_relu(text_model):
    (site,) = find_sites(text_model("g (int32[N,4] x) => (int32[N,4] y) { y = Relu(x) }"))
    assert (site.op, site.units) == ("Relu", 4)


def test_names_are_unique_and_stable(text_model):
    body = "[act] a = Relu(x) [act] b = Relu(a) c = Relu(b) y = Relu(c)"
    text = f"g (float[N,4] x) => (float[N,4] y) {{ {body} }}"
    names = [site.name for site in find_sites(text_model(text))]
    assert names == ["act", "act#2", "c", "y"]
    assert names == [site.name for site in find_sites(text_model(text))]


def test_order_is_graph_order(text_model):
    text = "g (float[N,4] x) => (float[N,4] y) { a = Relu(x) b = LeakyRelu(a) y = Relu(b) }"
    assert [site.tensor for site in find_sites(text_model(text))] == ["x", "a", "b"]


def test_second_cut_at_zero_is_no_second_site(text_model):
    text = "g (float[N,4] x) => (float[N,4] y) <float z = {0.0}> { a = Relu(x) y = Max(a, z) }"
    assert [site.op for site in find_sites(text_model(text))] == ["Relu"]


def test_scalar_pre_activation_is_untappable(text_model):
    (site,) = find_sites(text_model("g (float x) => (float y) { y = Relu(x) }"))
    assert "no axis of units" in site.untappable


def test_fused_operators_are_reported_with_the_reason(text_model):
    text = (
        "g (float[1,3,8,8] x, float[5,3,3,3] w) => (float[1,5,6,6] y) "
        '{ y = com.microsoft.FusedConv <activation = "Relu"> (x, w) }'
    )
    (site,) = find_sites(text_model(text, extra=', "com.microsoft" : 1'))
    assert (site.op, site.unit_axis, site.units) == ("Relu", 1, 5)
    assert "fused inside FusedConv" in site.untappable
