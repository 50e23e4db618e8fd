"""`run_tiles`: a picture of any size through a model, tile by tile, in bounded memory."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.passes import open_pass
from reluflow.attention.tiles.keep import open_kept, what_is_kept
from reluflow.attention.tiles.lattice import Read, check_part, find_lattice, part_of
from reluflow.attention.tiles.plan import Tile, TilePlan, plan_tiles
from reluflow.errors import DataError, Interrupted, ModelError, OptionError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model
from reluflow.progress import Progress

Feeds = Mapping[str, NDArray[Any]]
Paths = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]
_RANKS = (3, 4, 5)
"""Axes of an input with pixels."""
ROOM = 1.5
"""Bytes that a run takes for one byte of tensors needed at a time: kernels need some, too."""


@dataclass(frozen=True, slots=True)
class TileOptions:
    """Options of `run_tiles`.

    Attributes:
        memory_limit_bytes: of the tensors of a run, an estimate; weights, the picture itself and
            outputs in memory come on top.
        crop: pixels of a crop along each axis, rounded to what fits; None: by the memory limit.
        samples: of a converted model, one of 1, 2, 4, ..., 64; None for floating point.
        seed: of the draws.
        outputs: names of the outputs to compute, all of the model's by default.
        resume: go on where a run that was interrupted stopped; its files are in their place.
        threads: of ONNX Runtime; all by default.
        native: run the native library: always, never, or by default where available.

    Raises:
        OptionError: the limit is below 1.

    Example:
        >>> TileOptions(crop=(512, 512)).memory_limit_bytes == 2**30
        True
    """

    memory_limit_bytes: int = 2**30
    crop: tuple[int, ...] | None = None
    samples: int | None = None
    seed: int = 0
    outputs: tuple[str, ...] | None = None
    resume: bool = False
    threads: int | None = None
    native: bool | None = None

    def __post_init__(self) -> None:
        if self.memory_limit_bytes < 1:
            raise OptionError(
                f"memory_limit_bytes is {self.memory_limit_bytes}; give a positive number, for "
                "example 2**30."
            )


@dataclass(frozen=True, slots=True)
class TilesRun:
    """What `run_tiles` returns.

    Attributes:
        outputs: output -> its values for the whole picture, in a file where one was given.
        crop: pixels of every crop along each axis.
        n_tiles: number of tiles, those of an earlier run among them.
        n_resumed: tiles that an earlier run had done.
        overhead: pixels of all crops over those of the picture, at least 1.
        estimated_bytes: of the tensors of one crop, as the memory limit counts them.
        seconds: that the tiles of this run took.
    """

    outputs: Mapping[str, NDArray[Any]]
    crop: tuple[int, ...]
    n_tiles: int
    n_resumed: int
    overhead: float
    estimated_bytes: int
    seconds: float


def run_tiles(
    model: Model,
    inputs: Feeds,
    out: Paths | None = None,
    *,
    options: TileOptions | None = None,
    progress: Progress | None = None,
) -> TilesRun:
    """Run a model on a picture in tiles whose seams are exact.

    Every tile of the outputs is computed from the crop of the picture that its receptive field
    needs, at a place where all tensors move by whole pixels; what the crop's own border could have
    changed is not kept. So integer arithmetic gives the whole run's values bit for bit; floats
    differ from it where the runtime adds in another order for another size.

    Args:
        model: feed-forward, with height and width left free and outputs that have pixels.
        inputs: input -> array, memory-mapped ones too; those without pixels go to every tile.
        out: a file `.npy` for the only output, or one for each by name, written as tiles are done;
            None: arrays in memory.
        options: memory limit and the rest.
        progress: called with the tiles done.

    Returns:
        The outputs, and how the picture was cut.

    Raises:
        ModelError: an output depends on all pixels or on the size of the picture; the sentence
            names the node.
        OptionError: the memory limit or the crop is too small, an output is unknown, or samples do
            not fit the model.
        DataError: inputs do not fit the model, or the files are not those of an earlier run.
        Interrupted: Ctrl-C was pressed; files keep what was done.

    Example:
        >>> from reluflow.graph import load
        >>> import onnx.parser
        >>> model = load(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[1,1,H,W] x) => (float[1,1,A,B] y) <float[1,1,3,3] w = {1,1,1,1,1,1,1,1,1}>
        ...     { y = Conv <pads = [1,1,1,1]> (x, w) }'''))
        >>> picture = np.arange(1200, dtype=np.float32).reshape(1, 1, 20, 60)
        >>> found = run_tiles(model, {"x": picture}, options=TileOptions(crop=(20, 20)))
        >>> found.n_tiles, found.crop, found.outputs["y"].shape
        (4, (20, 20), (1, 1, 20, 60))

    Reference: docs/attention.md, panoramas.
    """
    options = options or TileOptions()
    plan, given, estimate = _planned(model, inputs, options)
    one = open_pass(
        model,
        options.samples,
        seeds=(options.seed,),
        threads=options.threads,
        native=options.native,
        arena=False,
    )
    ((session, extra),) = one.draws
    beside = {**{k: v for k, v in inputs.items() if k not in given}, **extra}
    chosen = (options.samples, options.seed, options.resume)
    kept = open_kept(model, inputs, out, plan, chosen)
    start = time.perf_counter()
    try:
        for number, tile in enumerate(plan.tiles):
            if progress is not None:
                progress("tiles", number, len(plan.tiles))
            if number < kept.n_done:
                continue
            found = run_arrays(session, {**crops_of(plan, inputs, tile), **beside})
            kept.add(tile, {name: found[name] for name in plan.lattice.outputs})
    except KeyboardInterrupt:
        raise Interrupted(what_is_kept(kept.n_done, len(plan.tiles), kept)) from None
    if progress is not None:
        progress("tiles", len(plan.tiles), len(plan.tiles))
    seconds = time.perf_counter() - start
    return TilesRun(
        kept.finish(),
        plan.crop,
        len(plan.tiles),
        kept.n_resumed,
        plan.overhead,
        estimate,
        seconds,
    )


def _planned(
    model: Model, inputs: Feeds, options: TileOptions
) -> tuple[TilePlan, dict[str, tuple[int, ...]], int]:
    """Return the plan, the shapes of the pictures, and the bytes that one crop takes."""
    given = pictures_of(model, inputs)
    outputs = options.outputs or model.outputs
    for name in outputs:
        if name not in model.outputs:
            raise OptionError(
                f"outputs hold {name!r}, which the model does not have; choose among "
                f"{', '.join(map(repr, model.outputs))}."
            )
    plan, estimate = plan_for(model, given, outputs, options.memory_limit_bytes, options.crop)
    return plan, given, estimate


def plan_for(
    model: Model,
    given: Mapping[str, tuple[int, ...]],
    outputs: Sequence[str],
    memory_limit_bytes: int,
    crop: Sequence[int] | None,
    read: Read | None = None,
    room: float = ROOM,
) -> tuple[TilePlan, int]:
    """Cut a picture, and check that every crop computes what the whole picture does.

    Args:
        model: what runs.
        given: input with pixels -> shape.
        outputs: that are wanted.
        memory_limit_bytes: of the tensors of a crop.
        crop: pixels of a crop along each axis; None: by the limit.
        read: as for `find_lattice`.
        room: bytes that a run takes for one byte of tensors.

    Returns:
        The plan, and an estimate of the bytes that the tensors of a crop take.

    Raises:
        ModelError: the model cannot run in tiles.
        OptionError: the limit or the crop is too small.
    """
    lattice = find_lattice(model, given, outputs, read)
    per_pixel = room * lattice.graph.live_bytes / math.prod(lattice.sizes)
    plan = plan_tiles(lattice, int(memory_limit_bytes / per_pixel), crop)
    part = part_of(model, lattice, given, plan.crop, read)
    for starts in {tile.starts for tile in plan.tiles}:
        if reason := check_part(lattice, part, starts):
            raise ModelError(
                f"the model cannot run in tiles, since {reason}; run it on the whole picture."
            )
    return plan, int(per_pixel * math.prod(plan.crop))


def pictures_of(model: Model, inputs: Feeds) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs that have pixels.

    Args:
        model: what runs.
        inputs: input -> array.

    Raises:
        DataError: there are none, or one has another number of axes.
        ModelError: the model is made for pictures of one size.
    """
    found = {}
    for spec in model.inputs:
        if spec.name not in inputs or spec.shape is None or len(spec.shape) not in _RANKS:
            continue
        shape = inputs[spec.name].shape
        if len(shape) != len(spec.shape):
            raise DataError(
                f"input {spec.name!r} is {list(shape)}, but the model takes {spec}; give an array "
                "of that shape."
            )
        if not any(not isinstance(size, int) for size in spec.shape[1:]):
            raise ModelError(
                f"input {spec.name!r} of the model is {spec}, of fixed height and width, so that "
                "no crop fits; export the model with both left free."
            )
        found[spec.name] = tuple(shape)
    if not found:
        taken = ", ".join(f"{spec.name!r} {spec}" for spec in model.inputs)
        raise DataError(
            f"inputs are {', '.join(map(repr, inputs)) or 'missing'}, but the model takes {taken}; "
            "give a picture by the name of its input."
        )
    return found


def crops_of(plan: TilePlan, inputs: Feeds, tile: Tile) -> dict[str, NDArray[Any]]:
    """Return the crops of all pictures for a tile.

    Args:
        plan: how the picture is cut.
        inputs: input -> array.
        tile: which crop.
    """
    lattice, found = plan.lattice, {}
    for name in lattice.inputs:
        parts = [slice(None)] * inputs[name].ndim
        for at, axis in enumerate(lattice.graph.axes[name]):
            begin = lattice.shift(name, at, tile.starts[at])
            less = lattice.shift(name, at, lattice.sizes[at] - plan.crop[at])
            parts[axis] = slice(begin, begin + inputs[name].shape[axis] - less)
        found[name] = np.ascontiguousarray(inputs[name][tuple(parts)])
    return found
