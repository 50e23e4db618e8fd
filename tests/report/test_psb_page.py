"""The page of an evaluation: what it says, and how it looks in a browser and on paper."""

import base64
import re
from pathlib import Path

import pytest
from chromium import Browser
from evaluation_models import dense_map, loud_channel, one_value

from reluflow.data import open_data
from reluflow.evaluation import EvaluationOptions, evaluate
from reluflow.graph import PsbOptions, load, to_psb
from reluflow.report import write_evaluation

CASES = {
    "map": lambda: dense_map(3),
    "loud": lambda: loud_channel(3000.0),
    "regression": lambda: one_value(noise=0.3),
}


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = CASES[request.param]()
    model = load(case.proto)
    result = evaluate(
        to_psb(model, PsbOptions()).model,
        open_data({"x": case.x}, model.inputs),
        case.labels if len(case.labels) else None,
        float_model=model,
        options=EvaluationOptions(samples=(1, 4, 16), seeds=2, threads=1, int8=True, sensitivity=1),
    )
    folder = tmp_path_factory.mktemp(request.param)
    write_evaluation(result, folder)
    return folder / "psb.html"


def test_it_says_how_the_output_was_read_and_what_went_wrong(page: Path) -> None:
    text = page.read_text()
    assert "is read as" in text and "SQNR of y, dB" in text
    assert ("does not fall with the number of samples" in text) == ("loud" in page.parent.name)
    assert "script" not in text.split("<body>")[1]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(page: Path, browser: Browser, width: int, dark: bool) -> None:
    browser.show(page, width, dark)
    assert browser.js("document.documentElement.scrollWidth") <= width
    asked = [each for each in browser.troubles() if not each.startswith("data:image/png;base64,")]
    assert asked == [], "the page loads nothing but its own pictures"
    shown = browser.js("document.querySelector('picture img').currentSrc")
    light = browser.js("document.querySelector('picture img').src")
    assert (shown != light) == dark, "the pictures follow the scheme"
    ink = browser.js("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ink))) < 60) == dark


def test_it_prints_on_two_sheets(page: Path, browser: Browser) -> None:
    browser.show(page, 1280, dark=True)
    printed = base64.b64decode(browser.call("Page.printToPDF")["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
