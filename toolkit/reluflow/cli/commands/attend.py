"""`reluflow attend`: one picture with few samples, and with more where that is unsure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.attention import attend as run
from reluflow.attention import RegionOptions
from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.cli._wrote import say_written
from reluflow.errors import OptionError
from reluflow.report import print_attended

_DEFAULT = RegionOptions()
_PAGE = "attend.html"


def attend(
    model: Annotated[Path, typer.Argument(help="Converted model, or a float one to convert.")],
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            "-i",
            help="The picture: an image, or a .npy, .npz or idx file.",
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", help="Which input of a file with several, from 0.")
    ] = 0,
    samples: Annotated[
        str,
        typer.Option(
            "--samples",
            help="Numbers of samples of pass 1, on everything, and of pass 2, where that is "
            "unsure, as COARSE/FINE.",
        ),
    ] = "1/16",
    coarse: Annotated[
        Path | None,
        typer.Option(
            "--coarse",
            help="Another form of the network for pass 1, such as one that passes bytes; by "
            "default the model itself.",
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Run --coarse on the picture at half the side.")
    ] = False,
    unsure: Annotated[
        str,
        typer.Option(
            "--unsure",
            help="Which pixels pass 2 computes: those above the mean (mean), above a quantile "
            "(quantile=SHARE), above a number (absolute=BITS), or the most unsure share "
            "(coverage=SHARE).",
        ),
    ] = _DEFAULT.rule,
    halo: Annotated[
        int,
        typer.Option(
            "--halo",
            help="Pixels of the map to add around the unsure ones, so that pass 2 sees their "
            "surroundings.",
        ),
    ] = _DEFAULT.halo,
    margin: Annotated[
        int, typer.Option("--margin", help="Pixels of each layer to add around the region.")
    ] = _DEFAULT.margin,
    carry: Annotated[
        str,
        typer.Option(
            "--carry",
            help="What the region is in every layer: the same part of the picture (scaled), or all "
            "that it depends on (exact).",
        ),
    ] = _DEFAULT.carry,
    tensor: Annotated[
        str | None,
        typer.Option(
            "--tensor",
            help="Name of a tensor with scores for each pixel; by default an output with pixels, "
            "or what stands in front of a global pooling.",
        ),
    ] = None,
    axis: Annotated[
        int | None,
        typer.Option("--axis", help="Axis of that tensor's channels, from 1 on; found by default."),
    ] = None,
    reading: Annotated[
        str | None,
        typer.Option(
            "--reading",
            help="How the channels are read: softmax, probabilities, yes-no (each alone) or "
            "uncertainty; by default as the values tell.",
        ),
    ] = None,
    float_model: Annotated[
        Path | None,
        typer.Option(
            "--float",
            help="Float model that the converted one was made from, for the errors of layers; by "
            "default they are taken against the dense pass 2.",
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(
            "--tile",
            help="Run a large picture in tiles with exact seams: HEIGHTxWIDTH pixels, or auto, the "
            "best within --memory; whole by default. The answers are written to --out, too.",
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option("--memory", help="Memory for the tensors of a tile in MiB; 2048 by default."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue where an interrupted run in tiles with the same --out stopped.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.")] = 0,
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
    """Show what two passes over a picture answer, compute and cost: computational attention."""
    if image is None:
        raise OptionError("give the picture with --image PATH.")
    _options.refuse_without("--coarse FILE", coarse is not None, {"--half": half or None})
    rule, value = _rule(unsure)
    idle = {"--memory": memory, "--resume": resume or None}
    _options.refuse_without("--tile auto", tile is not None, idle)
    _options.refuse_without("--out FOLDER", out is not None, {"--resume": resume or None})
    with progress_bar() as progress:
        found = run(
            model,
            image,
            out,
            samples=samples,
            region=RegionOptions(rule, value, margin, carry, halo=halo),
            coarse=coarse,
            half=half,
            float_model=float_model,
            tensor=tensor,
            axis=axis,
            reading=reading,
            number=number,
            preprocessing=_options.choose_preprocessing(size, mean, std, channels, layout),
            seed=seed,
            threads=threads,
            tile=None if tile is None else _tile(tile),
            memory_limit_bytes=None if memory is None else memory * 2**20,
            resume=resume,
            progress=progress,
        )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print_attended(found, Console())
    if out is not None:
        say_written(out / _PAGE, as_json=as_json)
    return 0


def _tile(text: str) -> str | tuple[int, ...]:
    """Return the pixels of a tile along each axis, or "auto"."""
    sides = text.lower().split("x")
    if text == "auto":
        return text
    if not all(side.isascii() and side.isdigit() and int(side) for side in sides):
        raise OptionError(
            f"--tile is {text!r}; give HEIGHTxWIDTH in pixels, such as 1024x1024, or auto."
        )
    return tuple(map(int, sides))


def _rule(text: str) -> tuple[str, float | None]:
    """Return the rule of a region and its number."""
    rule, _, number = text.partition("=")
    try:
        return rule, float(number) if number else None
    except ValueError:
        raise OptionError(
            f"--unsure is {text!r}; give mean, or a rule with a number, such as coverage=0.2."
        ) from None
