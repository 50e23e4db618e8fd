"""Choosing which operators pass bytes: all that the error of the outputs allows; others int16."""

from __future__ import annotations

import math

from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.evaluation.calibrate import exponents
from reluflow.evaluation.formats.find import MeasuredFormat, measure_formats
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.evaluation.run import Runner
from reluflow.evaluation.widths.activation_bits import (
    ENOUGH_DB,
    ENOUGH_SPREAD_DB,
    ActivationBits,
    is_enough,
    measure_widths,
    pays_alone,
)
from reluflow.evaluation.widths.chains import BYTE_BITS, Chains
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import Model, chain_both, find_chains, find_psb

BYTES_LOSS_DB = 3.0
"""Accepted loss in dB of bytes against 16 bits: rounding to bytes then adds at most as much to the
energy of the error as there is without it."""


def choose_chains(
    chosen: ActivationBits,
    given: Model,
    source: DataSource,
    *,
    loss_db: float = BYTES_LOSS_DB,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
    floats: FloatOutputs | None = None,
) -> Chains | None:
    """Let as many operators pass bytes as the error of the outputs allows, the others int16.

    Tensors are ranked by their own SQNR in bytes. If the model is not within the loss with all of
    them, those below a limit stay as they are, and the lowest limit that is within it is found by
    bisection: a handful of runs, whatever the number of operators. The loss is judged against
    activations of 16 bits, at every output and its worst channel; nothing counts as lost where the
    SQNR reaches 40 dB, and 30 dB against what differs between the inputs.

    Args:
        chosen: the conversion and the width of the operators that do not pass bytes.
        given: the float model.
        source: representative inputs, read several times.
        loss_db: accepted loss in dB against activations of 16 bits, from 0 on.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
        floats: outputs of `given` on these inputs, if they are known.

    Returns:
        The chains; operators that cannot pass bytes pass int16 of the chosen width, floats between
        the two. None where no operator can pass bytes within the loss.

    Raises:
        OptionError: the loss is below 0 or not a number.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.evaluation import choose_activation_bits
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=8)
        >>> width = choose_activation_bits(model, images)
        >>> few = choose_chains(width, model, images, loss_db=3)
        >>> many = choose_chains(width, model, images, loss_db=30)
        >>> len(few.rewritten.done.nodes) <= len(many.rewritten.done.nodes)
        True

    Reference: docs/decisions/0022-activation-bits.md; docs/psb.md, chains.
    """
    if not loss_db >= 0:
        raise OptionError(f"x_loss is {loss_db!r}; give a number of decibels from 0 on.")
    model = chosen.result.model
    nodes = find_psb(model)
    if any(node.sampler == "binomial" or node.draws == "product" for node in nodes):
        return None
    formats = measure_formats(model, source, size=size, threads=threads, native=native)
    limits = _limits(formats, {node.x for node in nodes} | {node.output for node in nodes})
    largest = largest_activations(model, source, size=size, threads=threads, native=native)
    scales = exponents(largest, chosen.chosen)
    floats = floats or FloatOutputs(given, source, size, threads)

    def tried(place: int) -> Chains | None:
        kept = {name: each.form for name, each in formats.items() if each.sqnr_db >= limits[place]}
        rewritten = chain_both(model, kept, scales, alone=pays_alone(chosen.chosen))
        if not any(chain.bits == BYTE_BITS for chain in find_chains(rewritten.model)):
            return None
        runners = {BYTE_BITS: Runner(rewritten.model, threads, native)}
        errors, n_inputs = measure_widths(floats, runners)
        return Chains(chosen.result, rewritten, (*errors, chosen.tried[-1]), n_inputs)

    def within(found: Chains) -> bool:
        few, *_, many = found.tried
        return is_enough(few, many, loss_db, ENOUGH_DB, ENOUGH_SPREAD_DB, worst=True)

    best: Chains | None = None
    low, high = 0, len(limits)  # all from `high` on stay: that is within the loss
    place = 0  # all tensors at once: most often they are within it
    while low < high:
        found = tried(place)
        if found is None or within(found):
            best, high = found or best, place
        else:
            low = place + 1
        place = (low + high) // 2
    return best


def _limits(formats: dict[str, MeasuredFormat], tensors: set[str]) -> list[float]:
    """Return the SQNR of the tensors around PSB operators, ascending; the first admits all."""
    found = sorted({formats[name].sqnr_db for name in tensors if name in formats})
    return [-math.inf, *found[1:]] if found else []
