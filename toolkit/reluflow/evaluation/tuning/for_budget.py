"""Tuning each layer for the number of samples that a budget gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.evaluation.budget.allocate import (
    Allocation,
    NodeSamples,
    count_products,
    run_samples,
)
from reluflow.evaluation.budget.divide import divide_budget
from reluflow.evaluation.tuning.options import TuningOptions
from reluflow.evaluation.tuning.tune import Tuned, tune
from reluflow.evaluation.tuning.tuned_errors import measure_tuned_errors
from reluflow.graph import (
    Model,
    PsbChanges,
    PsbOptions,
    PsbPlan,
    Rewritten,
    find_psb,
    plan_psb,
    to_psb,
    with_sample_factors,
)
from reluflow.progress import Progress
from reluflow.psb import MAX_SAMPLES, P_BITS

FEWEST = 2
"""A code has at least one bit of probability, which takes 2 samples to draw exactly."""
_MOST_BITS = int(math.log2(MAX_SAMPLES))
_FORBIDDEN = 1e300
"""An error that no sum of others reaches."""


@dataclass(frozen=True, slots=True)
class TunedForBudget:
    """A conversion whose weights were chosen for a budget; returned by `convert_for_budget`.

    Attributes:
        plan: of the float model.
        tuned: the float model with the numbers that are stored.
        result: of `to_psb`, with the factors of its operators.
        allocation: how the budget was divided, with the same model.
    """

    plan: Rewritten[PsbPlan]
    tuned: Rewritten[Tuned]
    result: Rewritten[PsbChanges]
    allocation: Allocation


def tune_for_budget(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    budget: float = 4,
    *,
    options: PsbOptions | None = None,
    tuning: TuningOptions | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """Return the model and the division of the budget of `convert_for_budget`.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: 10 to 100 representative inputs; read several times.
        budget: mean number of samples over all multiplications, 2 to 64.
        options: of the conversion; its `p_bits` bound the samples of a layer.
        tuning: how weights are chosen; its `p_bits` and `node_bits` do not matter.
        threads: of ONNX Runtime.
        progress: of the measurement, then of the tuning.

    Raises:
        OptionError: the budget is not accepted.
        ModelError: the model has nothing to convert.
        DataError: the data can be read only once, or cannot be tuned with.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=16)
        >>> tune_for_budget(model, images, 2).mean
        2.0

    Reference: docs/decisions/0030-sample-budget.md.
    """
    return convert_for_budget(
        model,
        source,
        budget,
        options=options,
        tuning=tuning,
        threads=threads,
        progress=progress,
    ).allocation


def convert_for_budget(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    budget: float = 4,
    *,
    options: PsbOptions | None = None,
    tuning: TuningOptions | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> TunedForBudget:
    """Convert a model whose weights are chosen for the samples that each layer gets.

    For each layer and number of bits the error at the outputs is measured, with weights rounded as
    tuning rounds them and on inputs that these were not made from. The budget is divided so that
    the sum of errors is least. Then each layer is tuned to codes of log2 n bits for its number of
    samples n, which n systematic samples draw exactly: at the budget only the smallest weights are
    drawn, and runs hardly differ. More samples than that bring nothing, since the weights hold no
    more.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: 10 to 100 representative inputs; read several times.
        budget: mean number of samples over all multiplications, 2 to 64.
        options: of the conversion; its `p_bits` bound the samples of a layer.
        tuning: how weights are chosen; its `p_bits` and `node_bits` do not matter. By default all
            three usual steps, with a damping that is chosen on inputs held out.
        threads: of ONNX Runtime.
        progress: of the measurement, then of the tuning.

    Returns:
        The converted model, with a factor for each operator, and how the budget was divided.

    Raises:
        OptionError: the budget is not accepted.
        ModelError: the model has nothing to convert.
        DataError: the data can be read only once, or cannot be tuned with.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=16)
        >>> found = convert_for_budget(model, images, 4).allocation
        >>> found.samples, 2 <= min(node.samples for node in found.nodes), found.mean <= 4
        (4, True, True)

    Reference: docs/decisions/0030-sample-budget.md; docs/spec.md, section 7.
    """
    if not FEWEST <= budget <= MAX_SAMPLES:
        raise OptionError(f"budget is {budget!r}; give a number from {FEWEST} to {MAX_SAMPLES}.")
    options = options or PsbOptions()
    plan = plan_psb(model, options) if isinstance(model, Model) else model
    errors = _errors(plan, options, source, budget, threads, progress)
    own = _divided(errors, to_psb(plan, options).model, source, budget, threads)
    bits = {name: int(math.log2(samples)) for name, samples in own.items()}
    wanted = tuning or TuningOptions(damping=None, exclude=options.exclude)
    wanted = replace(wanted, p_bits=options.p_bits, node_bits=bits)
    tuned = tune(plan, source, wanted, threads=threads, progress=progress)
    made = to_psb(replace(plan, model=tuned.model), options)
    nodes = find_psb(made.model)
    products = count_products(made.model, source, threads)
    counted = {node.name: int(count) for node, count in zip(nodes, products, strict=True)}
    own = fit_to_budget({node.name: own[node.name] for node in nodes}, counted, budget)
    chosen = tuple(
        NodeSamples(n.name, own[n.name], n.sampler, counted[n.name], errors[n.name][own[n.name]])
        for n in nodes
    )
    base = run_samples(budget, chosen)
    model = with_sample_factors(made.model, {n.name: n.samples / base for n in chosen}).model
    uniform = sum(
        errors[node.name][max(level for level in errors[node.name] if level <= base)]
        for node in nodes
    )
    found = Allocation(model, budget, base, chosen, uniform, source.n_samples)
    return TunedForBudget(plan, tuned, replace(made, model=model), found)


def _errors(
    plan: Rewritten[PsbPlan],
    options: PsbOptions,
    source: DataSource,
    budget: float,
    threads: int | None,
    progress: Progress | None,
) -> dict[str, dict[int, float]]:
    """Return operator -> number of samples -> error at the outputs."""
    bits = tuple(each for each in P_BITS if each <= min(options.p_bits, _MOST_BITS))
    measured = measure_tuned_errors(
        plan, source, bits, exclude=options.exclude, threads=threads, progress=progress
    )
    known = dict(zip(measured.layers, measured.errors.tolist(), strict=True))
    # an operator that is not tuned gets at least what the mean would give it
    rest = [0.0 if 2 << each > budget else _FORBIDDEN for each in bits]
    return {
        node.name: dict(zip((1 << each for each in bits), known.get(node.name, rest), strict=True))
        for node in find_psb(to_psb(plan, options).model)
    }


def _divided(
    errors: Mapping[str, Mapping[int, float]],
    model: Model,
    source: DataSource,
    budget: float,
    threads: int | None,
) -> dict[str, int]:
    """Return the samples of each operator with the least sum of errors."""
    levels = tuple(next(iter(errors.values())))
    table = np.array([[each[level] for level in levels] for each in errors.values()])
    chosen = divide_budget(table, count_products(model, source, threads), levels, budget)
    return {name: levels[column] for name, column in zip(errors, chosen, strict=True)}


def fit_to_budget(
    samples: Mapping[str, int], products: Mapping[str, int], budget: float
) -> dict[str, int]:
    """Return numbers of samples whose mean keeps to a budget, halving as few as need be.

    Tuning can make a weight 0 or another one of 0, so that multiplications are not quite those
    that the budget was divided by. The operator with the fewest multiplications that saves
    enough is halved, else the one that saves most.

    Args:
        samples: operator -> its number, a power of two of at least 2.
        products: operator -> its multiplications.
        budget: mean number of samples, at least 2.

    Example:
        >>> fit_to_budget({"a": 8, "b": 4, "c": 2}, {"a": 10, "b": 100, "c": 100}, 3.1)
        {'a': 4, 'b': 4, 'c': 2}

    Reference: docs/decisions/0030-sample-budget.md.
    """
    found = dict(samples)
    while True:
        over = sum(found[name] * products[name] for name in found)
        over -= math.floor(budget * sum(products.values()))
        if over <= 0:
            return found
        saved = {name: found[name] * products[name] // 2 for name in found if found[name] > FEWEST}
        enough = [name for name in saved if saved[name] >= over]
        name = min(enough, key=saved.__getitem__) if enough else max(saved, key=saved.__getitem__)
        found[name] //= 2
