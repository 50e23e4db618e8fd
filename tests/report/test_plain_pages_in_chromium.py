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
