"""Giving each operator its own number of samples, within a mean over all multiplications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.evaluation.budget.divide import divide_budget
from reluflow.evaluation.budget.sensitivity import SampleErrors, measure_sample_errors
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.evaluation.signal_error import to_decibels
from reluflow.frames import Shown, Tabular, flat
from reluflow.graph import (
    Model,
    PsbNode,
    expose,
    find_psb,
    with_sample_factors,
    with_sampler,
)
from reluflow.progress import Progress
from reluflow.psb import MAX_SAMPLES, SAMPLERS


@dataclass(frozen=True, slots=True)
class NodeSamples:
    """The number of samples of one operator; part of `Allocation`.

    Attributes:
        name: of the node.
        samples: its n in a run of `Allocation.samples`.
        sampler: how it draws, or "nearest".
        products: its multiplications for one input, by weights that are not 0.
        error: relative energy of the outputs' error with this operator alone at its n.

    Example:
        >>> NodeSamples("conv", 4, "systematic", 1000, 0.25).samples
        4
    """

    name: str
    samples: int
    sampler: str
    products: int
    error: float


@dataclass(frozen=True, slots=True, repr=False)
class Allocation(Tabular):
    """How a budget of samples was divided, as returned by `allocate`.

    Attributes:
        model: the converted model with a factor for each operator.
        budget: the mean number of samples that was asked for.
        samples: n to run the model with, so that the mean is at most the budget.
        nodes: the operators in graph order.
        uniform: sum of the operators' errors if each had `samples`.
        n_inputs: number of inputs that the errors were measured on; None where unknown.
    """

    model: Model
    budget: float
    samples: int
    nodes: tuple[NodeSamples, ...]
    uniform: float
    n_inputs: int | None

    _shown: ClassVar[Shown] = {
        "operator": ("name", "text"),
        "samples": ("samples", "count"),
        "sampler": ("sampler", "text"),
        "multiplications": ("products", "count"),
        "error": ("error", "number"),
    }

    def _heading(self) -> str:
        return self.sentence()

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(node) for node in self.nodes]

    @property
    def mean(self) -> float:
        """Mean number of samples over all multiplications."""
        total = sum(node.products for node in self.nodes)
        return sum(node.products * node.samples for node in self.nodes) / max(1, total)

    @property
    def error(self) -> float:
        """Sum of the operators' errors: what is expected of them all together."""
        return sum(node.error for node in self.nodes)

    def apply(self, model: Model) -> Model:
        """Return another conversion of the same network with these numbers of samples.

        Args:
            model: whose operators have the same names, such as one with chains.

        Example:
            >>> from reluflow.graph import find_psb, load, to_psb
            >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
            >>> nodes = tuple(NodeSamples(n.name, 8, n.sampler, 1, 0.0) for n in find_psb(psb))
            >>> divided = Allocation(psb, 8, 4, nodes, 0.0, None).apply(psb)
            >>> {node.samples(4) for node in find_psb(divided)}
            {8}
        """
        own = {node.name: node.samples / self.samples for node in self.nodes}
        return with_sample_factors(
            model, {node.name: own[node.name] for node in find_psb(model) if node.name in own}
        ).model

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "budget": self.budget,
            "samples": self.samples,
            "mean": self.mean,
            "error": self.error,
            "uniform": self.uniform,
            "n_inputs": self.n_inputs,
            "nodes": [asdict(node) for node in self.nodes],
        }

    def sentence(self) -> str:
        """Return the mean and what is expected beside equal numbers for all.

        Example:
            >>> from reluflow.graph import load, to_psb
            >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
            >>> node = NodeSamples("conv", 4, "systematic", 100, 0.01)
            >>> Allocation(psb, 4, 4, (node,), 0.02, None).sentence().partition(";")[0]
            '4.00 samples on average at n = 4'
        """
        own, equal = (to_decibels(1.0, value) for value in (self.error, self.uniform))
        return (
            f"{self.mean:.2f} samples on average at n = {self.samples}; expected SQNR of the "
            f"draws {own:.1f} dB, with {self.samples} everywhere {equal:.1f} dB."
        )


