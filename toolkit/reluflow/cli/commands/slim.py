"""`reluflow slim`: a model without the units that data do not need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.slimming.slim import slim as run
from reluflow.analysis import AnalysisOptions
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.report import print_slim


def slim(
    model: Annotated[Path, typer.Argument(help="ONNX file in floating point.")],
    data: _options.Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; none by default.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check", help="Other inputs, on which both models are compared; none by default."
        ),
    ] = None,
    limit: _options.Limit = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    as_json: _options.Json = False,
) -> int:
    """Write a model without the units that data do not need, and compare both on the data."""
    data = _options.need_data(data)
    options = AnalysisOptions(batch_size=batch_size, threads=threads)
    with progress_bar() as progress:
        report = run(model, data, out, check=check, options=options, limit=limit, progress=progress)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print_slim(report, str(model), Console())
    if out is not None:
        say_written(out, as_json=as_json)
    return 0
