"""The layers behind a pooling, run on each pixel: their mean is what the model answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

import reluflow
from reluflow.attention import entropy_bits, open_map
from reluflow.errors import DataError, OptionError
from reluflow.graph import (
    Model,
    PooledHead,
    expose,
    find_pooled_head,
    find_psb,
    load,
    with_input_defaults,
)
from reluflow.sessions import open_session

SHIPPED = Path(__file__).parents[2] / "models"
IMAGES = np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"][:3]
C, CLASSES, H, W = 4, 3, 5, 6


def numbers(*sizes: int, seed: int = 0) -> str:
    values = np.random.default_rng(seed).standard_normal(sizes).round(3)
    dims = ",".join(map(str, sizes))
    return f"float[{dims}] %s = {{{','.join(map(str, values.reshape(-1)))}}}"


GEMM = (numbers(C, CLASSES) % "w", numbers(CLASSES, seed=1) % "b")
AXES, LAST = "int64[2] axes = {2,3}", "int64[2] axes = {-3,-2}"
ONE, ANY = "int64[2] to = {1,4}", "int64[2] to = {0,-1}"
HEADS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "gemm": ("g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, w, b)", GEMM, ""),
    "reshape": ("g = GlobalAveragePool(r) f = Reshape(g, to) y = Gemm(f, w, b)", (*GEMM, ANY), ""),
    "squeeze": (
        "g = GlobalAveragePool(r) f = Squeeze(g, axes) m = MatMul(f, w) y = Add(m, b)",
        (*GEMM, AXES),
        "",
    ),
    "reduce mean": ("f = ReduceMean<axes=[2,3], keepdims=0>(r) y = Gemm(f, w, b)", GEMM, ""),
    "kept axes": (
        "g = ReduceMean<axes=[-2,-1]>(r) c = Conv(g, k) y = Flatten(c)",
        (numbers(CLASSES, C, 1, 1) % "k",),
        "",
    ),
    "window of all": (
        "g = AveragePool<kernel_shape=[5,6]>(r) f = Flatten(g) y = Gemm(f, w, b)",
        GEMM,
        "",
    ),
    "scores in front": ("g = GlobalAveragePool(r) y = Flatten(g)", (), ""),
    "softmax": (
        "g = GlobalAveragePool(r) f = Flatten(g) z = Gemm(f, w, b) y = Softmax(z)",
        GEMM,
        "",
    ),
    "scaled": (
        "g = GlobalAveragePool(r) f = Flatten(g) m = MatMul(f, w) y = Mul(m, t)",
        (*GEMM, "float[1] t = {0.5}"),
        "",
    ),
    "one input": (
        "g = GlobalAveragePool(r) f = Reshape(g, to) y = Gemm(f, w, b)",
        (*GEMM, ONE),
        "",
    ),
    "hidden layer": (
        "g = GlobalAveragePool(r) f = Flatten(g) h = Gemm(f, v) a = Relu(h) y = Gemm(a, w, b)",
        (*GEMM, numbers(C, C, seed=2) % "v"),
        "'a'",
    ),
    "largest": ("g = GlobalMaxPool(r) f = Flatten(g) y = Gemm(f, w, b)", GEMM, "'g'"),
}


def model_of(body: str, constants: tuple[str, ...], shape: str = "N,4,5,6") -> Model:
    held = f"<{', '.join(constants)}>" if constants else ""
    return load(
        onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 17]> g (float[{shape}] x) => (float[A,B] y) '
            f"{held} {{ n = Neg(x) r = Relu(n) {body} }}"
        )
    )


def run(model: Model, tensor: str, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    session = open_session(expose(model, [tensor]).model, threads=1)
    return dict(zip(session.outputs, session.run(feeds), strict=True))


@pytest.mark.parametrize("name", HEADS)
def test_the_mean_over_pixels_is_the_answer(name: str) -> None:
    body, constants, bent = HEADS[name]
    model = model_of(body, constants)
    n = 1 if name == "one input" else 2
    x = np.random.default_rng(3).standard_normal((n, C, H, W)).astype(np.float32)
    unsure = open_map(model, {"x": x.shape}, threads=1)
    assert unsure.head is not None and unsure.tensor == "r"
    found = run(model, "r", {"x": x})
    scores = unsure.scores(found["r"])
    assert scores.shape[:3] == (n, H, W)
    mean = scores.mean(axis=(1, 2))
    if name == "softmax":
        assert unsure.head.scores == "z"
        mean = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    close = np.allclose(mean, found["y"].reshape(n, -1), rtol=1e-4, atol=1e-5)
    assert close == (not bent)
    assert (f"{bent} is not linear" in unsure.sentence()) == bool(bent)
    assert ("the mean of these scores is what" in unsure.sentence()) == (not bent)
    assert np.allclose(unsure.read(found["r"]), entropy_bits(scores, axis=-1))


def test_channels_may_be_last_and_signals_have_one_axis() -> None:
    body = "f = ReduceMean<axes=[-3,-2], keepdims=0>(r) y = Gemm(f, w, b)"
    model = model_of(body, GEMM, "N,5,6,4")
    head = find_pooled_head(model)
    assert isinstance(head, PooledHead) and head.channel == -1
    values = np.random.default_rng(0).random((2, H, W, C)).astype(np.float32)
    assert head.pixels(values).shape == (2 * H * W, 1, 1, C)
    assert np.array_equal(head.pixels(values)[W, 0, 0], values[0, 1, 0])
    signal = model_of("f = ReduceMean<axes=[2], keepdims=0>(r) y = Gemm(f, w, b)", GEMM, "N,4,9")
    x = np.random.default_rng(1).standard_normal((2, C, 9)).astype(np.float32)
    unsure = open_map(signal, {"x": x.shape}, threads=1)
    found = run(signal, "r", {"x": x})
    assert unsure.read(found["r"]).shape == (2, 9)
    assert np.allclose(unsure.scores(found["r"]).mean(axis=1), found["y"], atol=1e-5)


GATE = "p = GlobalAveragePool(r) s = Sigmoid(p) e = Mul(r, s) "


def test_a_gate_is_no_head_and_two_poolings_are_none() -> None:
    body = GATE + "g = GlobalAveragePool(e) f = Flatten(g) y = Gemm(f, w, b)"
    head = find_pooled_head(model_of(body, GEMM))
    assert isinstance(head, PooledHead) and head.tensor == "e"
    both = "g = GlobalAveragePool(r) m = GlobalMaxPool(r) j = Add(g, m) f = Flatten(j) "
    said = find_pooled_head(model_of(both + "y = Gemm(f, w, b)", GEMM))
    assert "has no global pooling through which all reaches it" in str(said)
    flat = model_of("f = Flatten(r) y = Relu(f)", ())
    with pytest.raises(DataError, match="no output has pixels, and output 'y' has no global"):
        open_map(flat, {"x": (1, C, H, W)})


def converted(tmp_path: Path, name: str, **how: Any) -> Model:
    out = tmp_path / "psb.onnx"
    data = SHIPPED / "fashion_mnist_test_2000.npz"
    given = {"calibration": data, "limit": 30, **how} if how else {}
    reluflow.convert(SHIPPED / f"{name}.onnx", out, check=False, **given)
    return with_input_defaults(load(out)).model


FORMS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "floats": ("fashion_resnet8", {}, True),
    "bytes": ("fashion_resnet8", {"x_bits": 8}, True),
    "bytes, functions": ("fashion_dsconv", {"x_bits": 8}, False),
    "int16": ("fashion_dsconv", {"x_bits": 12}, True),
}


@pytest.mark.parametrize("form", FORMS)
def test_converted_heads_give_the_mean_too(tmp_path: Path, form: str) -> None:
    name, how, native = FORMS[form]
    model = converted(tmp_path, name, **how)
    assert find_psb(model)
    unsure = open_map(model, {"image": IMAGES.shape}, threads=1, native=native)
    chosen = {"samples": np.array(8), "seed": np.array(5)}
    session = open_session(expose(model, [unsure.tensor]).model, threads=1, library=native)
    feeds = {"image": IMAGES, **chosen}
    found = dict(zip(session.outputs, session.run(feeds), strict=True))
    values = found[unsure.tensor]
    assert {8: "uint8", 12: "int16"}.get(how.get("x_bits", 0), "float32") == values.dtype.name
    scores = unsure.scores(values, chosen)
    assert scores.shape == (3, 7, 7, 10)
    # the product rounds the larger numbers of single pixels more coarsely than their mean
    apart = np.abs(scores.mean(axis=(1, 2)) - found["logits"]).max()
    assert apart < 0.02 * np.abs(found["logits"]).max()
    assert unsure.head is not None and not unsure.head.bent_by
    assert unsure.read(values, chosen).shape == (3, 7, 7)


def test_a_single_pixel_and_nan_are_sentences() -> None:
    model = model_of(*HEADS["gemm"][:2])
    unsure = open_map(model, {"x": (1, C, H, W)}, threads=1)
    with pytest.raises(DataError, match="tensor 'r' has a single pixel for a picture of"):
        unsure.read(np.zeros((1, C, 1, 1), np.float32))
    with pytest.raises(DataError, match="tensor 'r' gives NaN or infinite scores at all pixels"):
        unsure.read(np.full((1, C, H, W), np.nan, np.float32))
    with pytest.raises(DataError, match=r"tensor 'r' is \[1, 4\], without an axis of pixels"):
        unsure.read(np.zeros((1, C), np.float32))
    some = np.ones((1, C, H, W), np.float32)
    some[0, 0, 2, 3] = np.nan
    found = unsure.read(some)
    assert np.isinf(found[0, 2, 3]) and np.isfinite(found).sum() == H * W - 1


def test_options_without_effect_on_a_pooled_head_are_refused() -> None:
    model, sizes = model_of(*HEADS["gemm"][:2]), {"x": (1, C, H, W)}
    with pytest.raises(OptionError, match="axis is 1, but does nothing where the scores of pixels"):
        open_map(model, sizes, axis=1)
    with pytest.raises(OptionError, match="reading is 'yes-no', but does nothing where"):
        open_map(model, sizes, reading="yes-no")
    with pytest.raises(OptionError, match="reading is 'logits'; accepted are softmax"):
        open_map(model, sizes, reading="logits")
    with pytest.raises(OptionError, match="tensor is 'nowhere', which no node of the main graph"):
        open_map(model, sizes, tensor="nowhere")
    with pytest.raises(DataError, match="of which none has pixels"):
        open_map(model_of(*HEADS["gemm"][:2], "N,4"), {"x": (1, 4)})
