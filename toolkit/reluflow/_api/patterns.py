"""The Python interface of the main task: load, run, measure, write the report."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs
from reluflow.analysis import (
    Analysis,
    AnalysisOptions,
    ComparisonReport,
    PatternCounts,
    PatternReport,
    Pipeline,
    SeriesReport,
    compare_models,
    compare_series,
    holds_checkpoint,
    join_chunks,
    site_metrics,
    summarize,
)
from reluflow.data import Classes, DataSource, Preprocessing, find_classes, open_data
from reluflow.errors import OptionError, OutputError
from reluflow.files import appearing
from reluflow.graph import Model, annotate, load_apart
from reluflow.progress import Progress
from reluflow.report import check_report_directory, write_report
from reluflow.report.directory import MODEL_NAME
from reluflow.scale import count_in_parts, holds_parts, open_cluster


def analyze(
    model: Any,
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    labels: Any = None,
    resume: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    parts: int | None = None,
    progress: Progress | None = None,
) -> PatternReport:
    """Count the activation patterns of every switch site of a model on some data.

    Args:
        model: path of an ONNX file, its bytes, an `onnx.ModelProto`, an `onnx_ir.Model`, an
            `onnx_graphsurgeon.Graph`, or torch's ONNXProgram.
        data: path (.npy, .npz, idx, image folder), array or tensor, dictionary of them by input
            name, an iterable of batches, or `reluflow.data.RandomData`.
        out: directory for the report (page, JSON, Parquet, pictures, annotated model);
            None writes nothing.
        options: settings; the defaults serve most models.
        preprocessing: of images and idx files.
        limit: analyse the first so many inputs only.
        labels: `(n,)` classes of the inputs, whole numbers, or a file of them: distances
            within and between classes are measured too. By default an array "label" or
            "labels" of the .npz that the inputs come from.
        resume: continue where an interrupted run with the same `out` stopped.
        workers: divide the work among so many processes of this machine; the report is the
            same. A script that does this needs `if __name__ == "__main__":`.
        cluster: divide it among a Dask cluster: the address of its scheduler or a
            `distributed.Client`; "ray" or the address "ray://..." of Ray; or any
            `concurrent.futures.Executor`. All workers must see `out` and the files.
        parts: into how many parts, with workers or a cluster; by default four a worker.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        The measures of every site; the same that `out` holds.

    Raises:
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"]
        >>> report = reluflow.analyze("models/fashion_resnet8.onnx", images[:100])
        >>> len(report.sites)
        7

    Reference: thesis, sections 2.2 and 3.1.2.
    """
    if resume and out is None:
        raise OptionError("resume is set without an output directory; name the one to resume.")
    with _writing(out, model, data, labels):
        loaded = load_apart(model)
        source = _open(loaded, data, preprocessing, limit)
        settings = options or AnalysisOptions()
        classes = find_classes(labels, source)
        run = partial(_run, loaded, source, settings, progress=progress, classes=classes)
        if workers is None and cluster is None:
            _refuse_parts(out, parts)
        else:
            divided = partial(
                count_in_parts, data=data, preprocessing=preprocessing, limit=limit, parts=parts
            )
            run = partial(run, divide=partial(_divide, workers, cluster, divided))
        if out is None:
            with _spill() as spill:
                return run(None, Path(spill), False).report
        return _analyze_into(Path(out), loaded, run, resume)


def compare(
    first: Any,
    second: Any,
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ComparisonReport:
    """Compare the activation patterns of two checkpoints on the same data.

    Args:
        first: the earlier checkpoint, as for `analyze`.
        second: the later one, with the same switch sites.
        data: as for `analyze`.
        out: directory for the report (page, JSON, pictures); None writes nothing.
        options: settings.
        preprocessing: of images and idx files.
        limit: use the first so many inputs only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        Distance, temperature, Jaccard index, born and died patterns of every site.

    Raises:
        ReluflowError: bad models, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:50]
        >>> report = reluflow.compare(
        ...     "models/fashion_resnet8_epoch1.onnx", "models/fashion_resnet8.onnx", images)
        >>> len(report.sites), 0 < report.mean_distance <= 1
        (7, True)

    Reference: thesis, equations 3.6, 3.7 and 3.15, Definition 6.
    """
    with _writing(out, first, second, data), _spill() as spill:
        before, after = (load_apart(each) for each in (first, second))
        source = _open(before, data, preprocessing, limit)
        settings = options or AnalysisOptions()
        report = compare_models(before, after, source, settings, Path(spill), progress)
        if out is not None:
            write_report(report, out)
    return report


def compare_checkpoints(
    models: Sequence[Any],
    data: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> SeriesReport:
    """Compare many checkpoints of one network on the same data, every pair.

    Args:
        models: two checkpoints or more, in order, each as for `analyze`.
        data: as for `analyze`.
        out: directory for the report (page and JSON); None writes nothing.
        options: settings.
        preprocessing: of images and idx files.
        limit: use the first so many inputs only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        Distances between all checkpoints, and measures of each, site by site.

    Raises:
        ReluflowError: bad models, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:50]
        >>> names = ["models/fashion_resnet8.onnx"] * 3
        >>> reluflow.compare_checkpoints(names, images).mean_distances[0]
        (0.0, 0.0, 0.0)

    Reference: thesis, equations 3.7 and 3.15, Fig. 3.7.
    """
    if len(models) < 2:
        raise OptionError(f"models are {len(models)}; give two checkpoints at least.")
    with _writing(out, *models, data), _spill() as spill:
        loaded = [load_apart(model) for model in models]
        source = _open(loaded[0], data, preprocessing, limit)
        settings = options or AnalysisOptions()
        report = compare_series(loaded, source, settings, Path(spill), progress)
        if out is not None:
            write_report(report, out)
    return report


def count_patterns(
    model: Any,
    data: Any,
    sites: Sequence[str] | None = None,
    *,
    options: AnalysisOptions | None = None,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> dict[str, PatternCounts]:
    """Return every distinct pattern of every site with its count, as numpy arrays.

    They take 32 bytes a pattern of memory. `read_patterns` reads the same from a report.

    Args:
        model: as for `analyze`.
        data: as for `analyze`.
        sites: names of sites; all by default.
        options: settings; with `hash="thesis"` a fingerprint is the slot of the fixed table.
        preprocessing: of images and idx files.
        limit: count the first so many inputs only.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        Site name -> its patterns, in graph order.

    Raises:
        OptionError: an unknown site.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:20]
        >>> found = reluflow.count_patterns("models/fashion_resnet8.onnx", images)
        >>> last = found["/block3/relu2/Relu"]
        >>> last.fingerprints.shape[1], str(last.counts.dtype), last.samples
        (2, 'int64', 980)

    Reference: thesis, equation 3.3.
    """
    loaded = load_apart(model)
    source = _open(loaded, data, preprocessing, limit)
    settings = options or AnalysisOptions()
    settings.need_exact("a list of all patterns")
    with _spill() as spill:
        run = _run(
            *(loaded, source, settings, None, Path(spill), False),
            progress=progress,
            classes=(None, ""),
        )
        wanted = list(run.tables) if sites is None else [run.report[s].site.name for s in sites]
        return {name: join_chunks(name, run.tables[name].iter_chunks()) for name in wanted}


@contextmanager
def _writing(out: str | os.PathLike[str] | None, *given: Any) -> Iterator[None]:
    """Check and lock the folder of a report, if there is one, before any work is done.

    Raises:
        OutputError: the report may not go there, would replace what is given, or another
            process writes there.
    """
    keep_inputs(out, *given)
    if out is not None:
        check_report_directory(out)
    with locked(out):
        yield


def _spill() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for tables that outgrow their memory where there is no report folder."""
    return tempfile.TemporaryDirectory(prefix="reluflow-")


