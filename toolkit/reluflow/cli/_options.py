"""Options that several commands share, and how they become arguments of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reluflow.data import Preprocessing, RandomData
from reluflow.errors import OptionError

Data = Annotated[
    str | None,
    typer.Option("--data", "-d", help="Inputs: .npy, .npz, idx(.gz) or a folder of images."),
]
Random = Annotated[
    int | None,
    typer.Option("--random", help="Analyse so many random normal inputs instead of data."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of --random.")]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", help="Size of a symbolic dimension for --random, as NAME=SIZE."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Use the first so many inputs only.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", "-b", help="Inputs a run.")]
Threads = Annotated[int | None, typer.Option("--threads", "-t", help="Threads; all by default.")]
Smooth = Annotated[
    bool, typer.Option("--smooth", help="Also look at Gelu, Silu, Elu, ... as switches at 0.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Size = Annotated[str | None, typer.Option("--size", help="Resize images to HxW or one side.")]
Mean = Annotated[str | None, typer.Option("--mean", help="Mean per channel, e.g. 0.5,0.5,0.5.")]
Std = Annotated[str | None, typer.Option("--std", help="Deviation per channel.")]
Channels = Annotated[
    str | None, typer.Option("--channels", help="Channel order of images: rgb, bgr or gray.")
]
Layout = Annotated[
    str | None, typer.Option("--layout", help="Layout of images: nchw or nhwc, where unclear.")
]


def choose_data(data: str | None, random: int | None, seed: int, dims: list[str] | None) -> Any:
    """Return what `open_data` takes: a path, or random data where asked for.

    Raises:
        OptionError: none or both were given.
    """
    if (data is None) == (random is None):
        raise OptionError(
            "give the inputs with --data PATH, or ask for random ones with --random N"
            + (", not both." if data else ".")
        )
    if random is None:
        return Path(str(data))
    return RandomData(random, seed, dims=dict(_dim(text) for text in dims or []))


def choose_preprocessing(
    size: str | None,
    mean: str | None,
    std: str | None,
    channels: str | None,
    layout: str | None,
) -> Preprocessing | None:
    """Return the preprocessing of images, None where no option asks for one."""
    given: dict[str, Any] = {}
    if size is not None:
        given["size"] = _size(size)
    if mean is not None:
        given["mean"] = _numbers("--mean", mean)
    if std is not None:
        given["std"] = _numbers("--std", std)
    if channels is not None:
        given["channel_order"] = channels
    if layout is not None:
        given["layout"] = layout
    return Preprocessing(**given) if given else None


def _dim(text: str) -> tuple[str, int]:
    name, _, size = text.partition("=")
    if not name or not size.isdigit() or int(size) < 1:
        raise OptionError(f"--dim is {text!r}; give NAME=SIZE, for example height=224.")
    return name, int(size)


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise OptionError(f"--size is {text!r}; give HEIGHTxWIDTH or one side in pixels.")
    return int(sides[0]), int(sides[-1])


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{option} is {text!r}; give numbers with commas between.") from None
