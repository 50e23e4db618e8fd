"""Tuning each layer for the number of samples that a budget gives it."""

from __future__ import annotations

from dataclasses import replace

from reluflow.data import DataSource
from reluflow.evaluation.budget.allocate import Allocation, allocate
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.evaluation.tuning.tune import tune
from reluflow.graph import (
    Model,
    PsbOptions,
    PsbPlan,
    Rewritten,
    find_psb,
    plan_psb,
    to_psb,
    with_sample_factors,
)
from reluflow.progress import Progress

_FEWEST = 2
"""A code has at least one bit of probability, which takes 2 samples to draw exactly."""


def tune_for_budget(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    budget: float = 4,
    *,
    options: PsbOptions | None = None,
    tuning: TuningOptions | None = None,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """Convert a model whose weights are chosen for the samples that each layer gets.

    A budget is divided among the layers of a plain conversion, rounded to nearest. Then each layer
    is tuned to codes of log2 n bits for its number of samples n, which n systematic samples draw
    exactly: at the budget only the smallest weights are drawn, and runs hardly differ. More samples
    than that bring nothing, since the weights hold no more.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: 10 to 100 representative inputs; read several times.
        budget: mean number of samples over all multiplications, 2 to 64.
        options: of the conversion; its `p_bits` bound the samples of a layer.
        tuning: how weights are chosen; its `p_bits` and `node_bits` do not matter.
        size: inputs per run of the measurement.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
        progress: of the measurement, then of the tuning.

    Returns:
        The converted model, with a factor for each operator; its errors are those of the plain
        conversion, by which the budget was divided.

    Raises:
        OptionError: the budget is not accepted.
        ModelError: the model has nothing to convert.
        DataError: the data can be read only once, or cannot be tuned with.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=16)
        >>> found = tune_for_budget(model, images, 4)
        >>> found.samples, 2 <= min(node.samples for node in found.nodes), found.mean <= 4
        (4, True, True)

    Reference: docs/decisions/0030-sample-budget.md; docs/spec.md, section 7.
    """
    options = options or PsbOptions()
    plan = plan_psb(model, options) if isinstance(model, Model) else model
    found = allocate(
        to_psb(plan, options).model,
        source,
        budget,
        sampler="nearest",
        fewest=_FEWEST,
        size=size,
        threads=threads,
        native=native,
        progress=progress,
    )
    own = {node.name: node.samples for node in found.nodes}
    bits = {name: min(options.p_bits, samples.bit_length() - 1) for name, samples in own.items()}
    wanted = replace(tuning or TuningOptions(), p_bits=options.p_bits, node_bits=bits)
    tuned = tune(plan, source, wanted, threads=threads, progress=progress)
    made = to_psb(replace(plan, model=tuned.model), options).model
    known = {node.name for node in find_psb(made)}
    factors = {name: samples / found.samples for name, samples in own.items() if name in known}
    return replace(found, model=with_sample_factors(made, factors).model)
