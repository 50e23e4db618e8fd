"""`reluflow edge`: a model as C for microcontrollers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.deploy import edge_project
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.edge import EdgeOptions
from reluflow.report import print_edge

_DEFAULT = EdgeOptions()


def edge(
    model: Annotated[
        Path,
        typer.Argument(
            help="ONNX file: one that `psb convert --x-bits 8` made, with its --tune and --p-bits, "
            "or a float one, which is converted here without them."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Data that choose the scales of a float model's bytes, and the self-test's "
            "inputs; a float model needs them, none by default.",
        ),
    ] = None,
    limit: _options.Limit = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the library; by default that of the model's file."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            help="What the Makefile compiles for: host, cortex-m0, cortex-m3 or cortex-m4. Code is "
            "measured where arm-none-eabi-gcc is installed.",
        ),
    ] = _DEFAULT.target,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="No multiplication in the kernels: shifts and additions."),
    ] = False,
    ram: Annotated[
        int | None,
        typer.Option(
            "--ram",
            help="Bytes that memory and stack may take at most; layers run a few rows at a time "
            "where whole tensors do not fit. Any number by default.",
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            help="Number of samples that shift-adds are told for; each run chooses its own.",
        ),
    ] = _DEFAULT.samples,
    cascade: Annotated[
        str | None,
        typer.Option(
            "--cascade",
            help="Samples of a first pass and of a second one, such as 1/16: the second runs where "
            "the two largest numbers of the first are too near each other. One pass by default.",
        ),
    ] = None,
    loss: Annotated[
        float | None,
        typer.Option(
            "--loss",
            help="Largest share of inputs to which --cascade may give another class than its "
            "second pass alone; 0.01 by default.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="Confidence with which --loss is kept; 0.95 by default."),
    ] = None,
    pixels: Annotated[
        float | None,
        typer.Option(
            "--pixels",
            help="The model's float inputs are pixels from 0 to 255 divided by this number, and "
            "the C takes the pixels; inputs of uint8 are pixels anyhow. No pixels by default.",
        ),
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Write a model as C99 for microcontrollers: integers alone, with what it costs."""
    alone = {"--loss": loss, "--confidence": confidence}
    _options.refuse_without("--cascade FIRST/SECOND", cascade is not None, alone)
    passes = None if cascade is None else EdgeOptions.passes_of(cascade)
    share = _DEFAULT.loss if loss is None else loss
    sure = _DEFAULT.confidence if confidence is None else confidence
    options = EdgeOptions(name, target, strict, ram, samples, passes, share, pixels, sure)
    _options.refuse_without("--calibrate DATA", calibration is not None, {"--limit": limit})
    with progress_bar() as progress:
        made = edge_project(
            model, out, calibration=calibration, limit=limit, options=options, progress=progress
        )
    if as_json:
        print(json.dumps(made.to_dict(), indent=2))
    else:
        print_edge(made, Console())
    say_written(out, as_json=as_json)
    return 0
