"""How many activations a converted model's fixed-point numbers cut off, on data."""

from __future__ import annotations

import numpy as np

from reluflow.data import DataSource
from reluflow.deployment._run import Runner, batch_size
from reluflow.deployment.result import LayerSaturation
from reluflow.graph import Model, count_saturation


def measure_saturation(
    model: Model,
    source: DataSource,
    *,
    samples: int = 0,
    seed: int = 0,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> tuple[LayerSaturation, ...]:
    """Count the saturated activations of every PSB operator, exactly, over all inputs.

    Where an exponent is calibrated, values beyond the calibration data's largest saturate;
    where it is taken from each run, infinities alone do.

    Args:
        model: of `to_psb`.
        source: the inputs.
        samples: n of the run; 0 is nearest mode.
        seed: of the run.
        size: inputs a run.
        threads: of ONNX Runtime.
        native: run the native library: True, never (False), or where it is there.

    Returns:
        One record an operator, in graph order.

    Reference: docs/psb-ops.md, activations; SPEC section 7.
    """
    counting = count_saturation(model)
    session, extra = Runner(counting.model, threads, native).at(samples, seed)
    places = [session.outputs.index(name) for name in (counting.saturated, counting.activations)]
    totals = np.zeros((2, len(counting.nodes)), np.int64)
    for batch in source.batches(batch_size(source, size)):
        outputs = session.run({**batch, **extra})
        totals += np.stack([outputs[place] for place in places])
    return tuple(
        LayerSaturation(node.name, int(saturated), int(activations))
        for node, saturated, activations in zip(counting.nodes, *totals, strict=True)
    )
