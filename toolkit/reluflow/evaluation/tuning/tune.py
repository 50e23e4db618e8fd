"""Choosing the stored numbers of a model so that its outputs change least, without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import DataError, ModelError
from reluflow.evaluation.tuning.held_out import EVERY, Dampings, choose_dampings
from reluflow.evaluation.tuning.numbers import choose_numbers, plain_numbers
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.evaluation.tuning.stream import Stream
from reluflow.graph import (
    ByteRounding,
    Layer,
    Model,
    Numbers,
    PsbOptions,
    PsbPlan,
    Refused,
    Rewritten,
    equalise,
    plan_psb,
    read_layers,
    with_byte_rounding,
    with_numbers,
)
from reluflow.progress import Progress
from reluflow.psb.feedback import DAMPING
from reluflow.psb.second_moments import InputMoments

LEAST_ROWS = 8
"""Places that a layer's inputs must be known at: a mean of fewer tells little about others."""
MOST_WEIGHTS = 8192
"""Weights of one output up to which second moments are made: 512 MB a matrix. A layer with more
gets plain rounding and a corrected bias."""
_ROWS = 8192
"""Places that second moments are made of, or so many times the weights of an output if that is
more: some times as many equations as unknowns."""
_ROWS_PER_WEIGHT = 4
_GUESSED_INPUTS = 32
"""Number of inputs, where only reading them all would tell."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What `tune` did.

    Attributes:
        layers: names of the layers with new numbers, in graph order.
        plain: names of those that were rounded to nearest instead.
        n_inputs: number of inputs that were used.
        p_bits: stored bits of a probability that every weight is a code of.
        own_bits: some layers have others than `p_bits`.
    """

    layers: tuple[str, ...]
    plain: tuple[str, ...]
    n_inputs: int
    p_bits: int
    own_bits: bool = False

    def __str__(self) -> str:
        """State it in a sentence."""
        return (
            f"Weights and biases of {len(self.layers)} layers were chosen on {self.n_inputs} "
            f"inputs, for {self._bits()}{self._left()}."
        )

    def _bits(self) -> str:
        return "bits of their own" if self.own_bits else f"{self.p_bits} bits"

    def _left(self) -> str:
        return f"; too little was known for {', '.join(self.plain)}" if self.plain else ""


