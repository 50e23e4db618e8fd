"""The figures of cells and evolution: what they count and draw, without the trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from evolution.cells import PLANE, cells_of, dense, measure, most_lines
from evolution.figures import FIGURES, values, zigzag
from evolution.pictures import (
    save_boxes,
    save_cells,
    save_depths,
    save_lines,
    save_points,
    save_positions,
)
from evolution.planes import PLANES, figure_8, figure_9
from evolution.runs import MADE, early_steps

from reluflow.cells import plane_through
from reluflow_torch import PatternCapture


def test_every_figure_is_there() -> None:
    assert [*PLANES] == [f"2.{n}" for n in range(4, 14)]
    assert [*FIGURES] == ["3.1", "3.2", "3.3", "3.4", "3.7"]


@pytest.mark.parametrize("name", MADE)
def test_a_network_of_depth_8_takes_small_grey_images(name: str) -> None:
    model = MADE[name](8)
    with PatternCapture(model) as capture:
        assert model(torch.randn(2, 1, 14, 14)).shape == (2, 10)
    assert len(capture.take()) == (4 if name == "PyramidNet" else 7)


def test_lines_bound_the_cells_of_one_layer() -> None:
    (few,) = cells_of(dense(1, 4, 0), side=200)
    assert few.labels.shape == (200, 200)
    assert few.count == len(np.unique(few.labels)) <= most_lines(4) == 11
    (through_one_point,) = cells_of(dense(1, 16, 0, bias=0.0), side=200)
    assert through_one_point.count == 32


def test_cells_of_a_normalised_layer_meet_at_the_mean_of_the_data() -> None:
    points = torch.randn(500, 2) + torch.tensor([-2.0, 1.0])
    net = dense(1, 8, 0, bias=0.0, norm=True)
    measure(net, points)
    with torch.no_grad():
        before = net[1](net[0](points.mean(0, keepdim=True)))
    assert before.abs().max().item() < 1e-5


def test_the_zig_zag_is_that_of_every_second_site() -> None:
    assert zigzag(np.array([0.0, 1.0, 0.0, 1.0, 0.0])) == 1.0
    assert zigzag(np.array([1.0, 0.0, 1.0, 0.0, 1.0])) == -1.0
    assert zigzag(np.arange(6.0)) == 0.0


def test_values_are_those_of_the_sites() -> None:
    rows = [
        {"step": step, "site": site, "patterns": step + number}
        for step in (0, 4)
        for number, site in enumerate(("mean", "a", "b"))
    ]
    steps, found = values(pa.Table.from_pylist(rows), "patterns")
    assert steps.tolist() == [0, 4] and found.tolist() == [[1, 2], [5, 6]]


def test_five_times_are_compared() -> None:
    assert early_steps() == (0, 1, 40, 94, 235)


def test_pictures_are_written(tmp_path: Path) -> None:
    cells = cells_of(dense(2, 4, 0), side=20)
    named = {"one": {"a": cells[0], "b": cells[1]}, "two": {"a": cells[1], "b": cells[0]}}
    plane = plane_through(np.eye(3), (-1, 2, -1, 2))
    at, band = np.arange(1.0, 6.0), np.full(5, 0.1)
    depths = {"start": {"net": {"8": (at / 5, band), "14": (at / 6, band)}}}
    paths = [
        save_cells(named, plane, tmp_path / "cells.png"),
        save_lines({"a": (at, at, band), "b": (at, 2 * at, None)}, tmp_path / "l.png", "x", "y"),
        save_lines({"a": (at, at, None)}, tmp_path / "log.png", "x", "y", log="xy"),
        save_boxes({"a": np.random.default_rng(0).random((9, 4)) + 1}, tmp_path / "b.png", "", ""),
        save_depths(depths, tmp_path / "d.png", "entropy"),
        save_positions([np.eye(4)] * 3, plane, tmp_path / "p.png"),
        save_points(np.eye(2), {"a": cells[0]}, PLANE, tmp_path / "points.png"),
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_figures_say_what_they_show(tmp_path: Path) -> None:
    none, one = figure_8(tmp_path)
    assert none["cells"] <= 2 * 128 < one["cells"]
    first, second, last = figure_9(tmp_path)
    assert first["cells"] > second["cells"] > last["cells"]