def _open(
    model: Model, data: Any, preprocessing: Preprocessing | None, limit: int | None
) -> DataSource:
    return open_data(data, model.inputs, preprocessing=preprocessing, limit=limit)


def _run(
    model: Model,
    source: DataSource,
    options: AnalysisOptions,
    folder: Path | None,
    spill: Path,
    resume: bool,
    *,
    progress: Progress | None,
    classes: Classes,
    divide: Callable[[Pipeline, Path, bool], None] | None = None,
) -> Analysis:
    pipeline = Pipeline(model, source, options, spill, folder, progress)
    if divide is None:
        pipeline.run(resume=resume)
    else:
        divide(pipeline, folder or spill, resume)
    labels, words = classes
    analysis = summarize(pipeline, labels)
    return replace(analysis, report=replace(analysis.report, labels=words))


def _refuse_parts(out: str | os.PathLike[str] | None, parts: int | None) -> None:
    """Refuse what belongs to a divided analysis."""
    if parts is not None:
        raise OptionError("parts is set without workers; give workers or a cluster too.")
    folder = None if out is None else working_folder(Path(out))
    if folder is not None and holds_parts(folder):
        raise OutputError(
            f"the analysis in {folder} was divided among workers; go on with workers and "
            "resume=True, or delete the folder to start again."
        )


def _divide(
    workers: int | None,
    cluster: Any,
    count: Callable[..., None],
    pipeline: Pipeline,
    folder: Path,
    resume: bool,
) -> None:
    with open_cluster(workers, cluster) as opened:
        count(pipeline, opened, folder, resume=resume)


def working_folder(out: Path) -> Path:
    """Return the folder where an analysis keeps its progress until the report is complete."""
    return out.with_name(out.name + ".partial")


def _analyze_into(
    out: Path, model: Model, run: Callable[[Path, Path, bool], Analysis], resume: bool
) -> PatternReport:
    folder = working_folder(out)
    fresh = not folder.exists()
    try:
        analysis = run(folder, folder / "spill", resume)
    except Exception:
        if fresh and not holds_checkpoint(folder) and not holds_parts(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise

    report = _with_weights_note(analysis.report, model)
    tables = ((name, table.iter_chunks()) for name, table in analysis.tables.items())
    write_report(report, out, tables, {MODEL_NAME: partial(_write_annotated, model, report)})
    shutil.rmtree(folder, ignore_errors=True)
    return report


def _with_weights_note(report: PatternReport, model: Model) -> PatternReport:
    if not model.external_files:
        return report
    names = ", ".join(path.name for path in model.external_files)
    note = (
        f"{MODEL_NAME} shows the measures in a viewer; its weights stay in {names}: "
        "to run it, put it beside the original model."
    )
    return replace(report, notes=(*report.notes, note))


def _write_annotated(model: Model, report: PatternReport, path: Path) -> None:
    """Write the model with its measures; weights in other files are not copied."""
    annotated = annotate(model, site_metrics(report)).model
    if model.external_files:
        with appearing(path) as partial:
            partial.write_bytes(annotated.serialize())
    else:
        annotated.save(path)
