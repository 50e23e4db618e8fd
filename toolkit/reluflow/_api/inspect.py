"""The switch sites of a model, and its cells on a plane of inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs_beside
from reluflow.analysis import Inspection, inspect_model
from reluflow.cells import (
    CellsReport,
    CellsSeries,
    ExactCells,
    Plane,
    RasterCells,
    TooManyCellsError,
    exact_cells,
    plane_of_inputs,
    plane_through,
    random_plane,
    raster_cells,
    sum_up_exact,
    sum_up_raster,
)
from reluflow.data import Preprocessing, open_data
from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, find_sites, load_apart, read_program
from reluflow.progress import Progress
from reluflow.report import (
    ANIMATION_FILES,
    CELLS_FILES,
    RASTER_FILES,
    frame_of,
    write_animation,
    write_cells,
    write_raster,
)
from reluflow.report.pages.cells import MOST_ON_PAGE
from reluflow.sessions import check_threads

PLANES = ("auto", "inputs", "data", "random")
"""What a plane may go through."""
PIXELS = 500
"""Side of the grid where no polygons can be had (thesis 2.2.3)."""
_MOST_PIXELS = 4096
_COORDINATES, _CORNERS, _BOUNDS = 2, 3, 4
"""Numbers of a model's input that is a plane itself, points of a plane, numbers of a window."""
Window = tuple[float, float, float, float]
_TWO = 2


@dataclass(frozen=True, slots=True)
class _Ways:
    """How cells are found, as in `find_cells`."""

    sites: Sequence[str] | None
    classes: bool
    raster: int | None
    batch_statistics: bool
    threads: int | None
    progress: Progress | None


def inspect(model: Any, *, smooth: bool = False) -> Inspection:
    """Return the switch sites of a model and its facts, without running it.

    Args:
        model: as for `analyze`.
        smooth: also count Gelu, Silu, Elu, ... as switches at 0.

    Returns:
        `sites` in graph order, `left_out` with reasons, other `folds` at 0, and the `model`.

    Raises:
        ModelError: the model cannot be read.

    Example:
        >>> import reluflow
        >>> found = reluflow.inspect("models/fashion_resnet8.onnx")
        >>> len(found.sites), found.sites[0].op, found.sites[0].units
        (7, 'Relu', 16)
        >>> found.model.n_parameters, sorted(found.to_dict())
        (78426, ['left_out', 'model', 'notes', 'other_folds', 'sites'])
    """
    return inspect_model(load_apart(model), smooth=smooth)


