"""How many activations the fixed-point numbers of a converted model clip or lose on data."""

from __future__ import annotations

import numpy as np

from reluflow.data import DataSource
from reluflow.evaluation.result import LayerSaturation
from reluflow.evaluation.run import Runner
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
    """Count exactly, over all inputs, the activations that every PSB operator clips or loses.

    Where an exponent is calibrated, values beyond the largest of the calibration data saturate;
    where it is taken from each run, only infinities do. Values below half a step become 0: one loud
    channel, which sets the step, can do this to all others.

    Args:
        model: of `to_psb`.
        source: the inputs.
        samples: n of the run; 0 is nearest mode.
        seed: of the run.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Returns:
        One record per operator that reads floats, in graph order, then one per tensor of a chain:
        there the numbers at the ends of the format count, whether more did not fit or they just
        fit, but not a bound of the operator's own, as that of a Relu or a Relu6.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> (layer,) = measure_saturation(to_psb(model).model, data)
        >>> layer.saturated, layer.activations
        (0, 4)

    Reference: docs/psb-ops.md, activations; docs/spec.md, section 7.
    """
    counting = count_saturation(model)
    counts = counting.done
    session, extra = Runner(counting.model, threads, native).at(samples, seed)
    wanted = (counts.saturated, counts.activations, counts.nonzero, counts.below)
    places = [session.outputs.index(name) for name in wanted]
    totals = np.zeros((len(places), len(counts.nodes) + len(counts.chained)), np.int64)
    for batch in source.batches(source.fitting_batch_size(size)):
        outputs = session.run({**batch, **extra})
        totals += np.stack([outputs[place] for place in places])
    told = [(node.name, node.x, node.x_bits, False) for node in counts.nodes]
    told += [(each.name, each.tensor, each.x_bits, True) for each in counts.chained]
    return tuple(
        LayerSaturation(
            name=name,
            saturated=int(saturated),
            activations=int(activations),
            tensor=tensor,
            nonzero=int(nonzero),
            below=int(below),
            x_bits=x_bits,
            chained=chained,
        )
        for (name, tensor, x_bits, chained), saturated, activations, nonzero, below in zip(
            told, *totals, strict=True
        )
    )