def allocate(
    model: Model,
    source: DataSource,
    budget: float,
    *,
    sampler: str | None = None,
    fewest: int = 1,
    seeds: int = 1,
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
    progress: Progress | None = None,
) -> Allocation:
    """Give each operator of a converted model its own number of samples.

    The error of the outputs is measured for each operator and number of samples alone, by its
    variance times what the network makes of it. Of all choices whose mean over the multiplications
    is at most the budget, the one with the least sum of these errors is taken: errors of different
    operators are taken for independent. The result is stored as a factor of each operator, so that
    the input `samples` still scales them all, and 0 is nearest mode as before.

    Args:
        model: of `to_psb`, not changed; factors that it has already are replaced.
        source: representative inputs.
        budget: mean number of samples over all multiplications, 1 to 64.
        sampler: how all operators draw: "systematic", "binomial" or "nearest". None: as stored,
            but an operator that gets fewer than 4 systematic samples rounds to nearest.
        fewest: no operator gets fewer samples, 1 or 2.
        seeds: runs of each operator and number of samples that draws.
        size: inputs per run.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
        progress: called as progress("measuring", runs done, runs).

    Returns:
        The model with the factors, and what was measured.

    Raises:
        OptionError: the budget, the sampler or `seeds` is not accepted.
        ModelError: the model has no PSB operator.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import find_psb, load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data("models/fashion_mnist_test_2000.npz", psb.inputs[:1], limit=8)
        >>> found = allocate(psb, images, 4)
        >>> found.samples, found.mean <= 4, found.error < found.uniform
        (4, True, True)
        >>> [node.samples(4) for node in find_psb(found.model)] == [n.samples for n in found.nodes]
        True

    Reference: docs/psb.md, the sample budget; thesis 4.2.6; docs/spec.md, section 7.
    """
    _check(model, budget, sampler, fewest, seeds)
    below = ROUNDED_BELOW if sampler is None else 0
    measured = measure_sample_errors(
        model,
        source,
        sampler=sampler,
        rounded_below=below,
        seeds=seeds,
        size=size,
        threads=threads,
        native=native,
        progress=progress,
    )
    products = count_products(model, source, threads)
    lowest = measured.levels.index(fewest)
    levels = measured.levels[lowest:]
    divided = divide_budget(measured.errors[:, lowest:], products, levels, budget)
    chosen = [level + lowest for level in divided]
    nodes = tuple(
        NodeSamples(
            node.name,
            measured.levels[level],
            measured.samplers[row][level],
            int(products[row]),
            float(measured.errors[row, level]),
        )
        for row, (node, level) in enumerate(zip(measured.nodes, chosen, strict=True))
    )
    base = run_samples(budget, nodes)
    return Allocation(
        model=_written(model, nodes, base),
        budget=budget,
        samples=base,
        nodes=nodes,
        uniform=float(measured.errors[:, _column(measured, base)].sum()),
        n_inputs=source.n_samples,
    )


def _check(model: Model, budget: float, sampler: str | None, fewest: int, seeds: int) -> None:
    if not find_psb(model):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator; "
            "convert it with reluflow psb convert."
        )
    if not 1 <= budget <= MAX_SAMPLES:
        raise OptionError(f"budget is {budget!r}; give a number from 1 to {MAX_SAMPLES}.")
    if fewest not in (1, 2) or fewest > budget:
        raise OptionError(f"fewest is {fewest!r}; give 1, or 2 with a budget of at least 2.")
    if sampler is not None and sampler not in SAMPLERS:
        raise OptionError(f"sampler is {sampler!r}; accepted are {', '.join(SAMPLERS)}.")
    if seeds < 1:
        raise OptionError(f"seeds is {seeds!r}; give a whole number from 1 on.")


def run_samples(budget: float, nodes: tuple[NodeSamples, ...]) -> int:
    """Return the n of a run: a power of two that some operator reaches, so that it checks it.

    Args:
        budget: mean number of samples.
        nodes: the operators.
    """
    within = 1 << int(math.log2(budget))
    return min(within, max(node.samples for node in nodes))


def _column(measured: SampleErrors, samples: int) -> int:
    return measured.levels.index(min(samples, measured.levels[-1]))


def _written(model: Model, nodes: tuple[NodeSamples, ...], base: int) -> Model:
    """Return the model with the factors, and with the samplers that were measured."""
    written = with_sample_factors(model, {node.name: node.samples / base for node in nodes}).model
    stored = {node.name: node.sampler for node in find_psb(model)}
    changed: dict[str, list[str]] = {}
    for node in nodes:
        if node.sampler != stored[node.name]:
            changed.setdefault(node.sampler, []).append(node.name)
    for name, only in changed.items():
        written = with_sampler(written, name, only).model
    return written


def count_products(model: Model, source: DataSource, threads: int | None) -> NDArray[np.int64]:
    """Return the multiplications of each operator for one input, by weights that are not 0.

    Args:
        model: of `to_psb`.
        source: whose first input tells what shapes do not.
        threads: of ONNX Runtime.
    """
    nodes = find_psb(model)
    known = [node.products for node in nodes]
    if None in known:
        sizes = _positions(model, nodes, source, threads)
        known = [(node.weights - node.zeros) * sizes[node.output] for node in nodes]
    return np.array(known, np.int64)


def _positions(
    model: Model, nodes: tuple[PsbNode, ...], source: DataSource, threads: int | None
) -> Mapping[str, int]:
    outputs = [node.output for node in nodes]
    session, extra = Runner(expose(model, outputs).model, threads, None).at(0, 0)
    size = source.fitting_batch_size(None, default=1)
    batch = next(source.batches(size))
    found = run_arrays(session, {**batch, **extra})
    n_inputs = len(next(iter(batch.values())))
    return {
        node.output: found[node.output].size // (node.weight_shape[0] * n_inputs) for node in nodes
    }
