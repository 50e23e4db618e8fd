"""`reluflow sensitivity`: how many patterns one training step would change, for many rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.training import LOSSES, METHODS, OPTIMIZERS
from reluflow._api.training import sensitivity as run
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.errors import OptionError
from reluflow.report import SENSITIVITY_FILES, print_sensitivity
from reluflow.temperature import default_rates


def sensitivity(
    model: Annotated[Path, typer.Argument(help="ONNX file in floating point.")],
    data: _options.Data = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="File of right answers; by default --data itself if an .npz."
        ),
    ] = None,
    label_name: Annotated[
        str | None,
        typer.Option(
            "--label-name", help="Name of the array of right answers in an .npz; label by default."
        ),
    ] = None,
    loss: Annotated[
        str, typer.Option("--loss", help="Loss: cross-entropy, binary-cross-entropy or mse.")
    ] = LOSSES[0],
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="Optimiser: sgd or adamw.")
    ] = OPTIMIZERS[0],
    momentum: Annotated[
        float, typer.Option("--momentum", help="Momentum of sgd, from 0 to below 1.")
    ] = 0.0,
    rates: Annotated[
        str,
        typer.Option(
            "--rates", help="Learning rates as FIRST:LAST:COUNT, evenly spaced in their logarithm."
        ),
    ] = "1e-4:1e2:50",
    batches: Annotated[
        int, typer.Option("--batches", help="Number of batches to average over.")
    ] = 1,
    frozen_norm: Annotated[
        bool,
        typer.Option(
            "--frozen-norm",
            help="Keep the statistics of batch normalisation instead of those of each batch.",
        ),
    ] = False,
    smooth: _options.Smooth = False,
    method: Annotated[
        str,
        typer.Option(
            "--method", help="A step at every rate (steps), or about 7 steps per batch (crossing)."
        ),
    ] = METHODS[0],
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Inputs per batch; 128 by default.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-t", help="Number of threads; as torch chooses by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for picture and JSON; none by default."),
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Measure the share of patterns that one training step changes, and suggest a learning rate."""
    data = _options.need_data(data)
    with progress_bar() as progress:
        result = run(
            model,
            data,
            labels,
            out,
            label_name=label_name,
            loss=loss,
            optimizer=optimizer,
            momentum=momentum,
            rates=default_rates(*_rates(rates)),
            batches=batches,
            batch_size=batch_size,
            frozen_norm=frozen_norm,
            smooth=smooth or None,
            method=method,
            threads=threads,
            progress=progress,
        )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print_sensitivity(result, str(model), Console())
    if out is not None:
        for name in SENSITIVITY_FILES:
            say_written(out / name, as_json=as_json)
    return 0


def _rates(text: str) -> tuple[int, float, float]:
    try:
        first, last, count = text.split(":")
        return int(count), float(first), float(last)
    except ValueError:
        raise OptionError(
            f"--rates is {text!r}; give FIRST:LAST:COUNT, e.g. 1e-4:1e2:50."
        ) from None
