"""The largest magnitude of every activation on data: what int16 have to hold."""

from __future__ import annotations

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.evaluation.formats.find import ActivationRuns
from reluflow.graph import Model, find_activations


def largest_activations(
    model: Model,
    source: DataSource,
    *,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> dict[str, float]:
    """Return the largest magnitude of every activation of a model on data.

    Args:
        model: a float model, or a converted one, which runs in nearest mode.
        source: representative inputs.
        size: inputs per run; by default as many as keep the activations below 256 MiB.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Returns:
        Tensor -> magnitude, for every activation of `find_activations`.

    Raises:
        DataError: the data make a tensor NaN or infinite.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> data = open_data(np.array([[0.5, -4], [3, 2]], np.float32), model.inputs)
        >>> largest_activations(model, data)
        {'x': 4.0, 'y': 3.0}

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    activations = find_activations(model)
    found = {each.tensor: 0.0 for each in activations}
    if not activations:
        return found
    for name, values in ActivationRuns(model, activations, source, size, threads, native):
        top = float(np.max(np.abs(values), initial=0.0))
        if not np.isfinite(top):
            raise DataError(
                f"the calibration data make {name!r} NaN or infinite; give data without such "
                "values, as they will come."
            )
        found[name] = max(found[name], top)
    return found
