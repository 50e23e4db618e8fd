"""Cells of a network on a plane: where its activation pattern stays the same."""

from reluflow.cells.exact import (
    MOST_CELLS,
    Counted,
    ExactCells,
    TooManyCellsError,
    count_cells,
    exact_cells,
    stream_cells,
)
from reluflow.cells.join import (
    Joined,
    Neighbours,
    activation_cells,
    affine_regions,
    centres_of,
    classes_of,
    decision_boundary,
    neighbours,
)
from reluflow.cells.lowering.walk import DECISION
from reluflow.cells.plane import Plane, plane_of_inputs, plane_through, random_plane
from reluflow.cells.raster import RasterCells, RasterSite, count_pieces, raster_cells
from reluflow.cells.summary import CellsReport, CellsSeries, SiteCells, sum_up_exact, sum_up_raster

__all__ = [
    "DECISION",
    "MOST_CELLS",
    "CellsReport",
    "CellsSeries",
    "Counted",
    "ExactCells",
    "Joined",
    "Neighbours",
    "Plane",
    "RasterCells",
    "RasterSite",
    "SiteCells",
    "TooManyCellsError",
    "activation_cells",
    "affine_regions",
    "centres_of",
    "classes_of",
    "count_cells",
    "count_pieces",
    "decision_boundary",
    "exact_cells",
    "neighbours",
    "plane_of_inputs",
    "plane_through",
    "random_plane",
    "raster_cells",
    "stream_cells",
    "sum_up_exact",
    "sum_up_raster",
]
