"""ONNX Runtime's own static int8 quantisation, to compare with."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reluflow.errors import ModelError
from reluflow.graph import Model, load, upgrade
from reluflow.sessions.session import one_sentence


def static_int8(
    model: Model,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    per_channel: bool = True,
    operators: Sequence[str] = (),
) -> Model:
    """Return a model in ONNX Runtime's QDQ form, the way that is fast on x86.

    Activations are unsigned and weights signed: processors multiply exactly this pair, so signed
    activations run at half the speed. Before quantisation ONNX Runtime prepares the model
    (`quant_pre_process`: shapes inferred, graph optimised), as its documentation recommends. The
    ranges of activations are the smallest and the largest values of the batches.

    Args:
        model: a float model; fold its batch normalisation first.
        batches: calibration data, input name -> array.
        per_channel: one scale for each channel of the weights, else one for each tensor.
        operators: types of the operators to quantise, such as "Conv"; all that ONNX Runtime can
            by default.

    Raises:
        ModelError: ONNX Runtime cannot quantise the model, or its opset cannot be raised.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> quantised = static_int8(load(proto), [{'x': np.eye(2, dtype=np.float32)}])
        >>> quantised.n_nodes > load(proto).n_nodes
        True
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

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
        upgrade(model).model.save(source)  # scales for each channel and new weights need it
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it reports its progress through the root logger
        try:
            quantize_static(
                _prepared(source),
                target,
                Reader(),
                op_types_to_quantize=list(operators) or None,
                per_channel=per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return load(target.read_bytes())
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime cannot quantise the model to int8: {one_sentence(error)}; "
                "leave the comparison with int8 out."
            ) from error
        finally:
            root.setLevel(level)


def _prepared(source: Path) -> Path:
    """Return the file of the model as ONNX Runtime prepares it for quantisation."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = source.with_name("prepared.onnx")
    # Symbolic inference needs sympy and fails on some graphs; ONNX's own follows in any case.
    for skip_symbolic in (importlib.util.find_spec("sympy") is None, True):
        try:
            # Symbolic inference that ends early leaves its model in the current folder.
            with contextlib.chdir(source.parent):
                quant_pre_process(source, target, skip_symbolic_shape=skip_symbolic)
        except Exception:
            if skip_symbolic:
                raise
        else:
            break
    return target
