"""Recipe: ONNX Runtime 1.32.0 (quantiser, optimiser) and onnxconverter-common 1.16.0 (float16).

They rewrite files that torch_export.py made, so run that one first.

    pip install onnxruntime==1.32.0 onnxconverter-common==1.16.0 onnx sympy
    python ort_export.py
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from common import FOLDER, attempt
from onnxconverter_common import float16
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

LEVELS = ort.GraphOptimizationLevel


class Calibration(CalibrationDataReader):
    """Eight batches of standard normal images."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        images = rng.standard_normal((8, 2, 3, 6, 6)).astype(np.float32)
        self._feeds = iter([{"x": image} for image in images])

    def get_next(self):
        return next(self._feeds, None)


def through(name: str, rewrite: Callable[[str, str], object]) -> onnx.ModelProto:
    """Run a file-to-file rewrite on NAME.onnx and load what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "out.onnx")
        rewrite(str(FOLDER / f"{name}.onnx"), target)
        return onnx.load(target)


def static(source: str, target: str, form: QuantFormat = QuantFormat.QDQ, **extra) -> None:
    """Quantise with calibration, uint8 activations and int8 weights."""
    quantize_static(
        source,
        target,
        Calibration(),
        quant_format=form,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options=extra,
    )


def optimise(source: str, target: str, level: LEVELS) -> None:
    """Save the model that ONNX Runtime's optimiser produces."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = target
    options.log_severity_level = 3
    ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def half(name: str, **options) -> onnx.ModelProto:
    """Convert a float model to float16."""
    model = onnx.load(str(FOLDER / f"{name}.onnx"))
    return float16.convert_float_to_float16(model, **options)


def main() -> None:
    """Write all."""
    cnn, knees, mlp = "torch-script-17-cnn", "torch-script-13-knees", "torch-script-20-mlp"
    attempt("ort-qdq-cnn", lambda: through(cnn, static))
    attempt(
        "ort-qdq-cnn-relu-kept",
        lambda: through(cnn, lambda a, b: static(a, b, QDQKeepRemovableActivations=True)),
    )
    attempt("ort-qdq-knees", lambda: through(knees, static))
    attempt(
        "ort-qoperator-cnn", lambda: through(cnn, lambda a, b: static(a, b, QuantFormat.QOperator))
    )
    attempt(
        "ort-dynamic-mlp",
        lambda: through(mlp, lambda a, b: quantize_dynamic(a, b, weight_type=QuantType.QUInt8)),
    )
    extended, every = LEVELS.ORT_ENABLE_EXTENDED, LEVELS.ORT_ENABLE_ALL
    attempt("ort-extended-cnn", lambda: through(cnn, lambda a, b: optimise(a, b, extended)))
    attempt("ort-all-cnn", lambda: through(cnn, lambda a, b: optimise(a, b, every)))
    attempt("ort-extended-mlp", lambda: through(mlp, lambda a, b: optimise(a, b, extended)))
    attempt("ort-extended-knees", lambda: through(knees, lambda a, b: optimise(a, b, extended)))
    smooth = "torch-script-14-smooth"
    attempt("ort-extended-smooth", lambda: through(smooth, lambda a, b: optimise(a, b, extended)))
    attempt("float16-cnn", lambda: half(cnn))
    attempt("float16-knees-keepio", lambda: half(knees, keep_io_types=True))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
