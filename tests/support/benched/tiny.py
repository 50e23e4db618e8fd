"""A tiny network for the benchmark on real ones, and its task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper
from real.metrics import agreement, sqnr_db
from real.tasks import Task


def inputs(calibration: bool, n: int) -> np.ndarray:
    rng = np.random.default_rng(int(calibration))
    return rng.standard_normal((n, 3, 8, 8)).astype(np.float32)


TASK = Task("tiny", inputs, (12, 4), 5, {"agreement": agreement, "sqnr_db": sqnr_db()}, "agreement")


def tiny(path: Path, seed: int = 0) -> Path:
    """Write a network of two layers."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,3,8,8] x) => (float[N,5] y) {
            a = Conv<pads = [1, 1, 1, 1]>(x, v)
            b = Relu(a)
            c = GlobalAveragePool(b)
            d = Flatten(c)
            y = MatMul(d, w) }""")
    rng = np.random.default_rng(seed)
    for name, shape in (("v", (8, 3, 3, 3)), ("w", (8, 5))):
        weights = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    onnx.save(model, path)
    return path
