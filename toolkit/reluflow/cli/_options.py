"""Options that several commands share, and how they become arguments of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from reluflow.data import Preprocessing, RandomData
from reluflow.errors import OptionError

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        metavar="PATH",
        help="Inputs: a .npy, .npz or idx file (also .gz), a folder of images, a standard data "
        "set, such as cifar10:test, or a URL of one of them, such as s3://bucket/x.npy.",
    ),
]
Random = Annotated[
    int | None,
    typer.Option(
        "--random", help="Draw this many random inputs, standard normal, instead of --data."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of the random inputs; 0 by default.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option(
        "--dim", help="Size of a free dimension for --random, as NAME=SIZE; may be repeated."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Use only the first inputs, at most this many; all by default."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        help="Inputs per run; by default the number the model is made for, or up to 64.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", "-t", help="Number of threads; one per processor by default."),
]
Smooth = Annotated[
    bool,
    typer.Option(
        "--smooth", help="Also count smooth activations (Gelu, Silu, Elu, ...) as switches at 0."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        help="Resize images to HEIGHTxWIDTH pixels, or to a square of this side; by default to "
        "what the model takes.",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        help="Mean to subtract per channel, on a scale of 0 to 1, such as 0.5,0.5,0.5; 0 by "
        "default.",
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        "--std",
        help="Standard deviation to divide by per channel, on the same scale; 1 by default.",
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="Channel order of images: rgb, bgr or gray; by default what the model takes.",
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="Layout of images, nchw or nhwc; by default what the shape of the input tells.",
    ),
]


def need_data(data: str | None) -> str:
    """Return the path of the inputs, for commands that take no random ones.

    Raises:
        OptionError: it was not given.
    """
    if data is None:
        raise OptionError("give the inputs with --data PATH.")
    return data


def choose_data(
    data: str | None, random: int | None, seed: int | None, dims: list[str] | None
) -> Any:
    """Return what `open_data` takes: a path, or random data where asked for.

    Raises:
        OptionError: none or both were given, or options of random data beside a path.
    """
    if (data is None) == (random is None):
        raise OptionError(
            "give the inputs with --data PATH, or ask for random ones with --random N"
            + (", not both." if data else ".")
        )
    refuse_without("--random N", random is not None, {"--seed": seed, "--dim": dims})
    if random is None:
        return data
    return RandomData(random, seed or 0, dims=dict(_dim(text) for text in dims or []))


def data_or_random(data: str | None, dims: list[str] | None) -> Any:
    """Return what `open_data` takes: a path, or else random data.

    Raises:
        OptionError: sizes of random data were given beside a path.
    """
    if data is None:
        return RandomData(1, dims=dict(_dim(text) for text in dims or []))
    if dims:
        raise OptionError("--dim is given, but does nothing with --data; leave one of them out.")
    return data


def refuse_without(needed: str, given: bool, options: Mapping[str, object]) -> None:
    """Refuse options that would do nothing, as another one is not there.

    Args:
        needed: what they belong to, as it would be typed.
        given: whether that was given.
        options: flag -> value; None and empty lists were not given.

    Raises:
        OptionError: one was given without what it belongs to.
    """
    idle = [flag for flag, value in options.items() if value is not None and value != []]
    if idle and not given:
        raise OptionError(
            f"{idle[0]} is given, but does nothing without {needed}; leave it out, or give both."
        )


def refuse_with(other: str, options: Mapping[str, object]) -> None:
    """Refuse options that would do nothing beside another one.

    Args:
        other: the flag that leaves them without effect.
        options: flag -> value; None was not given.

    Raises:
        OptionError: one of them was given.
    """
    for flag, value in options.items():
        if value is not None:
            raise OptionError(
                f"{flag} is given, but does nothing with {other}; leave one of them out."
            )


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
        given["mean"] = numbers("--mean", mean)
    if std is not None:
        given["std"] = numbers("--std", std)
    if channels is not None:
        given["channel_order"] = channels
    if layout is not None:
        given["layout"] = layout
    return Preprocessing(**given) if given else None


def _dim(text: str) -> tuple[str, int]:
    name, _, size = text.partition("=")
    if not name or not (size.isascii() and size.isdigit()) or int(size) < 1:
        raise OptionError(f"--dim is {text!r}; give NAME=SIZE, for example height=224.")
    return name, int(size)


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
        raise OptionError(f"--size is {text!r}; give HEIGHTxWIDTH or one side in pixels.")
    return int(sides[0]), int(sides[-1])


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Return numbers that have commas between.

    Raises:
        OptionError: one is none; the option is named.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{option} is {text!r}; give numbers with commas between.") from None
