"""Pages of recordings, of checkpoints and the index in a real browser, wide and narrow."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_models
from chromium import Browser

import reluflow
from reluflow.patterns import PatternRecorder
from reluflow.report import write_index, write_recording_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports whose names are as long as names can be."""
    root = tmp_path_factory.mktemp("reports")
    models = [small_models.dense(shift=shift) for shift in range(12)]
    reluflow.compare_checkpoints(models, small_models.integers((40, 4)), root / "many")
    with PatternRecorder(root / "run") as recorder:
        for step in range(150):
            for site in ("a.very." + "long" * 30 + ".name", "fc2"):
                recorder.record(step, site, {"distance": step / 200, "patterns": step * 10**6})
    write_recording_page(root / "run")
    write_index(root)
    return root


@pytest.mark.parametrize("page", ["many/report.html", "run/recording.html", "index.html"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_trouble_and_no_sideways_scrolling(
    page: str, width: int, dark: bool, browser: Browser, folder: Path
) -> None:
    browser.show(folder / page, width, dark)
    assert browser.js("innerWidth") == width
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.troubles() == []
    shade = "rgb(16, 21, 28)" if dark else "rgb(246, 247, 249)"
    assert browser.js("getComputedStyle(document.body).backgroundColor") == shade


@pytest.mark.parametrize("dark", [False, True])
def test_a_table_fits_a_narrow_cell_in_the_colours_around_it(
    dark: bool, browser: Browser, tmp_path: Path
) -> None:
    report = reluflow.analyze(small_models.dense(), small_models.integers((50, 4)))
    page = tmp_path / "cell.html"
    style = "<meta name=viewport content='width=device-width'><style>:root{color-scheme:light dark}"
    page.write_text(f"<!doctype html>{style}</style>{report._repr_html_()}")
    for width in (390, 1280):
        browser.show(page, width, dark)
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.troubles() == []
    around = browser.js("getComputedStyle(document.body).color")
    assert browser.js("getComputedStyle(document.querySelector('td')).color") == around


def test_a_click_sorts_the_index(browser: Browser, tmp_path: Path) -> None:
    model = small_models.dense()
    for name, n in (("a", 9), ("b", 100), ("c", 20)):
        reluflow.analyze(model, small_models.integers((n, 4)), tmp_path / name)
    browser.show(write_index(tmp_path)[0], 1280)
    shown = "[...document.querySelectorAll('.links tbody a')].map((a) => a.textContent).join('')"
    assert browser.js(shown) == "abc"
    button = (
        "[...document.querySelectorAll('.links button')].find((b) => b.textContent == 'Inputs')"
    )
    browser.js(f"{button}.click()")
    assert browser.js(shown) == "acb"
    assert browser.js(f"{button}.closest('th').ariaSort") == "ascending"
    browser.js(f"{button}.click()")
    assert browser.js(shown) == "bca" and browser.troubles() == []
