"""Profiles a converted model and the float model beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.evaluation.timing.pair import Work, n_paired, pair_kernels
from reluflow.evaluation.timing.result import NodeProfile, ProfileOptions, PsbProfile
from reluflow.graph import LabelledNode, Model, label_nodes, psb_in_floats, psb_inputs
from reluflow.graph.proto.own_domain import OWN_DOMAIN, PSB_CONV, PSB_MATMUL, PSB_WEIGHTS
from reluflow.sessions import KernelTime, default_threads, get_library_path, profile_models

Feeds = Mapping[str, np.ndarray]


def profile(
    model: Model,
    source: DataSource,
    *,
    float_model: Model | None = None,
    options: ProfileOptions | None = None,
) -> PsbProfile:
    """Measure where a converted model spends its time, beside the float model.

    Args:
        model: of `to_psb`, with defaults for its inputs `samples` and `seed`.
        source: the inputs; the first batch is run.
        float_model: what the model was made from; None: its PSB operators with float weights.
        options: of the runs.

    Returns:
        The time of each operator, medians.

    Raises:
        ModelError: the model has no PSB operator, or cannot be expressed in float.
        OptionError: the library is missing, or `float_model` is another model's.
        DataError: the data are empty, or do not fit the models.

    Example:
        >>> from reluflow.data import RandomData, open_data
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> data = open_data(RandomData(1), psb.inputs)
        >>> found = profile(psb, data, options=ProfileOptions(runs=2, threads=1))
        >>> sum(node.psb for node in found.nodes), found.float_source
        (10, 'rebuilt')

    Reference: docs/psb.md, where the time goes.
    """
    options = options or ProfileOptions()
    get_library_path()  # says how to get it where it is missing
    names = psb_inputs(model)
    floats = _rebuilt(model) if float_model is None else float_model
    batch = _first(source, options.batch_size)
    _refuse_other(model, float_model, batch)
    this, that = label_nodes(model), label_nodes(floats)
    if not n_paired(this.done, that.done):
        raise OptionError(
            f"float_model is {str(floats.path or '<memory>')!r}, of whose nodes the converted "
            "model has none; give the model that it was made from."
        )
    profiles = profile_models(
        [(this.model, _seeded(batch, names, options.samples)), (that.model, lambda run: batch)],
        runs=options.runs,
        threads=options.threads,
        library=True,
        fastest=options.fastest,
    )
    work = pair_kernels(this.done, profiles[0].kernels, that.done, profiles[1].kernels)
    total = _sum(profiles[0].kernels) or 0.0
    rows = [_row(each, this.done, total) for each in work]
    float_total = _sum(profiles[1].kernels) or 0.0
    return PsbProfile(
        path=str(model.path) if model.path else None,
        float_source="rebuilt" if float_model is None else "given",
        inputs={name: tuple(array.shape) for name, array in batch.items()},
        samples=options.samples,
        runs=options.runs,
        threads=options.threads or default_threads(),
        ms=total,
        float_ms=float_total,
        ratio=float_total / max(total, _LEAST_MS),
        psb_share=sum(row.share for row in rows if row.psb),
        run_ms=profiles[0].run_ms,
        float_run_ms=profiles[1].run_ms,
        nodes=tuple(sorted(rows, key=_slowest_first)),
    )


_LEAST_MS = 1e-3
"""The profiler counts microseconds: less than one is told as 0."""
_DIGITS = 4
"""Of milliseconds: medians of microseconds may end in a half."""


def _rebuilt(model: Model) -> Model:
    """Return the model with float operators of the stored weights."""
    plain = (PSB_CONV, PSB_MATMUL, PSB_WEIGHTS)
    for node in label_nodes(model).done:
        if node.domain == OWN_DOMAIN and node.op not in plain:
            raise OptionError(
                f"float_model is missing, and node {node.name!r} ({node.op}), part of a chain, "
                "has no float form; give the model that this one was made from."
            )
    return psb_in_floats(model).model


def _first(source: DataSource, batch_size: int | None) -> Feeds:
    size = source.fitting_batch_size(batch_size, 1)
    return next(iter(source.batches(size)))  # a source without any is refused where it is opened


def _refuse_other(model: Model, float_model: Model | None, batch: Feeds) -> None:
    if float_model is None:
        return
    if any(node.domain == OWN_DOMAIN for node in label_nodes(float_model).done):
        raise OptionError(
            f"float_model is {str(float_model.path or '<memory>')!r}, which is converted already; "
            "give the model that it was made from."
        )
    wanted = {spec.name for spec in float_model.inputs}
    if wanted - set(batch):
        raise OptionError(
            f"float_model is {str(float_model.path or '<memory>')!r}, which reads inputs "
            f"{sorted(wanted)}, and the converted model {sorted(batch)}; give the model that it "
            "was made from."
        )


def _seeded(batch: Feeds, names: tuple[str, str], samples: int) -> Callable[[int], Feeds]:
    number = np.array(samples, np.int64)
    return lambda run: {**batch, names[0]: number, names[1]: np.array(run, np.int64)}


def _row(work: Work, nodes: tuple[LabelledNode, ...], total: float) -> NodeProfile:
    ms, float_ms = _sum(work.these), _sum(work.floats)
    both = ms is not None and float_ms is not None
    return NodeProfile(
        name=work.name,
        op=_ops(work.these),
        psb=any(nodes[at].domain == OWN_DOMAIN for at in work.places),
        ms=ms,
        share=(ms or 0.0) / max(total, _LEAST_MS),
        float_op=_ops(work.floats),
        float_ms=float_ms,
        ratio=(float_ms or 0.0) / max(ms or 0.0, _LEAST_MS) if both else None,
    )


def _ops(kernels: list[KernelTime]) -> str:
    return "+".join(dict.fromkeys(kernel.op for kernel in kernels))


def _sum(kernels: list[KernelTime] | tuple[KernelTime, ...]) -> float | None:
    return round(sum(kernel.ms for kernel in kernels), _DIGITS) if kernels else None


def _slowest_first(row: NodeProfile) -> tuple[bool, float]:
    return row.ms is None, -(row.float_ms or 0.0) if row.ms is None else -row.ms
