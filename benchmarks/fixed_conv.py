"""Convolutions of bytes inside a chain against ONNX Runtime's own: medians, printed as ratios.

Run it with --threads 2 1, --samples 4, --pairs 40 and --only TEXT for part of the table.

FixedConv (docs/psb-ops.md, "Chains") and QLinearConv both read and write bytes with the channels
last, as they do in the middle of a network; float is ONNX Runtime's Conv with the channels first.
All run in turn. `float / fixed` above 1 means that FixedConv is faster than float, `int8 / fixed`
that it is faster than QLinearConv; `redraw` is the time of a run that draws new weights over that
of a run that keeps them, minus 1. The ratios of the fastest runs come last: on a busy machine they
say more than the medians.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from _support import keep
from networks import psb
from onnx import TensorProto, helper, numpy_helper
from psb_conv import Shape, float_conv, open_model, seconds

from reluflow.psb import encode, pack

P_BITS = 4
X_EXPONENT = 5
RESNET = [
    Shape(1, 64, 64, 56, 3),
    Shape(1, 128, 128, 28, 3),
    Shape(1, 256, 256, 14, 3),
    Shape(1, 512, 512, 7, 3),
    Shape(1, 64, 128, 56, 3, stride=2),
    Shape(1, 4, 64, 224, 7, stride=2),
    Shape(1, 64, 256, 56, 1),
    Shape(1, 256, 64, 56, 1),
    Shape(1, 256, 512, 56, 1, stride=2),
    Shape(1, 1024, 256, 14, 1),
    Shape(1, 2048, 512, 7, 1),
    Shape(1, 512, 2048, 7, 1),
]
MOBILE = [
    Shape(1, 4, 32, 224, 3, stride=2),
    Shape(1, 32, 16, 112, 1),
    Shape(1, 24, 144, 56, 1),
    Shape(1, 144, 24, 56, 1),
    Shape(1, 192, 32, 28, 1),
    Shape(1, 64, 384, 14, 1),
    Shape(1, 576, 96, 14, 1),
    Shape(1, 160, 960, 7, 1),
    Shape(1, 960, 320, 7, 1),
    Shape(1, 320, 1280, 7, 1),
    Shape(1, 32, 32, 112, 3, group=32),
    Shape(1, 96, 96, 112, 3, stride=2, group=96),
    Shape(1, 144, 144, 56, 3, group=144),
    Shape(1, 144, 144, 56, 5, stride=2, group=144),
    Shape(1, 240, 240, 28, 5, group=240),
    Shape(1, 384, 384, 14, 3, group=384),
    Shape(1, 672, 672, 14, 5, group=672),
    Shape(1, 672, 672, 14, 5, stride=2, group=672),
    Shape(1, 960, 960, 7, 3, group=960),
    Shape(1, 1152, 1152, 7, 5, group=1152),
    Shape(1, 512, 512, 4, 3, group=512),
    Shape(1, 512, 512, 4, 1),
]


def fixed_conv(shape: Shape, w: np.ndarray, b: np.ndarray) -> bytes:
    """Return a model of one FixedConv."""
    code = encode(w, p_bits=P_BITS)
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    image = (TensorProto.UINT8, [shape.n, shape.size, shape.size, shape.cin])
    return psb.one_node(
        "FixedConv",
        {"x": image, "samples": scalar, "seed": scalar},
        {"w": pack(code), "emax": code.emax, "b": b},
        ["x", "w", "emax", "b", "samples", "seed"],
        {"y": TensorProto.UINT8},
        {
            "weight_shape": list(code.shape),
            "p_bits": P_BITS,
            "x_exponent": X_EXPONENT,
            "y_exponent": X_EXPONENT,
            **shape.attributes,
        },
    )


def int8_conv(shape: Shape, w: np.ndarray, b: np.ndarray) -> bytes:
    """Return a model of one QLinearConv as ONNX Runtime puts it into a network: channels last."""
    scales = np.abs(w).reshape(len(w), -1).max(axis=1) / 127
    q = np.rint(w / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
    x_scale = np.float32(2.0**-X_EXPONENT)
    constants = {
        "x_scale": x_scale,
        "x_zero": np.uint8(0),
        "w": q,
        "w_scale": scales.astype(np.float32),
        "w_zero": np.zeros(len(w), np.int8),
        "y_scale": x_scale,
        "y_zero": np.uint8(0),
        "b": np.rint(b / (x_scale * scales)).astype(np.int32),
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        domain="com.microsoft",
        channels_last=1,
        kernel_shape=[shape.k] * 2,
        **shape.attributes,
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value("x", TensorProto.UINT8, [shape.n, shape.size, shape.size, shape.cin])],
        [value("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def _run(session: ort.InferenceSession, feeds: dict[str, np.ndarray], _: int) -> object:
    return session.run(None, feeds)


def _redrawn(session: ort.InferenceSession, feeds: dict[str, np.ndarray], run: int) -> object:
    return session.run(None, feeds | {"seed": np.array(run + 2, "i8")})


def compare(shape: Shape, threads: int, samples: int, pairs: int) -> dict[str, Any]:
    """Print one line, and return its figures."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 128, (shape.n, shape.size, shape.size, shape.cin), np.uint8)
    w = rng.standard_normal((shape.cout, shape.cin // shape.group, shape.k, shape.k))
    w = (w / np.sqrt(w[0].size)).astype(np.float32)
    b = rng.standard_normal(shape.cout).astype(np.float32)
    planar = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).astype(np.float32) * 2.0**-X_EXPONENT
    plain = open_model(float_conv(shape, w, b).SerializeToString(), threads)
    int8 = open_model(int8_conv(shape, w, b), threads)
    fixed = psb.open_native(fixed_conv(shape, w, b), threads)
    feeds = {"x": x, "samples": np.array(samples, "i8"), "seed": np.array(1, "i8")}
    calls: list[Callable[[int], object]] = [
        partial(_run, plain, {"x": planar.astype(np.float32)}),
        partial(_run, int8, {"x": x}),
        partial(_run, fixed, feeds),
        partial(_redrawn, fixed, feeds),
    ]
    times = []
    for i in range(pairs + 3):
        fixed.run(None, feeds)
        fixed.run(None, feeds)  # the second run of a seed keeps its weights
        times.append([seconds(partial(call, i)) for call in calls])
    row = figures(times[3:]) | {"shape": str(shape), "threads": threads, "samples": samples}
    print(
        f"{shape!s:32} threads {threads}  float {row['float_ms']:7.3f} ms  "
        f"fixed {row['fixed_ms']:7.3f} ms  float / fixed {row['ratio']:5.2f}  "
        f"int8 / fixed {row['int8_ratio']:5.2f}  redraw {row['redraw']:+6.1%}  fastest runs: "
        f"{row['fastest_ratio']:5.2f} {row['fastest_int8_ratio']:5.2f} "
        f"{row['fastest_redraw']:+6.1%}",
        flush=True,
    )
    return row


def figures(times: list[list[float]]) -> dict[str, Any]:
    """Return medians and ratios of rounds of (float, int8, fixed, fixed redrawn) in seconds."""
    base, int8, fixed, redrawn = (statistics.median(column) for column in zip(*times, strict=True))
    best = [min(column) for column in zip(*times, strict=True)]
    return {
        "float_ms": base * 1e3,
        "int8_ms": int8 * 1e3,
        "fixed_ms": fixed * 1e3,
        "ratio": statistics.median(t[0] / t[2] for t in times),
        "int8_ratio": statistics.median(t[1] / t[2] for t in times),
        "redraw": redrawn / fixed - 1,
        "fastest_ratio": best[0] / best[2],
        "fastest_int8_ratio": best[1] / best[2],
        "fastest_redraw": best[3] / best[2] - 1,
    }


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Compare every shape that was asked for."""
    for threads in options.threads:
        for shape in [*RESNET, *MOBILE]:
            if options.only in str(shape):
                for samples in options.samples:
                    yield compare(shape, threads, samples, options.pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--samples", type=int, nargs="+", default=[4])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", default="", help="shapes whose text has this in it")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    for row in rows(options):
        found.append(row)
        keep(options.json, found)


if __name__ == "__main__":
    main()
