"""Converting a model to chains of int16: exponents from data, and the error on them."""

from __future__ import annotations

from dataclasses import replace

from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.evaluation.calibrate import calibrate, exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.evaluation.run import Runner
from reluflow.evaluation.widths.activation_bits import measure_widths
from reluflow.evaluation.widths.chains import Chains
from reluflow.graph import PsbOptions, PsbPlan, Rewritten, chain_both, to_psb, with_activations

_WIDEST = 16


def convert_to_chains16(
    plan: Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions | None = None,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> Chains:
    """Convert a model once, then let its operators pass int16 with exponents found on data.

    A tensor's exponent is the largest with which none of its values on the data saturates.
    Operators that cannot join keep floats between them and activations of as many bits.

    Args:
        plan: of the conversion.
        source: representative inputs, read several times.
        options: of the conversion; its `x_exponents` do not matter.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Returns:
        The conversion with and without chains, and the error with chains on the data, also at 16
        bits.

    Raises:
        DataError: the data can be read only once, cannot calibrate, or no output is an array.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, plan_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=20)
        >>> found = convert_to_chains16(plan_psb(model), images)
        >>> [node.op for node in found.rewritten.done.nodes[-2:]]
        ['FixedConv16', 'FixedGlobalPool16']
        >>> [each.x_bits for each in found.tried]
        [12, 16]

    Reference: docs/psb.md, chains; docs/psb-ops.md, chains of 16 bits.
    """
    options = options or PsbOptions()
    if not source.rereadable:
        raise DataError("the data can be read once only; save them to a file and give its path.")
    bits = options.x_bits
    scales = calibrate(plan, source, options=options, size=size, threads=threads)
    made = to_psb(plan, replace(options, x_exponents=scales))
    largest = largest_activations(made.model, source, size=size, threads=threads, native=native)
    chained = chain_both(made.model, {}, exponents(largest, bits))
    runners = {bits: Runner(chained.model, threads, native)}
    if bits < _WIDEST:
        wide = with_activations(made, _WIDEST, {})
        most = chain_both(wide.model, {}, exponents(largest, _WIDEST))
        runners[_WIDEST] = Runner(most.model, threads, native)
    batch = source.fitting_batch_size(size)
    tried, n_inputs = measure_widths(plan.done.given, source, runners, batch, threads)
    return Chains(made, chained, tried, n_inputs)
