"""The unit axis and the number of units (docs/spec.md, section 1)."""

from __future__ import annotations

import pytest

from reluflow.graph import find_sites, load

ROWS = [
    # id, inputs, body, axis, units
    ("dense", "float[N,6] x, float[6,4] w, float[4] b", "a = Gemm(x, w, b) y = Relu(a)", -1, 4),
    (
        "dense-transposed",
        "float[N,6] x, float[4,6] w, float[4] b",
        "a = Gemm <transB = 1> (x, w, b) y = Relu(a)",
        -1,
        4,
    ),
    ("vector", "float[4] x", "y = Relu(x)", -1, 4),
    ("conv-1d", "float[N,3,9] x, float[5,3,3] w", "a = Conv(x, w) y = Relu(a)", 1, 5),
    ("conv-2d", "float[N,3,9,9] x, float[5,3,3,3] w", "a = Conv(x, w) y = Relu(a)", 1, 5),
    ("conv-3d", "float[N,3,9,9,9] x, float[5,3,3,3,3] w", "a = Conv(x, w) y = Relu(a)", 1, 5),
    (
        "conv-transpose-groups",
        "float[N,4,9,9] x, float[4,3,3,3] w",
        "a = ConvTranspose <group = 2> (x, w) y = Relu(a)",
        1,
        6,
    ),
    ("conv-unknown-size", "float x, float[5,3,3,3] w", "a = Conv(x, w) y = Relu(a)", 1, 5),
    ("input-nchw", "float[N,3,9,9] x", "y = Relu(x)", 1, 3),
    ("input-ncl", "float[N,3,9] x", "y = Relu(x)", 1, 3),
    ("token-matmul", "float[N,7,6] x, float[6,4] w", "a = MatMul(x, w) y = Relu(a)", -1, 4),
    (
        "token-fused-gelus",
        "float[N,7,6] x, float[6,4] w, float[4] b",
        "a = MatMul(x, w) c = com.microsoft.BiasGelu(a, b) d = com.microsoft.QuickGelu(c) "
        "y = Relu(d)",
        -1,
        4,
    ),
    (
        "token-bias",
        "float[N,7,6] x, float[6,4] w, float[4] b",
        "a = MatMul(x, w) c = Add(b, a) y = Relu(c)",
        -1,
        4,
    ),
    (
        "token-residual",
        "float[N,7,4] x, float[4,4] w, float[4] b",
        "a = MatMul(x, w) c = Add(a, b) d = Add(x, c) y = Relu(d)",
        -1,
        4,
    ),
    (
        "token-layer-norm",
        "float[N,7,4] x, float[4] s",
        "a = LayerNormalization(x, s) y = Relu(a)",
        -1,
        4,
    ),
    (
        "token-reshaped-gemm",
        "float[2,7,6] x, float[6,4] w, float[4] b",
        "i = Constant <value_ints = [14, 6]> () f = Reshape(x, i) a = Gemm(f, w, b) "
        "j = Constant <value_ints = [2, 7, 4]> () r = Reshape(a, j) y = Relu(r)",
        -1,
        4,
    ),
    (
        "reshape-to-image-starts-anew",
        "float[N,6] x, float[6,36] w",
        "a = MatMul(x, w) i = Constant <value_ints = [-1, 4, 3, 3]> () "
        "r = Reshape(a, i) y = Relu(r)",
        1,
        4,
    ),
    (
        "nhwc-conv",
        "float[N,3,9,9] x, float[5,3,3,3] w",
        "a = Conv(x, w) t = Transpose <perm = [0, 2, 3, 1]> (a) y = Relu(t)",
        -1,
        5,
    ),
    (
        "nhwc-conv-bias",
        "float[N,3,9,9] x, float[5,3,3,3] w, float[5] b",
        "a = Conv(x, w) t = Transpose <perm = [0, 2, 3, 1]> (a) c = Add(t, b) y = Relu(c)",
        -1,
        5,
    ),
    (
        "nlc-conv-1d",
        "float[N,3,9] x, float[5,3,3] w",
        "a = Conv(x, w) t = Transpose <perm = [0, 2, 1]> (a) y = Relu(t)",
        -1,
        5,
    ),
    (
        "nhwc-there-and-back",
        "float[N,3,9,9] x, float[5,3,3,3] w",
        "a = Conv(x, w) t = Transpose <perm = [0, 2, 3, 1]> (a) "
        "u = Transpose <perm = [0, 3, 1, 2]> (t) y = Relu(u)",
        1,
        5,
    ),
    (
        "squeezed-conv",
        "float[N,3,1,9] x, float[5,3,1,3] w",
        "a = Conv(x, w) i = Constant <value_ints = [2]> () s = Squeeze(a, i) "
        "t = Transpose <perm = [0, 2, 1]> (s) y = Relu(t)",
        -1,
        5,
    ),
    (
        "channels-last-mixer",
        "float[N,5,3,3] x, float[5,8] w",
        "t = Transpose <perm = [0, 2, 3, 1]> (x) a = MatMul(t, w) y = Relu(a)",
        -1,
        8,
    ),
    (
        "slice-of-pixels",
        "float[N,3,H,W] x, float[5,3,3,3] w, int64[2] e",
        "a = Conv(x, w) i = Constant <value_ints = [0, 0]> () j = Constant <value_ints = [2, 3]> ()"
        " s = Slice(a, i, e, j) y = Relu(s)",
        1,
        5,
    ),
    (
        "concat-of-channels",
        "float[N,3,9,9] x, float[5,3,3,3] w, float[2,3,3,3] v",
        "a = Conv(x, w) b = Conv(x, v) c = Concat <axis = 1> (a, b) y = Relu(c)",
        1,
        7,
    ),
    (
        "batch-norm-after-conv",
        "float[N,3,9,9] x, float[5,3,3,3] w, float[5] b",
        "a = Conv(x, w) n = BatchNormalization(a, b, b, b, b) y = Relu(n)",
        1,
        5,
    ),
]


@pytest.mark.parametrize(
    ("inputs", "body", "axis", "units"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_units(parse, inputs, body, axis, units):
    proto = parse(f"g ({inputs}) => (float[] y) {{ {body} }}", extra=', "com.microsoft" : 1')
    if inputs.startswith("float x"):
        proto.graph.input[0].type.tensor_type.ClearField("shape")
    (site,) = find_sites(load(proto))
    assert (site.unit_axis, site.units) == (axis, units)


def test_weight_on_the_left_has_its_rows_as_units(text_model):
    text = (
        "g (float[N,6,9] x) => (float[N,2,9] y) "
        "<float[2,6] w = {1.,1.,1.,1.,1.,1.,1.,1.,1.,1.,1.,1.}> { a = MatMul(w, x) y = Relu(a) }"
    )
    (site,) = find_sites(text_model(text))
    assert (site.unit_axis, site.units) == (1, 2)


def test_units_unknown_to_the_graph(text_model):
    (site,) = find_sites(text_model("g (float[N,C,H,W] x) => (float[N,C,H,W] y) { y = Relu(x) }"))
    assert (site.unit_axis, site.units, site.shape) == (1, None, ("N", "C", "H", "W"))


def test_transpose_that_is_not_valid_is_left_to_the_runtime(parse):
    text = (
        "g (float[N,3,9,9] x, float[5,3,3,3] w) => (float[] y) "
        "{ a = Conv(x, w) t = Transpose <perm = [0, 2, 3, 7]> (a) y = Relu(t) }"
    )
    assert len(find_sites(load(parse(text)))) == 1
