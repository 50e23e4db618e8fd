"""Convolutions that compute a region of their pixels alone, as lines of text cover a picture.

`per_pixel` is the speed of a computed pixel, that of a dense run being 1: the share of pixels times
the time of a dense run, over the time of the region's. The pixels outside keep what the buffer
holds, as in the second pass of computational attention: nothing is copied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
from networks.conv_shape import Shape
from networks.psb import one_node, open_native, psb_node
from onnx import TensorProto

from reluflow.psb import encode, pack

SHAPES = [
    Shape(1, 64, 64, 512, 3),
    Shape(1, 64, 16, 512, 3),
    Shape(1, 128, 128, 256, 3),
    Shape(1, 512, 512, 64, 3),
    Shape(1, 512, 512, 64, 1),
    Shape(1, 64, 64, 256, 3, group=64),
]
"""Layers of a text detector on a picture of 1024 x 1024 pixels, and a depthwise one."""
SHARES = (0.05, 0.15, 0.3, 0.6)
P_BITS, EXPONENT = 4, 5
LINES_PER_SIDE = 85
"""A line of text is as high as this part of the side: 6 pixels of 512, 3 of 256."""
Run = Callable[[], object]


def text_lines(side: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a mask `(1, side, side)` of lines at random places that cover at least a share."""
    mask = np.full((1, side, side), share >= 1)
    height = max(1, side // LINES_PER_SIDE)
    while mask.mean() < share:
        row = rng.integers(0, side - height + 1)
        length = rng.integers(side // 8, side // 2)
        column = rng.integers(0, side - length + 1)
        mask[0, row : row + height, column : column + length] = True
    return mask


def chained(op: str, shape: Shape, w: np.ndarray, b: np.ndarray, x: np.ndarray) -> bytes:
    """Return a model of FixedConv or FixedConv16 with the input `region`."""
    code = encode(w, p_bits=P_BITS)
    element = TensorProto.UINT8 if op == "FixedConv" else TensorProto.INT16
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    left_out = ["", ""] if op == "FixedConv" else [""]
    return one_node(
        op,
        {
            "x": (element, list(x.shape)),
            "samples": scalar,
            "seed": scalar,
            "region": (TensorProto.BOOL, ["n", "height", "width"]),
        },
        {"w": pack(code), "emax": code.emax, "b": b},
        ["x", "w", "emax", "b", "samples", "seed", *left_out, "region"],
        {"y": element},
        {
            "weight_shape": list(code.shape),
            "p_bits": P_BITS,
            "x_exponent": EXPONENT,
            "y_exponent": EXPONENT,
            **shape.attributes,
        },
    )


def operators(
    shape: Shape, w: np.ndarray, b: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, bytes]]:
    """Give the three convolutions with their inputs: bytes, int16 and float32."""
    last = (shape.n, shape.size, shape.size, shape.cin)
    x = rng.integers(0, 128, last, np.uint8)
    yield "FixedConv", x, chained("FixedConv", shape, w, b, x)
    wide = x.astype(np.int16)
    yield "FixedConv16", wide, chained("FixedConv16", shape, w, b, wide)
    floats = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).astype(np.float32)
    code = encode(w, p_bits=P_BITS)
    node = psb_node("PsbConv", code, b, rank=4, region=TensorProto.BOOL, **shape.attributes)
    yield "PsbConv", floats, node


def bound_run(
    session: ort.InferenceSession, feeds: dict[str, np.ndarray], y: np.ndarray
) -> tuple[Run, list[ort.OrtValue]]:
    """Return a run into the memory of `y`, and what has to live as long as it."""
    binding = session.io_binding()
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in (*feeds.values(), y)]
    for name, value in zip(feeds, values[:-1], strict=True):
        binding.bind_ortvalue_input(name, value)
    binding.bind_ortvalue_output("y", values[-1])
    return partial(session.run_with_iobinding, binding), values


def compare(
    shape: Shape, w: np.ndarray, b: np.ndarray, threads: int, samples: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Print one line for each operator, and yield its figures for each share of pixels.

    With one thread the time is the processor's for this thread, which other programs change little;
    with more it is the clock's. Of all rounds the fastest counts.
    """
    rng = np.random.default_rng(0)
    regions = [text_lines(shape.size, share, rng) for share in SHARES]
    clock = time.thread_time if threads == 1 else time.perf_counter
    for op, x, model in operators(shape, w, b, rng):
        session = open_native(model, threads)
        feeds = {"x": x, "samples": np.array(samples, "i8"), "seed": np.array(1, "i8")}
        dense = {**feeds, "region": np.zeros((0, 0, 0), bool)}
        y = session.run(None, dense)[0]
        held = [bound_run(session, {**feeds, "region": r}, y) for r in [dense["region"], *regions]]
        times: list[list[float]] = []
        for _ in range(rounds + 2):  # a chain keeps the weights of the second run of a seed
            times.append([])
            for run, _values in held:
                start = clock()
                run()
                times[-1].append(clock() - start)
        whole, *parts = (min(column) for column in zip(*times[2:], strict=True))
        row = {"shape": str(shape), "operator": op, "threads": threads, "dense_ms": whole * 1e3}
        row["regions"] = [
            {"wanted": share, "share": r.mean(), "ms": t * 1e3, "per_pixel": r.mean() * whole / t}
            for share, r, t in zip(SHARES, regions, parts, strict=True)
        ]
        told = "  ".join(f"{p['wanted']:.0%}: {p['per_pixel']:.2f}" for p in row["regions"])
        print(
            f"{shape!s:26} {op:12} threads {threads}  dense {whole * 1e3:8.2f} ms  {told}",
            flush=True,
        )
        yield row