def find_cells(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    plane: str = "auto",
    data: Any = None,
    points: Sequence[int] | None = None,
    seed: int | None = None,
    window: Sequence[float] | None = None,
    sites: Sequence[str] | None = None,
    classes: bool = False,
    raster: int | None = None,
    batch_statistics: bool = False,
    preprocessing: Preprocessing | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CellsReport:
    """Find the cells of a model on a plane of inputs: where its activation pattern stays the same.

    They are exact polygons where the model is piecewise linear and the window has 20,000 at most,
    and else those of a grid, which the notes say.

    Args:
        model: as for `analyze`, with one input.
        out: folder for the pictures, the page and the numbers; None writes nothing.
        plane: "inputs" (the model reads two numbers), "data" (through three inputs, which lie at
            (0, 0), (1, 0) and (0, 1)), "random" (two random directions of length 1), or "auto": the
            first of them that there is.
        data: as for `analyze`.
        points: numbers of inputs in the data, from 0: the three of the plane, those to mark on a
            plane of inputs, or the one that a random plane goes through instead of zeros.
        seed: of a random plane; 0 by default.
        window: least u, greatest u, least v, greatest v; by default -5 to 5 both ways, or the three
            points with a margin.
        sites: names; all by default. Exact cells end at the last of them.
        classes: also cut by which output is the greatest.
        raster: a grid of so many pixels each way instead of polygons.
        batch_statistics: normalise by the statistics of the grid.
        preprocessing: of images.
        threads: number of threads; one per processor by default.
        progress: called as progress(stage, done, in all).

    Returns:
        The numbers of cells, of each site and of all together.

    Raises:
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:3]
        >>> found = reluflow.find_cells("models/fashion_resnet8.onnx", data=images, raster=20)
        >>> found.kind, found.plane, found.pixels, len(found.sites)
        ('raster', 'through inputs 0, 1 and 2', (20, 20), 7)

    Reference: thesis 2.2; docs/spec.md, section 4.
    """
    check_threads(threads)
    _check_ways(raster, classes, batch_statistics)
    loaded = load_apart(model)
    keep_inputs_beside(out, (*CELLS_FILES, *RASTER_FILES), loaded, data)
    with locked(out):
        chosen, words = _plane(loaded, plane, data, points, seed, window, preprocessing)
        ways = _Ways(sites, classes, raster, batch_statistics, threads, progress)
        notes: list[str] = []
        if raster is None:
            try:
                found = _polygons(loaded, chosen, ways)
            except (ModelError, TooManyCellsError) as error:
                notes += _instead(error, ways)
            else:
                return _exact(found, sites, loaded, words, out)
        on_grid = _grid(loaded, chosen, ways)
        report = sum_up_raster(on_grid, model=_name(loaded), plane=words)
        report = replace(report, notes=(*notes, *report.notes))
        if out is not None:
            write_raster(on_grid, out, title=_name(loaded), report=report)
        return report


def animate_cells(
    models: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    plane: str = "auto",
    data: Any = None,
    points: Sequence[int] | None = None,
    seed: int | None = None,
    window: Sequence[float] | None = None,
    sites: Sequence[str] | None = None,
    classes: bool = False,
    raster: int | None = None,
    batch_statistics: bool = False,
    seconds: float = 0.5,
    preprocessing: Preprocessing | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CellsSeries:
    """Find the cells of checkpoints in one window, and animate them: a pattern keeps its colour.

    All are exact polygons, or, where one of them cannot be, all are on a grid.

    Args:
        models: two or more, each as for `find_cells`, in order of training; or a folder, whose ONNX
            files are taken in order of their names, numbers in them by their size.
        out: folder for the GIF, the WebP and the numbers; None writes nothing.
        plane: as for `find_cells`, of the first model.
        data: as for `find_cells`.
        points: as for `find_cells`.
        seed: as for `find_cells`.
        window: as for `find_cells`.
        sites: as for `find_cells`.
        classes: as for `find_cells`.
        raster: as for `find_cells`.
        batch_statistics: as for `find_cells`.
        seconds: that each checkpoint is shown.
        preprocessing: as for `find_cells`.
        threads: as for `find_cells`.
        progress: as for `find_cells`.

    Returns:
        The numbers of cells of each checkpoint.

    Raises:
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:3]
        >>> files = ["models/fashion_resnet8_epoch1.onnx", "models/fashion_resnet8.onnx"]
        >>> series = reluflow.animate_cells(files, data=images, raster=20)
        >>> [report.model for report in series]
        ['fashion_resnet8_epoch1.onnx', 'fashion_resnet8.onnx']

    Reference: thesis 2.2.4, Fig. 2.12.
    """
    check_threads(threads)
    _check_ways(raster, classes, batch_statistics)
    loaded = [load_apart(model) for model in _checkpoints(models)]
    keep_inputs_beside(out, ANIMATION_FILES, *loaded, data)
    with locked(out):
        chosen, words = _plane(loaded[0], plane, data, points, seed, window, preprocessing)
        ways = _Ways(sites, classes, raster, batch_statistics, threads, progress)
        notes: list[str] = []
        shown: list[tuple[CellsReport, Any]] = []
        if raster is None:
            try:
                shown = [_shown(model, chosen, words, ways, exact=True) for model in loaded]
            except (ModelError, TooManyCellsError) as error:
                notes += _instead(error, ways)
        shown = shown or [_shown(model, chosen, words, ways, exact=False) for model in loaded]
        series = CellsSeries(tuple(report for report, _ in shown), tuple(notes))
        if out is not None:
            write_animation([frame for _, frame in shown], out, series, seconds=seconds)
        return series


def _checkpoints(models: Any) -> list[Any]:
    """Return the models in order; those of a folder by their names, numbers by their size."""
    if isinstance(models, str | os.PathLike):
        folder = Path(models)
        if not folder.is_dir():
            raise OptionError(
                f"models is {os.fspath(models)!r}, one file; give two or more, or a folder of them."
            )
        found: list[Any] = sorted(folder.glob("*.onnx"), key=_by_numbers)
    else:
        found = list(models)
    if len(found) < _TWO:
        raise OptionError(
            f"there are {len(found)} checkpoints to animate; give two or more ONNX files, or a "
            "folder of them."
        )
    return found


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _shown(
    model: Model, plane: Plane, words: str, ways: _Ways, *, exact: bool
) -> tuple[CellsReport, Any]:
    """Return the numbers of one checkpoint and its picture."""
    cells: ExactCells | RasterCells
    if exact:
        cells = _polygons(model, plane, ways)
        names = tuple(ways.sites) if ways.sites else None
        report = sum_up_exact(cells, names, model=_name(model), plane=words)
    else:
        cells = _grid(model, plane, ways)
        report = sum_up_raster(cells, model=_name(model), plane=words)
    return report, frame_of(cells, report, _name(model))


def _instead(error: Exception, ways: _Ways) -> list[str]:
    """Return the sentences that say why there are no polygons."""
    notes = [f"A grid instead of exact polygons: {str(error).rstrip('.')}."]
    return [*notes, "A grid has no decision boundary."] if ways.classes else notes


def _polygons(model: Model, plane: Plane, ways: _Ways) -> ExactCells:
    return exact_cells(
        model,
        plane,
        until=None if ways.classes else _last(model, ways.sites),
        classes=ways.classes,
        threads=ways.threads or len(os.sched_getaffinity(0)),
        most=MOST_ON_PAGE,
        progress=ways.progress,
    )


def _grid(model: Model, plane: Plane, ways: _Ways) -> RasterCells:
    return raster_cells(
        model,
        plane,
        sites=ways.sites,
        width=ways.raster or PIXELS,
        height=ways.raster or PIXELS,
        batch_statistics=ways.batch_statistics,
        threads=ways.threads,
        progress=ways.progress,
    )


def _exact(
    found: ExactCells, sites: Sequence[str] | None, model: Model, words: str, out: Any
) -> CellsReport:
    report = sum_up_exact(found, tuple(sites) if sites else None, model=_name(model), plane=words)
    if out is not None:
        write_cells(found, out, title=_name(model), report=report)
    return report


def _name(model: Model) -> str:
    return "<memory>" if model.path is None else model.path.name


def _check_ways(raster: int | None, classes: bool, batch_statistics: bool) -> None:
    """Refuse a grid that cannot be, and what only one of the two ways has."""
    if raster is None:
        if batch_statistics:
            raise OptionError(
                "batch_statistics is set, but does nothing without raster; leave it out, or give "
                "both."
            )
        return
    if isinstance(raster, bool) or not isinstance(raster, int) or not 0 < raster <= _MOST_PIXELS:
        raise OptionError(f"raster is {raster!r}; give a whole number from 1 to {_MOST_PIXELS}.")
    if classes:
        raise OptionError(
            "classes is set, but does nothing with raster, which has no decision boundary; leave "
            "one of them out."
        )


def _last(model: Model, sites: Sequence[str] | None) -> str | None:
    """Return the last of some sites in graph order."""
    if not sites:
        return None
    order = [step.name for step in read_program(model).operations]
    missing = [name for name in sites if name not in order]
    if missing:
        known = ", ".join(site.name for site in find_sites(model))
        raise OptionError(f"sites names {missing[0]!r}, which is no site; give some of {known}.")
    return max(sites, key=order.index)


def _plane(
    model: Model,
    kind: str,
    data: Any,
    points: Sequence[int] | None,
    seed: int | None,
    window: Sequence[float] | None,
    preprocessing: Preprocessing | None,
) -> tuple[Plane, str]:
    """Return the plane that is asked for, and its description."""
    if kind not in PLANES:
        raise OptionError(f"plane is {kind!r}; give one of {', '.join(PLANES)}.")
    if len(model.inputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs, and a plane lies in the space of one; give "
            "a model with one input."
        )
    shape = tuple((model.inputs[0].shape or ())[1:])
    flat = shape == (_COORDINATES,)
    if kind == "auto":
        kind = "inputs" if flat else "random" if data is None else "data"
    if data is None and (points is not None or preprocessing is not None):
        what = "points are" if points is not None else "preprocessing was"
        raise OptionError(f"{what} given, but do nothing without data; leave them out.")
    if kind != "random" and seed is not None:
        raise OptionError(
            f"seed is {seed}, but does nothing on plane {kind!r}; leave it out, or give plane "
            "'random'."
        )
    bounds = _window(window)
    if kind == "data":
        if data is None:
            raise OptionError("plane is 'data', but there are no data; give three inputs.")
        numbers = list(range(_CORNERS)) if points is None else list(points)
        if len(numbers) != _CORNERS:
            raise OptionError(f"points are {numbers}; give the numbers of three inputs.")
        first, second, third = numbers
        rows = _rows(model, data, numbers, preprocessing)
        return plane_through(rows, bounds), f"through inputs {first}, {second} and {third}"
    more: dict[str, Any] = {} if bounds is None else {"window": bounds}
    if kind == "inputs":
        if not flat:
            raise OptionError(
                f"plane is 'inputs', but the model reads {model.inputs[0]}, not two numbers; give "
                "plane 'random' or plane 'data'."
            )
        found = plane_of_inputs(**more)
        if data is None:
            return found, "its two inputs"
        marked = list(range(_CORNERS)) if points is None else list(points)
        rows = _rows(model, data, marked, preprocessing)
        numbers_told = ", ".join(map(str, marked))
        return replace(found, points=rows), f"its two inputs, with inputs {numbers_told} marked"
    if not all(isinstance(size, int) for size in shape) or not shape:
        raise OptionError(
            f"plane is 'random', but the model reads {model.inputs[0]}, of no fixed size; give "
            "three inputs as data, and plane 'data'."
        )
    origin, start = None, "zeros"
    if data is not None:
        numbers = [0] if points is None else list(points)
        if len(numbers) != 1:
            raise OptionError(
                f"points are {numbers}; give one input, which a random plane goes through."
            )
        [origin] = _rows(model, data, numbers, preprocessing)
        start = f"input {numbers[0]}"
    made = random_plane(
        [int(size) for size in shape if size is not None], seed=seed or 0, origin=origin, **more
    )
    return made, f"random (seed {seed or 0}) through {start}"


def _window(window: Sequence[float] | None) -> Window | None:
    if window is None:
        return None
    given = [float(bound) for bound in window]
    if len(given) != _BOUNDS:
        raise OptionError(f"window is {given}; give least u, greatest u, least v and greatest v.")
    u0, u1, v0, v1 = given
    return u0, u1, v0, v1


def _rows(
    model: Model, data: Any, numbers: Sequence[int], preprocessing: Preprocessing | None
) -> Any:
    """Return inputs of the data by their numbers, `(n, ...)` float64."""
    source = open_data(data, model.inputs, preprocessing=preprocessing)
    [rows] = source.take(numbers).values()
    return np.asarray(rows, np.float64)
