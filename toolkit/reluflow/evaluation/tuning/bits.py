"""Choosing the stored bits of each layer's probabilities, at the size of equal ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation.signal_error import to_decibels
from reluflow.evaluation.tuning.bit_errors import BitErrors, measure_bit_errors
from reluflow.evaluation.tuning.divide_bits import divide_bits
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.graph import Layer, Model, PsbPlan, Rewritten, plan_psb, read_layers
from reluflow.progress import Progress
from reluflow.psb import N_PLANES_BESIDE_P

LEVELS = (3, 4, 6)
"""Bits that a layer may get. With fewer, errors are no longer small, so that those of all layers do
not add up; more could not be drawn exactly by 64 samples."""
_MEASURED = 4
"""Errors are measured up to so many bits; those of more bits follow from these, by 4 for each."""

LEAST_GAIN_DB = 3.0
"""Expected gain below which bits stay equal: the sum of single errors foretells that of all layers
together no better than that."""


@dataclass(frozen=True, slots=True)
class LayerBits:
    """The bits of one layer; part of `ChosenBits`.

    Attributes:
        name: of the node.
        p_bits: stored bits of its probabilities.
        weights: number of its weights.
        products: its multiplications for one input.
        error: expected relative energy of the error at the last layers, of this layer alone.

    Example:
        >>> LayerBits("conv1", p_bits=6, weights=144, products=112_896, error=1e-4).p_bits
        6
    """

    name: str
    p_bits: int
    weights: int
    products: int
    error: float


@dataclass(frozen=True, slots=True)
class ChosenBits:
    """How bits were divided among layers, as returned by `choose_bits`.

    Attributes:
        layers: in graph order.
        p_bits: the bits of all layers whose size is not exceeded.
        uniform: sum of the errors if each layer had these.
        least: the sum of the best division, which is taken where it is 3 dB below `uniform`.
        n_inputs: number of inputs that the errors were measured on.
    """

    layers: tuple[LayerBits, ...]
    p_bits: int
    uniform: float
    least: float
    n_inputs: int

    @property
    def gain_db(self) -> float:
        """Expected gain of the best division over equal bits."""
        return to_decibels(self.uniform, self.least)

    @property
    def node_bits(self) -> dict[str, int]:
        """Bits of the layers that differ, as `PsbOptions` takes them."""
        return {each.name: each.p_bits for each in self.layers if each.p_bits != self.p_bits}

    @property
    def mean_bits(self) -> float:
        """Mean stored bits of a probability, over all weights."""
        return _mean([each.weights for each in self.layers], [x.p_bits for x in self.layers])

    @property
    def mean_samples(self) -> float:
        """Mean number of samples over all multiplications, where the run has 2^`p_bits`."""
        drawn = [1 << each.p_bits for each in self.layers]
        return _mean([each.products for each in self.layers], drawn)

    @property
    def error(self) -> float:
        """Sum of the layers' errors."""
        return sum(each.error for each in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "p_bits": self.p_bits,
            "mean_bits": self.mean_bits,
            "mean_samples": self.mean_samples,
            "error": self.error,
            "uniform": self.uniform,
            "least": self.least,
            "n_inputs": self.n_inputs,
            "layers": {each.name: each.p_bits for each in self.layers},
        }

    def __str__(self) -> str:
        """State the division and what it is expected to bring, in a sentence."""
        if not self.node_bits:
            return (
                f"Bits of probabilities: {self.p_bits} for all {len(self.layers)} layers; bits of "
                f"their own would leave {self.gain_db:.1f} dB less error, {LEAST_GAIN_DB:g} dB are "
                "wanted."
            )
        count = {bits: sum(x.p_bits == bits for x in self.layers) for bits in LEVELS}
        listed = ", ".join(f"{bits} for {n}" for bits, n in count.items() if n)
        return (
            f"Bits of probabilities: {listed} of {len(self.layers)} layers; "
            f"{self.mean_bits:.2f} per weight and {self.mean_samples:.1f} samples at "
            f"n = {1 << self.p_bits} on average; {self.gain_db:.1f} dB less error expected than "
            f"with {self.p_bits} everywhere."
        )


