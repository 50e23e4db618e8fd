"""`reluflow drift`: an alarm where new inputs show patterns that known ones did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.slimming.drift import check_drift, fit_drift
from reluflow.analysis import AnalysisOptions
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.drift import MOST_PATTERNS
from reluflow.drift.check import FALSE_ALARMS, GROUP
from reluflow.report import print_drift, print_drift_reference

DRIFTED = 3
"""Exit code of a check that found drift, for monitors."""

app = typer.Typer(
    name="drift",
    help="Do new inputs show patterns that known ones did not? Make a reference, check against it.",
    no_args_is_help=True,
)


@app.command("fit")
def fit(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, an .npz.")],
    data: _options.Data = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            help="Other inputs of the same kind, which thresholds come from, best ones that the "
            "model was not trained on; every fifth input of --data by default.",
        ),
    ] = None,
    most_patterns: Annotated[
        int,
        typer.Option(
            "--patterns",
            help="Patterns that a site keeps at most, the most frequent ones; 8 bytes each.",
        ),
    ] = MOST_PATTERNS,
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
    """Write a reference: which patterns a model shows on known inputs."""
    data = _options.need_data(data)
    with progress_bar() as progress:
        found = fit_drift(
            model,
            data,
            out,
            held_out=held_out,
            most_patterns=most_patterns,
            options=AnalysisOptions(batch_size=batch_size, threads=threads, smooth=smooth),
            preprocessing=_options.choose_preprocessing(size, mean, std, channels, layout),
            limit=limit,
            progress=progress,
        )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print_drift_reference(found, Console())
    say_written(out, as_json=as_json)
    return 0


@app.command("check")
def check(
    model: Annotated[Path, typer.Argument(help="ONNX file that the reference was made for.")],
    reference: Annotated[
        Path, typer.Option("--reference", "-r", help="File that `reluflow drift fit` wrote.")
    ],
    data: _options.Data = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            help="Name of a site that the score is made of; may be repeated. By default the one "
            "that the reference chose.",
        ),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms",
            help="Share of inputs, of groups and of checks that may be an alarm without drift.",
        ),
    ] = FALSE_ALARMS,
    group: Annotated[
        int, typer.Option("--group", help="Inputs in a row that are judged together.")
    ] = GROUP,
    limit: _options.Limit = None,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    size: _options.Size = None,
    mean: _options.Mean = None,
    std: _options.Std = None,
    channels: _options.Channels = None,
    layout: _options.Layout = None,
    as_json: _options.Json = False,
) -> int:
    """Measure the share of new inputs' patterns that are unknown; exit code 3 means drift."""
    data = _options.need_data(data)
    with progress_bar() as progress:
        found = check_drift(
            model,
            reference,
            data,
            sites=site or None,
            false_alarms=false_alarms,
            group=group,
            options=AnalysisOptions(batch_size=batch_size, threads=threads),
            preprocessing=_options.choose_preprocessing(size, mean, std, channels, layout),
            limit=limit,
            progress=progress,
        )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print_drift(found, Console())
    return DRIFTED if found.drift else 0
