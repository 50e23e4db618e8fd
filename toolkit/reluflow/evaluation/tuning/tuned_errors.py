"""What few samples of one tuned layer cost at the outputs, on inputs that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.budget.sensitivity import ErrorShares
from reluflow.evaluation.tuning.held_out import EVERY, rounding_error
from reluflow.evaluation.tuning.stream import Stream
from reluflow.evaluation.tuning.tune import (
    MOST_WEIGHTS,
    check_source,
    layers_to_tune,
    rows_wanted,
)
from reluflow.graph import Layer, Model, Numbers, PsbPlan, Rewritten, with_numbers
from reluflow.progress import Progress
from reluflow.psb import decode, encode
from reluflow.psb.feedback import round_with_feedback
from reluflow.psb.second_moments import InputMoments
from reluflow.sessions import open_session

_F64 = NDArray[np.float64]
_SHOWN = 2
"""Bits of the code whose effect at the outputs is measured; that of others follows from it."""
_DAMPING = 0.1


@dataclass(frozen=True, slots=True)
class TunedErrors:
    """The error of the outputs where one layer has few bits; see `measure_tuned_errors`.

    Attributes:
        layers: names of the layers.
        bits: of the codes, ascending.
        errors: `(layers, bits)`, energy of the error over that of the signal.
    """

    layers: tuple[str, ...]
    bits: tuple[int, ...]
    errors: _F64


def measure_tuned_errors(
    plan: Rewritten[PsbPlan],
    source: DataSource,
    bits: Sequence[int],
    *,
    exclude: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> TunedErrors:
    """Measure the error of the outputs for each layer at each number of bits, alone.

    A layer's weights are rounded with feedback on two of three inputs, and the change of its
    outputs is taken from the others. For one number of bits the float model runs with these
    weights; what the outputs lose is in proportion to the change of the layer.

    Args:
        plan: of the float model's conversion.
        source: representative inputs.
        bits: of a probability; n samples draw log2 n of them exactly.
        exclude: names of nodes to leave alone.
        threads: of ONNX Runtime.
        progress: called as progress("measuring layers", layers done, layers).

    Raises:
        ModelError: the model has no layer to tune.
        DataError: the data can be read only once.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, plan_psb
        >>> plan = plan_psb(load("models/fashion_resnet8.onnx"))
        >>> images = open_data("models/fashion_mnist_test_2000.npz", plan.model.inputs, limit=9)
        >>> found = measure_tuned_errors(plan, images, (1, 4))
        >>> found.errors.shape, bool((found.errors[:, 0] > found.errors[:, 1]).all())
        ((10, 2), True)

    Reference: docs/decisions/0030-sample-budget.md; thesis 4.2.6.
    """
    check_source(source)
    layers, _ = layers_to_tune(plan.model, plan, exclude)
    work = _Work(plan.model, source, threads)
    errors = np.zeros((len(layers), len(bits)))
    for place, layer in enumerate(layers):
        errors[place] = work.errors(layer, bits)
        if progress is not None:
            progress("measuring layers", place + 1, len(layers))
    return TunedErrors(tuple(layer.name for layer in layers), tuple(bits), errors)


class _Work:
    """Runs the float model with other weights of one layer after the other."""

    def __init__(self, model: Model, source: DataSource, threads: int | None) -> None:
        self._model, self._source, self._threads = model, source, threads
        self._size = source.fitting_batch_size(None, 1)
        self._stream = Stream(source, self._size, threads)
        session = open_session(model, threads=threads)
        batches = list(source.batches(self._size))
        self._unseen = batches[EVERY - 1 :: EVERY] or batches
        self._exact = [run_arrays(session, dict(batch)) for batch in self._unseen]

    def errors(self, layer: Layer, bits: Sequence[int]) -> _F64:
        """Return the error at the outputs for each number of bits."""
        known, unseen = self._moments(layer)
        shown, changed = self._rounded(layer, known, _SHOWN)
        change = rounding_error(changed, unseen, centred=True) if known.has_products else 0.0
        share = self._share(layer, shown, known, changed)
        if change <= 0:
            return np.array([share * 4.0 ** (_SHOWN - each) for each in bits])
        local = [
            rounding_error(self._rounded(layer, known, each)[1], unseen, centred=True)
            for each in bits
        ]
        return share * np.array(local) / change

    def _moments(self, layer: Layer) -> tuple[InputMoments, InputMoments]:
        k = layer.weights[0].size
        known, unseen = (
            InputMoments(
                layer.weights.shape,
                layer.window,
                rows=rows_wanted(k, self._source),
                seed=seed,
                products=k <= MOST_WEIGHTS,
            )
            for seed in range(2)
        )
        for number, (x,) in enumerate(self._stream.tensors(self._model, layer.output, [layer.x])):
            (unseen if number % EVERY == EVERY - 1 else known).add(x, x)
        if not unseen.n_rows:
            unseen = known
        return known, unseen

    def _rounded(
        self, layer: Layer, moments: InputMoments, bits: int
    ) -> tuple[NDArray[np.float32], _F64]:
        """Return rounded weights, and their change in the shape of moments."""
        if moments.has_products:
            second = moments.second(centred=True)
            v = round_with_feedback(layer.weights, second, p_bits=bits, damping=_DAMPING)
        else:
            v = decode(encode(layer.weights, p_bits=bits))
        groups, k = moments.mean.shape
        change = (v.astype(np.float64) - layer.weights).reshape(groups, -1, k)
        return v, change

    def _share(
        self, layer: Layer, v: NDArray[np.float32], moments: InputMoments, change: _F64
    ) -> float:
        """Return the energy of the outputs' error over that of the signal."""
        moved = np.einsum("gmk,gk->gm", change, moments.mean).reshape(-1)
        model = with_numbers(self._model, {layer.output: Numbers(v, layer.bias - moved)}).model
        session = open_session(model, threads=self._threads)
        sums = ErrorShares()
        for batch, exact in zip(self._unseen, self._exact, strict=True):
            sums.add(run_arrays(session, dict(batch)), exact)
        return sums.relative()
