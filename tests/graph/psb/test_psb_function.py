"""The function bodies: ONNX Runtime computes with them what the oracle does."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from reluflow import psb
from reluflow.graph import Model
from reluflow.graph.psb.function import psb_functions
from reluflow.sessions import open_session

RNG = np.random.default_rng(5)


def spread(*shape: int) -> np.ndarray:
    """Return weights whose channels differ by orders of magnitude, some of them 0."""
    w = RNG.standard_normal(shape) * np.exp2(
        RNG.integers(-12, 12, (shape[0], *[1] * (len(shape) - 1)))
    )
    w *= np.exp2(-np.abs(RNG.normal(0, 6, shape)))
    w[RNG.random(shape) < 0.1] = 0
    return w.astype(np.float32)


def call(
    op: str,
    x: np.ndarray,
    code: psb.PsbCode,
    b: np.ndarray,
    samples: int,
    opset: int,
    z: np.ndarray | None = None,
    **own: Any,
) -> np.ndarray:
    """Run one operator as a model of its own, without the native library."""
    constants = {
        "w": psb.pack(code),
        "e": code.emax,
        "b": b,
        "n": np.array(samples, np.int64),
        "s": np.array(0, np.int64),
    }
    attributes = {"weight_shape": list(code.shape), "p_bits": code.p_bits, "stream": 0, **own}
    inputs = ["x", *constants]
    if z is not None:
        constants["z"] = z
        inputs += ["", "z"] if op == "PsbConv" else ["z"]
    node = helper.make_node(op, inputs, ["y"], domain="ai.reluflow", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, x.shape)],
        [helper.make_tensor_value_info("y", 1, [None] * x.ndim)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(
        graph,
        functions=psb_functions({op}, opset, () if z is None else {op}),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.reluflow", 1)],
        ir_version=8,
    )
    onnx.checker.check_model(proto, full_check=True)
    session = open_session(Model(proto), threads=1, optimisation="none", library=False)
    return session.run({"x": x})[0]


def check(y: np.ndarray, oracle: np.ndarray, magnitude: np.ndarray, products: int) -> None:
    """Compare within gamma(products + 4) times the sum of magnitudes, both ways of adding."""
    u = 2.0**-24
    gamma = (products + 4) * u / (1 - (products + 4) * u)
    assert y.shape == oracle.shape and y.dtype == np.float32
    bound = 2 * gamma * magnitude + 2 * u * np.abs(oracle)
    assert (np.abs(y.astype(np.float64) - oracle) <= bound).all()


CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "2-D": ((6, 5, 3, 2), (2, 5, 9, 8), {}),
    "stride, dilation, pads": (
        (6, 5, 3, 3),
        (1, 5, 12, 11),
        {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 3]},
    ),
    "groups": ((6, 2, 3, 3), (2, 6, 7, 7), {"group": 3, "auto_pad": "SAME_UPPER"}),
    "depthwise": ((4, 1, 3, 3), (1, 4, 7, 7), {"group": 4, "auto_pad": "VALID"}),
    "1-D": ((3, 7, 5), (2, 7, 20), {"strides": [3], "auto_pad": "SAME_LOWER"}),
}


@pytest.mark.parametrize("opset", [13, 17, 22])
@pytest.mark.parametrize("name", CONVS)
def test_conv_agrees_with_the_oracle(name: str, opset: int) -> None:
    w_shape, x_shape, window = CONVS[name]
    x = (RNG.standard_normal(x_shape) * 30).astype(np.float32)
    for p_bits, samples in ((1, 1), (2, 4), (3, 0), (4, 64), (6, 2), (8, 16), (16, 32)):
        code = psb.encode(spread(*w_shape), p_bits=p_bits)
        b = RNG.standard_normal(w_shape[0]).astype(np.float32)
        y = call("PsbConv", x, code, b, samples, opset, **window)
        how: dict[str, Any] = {"samples": samples, "sampler": "nearest", **window}
        oracle = psb.conv(x, code, b, **how)
        plus = psb.PsbCode(code.words & ~np.uint32(1 << (p_bits + 4)), code.emax, p_bits)
        magnitude = psb.conv(np.abs(x), plus, np.abs(b), **how)
        check(y, oracle, magnitude, int(np.prod(w_shape[1:])))


@pytest.mark.parametrize("x_shape", [(37,), (4, 37), (2, 3, 37)])
def test_matmul_agrees_with_the_oracle(x_shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(x_shape).astype(np.float32)
    for p_bits, samples in ((1, 0), (4, 1), (16, 64)):
        code = psb.encode(spread(5, 37), p_bits=p_bits)
        b = RNG.standard_normal(5).astype(np.float32)
        y = call("PsbMatMul", x, code, b, samples, 17)
        oracle = psb.matmul(x, code, b, samples=samples, sampler="nearest")
        plus = psb.PsbCode(code.words & ~np.uint32(1 << (p_bits + 4)), code.emax, p_bits)
        magnitude = psb.matmul(np.abs(x), plus, np.abs(b), samples=samples, sampler="nearest")
        check(y, oracle, magnitude, 37)


@pytest.mark.parametrize("opset", [13, 18, 22])
def test_what_is_added_agrees_with_the_oracle(opset: int) -> None:
    code = psb.encode(spread(6, 5, 3, 3), p_bits=4)
    flat = psb.PsbCode(code.words.reshape(6, 45), code.emax, 4)
    b = RNG.standard_normal(6).astype(np.float32)
    x = RNG.standard_normal((2, 5, 6, 7)).astype(np.float32)
    rows = RNG.standard_normal((3, 45)).astype(np.float32)
    both: list[tuple[str, Any, np.ndarray, psb.PsbCode]] = [
        ("PsbConv", psb.conv, x, code),
        ("PsbMatMul", psb.matmul, rows, flat),
    ]
    for op, oracle, data, weights in both:
        how: dict[str, Any] = {"samples": 8, "sampler": "nearest"}
        plain = oracle(data, weights, b, **how)
        z = (RNG.standard_normal(plain.shape) * 10).astype(np.float32)
        own: dict[str, Any] = {"activation": "relu", "clip_min": 0.0}
        y = call(op, data, weights, b, 8, opset, z, **own)
        wanted = oracle(data, weights, b, z, activation="relu", **how)
        plus = psb.PsbCode(weights.words & ~np.uint32(1 << 8), weights.emax, 4)
        magnitude = oracle(np.abs(data), plus, np.abs(b), np.abs(z), **how)
        assert (wanted != np.maximum(plain, 0)).any()
        check(y, wanted, magnitude, 45)


def test_adding_nothing_keeps_every_bit() -> None:
    code = psb.encode(np.array([[0.0, 0.0], [1.0, -0.75]], np.float32), p_bits=4)
    x, b = np.array([[1.0, 2.0], [-3.0, 0.5]], np.float32), np.array([-0.0, 1e-40], np.float32)
    nothing = np.zeros(0, np.float32)
    for data in (x, x[:0]):
        plain = call("PsbMatMul", data, code, b, 0, 17)
        assert call("PsbMatMul", data, code, b, 0, 17, nothing).tobytes() == plain.tobytes()
        empty = plain[:0]
        assert call("PsbMatMul", data[:0], code, b, 0, 17, empty).shape == (0, 2)


@pytest.mark.parametrize(
    "x",
    [
        np.array([[0.0, 0.0]], np.float32),
        np.array([[2047.0, 1.0]], np.float32),
        np.array([[2047.4, 1.0]], np.float32),
        np.array([[1e-38, 1e-39]], np.float32),
        np.array([[3e38, -1.0]], np.float32),
        np.array([[np.nan, 0.5]], np.float32),
        np.array([[np.inf, 0.5], [-np.inf, 0.1]], np.float32),
        np.array([[np.nan, np.inf]], np.float32),
        np.zeros((0, 2), np.float32),
    ],
    ids=str,
)
@pytest.mark.parametrize("own", [{}, {"x_exponent": 3}, {"x_bits": 16}, {"x_bits": 4}], ids=str)
def test_activations_are_quantised_as_the_contract_says(x: np.ndarray, own: dict[str, Any]) -> None:
    code = psb.encode(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), p_bits=4)
    b = np.zeros(2, np.float32)
    y = call("PsbMatMul", x, code, b, 0, 17, **own)
    assert np.array_equal(y, psb.matmul(x, code, b, samples=0, sampler="nearest", **own))


def test_bounds_of_the_activation_are_attributes() -> None:
    code = psb.encode(np.eye(2, dtype=np.float32), p_bits=4)
    x, b = np.array([[-4.0, 9.0]], np.float32), np.zeros(2, np.float32)
    own: dict[str, Any] = {"activation": "clip", "clip_min": -1.0, "clip_max": 6.0}
    assert call("PsbMatMul", x, code, b, 0, 13, **own).tolist() == [[-1.0, 6.0]]
    own = {"activation": "relu", "clip_min": 0.0}
    assert call("PsbMatMul", x, code, b, 0, 13, **own)[0, 0] == 0


@pytest.mark.parametrize("scale", [2.0**-125, 2.0**120])
def test_far_exponents_neither_vanish_nor_overflow_on_the_way(scale: float) -> None:
    code = psb.encode(np.array([[scale, 0.0]], np.float32), p_bits=4)
    x = np.array([[1 / scale, 0.0]], np.float32)
    b = np.zeros(1, np.float32)
    y = call("PsbMatMul", x, code, b, 0, 17)
    assert np.array_equal(y, psb.matmul(x, code, b, samples=0, sampler="nearest"))
