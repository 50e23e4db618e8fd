"""ONNX Runtime's own static int8 quantisation, as the neighbour to compare with."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from reluflow.errors import ModelError
from reluflow.graph import Model, load, upgrade
from reluflow.runtime.session import one_sentence


def static_int8(model: Model, batches: Iterable[Mapping[str, np.ndarray]]) -> Model:
    """Return a model in ONNX Runtime's QDQ form: int8 weights a channel, int8 activations.

    The ranges of activations are the smallest and the largest values of the batches
    (`quantize_static` with its defaults, a scale for each channel of the weights).

    Args:
        model: a float model; fold its batch normalisation first.
        batches: calibration data, input name -> array.

    Raises:
        ModelError: ONNX Runtime cannot quantise the model, or its opset cannot be raised.
    """
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands the batches out one by one."""

        def __init__(self) -> None:
            self._batches: Iterator[Mapping[str, np.ndarray]] = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            found = next(self._batches, None)
            return None if found is None else dict(found)

    with tempfile.TemporaryDirectory(prefix="reluflow-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        upgrade(model).save(source)  # scales for each channel and new weights need it
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises to preprocess, through the root logger
        try:
            quantize_static(source, target, Reader(), per_channel=True)
            return load(target.read_bytes())
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime cannot quantise the model to int8: {one_sentence(error)}; "
                "leave the comparison with int8 out"
            ) from error
        finally:
            root.setLevel(level)
