"""The oracle against ONNX Runtime's float operators: exactly where both are exact, else bounded."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from small_models import model

from reluflow.psb import conv, decode, encode, matmul


def run(op: str, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, **attributes) -> np.ndarray:
    """Run one node in ONNX Runtime without graph optimisation."""
    weights = {"w": w} if bias is None else {"w": w, "b": bias}
    node = helper.make_node(op, ["x", *weights], ["y"], **attributes)
    proto = model([node], weights, {"x": list(x.shape)}, {"y": [f"d{i}" for i in range(x.ndim)]})
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def exact_weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights with p a multiple of 1/4 and four octaves: exact for n >= 4, any sampler but
    the binomial.
    """
    size = 2.0 ** rng.integers(-1, 3, shape) * (1 + rng.integers(0, 4, shape) / 4)
    return (size * rng.choice([-1, 0, 1], shape)).astype(np.float32)


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 2))

    def few(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    group, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    kernel, strides, dilations = few(1, 4), few(1, 3), few(1, 3)
    attributes = {"group": group, "strides": strides, "dilations": dilations}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad == "NOTSET":
        attributes["pads"] = few(0, 3) + few(0, 3)
    else:
        attributes["auto_pad"] = auto_pad
        if auto_pad != "VALID":  # ONNX Runtime has no SAME padding of dilated kernels
            dilations[:] = [1] * rank
    sizes = [
        d * (k - 1) + 1 + draw(st.integers(0, 6)) for d, k in zip(dilations, kernel, strict=True)
    ]
    weights = (group * draw(st.integers(1, 3)), per_group, *kernel)
    data = (draw(st.integers(1, 2)), group * per_group, *sizes)
    return weights, data, attributes, draw(st.integers(0, 2**32)), draw(st.booleans())


@settings(max_examples=150)
@given(convolutions(), st.sampled_from([4, 16, 64]), st.sampled_from(["run", "product"]))
def test_conv_is_equal_where_both_are_exact(case, samples: int, draws: str) -> None:
    weights, data, attributes, seed, with_bias = case
    rng = np.random.default_rng(seed)
    w = exact_weights(rng, weights)
    x = rng.integers(-100, 101, data).astype(np.float32)
    bias = rng.integers(-50, 51, len(w)).astype(np.float32) if with_bias else None
    code = encode(w, p_bits=2)
    if draws == "product" and np.prod(data) > 400:
        draws = "run"
    found = conv(x, code, bias, samples=samples, seed=seed, draws=draws, x_bits=12, **attributes)
    np.testing.assert_array_equal(found, run("Conv", x, w, bias, **attributes))


@pytest.mark.parametrize("samples", [4, 64])
def test_matmul_is_equal_where_both_are_exact(samples: int) -> None:
    rng = np.random.default_rng(samples)
    w = exact_weights(rng, (301, 7))
    x = rng.integers(-100, 101, (3, 5, 301)).astype(np.float32)
    found = matmul(x, encode(w, p_bits=2, channel_axis=1), samples=samples)
    np.testing.assert_array_equal(found, run("MatMul", x, w, None))


@settings(max_examples=40)
@given(convolutions(), st.booleans())
def test_conv_at_full_precision_is_near_the_float_conv(case, with_exact_inputs: bool) -> None:
    weights, data, attributes, seed, with_bias = case
    rng = np.random.default_rng(seed)
    code = encode(rng.normal(size=weights), p_bits=16)
    w = decode(code)
    x = rng.normal(size=data).astype(np.float32)
    if with_exact_inputs:
        x = rng.integers(-32767, 32768, data).astype(np.float32)
    bias = rng.normal(size=len(w)).astype(np.float32) if with_bias else None
    found = conv(x, code, bias, samples=0, x_bits=16, **attributes)
    expected = run("Conv", x, w, bias, **attributes)
    # A weight errs by 2^(e - 7) (k rounded) and 2^(emax - 14) (w' rounded); an input by half
    # a step of 2^-f <= max |x| / 2^14 * 2, none where inputs are whole; float32 by 1e-5.
    spread = np.ldexp(1.0, code.emax.astype(np.int64) - 14).reshape(-1, *[1] * (w.ndim - 1))
    w_error = np.where(w == 0, 0, np.abs(w) * 2.0**-7 + spread).astype(np.float32)
    x_error = 0.0 if with_exact_inputs else float(np.abs(x).max()) * 2.0**-14
    reach = run("Conv", np.abs(x) + np.float32(x_error), w_error, None, **attributes)
    reach += run("Conv", np.full_like(x, x_error), np.abs(w), None, **attributes)
    slack = 1e-5 * (1 + run("Conv", np.abs(x), np.abs(w), None, **attributes))
    assert (np.abs(found - expected) <= reach + slack).all()
