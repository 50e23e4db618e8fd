"""PsbConv against ONNX Runtime's float Conv: medians of interleaved pairs, printed as ratios.

Run it with --threads 2 1, --samples 1 4 16 64, --pairs 40 and --only TEXT for part of the table.

`float / psb` above 1 means that PsbConv is faster. `redraw` is the time of a run that draws new
weights over that of a run that keeps them, minus 1. The ratios of the fastest runs come last: on a
machine that has other work to do they say more than the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from reluflow.psb import encode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import psb_models


@dataclass(frozen=True)
class Shape:
    """One convolution: images, channels in and out, pixels a side, taps a side."""

    n: int
    cin: int
    cout: int
    size: int
    k: int
    stride: int = 1
    group: int = 1

    @property
    def attributes(self) -> dict[str, object]:
        """Attributes that both operators share."""
        return {"strides": [self.stride] * 2, "pads": [self.k // 2] * 4, "group": self.group}

    def __str__(self) -> str:
        text = f"({self.n},{self.cin},{self.cout},{self.size},{self.k})"
        text += f" /{self.stride}" if self.stride > 1 else ""
        return text + (" depthwise" if self.group == self.cin else "")


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


def float_session(shape: Shape, w: np.ndarray, b: np.ndarray, threads: int) -> ort.InferenceSession:
    """Return a session with one float Conv."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **shape.attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value("x", TensorProto.FLOAT, [None] * 4)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model.SerializeToString(), options)


def seconds(call: Callable[[], object]) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(shape: Shape, threads: int, samples: list[int], pairs: int) -> None:
    """Print one line a sample count."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.n, shape.cin, shape.size, shape.size)).astype(np.float32)
    w = rng.standard_normal((shape.cout, shape.cin // shape.group, shape.k, shape.k))
    w = (w / np.sqrt(w[0].size)).astype(np.float32)
    b = rng.standard_normal(shape.cout).astype(np.float32)
    plain = float_session(shape, w, b, threads)
    node = psb_models.psb_node("PsbConv", encode(w, p_bits=8), b, rank=4, **shape.attributes)
    native = psb_models.open_native(node, threads)
    for n in samples:
        feeds = {"x": x, "samples": np.array(n, "i8"), "seed": np.array(1, "i8")}
        times: list[tuple[float, float, float]] = []
        for i in range(pairs + 3):
            fresh = feeds | {"seed": np.array(i + 2, "i8")}
            native.run(None, feeds)
            times.append(
                (
                    seconds(lambda: plain.run(None, {"x": x})),
                    seconds(lambda feeds=feeds: native.run(None, feeds)),
                    seconds(lambda fresh=fresh: native.run(None, fresh)),
                )
            )
        kept = times[3:]
        base, fast, redrawn = (statistics.median(t[i] for t in kept) for i in range(3))
        best = [min(t[i] for t in kept) for i in range(3)]
        ratio = statistics.median(a / b for a, b, _ in kept)
        print(
            f"{shape!s:32} threads {threads}  n {n:2}  float {base * 1e3:7.3f} ms  "
            f"psb {fast * 1e3:7.3f} ms  float / psb {ratio:5.2f}  "
            f"redraw {redrawn / fast - 1:+6.1%}  "
            f"fastest runs: {best[0] / best[1]:5.2f} {best[2] / best[1] - 1:+6.1%}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", default="", help="shapes whose text has this in it")
    options = parser.parse_args()
    for threads in options.threads:
        for shape in SHAPES:
            if options.only in str(shape):
                compare(shape, threads, options.samples, options.pairs)


if __name__ == "__main__":
    main()
