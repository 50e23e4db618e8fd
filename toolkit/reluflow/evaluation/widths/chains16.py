"""Converting a model to chains of int16: exponents from data, and the error on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reluflow.data import DataSource
from reluflow.evaluation.calibrate import calibrate, exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.evaluation.run import Runner
from reluflow.evaluation.widths.activation_bits import (
    ActivationBits,
    TriedBits,
    is_enough,
    measure_widths,
    pays_alone,
)
from reluflow.evaluation.widths.chains import Chains
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import (
    ChainChanges,
    PsbChanges,
    PsbOptions,
    PsbPlan,
    Rewritten,
    chain_both,
    to_psb,
    with_activations,
)

_WIDEST = 16
_IN_CHAINS = (12, 14, _WIDEST)
"""Widths that are tried in chains, where sums are rounded as well as what a sum is made of."""


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
    source.check_rereadable()
    bits = options.x_bits
    scales = calibrate(plan, source, options=options, size=size, threads=threads)
    made = to_psb(plan, replace(options, x_exponents=scales))
    largest = largest_activations(made.model, source, size=size, threads=threads, native=native)
    runners = {bits: _in_int16(made, largest, bits)}
    if bits < _WIDEST:
        wide = with_activations(made, _WIDEST, {})
        runners[_WIDEST] = _in_int16(wide, largest, _WIDEST)
    floats = FloatOutputs(plan.done.given, source, size, threads)
    ran = {width: Runner(each.model, threads, native) for width, each in runners.items()}
    tried, n_inputs = measure_widths(floats, ran)
    return Chains(made, runners[bits], tried, n_inputs)


def chain_chosen(
    chosen: ActivationBits,
    source: DataSource,
    floats: FloatOutputs,
    *,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> Chains:
    """Let the operators of a conversion pass int16, of a width that is enough in chains as well.

    Chains round what operators give, not only what they multiply. From the width that was chosen
    on, the first of 12, 14 and 16 bits is taken that is enough (`is_enough`) beside 16 bits
    without chains.

    Args:
        chosen: of `choose_activation_bits`.
        source: representative inputs, read several times.
        floats: outputs of the float model on these inputs.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.evaluation import choose_activation_bits
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=8)
        >>> width = choose_activation_bits(model, images)
        >>> chain_chosen(width, images, FloatOutputs(model, images)).rewritten.done.begins
        ('image',)

    Reference: docs/decisions/0022-activation-bits.md; docs/psb.md, chains.
    """
    made, exact = chosen.result, chosen.tried[-1]
    largest = largest_activations(made.model, source, size=size, threads=threads, native=native)
    measured: list[TriedBits] = []
    for bits in (chosen.chosen, *(each for each in _IN_CHAINS if each > chosen.chosen)):
        if bits != chosen.chosen:
            finer = bits - chosen.chosen
            scales = {name: f + finer for name, f in chosen.options.x_exponents.items()}
            made = with_activations(chosen.result, bits, scales)
        chained = _in_int16(made, largest, bits)
        runner = Runner(chained.model, threads, native)
        (tried,), n_inputs = measure_widths(floats, {bits: runner})
        measured.append(tried)
        if is_enough(tried, exact):
            break
    return Chains(made, chained, (tried, *measured[:-1], exact), n_inputs)


def _in_int16(
    made: Rewritten[PsbChanges], largest: Mapping[str, float], bits: int
) -> Rewritten[ChainChanges]:
    return chain_both(made.model, {}, exponents(largest, bits), alone=pays_alone(bits))
