"""The operators of chains in ONNX Runtime against their oracle, byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from reluflow.psb import decode, encode, pack
from reluflow.psb.fixed import (
    FixedFormat,
    fixed_conv,
    fixed_global_pool,
    fixed_max_pool,
    from_fixed,
    grid_means,
    grid_steps,
    grid_weights,
    to_fixed,
)
from reluflow.sessions import get_library_path
from reluflow.sessions.library import register

KERNELS = ("portable", "avx2", "avx512vnni")
pytestmark = pytest.mark.skipif(get_library_path() is None, reason="no native library")


def run(op: str, inputs: dict[str, np.ndarray], constants: dict[str, np.ndarray], **attributes):
    """Run one node of our domain."""
    names = [*inputs, *constants]
    node = helper.make_node(op, names, ["y"], domain="ai.reluflow", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in inputs.items()
        ],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.reluflow", 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, inputs)[0]


def random_case(rng: np.random.Generator):
    """Return arguments of `fixed_conv`, whatever a chain may hold."""
    rank = int(rng.integers(1, 3))
    depthwise = rng.random() < 0.3
    group = int(rng.integers(1, 80)) if depthwise else int(rng.integers(1, 3))
    per_group = 1 if depthwise else int(rng.integers(1, 12))
    outputs = group if depthwise else group * int(rng.integers(1, 70))
    kernel = rng.integers(1, 6, rank).tolist()
    options = {
        "strides": rng.integers(1, 3, rank).tolist(),
        "dilations": rng.integers(1, 3, rank).tolist(),
        "pads": rng.integers(0, 3, 2 * rank).tolist(),
        "group": group,
    }
    sizes = [
        d * (k - 1) + 1 + int(rng.integers(0, 9))
        for d, k in zip(options["dilations"], kernel, strict=True)
    ]
    w = rng.standard_t(2, (outputs, per_group, *kernel)).astype(np.float32)
    w[rng.random(w.shape) < 0.1] = 0
    code = encode(w, p_bits=int(rng.choice([1, 2, 3, 4, 4, 6, 8, 16])))
    x = rng.integers(0, 256, (int(rng.integers(1, 3)), *sizes, group * per_group), np.uint8)
    return x, code, options


def check_conv(seed: int) -> None:
    """Compare one random FixedConv with its oracle."""
    rng = np.random.default_rng(seed)
    x, code, options = random_case(rng)
    forms = [FixedFormat(int(rng.integers(-3, 7)), int(rng.choice([0, 128]))) for _ in range(3)]
    bias = (rng.normal(size=len(code.emax)) * 20).astype(np.float32)
    samples, numbers = int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64])), (int(seed) * 7, 5)
    table = rng.integers(0, 256, 256).astype(np.uint8) if rng.random() < 0.3 else None
    low, high = sorted(rng.integers(0, 256, 2).tolist())
    shared = dict(samples=samples, seed=numbers[0], stream=numbers[1], y_min=low, y_max=high)
    plain = fixed_conv(x, code, bias, x_form=forms[0], y_form=forms[1], **shared, **options)
    z = rng.integers(0, 256, plain.shape).astype(np.uint8) if rng.random() < 0.5 else None
    expected = fixed_conv(
        x,
        code,
        bias,
        z,
        x_form=forms[0],
        y_form=forms[1],
        z_form=forms[2],
        table=table,
        **shared,
        **options,
    )
    constants = {
        "w": pack(code),
        "emax": code.emax,
        "b": bias,
        "samples": np.array(samples, np.int64),
        "seed": np.array(numbers[0], np.int64),
        "z": np.zeros(0, np.uint8) if z is None else z,
    }
    if table is not None:
        constants["table"] = table
    attributes = {
        f"{n}_{what}": getattr(form, what)
        for n, form in zip("xyz", forms, strict=True)
        for what in ("exponent", "zero")
    }
    found = run(
        "FixedConv",
        {"x": x},
        constants,
        weight_shape=code.shape,
        p_bits=code.p_bits,
        stream=numbers[1],
        y_min=low,
        y_max=high,
        **attributes,
        **options,
    )
    np.testing.assert_array_equal(found, expected)


def check_others(seed: int) -> None:
    """Compare the ends of chains and pooling with their oracle."""
    rng = np.random.default_rng(seed)
    form = FixedFormat(int(rng.integers(-2, 8)), int(rng.choice([0, 128])))
    attributes = {"exponent": form.exponent, "zero": form.zero}
    sizes = rng.integers(1, 40, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    for fills in (False, True):
        found = run(
            "ToFixed",
            {"x": floats},
            {},
            fills_quads=int(fills),
            **{f"y_{k}": v for k, v in attributes.items()},
        )
        np.testing.assert_array_equal(found, to_fixed(floats, form, fills_quads=fills))
    u = to_fixed(floats, form)
    of_x = {f"x_{k}": v for k, v in attributes.items()}
    np.testing.assert_array_equal(run("FromFixed", {"x": u}, {}, **of_x), from_fixed(u, form))
    np.testing.assert_array_equal(
        run("FixedGlobalPool", {"x": u}, {}, **of_x), fixed_global_pool(u, form)
    )
    rank = len(sizes)
    kernel = [int(min(3, s)) for s in sizes]
    windows = {"strides": rng.integers(1, 3, rank).tolist(), "pads": [k // 2 for k in kernel] * 2}
    found = run("FixedMaxPool", {"x": u}, {}, kernel_shape=kernel, **windows)
    np.testing.assert_array_equal(found, fixed_max_pool(u, kernel, **windows))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_gives_the_bytes_of_the_oracle(kernel: str) -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_chains import check_conv, check_others\n"
        "for seed in range(120): check_conv(seed)\n"
        "for seed in range(25): check_others(seed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"RELUFLOW_KERNEL": kernel},
        capture_output=True,
        text=True,
    )
    if "this processor lacks it" in done.stderr:
        pytest.skip(f"this processor lacks {kernel}")
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("samples", [1, 2, 4, 8, 16, 32, 64])
def test_the_mean_of_all_draws_is_the_decoded_weight(samples: int) -> None:
    w = np.random.default_rng(3).standard_t(2, (3, 9, 2)).astype(np.float32)
    code = encode(w, p_bits=4)
    low, high, chance = grid_steps(code, samples)
    mean = low + (high - low) * chance / 256
    x = grid_means(code) / 2.0**24
    fits = x <= 127
    assert (np.abs(mean - x)[fits] <= (high - low)[fits] / 512).all()
    decoded = np.abs(decode(code).astype(np.float64)) * 2.0 ** (
        6 - code.emax.astype(np.float64).reshape(-1, 1, 1)
    )
    np.testing.assert_array_equal(x, decoded)


def test_draws_take_high_as_often_as_they_should() -> None:
    """Over 4096 seeds a share differs from its chance by 5 deviations in 1 of 1.7 million."""
    w = np.random.default_rng(4).normal(size=(2, 6, 3)).astype(np.float32)
    code = encode(w, p_bits=4)
    runs = 4096
    total = sum(np.abs(grid_weights(code, 4, seed=s).astype(np.int64)) for s in range(runs))
    low, high, chance = grid_steps(code, 4)
    share = (total / runs - low) / np.maximum(high - low, 1)
    p = chance / 256
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / runs) + 1e-12).all()


def test_what_a_weight_rounds_away_the_next_of_its_sequence_makes_up() -> None:
    code = encode(np.full((1, 4, 50), 1.0 + 3 / 16, np.float32), p_bits=4)
    for seed in range(20):
        w = grid_weights(code, 4, seed=seed).astype(np.float64)[0]
        missed = np.cumsum(w - 76, axis=1)  # 64 * (1 + 3 / 16), drawn in steps of 16
        assert np.abs(missed).max() < 16
