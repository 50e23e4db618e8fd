"""Converting a model to chains of bytes: formats from data, and what the bytes cost on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.evaluation.calibrate import calibrate
from reluflow.evaluation.formats.find import find_formats
from reluflow.evaluation.run import Runner
from reluflow.evaluation.widths.activation_bits import TriedBits, measure_widths
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import (
    ChainChanges,
    PsbChanges,
    PsbOptions,
    PsbPlan,
    Rewritten,
    chain_psb,
    find_chains,
    to_psb,
)
from reluflow.psb.fixed import FixedFormat

BYTE_BITS = 8
"""Bits of an activation in a chain."""
_WIDE = 16
"""Bits of the activations outside: of operators that take no bytes, and for comparison."""


@dataclass(frozen=True, slots=True)
class Chains:
    """A conversion to chains, as returned by `convert_to_chains` and `convert_to_chains16`.

    Attributes:
        operators: of `to_psb`, without chains.
        rewritten: of `chain_psb` or `chain_both`; its model is the one to deploy.
        tried: the errors with the bits of the chains, with those that were not enough, and with
            16 on the data, in nearest mode.
        n_inputs: number of inputs used for the measurement.
    """

    operators: Rewritten[PsbChanges]
    rewritten: Rewritten[ChainChanges]
    tried: tuple[TriedBits, ...]
    n_inputs: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        done = self.rewritten.done
        return {
            "n_inputs": self.n_inputs,
            "tried": [each.to_dict() for each in self.tried],
            "nodes": [
                {"name": node.name, "was": node.was, "op": node.op, "tensor": node.tensor}
                for node in done.nodes
            ],
            "begins": done.begins,
            "ends": done.ends,
            "outside": [
                {"node": each.node, "op": each.op, "reason": each.reason}
                for each in self.rewritten.refused
            ],
        }

    def __str__(self) -> str:
        """State what joined and the figures of both widths."""
        figures = "; ".join(map(str, self.tried))
        found = find_chains(self.rewritten.model)
        operators = sum(chain.operators for chain in found)
        widths = sorted({chain.bits for chain in found} or {self.tried[0].x_bits})
        return (
            f"Chains of {name_widths(widths)}: {operators} of "
            f"{len(self.operators.done.converted)} operators; on "
            f"{self.n_inputs} inputs, {figures}."
        )


def name_widths(widths: Sequence[int]) -> str:
    """Return how the values of chains are called: bytes, or by their bits.

    Args:
        widths: bits of a value, ascending.

    Example:
        >>> name_widths([8]), name_widths([12]), name_widths([8, 12])
        ('bytes', '12 bits', 'bytes and 12 bits')
    """
    return " and ".join("bytes" if bits == BYTE_BITS else f"{bits} bits" for bits in widths)


def convert_to_chains(
    plan: Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions | None = None,
    formats: Mapping[str, FixedFormat] | None = None,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> Chains:
    """Convert a model once, then let its operators pass bytes in formats found on data.

    Operators that cannot join keep activations of 16 bits, with exponents of the same data.

    Args:
        plan: of the conversion.
        source: representative inputs, read several times.
        options: of the conversion; its `x_bits` and `x_exponents` do not matter.
        formats: tensor -> what its bytes stand for, as `tune_for_bytes` chose them; None: found
            on the data.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Returns:
        The conversion with and without chains, and the error of both on the data.

    Raises:
        OptionError: the options draw in a way that bytes do not have.
        DataError: the data can be read only once, cannot calibrate, or no output is an array.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, plan_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=20)
        >>> found = convert_to_chains(plan_psb(model), images)
        >>> len(found.rewritten.done.begins), len(found.rewritten.done.ends)
        (1, 1)
        >>> all(each.lowest_db > 10 for each in found.tried)
        True

    Reference: docs/psb.md, chains; docs/psb-ops.md, chains.
    """
    options = options or PsbOptions()
    for name, value in (("sampler", "binomial"), ("draws", "product")):
        if getattr(options, name) == value:
            raise OptionError(
                f"{name} is {value!r}, which activations of 8 bits do not have; leave it out, or "
                "give x_bits of at least 9."
            )
    wide = replace(options, x_bits=_WIDE)
    exponents = calibrate(plan, source, options=wide, size=size, threads=threads)
    made = to_psb(plan, replace(wide, x_exponents=exponents))
    if formats is None:
        formats = find_formats(made.model, source, size=size, threads=threads, native=native)
    chained = chain_psb(made.model, formats)
    runners = {
        BYTE_BITS: Runner(chained.model, threads, native),
        _WIDE: Runner(made.model, threads, native),
    }
    floats = FloatOutputs(plan.done.given, source, size, threads)
    tried, n_inputs = measure_widths(floats, runners)
    return Chains(made, chained, tried, n_inputs)
