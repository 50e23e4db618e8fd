"""Pictures and the page of cells: one pattern has one colour, and all is on the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from celled.models import random_mlp
from PIL import Image

from reluflow.cells import exact_cells, plane_of_inputs, plane_through, raster_cells
from reluflow.errors import OptionError
from reluflow.report import draw_cells, draw_raster, write_cells
from reluflow.report.pages import cells as page_module
from reluflow.report.pictures.cells import pattern_colors

MODEL = random_mlp([2, 8, 8, 3], 4)
PLANE = plane_through([[0, 0], [1, 0], [0, 1]], (-2, 2, -2, 2))


def data_of(page: Path) -> dict[str, list[object]]:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    made: dict[str, list[object]] = json.loads(found[1])
    return made


def test_a_pattern_has_its_colour_on_the_grid_and_in_the_polygons() -> None:
    cells = exact_cells(MODEL, PLANE)
    raster = raster_cells(MODEL, PLANE, width=20, height=20)
    for i, site in enumerate(raster.sites):
        known = {
            key.tobytes(): tuple(color)
            for key, color in zip(
                cells.keys[:, i], pattern_colors(cells.keys[:, [i]]).tolist(), strict=True
            )
        }
        for key, color in zip(site.keys, pattern_colors(site.keys[:, None]).tolist(), strict=True):
            assert known[key.tobytes()] == tuple(color)


def test_the_page_has_every_cell_and_loads_nothing(tmp_path: Path) -> None:
    cells = exact_cells(MODEL, PLANE, classes=True)
    files = write_cells(cells, tmp_path / "made", title="a <net>")
    assert [path.name for path in files] == ["cells.png", "cells.svg", "cells.html", "cells.json"]
    text = files[2].read_text(encoding="utf-8")
    assert "a &lt;net&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    data = data_of(files[2])
    assert len(data["polygons"]) == len(data["about"]) == len(data["shades"]) == len(cells)
    assert sum("data points in it: 0" in str(each) for each in data["about"]) >= 1
    assert len(data["boundary"]) > 0
    assert len(set(data["palette"])) > 2000


def test_the_page_is_refused_where_a_browser_would_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "MOST_ON_PAGE", 3)
    with pytest.raises(OptionError, match="a page shows 3 cells at most"):
        write_cells(exact_cells(MODEL, PLANE), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_picture_shows_the_switches_chosen(tmp_path: Path) -> None:
    cells = exact_cells(MODEL, plane_of_inputs())
    pictures = [
        np.asarray(Image.open(draw_cells(cells, tmp_path / f"{name}.png", switches=[name])))
        for name in cells.switches
    ]
    assert (pictures[0] != pictures[1]).any()
    with pytest.raises(OptionError, match="there is no switch 'r9'"):
        draw_cells(cells, tmp_path / "x.png", switches=["r9"])
    raster = raster_cells(MODEL, plane_of_inputs(), width=9, height=9)
    assert draw_raster(raster.sites[0], raster.plane, tmp_path / "g.svg").stat().st_size > 1000
