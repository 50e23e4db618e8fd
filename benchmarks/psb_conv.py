"""PsbConv against ONNX Runtime's Conv in float and in its fast int8: medians, printed as ratios.

Run it with --threads 2 1, --samples 1 4 16 64, --pairs 40 and --only TEXT for part of the table;
with --bytes it times convolutions inside a chain, FixedConv and QLinearConv from bytes to bytes;
with --regions FixedConv, FixedConv16 and PsbConv in lines of pixels, against their own dense runs.

`float / psb` above 1 means that PsbConv is faster than float; `float / int8` is the same for the
convolution that ONNX Runtime quantises (QDQ, unsigned activations, weights per channel), from float
to float. All run alternately. `redraw` is the time of a run that draws new weights over that of a
run that keeps them, minus 1. The ratios of the fastest runs come last: on a busy machine they say
more than the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from _support import keep
from networks import byte_conv, psb, region_conv
from networks.conv_shape import Shape
from onnx import ModelProto, TensorProto, helper, numpy_helper

from reluflow.graph import load
from reluflow.psb import encode
from reluflow.sessions import static_int8

SHAPES = [
    Shape(1, 64, 64, 56, 3),
    Shape(1, 128, 128, 28, 3),
    Shape(1, 256, 256, 14, 3),
    Shape(8, 64, 64, 56, 3),
    Shape(1, 256, 64, 56, 1),
    Shape(1, 128, 128, 56, 3, stride=2),
    Shape(1, 256, 512, 56, 1, stride=2),
    Shape(1, 64, 256, 56, 1),
    Shape(1, 1024, 256, 14, 1),
    Shape(1, 512, 512, 7, 3),
    Shape(1, 2048, 512, 7, 1),
    Shape(1, 3, 64, 224, 7, stride=2),
    Shape(1, 128, 128, 56, 3, group=128),
    Shape(1, 128, 128, 56, 3, stride=2, group=128),
    Shape(1, 32, 32, 112, 3, group=32),
    Shape(1, 64, 64, 112, 3, stride=2, group=64),
    Shape(1, 256, 256, 28, 3, group=256),
    Shape(1, 256, 256, 28, 3, stride=2, group=256),
    Shape(1, 512, 512, 14, 3, group=512),
    Shape(1, 512, 512, 14, 3, stride=2, group=512),
    Shape(1, 1024, 1024, 7, 3, group=1024),
    Shape(1, 32, 32, 112, 5, group=32),
    Shape(1, 72, 72, 56, 5, stride=2, group=72),
    Shape(1, 240, 240, 28, 5, group=240),
    Shape(1, 240, 240, 28, 5, stride=2, group=240),
    Shape(1, 480, 480, 14, 5, group=480),
    Shape(1, 672, 672, 14, 5, stride=2, group=672),
    Shape(1, 960, 960, 7, 5, group=960),
]


def float_conv(shape: Shape, w: np.ndarray, b: np.ndarray) -> ModelProto:
    """Return a model of one float Conv."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **shape.attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value("x", TensorProto.FLOAT, [shape.n, shape.cin, shape.size, shape.size])],
        [value("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def open_model(data: bytes, threads: int) -> ort.InferenceSession:
    """Return a session whose threads stop waiting for work when its run ends."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(data, options)


def seconds(call: Callable[[], object]) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _same(session: ort.InferenceSession, feeds: dict[str, np.ndarray], _: int) -> object:
    return session.run(None, feeds)


def _redrawn(session: ort.InferenceSession, feeds: dict[str, np.ndarray], run: int) -> object:
    return session.run(None, feeds | {"seed": np.array(run + 2, "i8")})


Call = Callable[[int], object]


def compare(shape: Shape, threads: int, samples: list[int], pairs: int) -> Iterator[dict[str, Any]]:
    """Print one line for each number of samples, and yield its figures."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.n, shape.cin, shape.size, shape.size)).astype(np.float32)
    w, b = weights(shape, rng)
    proto = float_conv(shape, w, b)
    plain = open_model(proto.SerializeToString(), threads)
    int8 = open_model(static_int8(load(proto), [{"x": x}]).serialize(), threads)
    node = psb.psb_node("PsbConv", encode(w, p_bits=8), b, rank=4, **shape.attributes)
    native = psb.open_native(node, threads)
    others = (partial(_same, plain, {"x": x}), partial(_same, int8, {"x": x}))
    for n in samples:
        yield time_one(f"{shape!s:32} threads {threads}", others, native, x, n, pairs) | {
            "shape": str(shape),
            "threads": threads,
        }


def compare_bytes(
    shape: Shape, threads: int, samples: list[int], pairs: int
) -> Iterator[dict[str, Any]]:
    """Do the same inside a chain: float with the channels first, bytes with the channels last."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 128, (shape.n, shape.size, shape.size, shape.cin), np.uint8)
    w, b = weights(shape, rng)
    values = x.transpose(0, 3, 1, 2).astype(np.float32) * np.float32(2.0**-byte_conv.X_EXPONENT)
    plain = open_model(float_conv(shape, w, b).SerializeToString(), threads)
    int8 = open_model(byte_conv.int8_conv(shape, w, b), threads)
    native = psb.open_native(byte_conv.fixed_conv(shape, w, b), threads)
    others = (
        partial(_same, plain, {"x": np.ascontiguousarray(values)}),
        partial(_same, int8, {"x": x}),
    )
    for n in samples:
        yield time_one(f"{shape!s:32} threads {threads}", others, native, x, n, pairs) | {
            "shape": str(shape),
            "threads": threads,
            "bytes": True,
        }


def compare_regions(
    shape: Shape, threads: int, samples: list[int], pairs: int
) -> Iterator[dict[str, Any]]:
    """Time regions of one convolution against all of it."""
    w, b = weights(shape, np.random.default_rng(0))
    for n in samples:
        for row in region_conv.compare(shape, w, b, threads, n, pairs):
            yield row | {"samples": n}


def weights(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and a bias that keep the scale of the input."""
    w = rng.standard_normal((shape.cout, shape.cin // shape.group, shape.k, shape.k))
    w = (w / np.sqrt(w[0].size)).astype(np.float32)
    return w, rng.standard_normal(shape.cout).astype(np.float32)


def time_one(
    label: str,
    others: tuple[Call, Call],
    native: ort.InferenceSession,
    x: np.ndarray,
    samples: int,
    pairs: int,
) -> dict[str, Any]:
    """Time float, int8, and ours with kept and with new weights in turn; print the figures."""
    feeds = {"x": x, "samples": np.array(samples, "i8"), "seed": np.array(1, "i8")}
    calls: list[Call] = [*others, partial(_same, native, feeds), partial(_redrawn, native, feeds)]
    times: list[list[float]] = []
    for i in range(pairs + 3):
        native.run(None, feeds)
        native.run(None, feeds)  # a chain keeps the weights of the second run of a seed
        times.append([seconds(partial(call, i)) for call in calls])
    row = figures(times[3:]) | {"samples": samples}
    print(
        f"{label}  n {samples:2}  float {row['float_ms']:7.3f} ms  "
        f"psb {row['psb_ms']:7.3f} ms  float / psb {row['ratio']:5.2f}  "
        f"float / int8 {row['int8_ratio']:5.2f}  redraw {row['redraw']:+6.1%}  "
        f"fastest runs: {row['fastest_ratio']:5.2f} {row['fastest_redraw']:+6.1%}",
        flush=True,
    )
    return row


def figures(times: list[list[float]]) -> dict[str, Any]:
    """Return medians and ratios of rounds of (float, int8, psb, psb redrawn) in seconds."""
    base, int8, fast, redrawn = (statistics.median(column) for column in zip(*times, strict=True))
    best = [min(column) for column in zip(*times, strict=True)]
    return {
        "float_ms": base * 1e3,
        "int8_ms": int8 * 1e3,
        "psb_ms": fast * 1e3,
        "ratio": statistics.median(t[0] / t[2] for t in times),
        "int8_ratio": statistics.median(t[0] / t[1] for t in times),
        "redraw": redrawn / fast - 1,
        "fastest_ratio": best[0] / best[2],
        "fastest_redraw": best[3] / best[2] - 1,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", default="", help="shapes whose text has this in it")
    parser.add_argument("--bytes", action="store_true", help="convolutions inside a chain")
    parser.add_argument("--regions", action="store_true", help="regions of pixels")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    shapes, timed = SHAPES, compare
    if options.bytes:
        shapes, timed = byte_conv.SHAPES, compare_bytes
    elif options.regions:
        shapes, timed = region_conv.SHAPES, compare_regions
    for threads in options.threads:
        for shape in shapes:
            if options.only in str(shape):
                rows += timed(shape, threads, options.samples, options.pairs)
                keep(options.json, rows)


if __name__ == "__main__":
    main()
