"""`reluflow cells`: where a model's activation pattern stays the same, on a plane of inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from reluflow._api.inspect import animate_cells
from reluflow._api.inspect import find_cells as run
from reluflow.cells import CellsReport, CellsSeries
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.errors import OptionError
from reluflow.report import print_cells, print_cells_series

_EXACT, _GRID, _MOVING = "cells.html", "raster.png", "animation.gif"


def cells(
    model: Annotated[
        list[Path],
        typer.Argument(
            help="ONNX file with one input; several, or a folder of them, in order of training: an "
            "animation."
        ),
    ],
    plane: Annotated[
        str,
        typer.Option(
            "--plane",
            help="The plane: of a model's two inputs (inputs), through three inputs of --data "
            "(data), in random directions (random), or the first of these that there is (auto).",
        ),
    ] = "auto",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help="Inputs to lay the plane through, or to mark: a .npy, .npz or idx file (also "
            ".gz), or a folder of images.",
        ),
    ] = None,
    points: Annotated[
        str | None,
        typer.Option(
            "--points",
            help="Numbers of these inputs, from 0, with commas between; 0,1,2 by default, and 0 "
            "for a random plane.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of a random plane; 0 by default.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            help="Least u, greatest u, least v, greatest v, with commas between; by default "
            "-5,5,-5,5, or the three inputs with a margin.",
        ),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option("--site", help="Name of a site that counts; may be repeated; all by default."),
    ] = None,
    classes: Annotated[
        bool,
        typer.Option("--classes", help="Also cut by which output is the greatest."),
    ] = False,
    raster: Annotated[
        int | None,
        typer.Option(
            "--raster",
            help="Take a grid of so many pixels each way; by default exact polygons, and 500 "
            "pixels where there are none.",
        ),
    ] = None,
    batch_statistics: Annotated[
        bool,
        typer.Option(
            "--batch-statistics",
            help="Let batch normalisation use the statistics of the grid.",
        ),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="How long an animation shows each model; 0.5 by default."),
    ] = None,
    size: _options.Size = None,
    mean: _options.Mean = None,
    std: _options.Std = None,
    channels: _options.Channels = None,
    layout: _options.Layout = None,
    threads: _options.Threads = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for page, pictures and JSON; none by default."),
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Show the cells of a model on a plane: where its activation pattern stays the same."""
    idle = {"--points": points, "--size": size, "--mean": mean, "--std": std}
    idle |= {"--channels": channels, "--layout": layout}
    _options.refuse_without("--data PATH", data is not None, idle)
    if raster is not None:
        _options.refuse_with("--raster", {"--classes": classes or None})
    given = {"--batch-statistics": batch_statistics or None}
    _options.refuse_without("--raster PIXELS", raster is not None, given)
    several = len(model) > 1 or model[0].is_dir()
    _options.refuse_without("several models", several, {"--seconds": seconds})
    how: dict[str, Any] = {
        "plane": plane,
        "data": data,
        "points": None if points is None else _whole(points),
        "seed": seed,
        "window": None if window is None else _options.numbers("--window", window),
        "sites": site or None,
        "classes": classes,
        "raster": raster,
        "batch_statistics": batch_statistics,
        "preprocessing": _options.choose_preprocessing(size, mean, std, channels, layout),
        "threads": threads,
    }
    found: CellsReport | CellsSeries
    with progress_bar() as progress:
        if several:
            files = model[0] if len(model) == 1 else model
            pause = 0.5 if seconds is None else seconds
            found = animate_cells(files, out, **how, seconds=pause, progress=progress)
        else:
            found = run(model[0], out, **how, progress=progress)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    elif isinstance(found, CellsSeries):
        print_cells_series(found, Console())
    else:
        print_cells(found, Console())
    if out is not None:
        say_written(out / _page(found), as_json=as_json)
    return 0


def _page(found: CellsReport | CellsSeries) -> str:
    """Return the name of the file to look at first."""
    if isinstance(found, CellsSeries):
        return _MOVING
    return _EXACT if found.kind == "exact" else _GRID


def _whole(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise OptionError(f"--points is {text!r}; give numbers of inputs, such as 0,1,2.")
    return [int(part) for part in parts]