def choose_bits(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    options: TuningOptions | None = None,
    *,
    samples: float | None = None,
    size: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> ChosenBits:
    """Divide the bits of probabilities among layers, by what each layer's rounding costs.

    Each layer is rounded alone and the error at the last layers is measured. A bit more divides it
    by 4, takes a bit per weight in the file, and needs twice as many samples to be drawn exactly.
    Of all divisions that take no more bytes than equal bits for all, one with the least sum of
    errors is taken; where it is less than 3 dB better than equal bits, these stay. Samples cost no
    time in the native library, and are bounded on request.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: representative inputs; read again for every layer.
        options: how weights will be rounded; its `p_bits` are those of the limits.
        samples: mean number of samples over all multiplications that may not be exceeded where the
            run has 2^`p_bits`, from that number on; None: up to 64.
        size: inputs per run; 1 by default.
        threads: of ONNX Runtime.
        progress: called after each layer.

    Returns:
        The bits of each layer; `PsbOptions(node_bits=...)` and `TuningOptions(node_bits=...)` take
        its `node_bits`.

    Raises:
        ModelError: the model has no layer whose weights can be read.
        OptionError: `samples` is not accepted.
        DataError: the data can be read only once, or make a layer's inputs NaN or infinite.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=8)
        >>> found = choose_bits(model, images)
        >>> found.error <= found.uniform, found.mean_bits <= 4
        (True, True)

    Reference: docs/decisions/0033-bits-per-layer.md; thesis 4.2.4 and 4.2.6.
    """
    options = options or TuningOptions()
    if samples is not None and not samples >= 1 << options.p_bits:
        raise OptionError(
            f"samples is {samples!r}; give a number from {1 << options.p_bits} on, or None."
        )
    source.check_rereadable()
    plan = plan_psb(model) if isinstance(model, Model) else model
    layers, _ = read_layers(plan.model, options.exclude)
    if not layers:
        raise ModelError(
            f"model {str(plan.done.given.path or '<memory>')!r} has no layers to choose bits for; "
            "give a model with Conv, Gemm or MatMul of constant weights."
        )
    alone = replace(options, follow=False, node_bits={})
    levels = sorted({*LEVELS, options.p_bits})
    tried = [level for level in levels if level <= max(_MEASURED, options.p_bits)]
    measured = measure_bit_errors(
        plan.model, layers, source, alone, tried, size=size, threads=threads, progress=progress
    )
    return _divided(layers, measured, np.array(levels), options.p_bits, samples)


def _divided(
    layers: tuple[Layer, ...],
    measured: BitErrors,
    levels: NDArray[np.int64],
    even: int,
    samples: float | None,
) -> ChosenBits:
    known = measured.errors.shape[1]
    last = (measured.errors * 4.0 ** levels[:known]).mean(axis=1)
    errors = np.hstack([measured.errors, last[:, None] * 4.0 ** -levels[known:]])
    weights = np.array([layer.weights.size for layer in layers])
    stored = np.outer(weights, N_PLANES_BESIDE_P + levels)
    limit = weights.sum() * (N_PLANES_BESIDE_P + even)
    drawn = np.outer(measured.products, 2.0**levels) / max(1, measured.products.sum())
    drawn /= np.inf if samples is None else samples
    chosen = divide_bits(errors, np.stack([stored / limit, drawn], axis=2))
    equal = levels.tolist().index(even)
    uniform, least = (float(errors[np.arange(len(errors)), at].sum()) for at in (equal, chosen))
    if to_decibels(uniform, least) < LEAST_GAIN_DB:
        chosen = (equal,) * len(layers)
    found = tuple(
        LayerBits(
            layer.name,
            int(levels[level]),
            int(weights[row]),
            int(measured.products[row]),
            float(errors[row, level]),
        )
        for row, (layer, level) in enumerate(zip(layers, chosen, strict=True))
    )
    return ChosenBits(found, even, uniform, least, measured.n_inputs)


def _mean(amounts: list[int], values: list[int]) -> float:
    total: NDArray[np.int64] = np.array(amounts, np.int64)
    return float((total * values).sum() / max(1, total.sum()))
