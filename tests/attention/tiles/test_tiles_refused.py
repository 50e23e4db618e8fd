"""What depends on all pixels, or knows where a pixel lies, is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from chain_nets import converted
from spatial.converted import as_int16, gated, residual

from reluflow.attention import TileOptions, run_tiles
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import load

FREE = ("N", 3, "H", "W")
X = np.random.default_rng(0).random((1, 3, 48, 48)).astype(np.float32)
SMALL = TileOptions(crop=(24, 24))
HEAD = """<ir_version: 8, opset_import: ["" : 18]>
g (float[1,3,H,W] x) => (float[1,A,B,C] y) """
BODIES = [
    ("m = GlobalAveragePool(x) y = Mul(x, m)", "GlobalAveragePool 'm' reads all pixels of 'x'"),
    (
        "a = Constant <value_ints = [3]> () m = ReduceMax (x, a) y = Sub(x, m)",
        "ReduceMax 'm' reads all pixels of 'x'",
    ),
    (
        "a = Constant <value_floats = [1.0, 1.0, 1.0]> () y = InstanceNormalization (x, a, a)",
        "InstanceNormalization 'y' does not keep pixels apart",
    ),
    ("y = Softmax <axis = 3> (x)", "Softmax 'y' does not keep pixels apart .it works along"),
    (
        "y = Resize <mode = @linear@> (x, , , n)",
        "the size of what Resize 'y' makes does not follow the picture's",
    ),
    (
        "s = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> () y = Resize <mode = @linear@, "
        "coordinate_transformation_mode = @align_corners@> (x, , s)",
        "Resize 'y' scales by linear align_corners 47/95",
    ),
    (
        "s = Shape(x) d = Cast <to = 1> (s) e = ReduceMax <keepdims = 0> (d) y = Div(x, e)",
        "Div 'y' reads 'e', which depends on the picture's size",
    ),
    (
        "s = Shape <start = 3> (x) q = Squeeze(s) o = Constant <value_int = 0> () i = Constant "
        "<value_int = 1> () r = Range(o, q, i) c = Cast <to = 1> (r) y = Add(x, c)",
        "Add 'y' has a value for each pixel in 'c'",
    ),
    ("y = Add(x, grid)", "Add 'y' has a value for each pixel in 'grid'"),
]


@pytest.mark.parametrize(("body", "reason"), BODIES)
def test_what_depends_on_the_whole_picture(body: str, reason: str) -> None:
    grid = ", ".join(["1"] * 48)
    stored = f"<int64[4] n = {{1, 3, 20, 20}}, float[48] grid = {{{grid}}}>"
    model = load(onnx.parser.parse_model(f"{HEAD}{stored} {{ {body.replace('@', chr(34))} }}"))
    with pytest.raises(ModelError, match=reason):
        run_tiles(model, {"x": X}, options=SMALL)


def test_gates_of_chains() -> None:
    with pytest.raises(ModelError, match="FixedGlobalPool16 'm' reads all pixels of 'b/int16'"):
        run_tiles(as_int16(gated(FREE)), {"x": X}, options=SMALL)


def test_exponents_from_the_run() -> None:
    with pytest.raises(ModelError, match="PsbConv 'first' takes the exponent of 'x' from all pix"):
        run_tiles(converted(residual(FREE)), {"x": X}, options=SMALL)


def test_draws_for_each_pixel() -> None:
    exponents = dict.fromkeys(["x", "b", "d", "g"], 6)
    made = converted(residual(FREE), draws="product", sampler="binomial", x_exponents=exponents)
    with pytest.raises(ModelError, match="'first' draws anew for each pixel"):
        run_tiles(made, {"x": X}, options=SMALL)


def test_sizes_that_strides_do_not_divide() -> None:
    body = (
        "p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x) s = Shape(x) "
        'y = Resize <mode = "linear"> (p, , , s)'
    )
    model = load(onnx.parser.parse_model(f"{HEAD} {{ {body} }}"))
    assert run_tiles(model, {"x": X}, options=SMALL).n_tiles > 1
    with pytest.raises(ModelError, match="Resize 'y' scales by linear half_pixel 47/23"):
        run_tiles(model, {"x": X[:, :, 1:]}, options=SMALL)


def test_an_output_without_pixels() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1,3,H,W] x, float[2] z) => (float[1,3,H,W] y, float[2] k)
    { y = Relu(x) k = Neg(z) }"""
    model, feeds = load(onnx.parser.parse_model(text)), {"x": X, "z": np.zeros(2, np.float32)}
    with pytest.raises(ModelError, match="output 'k' does not depend on any pixel"):
        run_tiles(model, feeds, options=SMALL)
    options = TileOptions(crop=(24, 24), outputs=("y",))
    np.testing.assert_array_equal(run_tiles(model, feeds, options=options).outputs["y"], X)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"crop": (24,)}, r"crop is \[24\], but the picture has 2 axes"),
        ({"crop": (24, 0)}, r"crop is \[24, 0\]"),
        ({"crop": (8, 8)}, r"a crop of \[8, 8\] pixels is too small .*give at least \[\d+, \d+\]"),
        ({"memory_limit_bytes": 500}, r"the memory limit allows crops of \d+ pixels, but"),
        ({"outputs": ("z",)}, "outputs hold 'z', which the model does not have"),
        ({"resume": True}, "resume is True, but no file is given"),
        ({"samples": 3}, "samples of .* is 3"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    given = TileOptions(**{"samples": 16, "crop": (24, 24), **options})
    if "memory_limit_bytes" in options:
        given = TileOptions(samples=16, **options)
    with pytest.raises(OptionError, match=reason):
        run_tiles(as_int16(residual(FREE)), {"x": X}, options=given)


def test_a_limit_below_one() -> None:
    with pytest.raises(OptionError, match="memory_limit_bytes is 0; give a positive number"):
        TileOptions(memory_limit_bytes=0)


@pytest.mark.parametrize(
    ("feeds", "reason"),
    [
        ({"x": X[0]}, r"input 'x' is \[3, 48, 48\], but the model takes float32"),
        ({"z": X}, "inputs are 'z', but the model takes 'x' float32"),
        ({}, "inputs are missing, but the model takes 'x'"),
    ],
)
def test_inputs_that_do_not_fit(feeds: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        run_tiles(as_int16(residual(FREE)), feeds, options=SMALL)


def test_a_fixed_size() -> None:
    model = residual((1, 3, 48, 48))
    with pytest.raises(ModelError, match=r"input 'x' .*float32 .1, 3, 48, 48.*fixed"):
        run_tiles(model, {"x": X}, options=SMALL)


def test_pictures_of_different_kinds() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1,3,H,W] x, float[1,3,L] z) => (float[1,3,H,W] y, float[1,3,L] k)
    { y = Relu(x) k = Neg(z) }"""
    feeds = {"x": X, "z": np.zeros((1, 3, 48), np.float32)}
    with pytest.raises(DataError, match=r"inputs 'x', 'z' have \[1, 2\] axes of pixels"):
        run_tiles(load(onnx.parser.parse_model(text)), feeds, options=SMALL)
