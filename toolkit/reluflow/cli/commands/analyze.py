"""`reluflow analyze`: activation patterns of a model on data, as table and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.patterns import analyze as run
from reluflow.analysis import AnalysisOptions
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.report import print_table, to_json


def analyze(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    data: _options.Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report; none by default.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue where an interrupted run with the same --out stopped."
        ),
    ] = False,
    random: _options.Random = None,
    seed: _options.Seed = None,
    dim: _options.Dims = None,
    limit: _options.Limit = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="File of classes, one whole number per input; by default the array label or "
            "labels of an .npz of inputs.",
        ),
    ] = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    smooth: _options.Smooth = False,
    size: _options.Size = None,
    mean: _options.Mean = None,
    std: _options.Std = None,
    channels: _options.Channels = None,
    layout: _options.Layout = None,
    hash_kind: Annotated[
        str,
        typer.Option(
            "--hash", help="How patterns are told apart: random-words-128 (exact) or thesis-64."
        ),
    ] = "random-words-128",
    memory: Annotated[
        int | None,
        typer.Option(
            "--memory",
            help="Memory for the counts in MiB, 1024 by default; beyond it they go to disk.",
        ),
    ] = None,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Count in at most 5 MiB per site: sites with more than 16,384 patterns are "
            "estimated, with the errors in the report.",
        ),
    ] = False,
    top: Annotated[
        int, typer.Option("--top", help="Number of most frequent patterns to keep per site.")
    ] = 5,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Divide the work among so many processes; one by default."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Divide the work among a cluster: address of Dask's scheduler, as "
            "tcp://10.0.0.1:8786, or ray://10.0.0.1:10001, or ray for this machine's. All workers "
            "must see --out and the files. None by default.",
        ),
    ] = None,
    parts: Annotated[
        int | None,
        typer.Option(
            "--parts", help="Parts that the work is divided into; four per worker by default."
        ),
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option("--checkpoint-every", help="Seconds between checkpoints; 30 by default."),
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Count the activation patterns of every switch of a model and write a report."""
    if approximate:
        _options.refuse_with("--approximate", {"--memory": memory})
    options = AnalysisOptions(
        batch_size=batch_size,
        threads=threads,
        smooth=smooth,
        hash=hash_kind,
        memory_limit_bytes=(1024 if memory is None else memory) * 2**20,
        approximate=approximate,
        top=top,
        checkpoint_seconds=30.0 if checkpoint_every is None else checkpoint_every,
    )
    idle = {"--checkpoint-every": checkpoint_every}
    _options.refuse_without("--out FOLDER", out is not None, idle)
    if workers is not None:
        _options.refuse_with("--workers", {"--cluster": cluster})
    divided = workers is not None or cluster is not None
    _options.refuse_without("--workers or --cluster", divided, {"--parts": parts})
    if divided:
        _options.refuse_with("--workers or --cluster, whose parts are kept", idle)
    source = _options.choose_data(data, random, seed, dim)
    preprocessing = _options.choose_preprocessing(size, mean, std, channels, layout)
    with progress_bar() as progress:
        report = run(
            model,
            source,
            out,
            options=options,
            preprocessing=preprocessing,
            limit=limit,
            labels=labels,
            resume=resume,
            workers=workers,
            cluster=cluster,
            parts=parts,
            progress=progress,
        )
    if as_json:
        print(to_json(report))
    else:
        print_table(report, Console())
    if out is not None:
        say_written(out / "report.html", as_json=as_json)
    return 0
