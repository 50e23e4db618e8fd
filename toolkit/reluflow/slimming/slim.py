"""Slimming on data: count, rewrite, compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions
from reluflow.analysis.run.batching import choose_batch_size
from reluflow.data import DataSource
from reluflow.errors import DataError, ModelError
from reluflow.graph import Model, SlimmedSite, count_multiply_adds, find_sites, slim_units
from reluflow.progress import Progress
from reluflow.sessions import open_session
from reluflow.slimming.result import Agreement, Saving, SiteUnits, SlimReport
from reluflow.slimming.units import UnitBits, read_units

_ROUNDINGS = 2000
"""Units in the last place of the largest output that two orders of the same sums may differ by."""


def slim_model(
    model: Model,
    source: DataSource,
    check: DataSource | None = None,
    options: AnalysisOptions | None = None,
    progress: Progress | None = None,
) -> SlimReport:
    """Take units out of a model that data do not need, and compare both models on the data.

    Args:
        model: a float model.
        source: the data; read twice.
        check: other data, on which both models are compared too.
        options: batch size and threads.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        The new model and the report.

    Raises:
        DataError: there are no inputs, they can be read once only, or the model fails on them.
        ModelError: the new model's results differ by more than rounding, so it is not given out.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1] x) => (float[N,1] y)
        ...     <float[1,3] w = {1, -1, 2}, float[3,1] v = {1, 1, 1}>
        ...     { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }''')
        >>> model = load(proto)
        >>> data = open_data(np.array([[1], [0], [2]], np.float32), model.inputs)
        >>> report = slim_model(model, data)
        >>> [(site.removed, site.merged) for site in report.sites]
        [((1,), ((2, 0, 2.0),))]
        >>> report.savings[0], report.on_data.largest_difference
        (Saving(what='parameters', before=6, after=2), 0.0)
        >>> report.sentences()[0]
        'On the data (3 inputs), outputs differ by 0 at most, where the largest is 6.'
    """
    settings = options or AnalysisOptions()
    source.check_rereadable()
    sites = find_sites(model)
    bits, notes, _ = read_units(model, source, settings, progress)
    made = slim_units(
        model,
        sites,
        {name: each.off for name, each in bits.items()},
        {name: each.on for name, each in bits.items()},
    )
    on_data = compare_outputs(model, made.model, source, settings)
    _refuse_different(on_data)
    ops = {site.name: site.op for site in sites}
    done = {each.site: each for each in made.done}
    found = tuple(
        _site(name, ops[name], each, done.get(name, SlimmedSite(name, len(each.off))))
        for name, each in bits.items()
    )
    on_check = None if check is None else compare_outputs(model, made.model, check, settings)
    return SlimReport(
        made.model,
        found,
        _savings(model, made.model),
        on_data,
        on_check,
        made.refused,
        (*notes, *made.notes),
    )


def _site(name: str, op: str, bits: UnitBits, done: SlimmedSite) -> SiteUnits:
    gone = {*done.off, *done.unread, *(unit for unit, _, _ in done.merged)}
    twins = np.flatnonzero(bits.twin != np.arange(len(bits.twin)))
    return SiteUnits(
        site=name,
        op=op,
        units=len(bits.off),
        off=tuple(np.flatnonzero(bits.off).tolist()),
        on=tuple(np.flatnonzero(bits.on).tolist()),
        same_pattern=tuple(twins.tolist()),
        removed=done.off,
        unread=done.unread,
        merged=done.merged,
        left=len(bits.off) - len(gone),
        linear=done.linear,
        fused=done.fused,
    )


def _savings(before: Model, after: Model) -> tuple[Saving, ...]:
    return (
        Saving("parameters", before.n_parameters, after.n_parameters),
        Saving("multiply-adds", count_multiply_adds(before), count_multiply_adds(after)),
        Saving("bytes", len(before.serialize()), len(after.serialize())),
    )


def compare_outputs(
    one: Model, other: Model, source: DataSource, options: AnalysisOptions
) -> Agreement:
    """Run two models with the same inputs and outputs, and return how far their results differ.

    Args:
        one: the given model.
        other: the new one.
        source: inputs of both.
        options: batch size and threads.

    Raises:
        DataError: there are no inputs, or a model fails on them.
    """
    sessions = [
        open_session(model, outputs=one.outputs, threads=options.threads) for model in (one, other)
    ]
    size = choose_batch_size(one, find_sites(one), options)
    n_inputs, difference, largest = 0, 0.0, 0.0
    others, rows = 0, False
    for feeds in source.batches(size):
        pairs = list(zip(*(session.run(feeds) for session in sessions), strict=True))
        n_inputs += len(next(iter(feeds.values())))
        for a, b in pairs:
            if not a.size or a.dtype.kind not in "fiu":
                continue
            difference = max(difference, _largest_gap(a.astype(np.float64), b.astype(np.float64)))
            largest = float(max(largest, np.abs(a[np.isfinite(a)]).max(initial=0)))
        first, second = pairs[0]
        if first.ndim == 2 and first.shape[1] > 1:
            rows = True
            others += int((first.argmax(axis=1) != second.argmax(axis=1)).sum())
    if not n_inputs:
        raise DataError("the data hold no inputs; give at least one.")
    return Agreement(n_inputs, difference, largest, others if rows else None)


def _largest_gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the largest difference; NaN or infinity in one of the two alone is infinite."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    gap = np.abs(a[~same] - b[~same])
    return float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0))


def _refuse_different(agreement: Agreement) -> None:
    most = _ROUNDINGS * float(np.finfo(np.float32).eps) * agreement.largest_output
    if not agreement.largest_difference <= most:
        raise ModelError(
            f"the slim model's outputs differ by {agreement.largest_difference:.3g}, more than "
            f"rounding ({most:.3g}), so it is not written; run the model in float32, or report it."
        )
