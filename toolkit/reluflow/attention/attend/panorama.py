"""Two passes over a panorama in tiles, beside the dense pass and a reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reluflow.attention.attend.answers import all_answers, all_notes
from reluflow.attention.attend.picture import as_picture, smaller
from reluflow.attention.attend.record import BOTH, DENSE, FIRST, FLOAT, Attended, Cost, Tiling
from reluflow.attention.maps.find import open_map
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.prepare import Maker
from reluflow.attention.tiles.attention import SECOND, TiledAttention, attend_tiles
from reluflow.attention.tiles.keep import tell_apart
from reluflow.attention.tiles.run import TileOptions, pictures_of, run_tiles
from reluflow.attention.tiles.stages import Stages
from reluflow.errors import DataError
from reluflow.graph import Model, with_input_defaults
from reluflow.progress import Progress

Array = NDArray[Any]
Feeds = Mapping[str, Array]
_SHOWN = 1 << 20
"""Pixels of the picture on a page, at most."""
_RANK = 4
_PHASES = (
    ("region", "map and region"),
    ("again", "pass 1 again"),
    ("values", "values handed over"),
    (SECOND, "pass 2 in the region"),
)


@dataclass(frozen=True, eq=False, slots=True)
class Panorama:
    """What `attend_panorama` returns.

    Attributes:
        attended: what is shown of it.
        answers: output -> values after both passes.
        stages: holds the files in which answers lie, until it is told to finish.
    """

    attended: Attended
    answers: Mapping[str, Array]
    stages: Stages


def attend_panorama(
    model: Model,
    inputs: Feeds,
    samples: tuple[int, int] = (1, 16),
    options: RegionOptions | None = None,
    *,
    tiles: TileOptions | None = None,
    folder: Path | None = None,
    coarse: Model | None = None,
    half: bool = False,
    float_model: Model | None = None,
    tensor: str | None = None,
    axis: int | None = None,
    reading: str | None = None,
    progress: Progress | None = None,
) -> Panorama:
    """Run two passes over one panorama in tiles, and measure what they answer and cost.

    Answers, region and shares are those of `attend_picture`. Everything runs once, the dense pass 2
    and the float model in tiles, too; errors of layers are not computed.

    Args:
        model: a converted model of which no output depends on all pixels.
        inputs: input -> `(1, ...)`, memory-mapped ones too.
        samples: of pass 1 and of pass 2.
        options: how the region is chosen and carried; None: above the mean, scaled.
        tiles: memory limit, crop, seed, threads, native, and whether to resume.
        folder: keeps what is done when interrupted; None: arrays in memory.
        coarse: another form of the network for pass 1; None: the model itself.
        half: run it on the picture at half the side.
        float_model: what it was converted from; None: none.
        tensor: of `open_map`: which tensor has scores for each pixel; None: it is found.
        axis: of its channels; None: it is found.
        reading: how they are read; None: it is found.
        progress: called with the stage and the tiles done.

    Returns:
        What `attend_picture` returns, and the answers.

    Raises:
        ModelError: an output depends on all pixels or on the size of the picture.
        OptionError: an option is not accepted, or limit or crop are too small.
        DataError: there is more than one picture, or one that cannot be shown, or there is nothing
            to resume.
        OutputError: there is an interrupted run in the folder, but nobody asked to resume.
        Interrupted: Ctrl-C was pressed.

    Reference: docs/attention.md, panoramas.
    """
    how = tiles or TileOptions()
    ready = with_input_defaults(model).model
    first = None if coarse is None else with_input_defaults(coarse).model
    for name, shape in pictures_of(ready, inputs).items():
        if shape[0] != 1 or len(shape) > _RANK:
            raise DataError(
                f"input {name!r} is {list(shape)}; give one picture, with one or two axes of "
                "pixels."
            )
    shapes = {name: tuple(value.shape) for name, value in inputs.items()}
    maker = Maker(ready, first, half, None, how.threads, how.native)
    before, graph = maker.first(shapes)
    unsure = open_map(
        ready if first is None else first,
        before,
        tensor=tensor,
        axis=axis,
        reading=reading,
        graph=graph,
        threads=how.threads,
        native=how.native,
    )
    models = [each for each in (ready, first, float_model) if each is not None]
    told = samples, options, half, tensor, axis, reading, replace(how, resume=False)
    stages = Stages(folder, tell_apart(models, inputs, told), how.resume, progress)
    how = replace(how, resume=False)
    found = attend_tiles(
        ready,
        inputs,
        samples,
        options,
        coarse=first,
        half=half,
        unsure=unsure,
        options=how,
        stages=stages,
    )
    dense, dense_ms = _alone(stages, DENSE, ready, inputs, replace(how, samples=samples[1]))
    exact = None
    if float_model is not None:
        names = (spec.name for spec in float_model.inputs)
        given = dict(zip(names, inputs.values(), strict=True))
        exact, _ = _alone(stages, FLOAT, float_model, given, how)
    shown = next(name for name in inputs if name in found.graph.sizes)
    axes, run = found.graph.axes[shown], found.run
    assert run.unsure is not None
    attended = Attended(
        model=str(model.path or ""),
        picture=as_picture(smaller(inputs[shown], axes, _SHOWN), axes),
        samples=samples,
        options=options or RegionOptions(),
        source=unsure.sentence(),
        tensor=run.tensor,
        unsure=run.unsure[0],
        region=run.region[0],
        answers=tuple(all_answers(ready, run, dense, exact)),
        nodes=run.nodes,
        costs=tuple(_costs(found, stages, dense_ms)),
        layers=(),
        reference=DENSE if exact is None else FLOAT,
        notes=all_notes(run, found.graph, tuple(_notes(found, stages))),
        tiling=Tiling(
            found.crop, found.n_tiles, found.n_run, found.overhead, found.estimated_bytes
        ),
    )
    return Panorama(attended, run.answers, stages)


def answer_files(model: Model) -> dict[str, str]:
    """Return output -> name of the file for its values.

    Args:
        model: whose outputs they are.
    """
    files: dict[str, str] = {}
    for name in model.outputs:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        while f"{plain}.npy" in files.values():
            plain += "_"
        files[name] = f"{plain}.npy"
    return files


def _alone(
    stages: Stages, stage: str, model: Model, inputs: Feeds, options: TileOptions
) -> tuple[dict[str, Array], float | None]:
    """Return what a model answers in tiles, and its milliseconds, if it ran all of them."""
    took = []

    def go(files: Any, begun: bool, progress: Progress) -> dict[str, Array]:
        chosen = replace(options, resume=begun)
        found = run_tiles(model, inputs, files, options=chosen, progress=progress)
        took.append(1e3 * found.seconds)
        return dict(found.outputs)

    values = stages.run(stage, model.outputs, go)
    return values, None if stage in stages.earlier else sum(took)


def _costs(found: TiledAttention, stages: Stages, dense_ms: float | None) -> Iterator[Cost]:
    run, times = found.run, found.run.milliseconds
    known = None if FIRST in stages.earlier else times[FIRST]
    yield Cost(FIRST, run.first_shift_adds, known)
    total: float | None = known
    for phase, name in _PHASES:
        if phase not in times:
            continue
        partly = phase != "region" and SECOND in stages.earlier
        ms = None if partly else times[phase]
        total = None if total is None or ms is None else total + ms
        yield Cost(name, run.second_shift_adds if phase == SECOND else None, ms)
    if SECOND in stages.earlier:
        total = None
    yield Cost(BOTH, run.shift_adds, total)
    yield Cost(DENSE, run.dense_shift_adds, dense_ms)


def _notes(found: TiledAttention, stages: Stages) -> Iterator[str]:
    size = " x ".join(map(str, found.crop))
    yield (
        f"The picture was run in tiles: pass 2 ran {found.n_run} of {found.n_tiles}, of {size} "
        "pixels each, and pass 1 again in these. All tiles together have "
        f"{found.overhead:.2f} times the picture's pixels, as they overlap; shift-adds count each "
        "pixel once."
    )
    yield "Errors of layers are not computed for a picture in tiles."
    if stages.earlier:
        yield "Times are missing where an interrupted run had done a part."
