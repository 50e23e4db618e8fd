"""The page of cells in a real browser: pointing, zooming, colours, and no sideways scrolling."""

from __future__ import annotations

from pathlib import Path

import pytest
from celled.models import random_mlp
from chromium import Browser

from reluflow.cells import exact_cells, plane_through
from reluflow.report import write_cells
from reluflow.report.pictures.cells import pattern_colors

PLANE = plane_through([[0, 0], [1, 0], [0, 1]], (-2, 2, -2, 2))
CELLS = exact_cells(random_mlp([2, 8, 8, 3], 4), PLANE, classes=True)
SEND = """(name, x, y, more) => {
  const plane = document.getElementById('plane'), box = plane.getBoundingClientRect();
  const at = {clientX: box.left + x * box.width, clientY: box.top + y * box.height};
  const below = document.elementFromPoint(at.clientX, at.clientY);
  const event = name === 'wheel' ? WheelEvent : PointerEvent;
  below.dispatchEvent(new event(name, {bubbles: true, cancelable: true, ...at, ...more}));
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(CELLS, tmp_path_factory.mktemp("page"), title="a net")[2]


def send(browser: Browser, name: str, x: float, y: float, more: str = "{}") -> None:
    browser.js("document.getElementById('plane').scrollIntoView()")
    browser.js(f"({SEND})('{name}', {x}, {y}, {more})")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_scrolls_sideways_and_nothing_is_wrong(
    browser: Browser, page: Path, width: int
) -> None:
    browser.show(page, width)
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.querySelectorAll('#plane path[data-cell]').length") == len(CELLS)
    assert browser.js("document.getElementById('plane').getBoundingClientRect().height") > 200
    assert browser.troubles() == []


def test_pointing_reads_the_cell_below(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    send(browser, "pointermove", 0.5, 0.5)  # u = v = 0, where input 0 lies
    said = browser.js("document.getElementById('about').textContent")
    assert said.startswith("cell ") and "data points in it: 0" in said and "outputs = a u" in said
    assert browser.js("document.querySelectorAll('#plane path.on').length") == 1
    number = int(said.split()[1].rstrip(","))
    assert f"area {CELLS.areas[number]:.4g}" in said


def test_the_wheel_zooms_and_a_double_click_shows_all(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    view = "document.getElementById('plane').getAttribute('viewBox')"
    assert browser.js(view) == "-1 -1 2 2"
    send(browser, "wheel", 0.25, 0.25, "{deltaY: -400}")
    left, top, width, height = map(float, browser.js(view).split())
    assert width == height < 1
    held = [left + 0.25 * width, top + 0.25 * height]  # the point below the pointer
    assert held == pytest.approx([-0.5, -0.5], abs=0.01)  # which stands on a whole pixel
    browser.js("document.getElementById('plane').dispatchEvent(new MouseEvent('dblclick'))")
    assert browser.js(view) == "-1 -1 2 2"


def test_a_box_takes_a_switch_out_of_the_colours(browser: Browser, page: Path) -> None:
    browser.show(page, 1280)
    cells = "[...document.querySelectorAll('#plane path[data-cell]')]"
    colours = f"new Set({cells}.map(cell => cell.style.fill)).size"
    before = browser.js(colours)
    first = ["#%02x%02x%02x" % tuple(rgb) for rgb in pattern_colors(CELLS.keys[:, :2]).tolist()]  # noqa: UP031
    assert before == len(set(first))  # the colours of the picture
    browser.js("document.querySelector('input[data-switch=\"1\"]').click()")
    assert 1 < browser.js(colours) < before
