"""`reluflow compare`: what changed between checkpoints of one network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.patterns import compare as compare_two
from reluflow._api.patterns import compare_checkpoints
from reluflow.analysis import AnalysisOptions, ComparisonReport, SeriesReport
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.report import print_table, to_json


def compare(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="ONNX files of two or more checkpoints, in order.")
    ],
    data: _options.Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report; none by default.")
    ] = None,
    random: _options.Random = None,
    seed: _options.Seed = None,
    dim: _options.Dims = None,
    limit: _options.Limit = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    smooth: _options.Smooth = False,
    size: _options.Size = None,
    mean: _options.Mean = None,
    std: _options.Std = None,
    channels: _options.Channels = None,
    layout: _options.Layout = None,
    as_json: _options.Json = False,
) -> int:
    """Measure what changed between two checkpoints of one network, or along many of them."""
    source = _options.choose_data(data, random, seed, dim)
    preprocessing = _options.choose_preprocessing(size, mean, std, channels, layout)
    options = AnalysisOptions(batch_size=batch_size, threads=threads, smooth=smooth)
    with progress_bar() as progress:
        report: ComparisonReport | SeriesReport
        if len(checkpoints) == 2:
            report = compare_two(
                checkpoints[0],
                checkpoints[1],
                source,
                out,
                options=options,
                preprocessing=preprocessing,
                limit=limit,
                progress=progress,
            )
        else:
            report = compare_checkpoints(
                checkpoints,
                source,
                out,
                options=options,
                preprocessing=preprocessing,
                limit=limit,
                progress=progress,
            )
    if as_json:
        print(to_json(report))
    elif isinstance(report, SeriesReport):
        print(report)
    else:
        print_table(report, Console())
    if out is not None:
        say_written(out / "report.html", as_json=as_json)
    return 0
