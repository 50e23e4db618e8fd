"""Tuning for chains of bytes: ranges and formats first, then weights that know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reluflow.data import DataSource
from reluflow.evaluation.formats.find import find_formats
from reluflow.evaluation.tuning.options import USUAL_FOR_BYTES, TuningOptions, options_of
from reluflow.evaluation.tuning.ranges import fill_bytes
from reluflow.evaluation.tuning.tune import Tuned, tune
from reluflow.graph import (
    ByteRounding,
    Model,
    PsbOptions,
    PsbPlan,
    Rewritten,
    byte_rounding,
    chain_psb,
    equalise,
    plan_psb,
    to_psb,
)
from reluflow.progress import Progress
from reluflow.psb.fixed import FixedFormat


@dataclass(frozen=True, slots=True)
class TunedForBytes:
    """Weights and formats that belong together; returned by `tune_for_bytes`.

    Attributes:
        tuned: of `tune`; its model is the one that `to_psb` converts.
        formats: of the tensors that `chain_psb` shall pass as bytes.
        rounding: what the weights were tuned for.
    """

    tuned: Rewritten[Tuned]
    formats: dict[str, FixedFormat]
    rounding: ByteRounding


def tune_for_bytes(
    model: Model | Rewritten[PsbPlan],
    source: DataSource,
    *,
    options: PsbOptions | None = None,
    tuning: TuningOptions | None = None,
    sees_rounding: bool | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> TunedForBytes:
    """Choose formats of bytes for a model's activations, then weights that make up for them.

    First the channels are scaled so that they fill their bytes (`fill_bytes`), then each tensor
    gets the format of least error. The layers are tuned to codes that lie on the 8-bit grid, so
    that 2^P samples draw exactly what was chosen.

    Args:
        model: the float model, or the plan of its conversion; not changed.
        source: 10 to 100 representative inputs; read several times.
        options: of the conversion.
        tuning: how weights are chosen; None: by error feedback and bias, without a fit.
        sees_rounding: tune with inputs that are rounded and clamped as the chain does it. None:
            unless the layers are fitted (`TuningOptions.follow`), as a fit to rounded inputs takes
            their noise for an error of the weights.
        threads: of ONNX Runtime.
        progress: called after each layer.

    Returns:
        The tuned model, with the formats that it was tuned for.

    Raises:
        ModelError: the model has no layer to tune.
        DataError: as for `tune` and `find_formats`.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=8)
        >>> found = tune_for_bytes(model, images)
        >>> made = chain_psb(to_psb(found.tuned.model).model, found.formats)
        >>> len(found.tuned.done.layers), len(made.done.begins), len(made.done.ends)
        (10, 1, 1)

    Reference: docs/decisions/0028-weights-chosen-on-data.md; docs/psb-ops.md, the 8-bit grid.
    """
    options = options or PsbOptions()
    tuning = tuning or options_of(["usual"], options.p_bits, options.exclude, USUAL_FOR_BYTES)
    sees = not tuning.follow if sees_rounding is None else sees_rounding
    plan = plan_psb(model, options) if isinstance(model, Model) else model
    if tuning.equalise:  # before formats are chosen, which hold for the channels as they are then
        plan = replace(plan, model=equalise(plan.model, options.exclude).model)
        tuning = replace(tuning, equalise=False)
    passed = _rounding(plan, source, options, threads)[1].formats
    filled = fill_bytes(
        plan.model, source, passed, exclude=options.exclude, seed=tuning.seed, threads=threads
    )
    plan = replace(plan, model=filled.model)
    formats, rounding = _rounding(plan, source, options, threads)
    grid = replace(rounding, formats=rounding.formats if sees else {})
    tuned = tune(plan, source, tuning, rounding=grid, threads=threads, progress=progress)
    return TunedForBytes(tuned, formats, rounding)


def _rounding(
    plan: Rewritten[PsbPlan], source: DataSource, options: PsbOptions, threads: int | None
) -> tuple[dict[str, FixedFormat], ByteRounding]:
    """Return formats of least error, and what chains of a plan's conversion round with them."""
    formats = find_formats(plan.model, source, threads=threads)
    chained = chain_psb(to_psb(plan, options).model, formats)
    return formats, byte_rounding(chained, formats)