def tune(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    options: TuningOptions | None = None,
    *,
    rounding: ByteRounding | None = None,
    size: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Rewritten[Tuned]:
    """Choose the weights and biases that a conversion stores, by the model's behaviour on data.

    Layer after layer, in graph order, the float model and the one whose earlier layers are
    quantised already run on the data. From their inputs' moments the layer's weights are fitted,
    rounded to PSB codes, and its bias corrected. No labels are needed; a draw's mean is the stored
    code, so that the correction holds for draws in expectation as well as for nearest mode.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: 10 to 100 representative inputs; read again for every layer.
        options: what is done.
        rounding: of activations to bytes, which layers then make up for as well; those that draw
            on the 8-bit grid get codes that lie on it. None: activations are not rounded.
        size: inputs per run; 1 by default, which needs least memory.
        threads: of ONNX Runtime.
        progress: called after each layer.

    Returns:
        A float model whose weights `to_psb` with the same `p_bits` stores exactly, and the layers
        that keep plain rounding or are not converted, with the reason.

    Raises:
        ModelError: the model has no layer to tune.
        DataError: the data can be read only once, there are too few, or they make a layer's inputs
            NaN or infinite.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=8)
        >>> tuned = tune(model, images)
        >>> len(tuned.done.layers), tuned.done.n_inputs
        (10, 8)

    Reference: Frantar et al., GPTQ (2022); Nagel et al. (2019), arXiv:1906.04721, section 4.2;
    docs/psb.md, tuning.
    """
    options = options or TuningOptions()
    check_source(source)
    planned = PsbOptions(exclude=options.exclude)
    plan = plan_psb(model, planned) if isinstance(model, Model) else model
    start = equalise(plan.model, options.exclude).model if options.equalise else plan.model
    layers, refused = layers_to_tune(start, plan, options.exclude)
    size = source.fitting_batch_size(size, 1)
    work = _Work(start, source, options, rounding or ByteRounding(), size, threads)
    plain = []
    for place, layer in enumerate(layers):
        plain += work.tune(layer, place)
        if progress is not None:
            progress("tuning layers", place + 1, len(layers))
    if len(plain) == len(layers):
        raise DataError(f"no layer was tuned, since {plain[0].reason}; give more inputs.")
    kept = tuple(each.node for each in plain)
    names = tuple(layer.name for layer in layers if layer.name not in kept)
    done = Tuned(names, kept, work.n_inputs, options.p_bits, bool(options.node_bits))
    made = with_numbers(start, work.numbers).model
    return Rewritten(made, done, (*refused, *plain), plan.notes)


class _Work:
    """A model whose layers get their numbers one after the other.

    Attributes:
        numbers: those chosen so far, by the layers' outputs.
        n_inputs: number of inputs.
    """

    def __init__(
        self,
        exact: Model,
        source: DataSource,
        options: TuningOptions,
        rounding: ByteRounding,
        size: int,
        threads: int | None,
    ) -> None:
        self._exact, self._source, self._options = exact, source, options
        self._on_grid = rounding.on_grid
        rounded = with_byte_rounding(exact, rounding.formats)
        self._now, self._renamed = rounded.model, rounded.done
        self._streams = [Stream(source, size, threads) for _ in range(2)]
        self.numbers: dict[str, Numbers] = {}
        self.n_inputs = 0

    def tune(self, layer: Layer, place: int) -> list[Refused]:
        """Choose the numbers of the next layer; return why it was rounded plainly."""
        options = replace(self._options, grid=self._options.grid or layer.name in self._on_grid)
        moments = moments_for(layer, place, self._source, options)
        chooses = options.damping is None
        unseen = moments_for(layer, place, self._source, options) if chooses else None
        self.n_inputs = 0
        for number, (exact, found) in enumerate(self._inputs(layer)):
            check_finite(layer, found[0])
            self.n_inputs += len(found[0])
            beside = [a - b for a, b in zip(exact[1:], found[1:], strict=True)]
            held = unseen is not None and number % EVERY == EVERY - 1
            (unseen if unseen is not None and held else moments).add(exact[0], found[0], *beside)
        dampings = self._dampings(layer, moments, unseen)
        few = moments.n_rows < LEAST_ROWS
        if few:
            p_bits = options.node_bits.get(layer.name, options.p_bits)
            numbers = plain_numbers(layer, p_bits)
        else:
            numbers = choose_numbers(layer, moments, options, dampings)
        self.numbers[layer.output] = numbers
        self._now = with_numbers(self._now, {layer.output: numbers}).model
        if few:
            reason = f"its inputs are known at {moments.n_rows} places, {LEAST_ROWS} are wanted"
            return [Refused(layer.name, layer.op, reason)]
        return []

    def _inputs(self, layer: Layer) -> Iterator[tuple[tuple[np.ndarray, ...], ...]]:
        """Yield the layer's inputs, and what is added to its output, in both models."""
        names = [layer.x, layer.addend] if layer.addend else [layer.x]
        rounded = [self._renamed.get(name, name) for name in names]
        exact, now = self._streams
        return zip(
            exact.tensors(self._exact, layer.output, names),
            now.tensors(self._now, layer.output, rounded),
            strict=True,
        )

    def _dampings(
        self, layer: Layer, moments: InputMoments, unseen: InputMoments | None
    ) -> Dampings:
        """Return the dampings of a layer; moments then include those that were held out."""
        options = self._options
        if unseen is None:
            damping = DAMPING if options.damping is None else options.damping
            return Dampings(damping, damping)
        groups, k = moments.mean.shape
        found = choose_dampings(
            layer.weights.astype(np.float64).reshape(groups, -1, k),
            moments,
            unseen,
            options.node_bits.get(layer.name, options.p_bits),
            centred=options.correct_bias,
            follow=options.follow,
            feedback=options.feedback,
        )
        moments.include(unseen)
        return found


def moments_for(
    layer: Layer, place: int, source: DataSource, options: TuningOptions
) -> InputMoments:
    """Return what gathers the moments of a layer's inputs.

    Args:
        layer: the layer.
        place: its number.
        source: the inputs, whose number says how many places of each are needed.
        options: whether second moments are needed, and the seed.
    """
    k = layer.weights[0].size
    return InputMoments(
        layer.weights.shape,
        layer.window,
        rows=rows_wanted(k, source),
        seed=options.seed + place,
        products=options.needs_products and k <= MOST_WEIGHTS,
    )


def check_source(source: DataSource) -> None:
    """Refuse data that cannot be read again for every layer.

    Args:
        source: the inputs.

    Raises:
        DataError: they can be read once.
    """
    source.check_rereadable()


def layers_to_tune(
    model: Model, plan: Rewritten[PsbPlan], exclude: Sequence[str]
) -> tuple[tuple[Layer, ...], tuple[Refused, ...]]:
    """Return the layers of a model, and what is left out, or refuse a model without any.

    Args:
        model: folded and raised.
        plan: of its conversion, which knows the given model.
        exclude: names of nodes to leave alone.

    Raises:
        ModelError: there are none.
    """
    layers, refused = read_layers(model, exclude)
    if not layers:
        raise ModelError(
            f"model {str(plan.done.given.path or '<memory>')!r} has no layers to tune; give a "
            "model with Conv, Gemm or MatMul of constant weights."
        )
    return layers, refused


def rows_wanted(k: int, source: DataSource) -> int:
    """Return the rows per input that second moments are made of.

    Args:
        k: weights of one output.
        source: the inputs.
    """
    return -(-max(_ROWS, _ROWS_PER_WEIGHT * k) // (source.n_samples or _GUESSED_INPUTS))


def check_finite(layer: Layer, x: np.ndarray) -> None:
    """Refuse inputs of a layer that are NaN or infinite.

    Args:
        layer: the layer.
        x: what it multiplies.

    Raises:
        DataError: some are.
    """
    if not np.isfinite(x).all():
        raise DataError(
            f"the calibration data make {layer.x!r} NaN or infinite; give data without such "
            "values, as they will come."
        )
