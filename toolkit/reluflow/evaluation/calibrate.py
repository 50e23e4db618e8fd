"""Determining the exponents of activations from data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.graph import Model, PsbOptions, PsbPlan, Rewritten, expose, plan_psb
from reluflow.psb import activation_exponent
from reluflow.sessions import open_session


def calibrate(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions | None = None,
    size: int | None = None,
    threads: int | None = None,
) -> dict[str, int]:
    """Return the exponent of every tensor that PSB operators would multiply.

    f is the largest integer with max |x| 2^f <= 2^(x_bits - 1) - 1 over all inputs, so that none of
    them saturates. Larger values of later inputs will saturate.

    Args:
        model: the float model, or the plan of its conversion.
        source: representative inputs.
        options: of the conversion; `x_bits` and what is converted matter.
        size: inputs per run.
        threads: of ONNX Runtime.

    Returns:
        Tensor name -> f, for `PsbOptions.x_exponents`.

    Raises:
        DataError: a tensor becomes NaN or infinite, or all are 0 throughout.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> calibrate(model, data)
        {'x': 10}

    Reference: docs/psb-ops.md, activations; docs/spec.md, section 7.
    """
    options = options or PsbOptions()
    largest = largest_values(model, source, options=options, size=size, threads=threads)
    return exponents(largest, options.x_bits)


def exponents(largest: Mapping[str, float], x_bits: int) -> dict[str, int]:
    """Return the exponent of every tensor, of its largest magnitude and the bits of a number."""
    return {
        tensor: activation_exponent(np.array([top], np.float32), x_bits)
        for tensor, top in largest.items()
    }


def largest_values(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions,
    size: int | None = None,
    threads: int | None = None,
) -> dict[str, float]:
    """Return the largest magnitude of every tensor that PSB operators would multiply.

    Args:
        model: the float model, or the plan of its conversion.
        source: representative inputs.
        options: of the conversion; what is converted matters.
        size: inputs per run.
        threads: of ONNX Runtime.

    Raises:
        DataError: a tensor becomes NaN or infinite, or all are 0 throughout.
    """
    plan = plan_psb(model, options) if isinstance(model, Model) else model
    # what exists in a subgraph only, as in the body of a Loop, is quantised by its own run
    tensors = dict.fromkeys(node.x for node in plan.done.nodes if not node.local)
    if not tensors:
        return {}
    inputs = {spec.name for spec in plan.model.inputs}
    inner = [tensor for tensor in tensors if tensor not in inputs]
    shown = expose(plan.model, inner).model
    session = open_session(shown, outputs=inner or None, threads=threads)
    largest = dict.fromkeys(tensors, 0.0)
    for batch in source.batches(source.fitting_batch_size(size)):
        found = dict(zip(session.outputs, session.run(batch), strict=True)) | batch
        for tensor in tensors:
            top = float(np.max(np.abs(found[tensor]), initial=0.0))
            if not np.isfinite(top):
                raise DataError(
                    f"the calibration data make {tensor!r} NaN or infinite; give data without such "
                    "values, as they will come."
                )
            largest[tensor] = max(largest[tensor], top)
    if not any(largest.values()):
        raise DataError(
            "the calibration data make every tensor 0, which tells nothing about its range; give "
            "data as they will come."
        )
    return largest
