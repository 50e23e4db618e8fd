"""What is told of the cells of a plane: counts, sites and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from reluflow.cells.exact import ExactCells
from reluflow.cells.join import activation_cells, affine_regions, neighbours
from reluflow.cells.lowering.walk import DECISION
from reluflow.cells.raster import RasterCells, RasterSite
from reluflow.frames import Shown, SiteTable, Tabular, flat


@dataclass(frozen=True, slots=True)
class SiteCells:
    """The cells of one site.

    Attributes:
        name: of the site, or of another switch.
        patterns: distinct patterns of its units in the window.
        pieces: connected pieces of one pattern.

    Example:
        >>> SiteCells("relu", 3, 4).pieces
        4
    """

    name: str
    patterns: int
    pieces: int


@dataclass(frozen=True, slots=True, repr=False)
class CellsReport(SiteTable[SiteCells]):
    """The cells of a network in a window of a plane, in numbers.

    Attributes:
        kind: "exact" (polygons) or "raster" (a grid).
        model: its name.
        plane: the plane in words.
        window: least u, greatest u, least v, greatest v.
        pixels: width and height of the grid; None where the cells are exact.
        cells: connected pieces of one joint pattern of the sites.
        patterns: distinct joint patterns.
        polygons: convex polygons, on each of which the network is one affine map; None on a grid.
        affine_regions: adjacent polygons of one map joined; None on a grid, or where the cells end
            at a site.
        near: as in `ExactCells`; None on a grid, whose values have the rounding of float32.
        unmatched: as in `Neighbours`; None on a grid.
        nonfinite: as in `RasterCells`; None where the cells are exact.
        sites: of each site its own cells.
        notes: sentences that the reader should know.

    Example:
        >>> from reluflow.cells import exact_cells, random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> cells = exact_cells(load("models/fashion_resnet8.onnx"), plane)
        >>> sum_up_exact(cells).to_dict()["window"]
        (-0.005, 0.005, -0.005, 0.005)
    """

    kind: str
    model: str
    plane: str
    window: tuple[float, float, float, float]
    pixels: tuple[int, int] | None
    cells: int
    patterns: int
    polygons: int | None
    affine_regions: int | None
    near: int | None
    unmatched: int | None
    nonfinite: int | None
    sites: tuple[SiteCells, ...]
    notes: tuple[str, ...] = ()

    _shown: ClassVar[Shown] = {
        "site": ("name", "text"),
        "patterns": ("patterns", "count"),
        "pieces": ("pieces", "count"),
    }

    def _heading(self) -> str:
        grid = "" if self.pixels is None else " on a grid of {} x {}".format(*self.pixels)
        whole = "" if self.polygons is None else f", {self.polygons:,} polygons"
        return f"{self.model or 'model'}: {self.cells:,} cells{whole}{grid}, {self.plane}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, repr=False)
class CellsSeries(Tabular):
    """The cells of checkpoints of one network in one window, in numbers.

    Attributes:
        checkpoints: one report per checkpoint, in order.
        notes: sentences that the reader should know, besides those of the checkpoints.

    Example:
        >>> from reluflow.cells import exact_cells, random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> files = ("fashion_resnet8_epoch1", "fashion_resnet8")
        >>> series = CellsSeries(tuple(
        ...     sum_up_exact(exact_cells(load(f"models/{file}.onnx"), plane), model=file)
        ...     for file in files))
        >>> [report.model for report in series] == list(files)
        True
    """

    checkpoints: tuple[CellsReport, ...]
    notes: tuple[str, ...] = ()

    _shown: ClassVar[Shown] = {
        "checkpoint": ("model", "text"),
        "cells": ("cells", "count"),
        "patterns": ("patterns", "count"),
        "polygons": ("polygons", "count"),
        "affine regions": ("affine_regions", "count"),
    }

    def _heading(self) -> str:
        first = self.checkpoints[0]
        grid = "" if first.pixels is None else ", on a grid of {} x {}".format(*first.pixels)
        return f"cells of {len(self.checkpoints)} checkpoints{grid}, {first.plane}"

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(each) for each in self.checkpoints]

    def _sentences(self) -> Sequence[str]:
        own = (note for each in self.checkpoints for note in each.notes)
        return list(dict.fromkeys((*self.notes, *own)))

    def __iter__(self) -> Iterator[CellsReport]:
        """Go through the checkpoints, in order."""
        return iter(self.checkpoints)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)


def sum_up_exact(
    cells: ExactCells,
    switches: tuple[str, ...] | None = None,
    *,
    model: str = "",
    plane: str = "",
) -> CellsReport:
    """Return the numbers of exact cells.

    Args:
        cells: from `exact_cells`.
        switches: names; all but the decision by default.
        model: its name.
        plane: the plane in words.

    Raises:
        OptionError: no switch has such a name.

    Example:
        >>> from reluflow.cells import exact_cells, random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28), window=(-0.005, 0.005, -0.005, 0.005))
        >>> found = sum_up_exact(exact_cells(load("models/fashion_resnet8.onnx"), plane))
        >>> found.kind, len(found.sites), found.polygons == found.cells, found.near
        ('exact', 7, True, 0)
    """
    known = neighbours(cells)
    names = switches or tuple(name for name in cells.switches if name != DECISION)
    joint = activation_cells(cells, names, known).count
    chosen = [cells.switches.index(name) for name in names]
    sites = []
    for name, index in zip(names, chosen, strict=True):
        pieces = activation_cells(cells, [name], known).count
        sites.append(SiteCells(name, len(np.unique(cells.keys[:, index], axis=0)), pieces))
    flat = cells.keys[:, chosen].reshape(len(cells), -1)
    return CellsReport(
        kind="exact",
        model=model,
        plane=plane,
        window=cells.plane.window,
        pixels=None,
        cells=joint,
        patterns=len(np.unique(flat, axis=0)),
        polygons=len(cells),
        affine_regions=affine_regions(cells, known).count if cells.maps.shape[1] else None,
        near=cells.near,
        unmatched=known.unmatched,
        nonfinite=None,
        sites=tuple(sites),
        notes=cells.notes,
    )


def sum_up_raster(cells: RasterCells, *, model: str = "", plane: str = "") -> CellsReport:
    """Return the numbers of cells on a grid.

    Args:
        cells: from `raster_cells`.
        model: its name.
        plane: the plane in words.

    Example:
        >>> from reluflow.cells import random_plane, raster_cells
        >>> from reluflow.graph import load
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), random_plane((1, 28, 28)), width=8, height=8)
        >>> sum_up_raster(found).pixels, sum_up_raster(found).patterns
        ((8, 8), 64)
    """
    height, width = cells.together.labels.shape

    def site(each: RasterSite) -> SiteCells:
        return SiteCells(each.name, each.patterns, each.pieces)

    return CellsReport(
        kind="raster",
        model=model,
        plane=plane,
        window=cells.plane.window,
        pixels=(width, height),
        cells=cells.together.pieces,
        patterns=cells.together.patterns,
        polygons=None,
        affine_regions=None,
        near=None,
        unmatched=None,
        nonfinite=cells.nonfinite,
        sites=tuple(site(each) for each in cells.sites),
        notes=cells.notes,
    )
