"""The page of two passes: what it says, its files, and how it looks in a browser."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import Browser
from PIL import Image
from rich.console import Console

from reluflow.attention import Attended, RegionOptions, Tiling, attend_picture
from reluflow.cli import main
from reluflow.errors import OutputError
from reluflow.graph import load, to_psb
from reluflow.report import ATTEND_FILES, print_attended, write_attended

SHIPPED = Path(__file__).parents[3] / "models"
DATA = SHIPPED / "fashion_mnist_test_2000.npz"


@pytest.fixture(scope="module")
def found() -> Attended:
    model = load(SHIPPED / "fashion_dsconv.onnx")
    image = {"image": np.load(DATA)["image"][7:8]}
    options = RegionOptions("coverage", 0.3, 1)
    return attend_picture(
        to_psb(model).model, image, (1, 16), options, float_model=model, threads=1
    )


@pytest.fixture(scope="module")
def folder(found: Attended, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("attend")
    files = write_attended(found, made)
    assert tuple(path.name for path in files) == ATTEND_FILES
    return made


def test_the_files_hold_the_same(found: Attended, folder: Path) -> None:
    assert json.loads((folder / "attend.json").read_text()) == json.loads(
        json.dumps(found.to_dict())
    )
    for name in ("region.png", "errors.png"):
        with Image.open(folder / name) as picture:
            assert picture.width > 900 and picture.height > 200
    text = (folder / "attend.html").read_text()
    assert "theoretical shift-adds" in text and "measured ms" in text
    assert "the most unsure 30.0" in text and "with a margin of 1 pixel" in text
    assert "script" not in text.split("<body>")[1]


def test_the_terminal_names_theory_and_measurement(found: Attended) -> None:
    text = io.StringIO()
    print_attended(found, Console(file=text, width=160))
    for words in ("theoretical shift-adds", "measured ms", "pixels computed", "float32"):
        assert words in text.getvalue(), words


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(folder: Path, browser: Browser, width: int, dark: bool) -> None:
    browser.show(folder / "attend.html", width, dark)
    assert browser.js("document.documentElement.scrollWidth") <= width
    asked = [each for each in browser.troubles() if not each.startswith("data:image/png;base64,")]
    assert asked == [], "the page loads nothing but its own pictures"
    shown = browser.js("document.querySelector('picture img').currentSrc")
    light = browser.js("document.querySelector('picture img').src")
    assert (shown != light) == dark, "the pictures follow the scheme"


def test_without_classes_and_reasons_columns_are_left_out(found: Attended) -> None:
    from dataclasses import replace

    from reluflow.report.tables.attend_rows import answer_table, node_table

    mute = replace(
        found,
        answers=tuple(replace(each, classes=()) for each in found.answers),
        nodes=tuple(replace(each, reason="") for each in found.nodes),
    )
    assert len(answer_table(found)[0]) - len(answer_table(mute)[0]) == 2
    assert len(node_table(found)[0]) - len(node_table(mute)[0]) == 1
    for headings, rows in (answer_table(mute), node_table(mute)):
        assert {len(row) for row in rows} == {len(headings)}


def test_a_folder_that_cannot_be_written_is_said(found: Attended, tmp_path: Path) -> None:
    (tmp_path / "region.png").mkdir()
    with pytest.raises(OutputError, match=r"region\.png"):
        write_attended(found, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["region.png"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("", "give the picture with --image PATH."),
        ("--unsure often", "--unsure is 'often'; accepted are mean, quantile"),
        ("--unsure coverage", "--unsure is 'coverage' without its number; give"),
        ("--unsure coverage=2", "--unsure is 2.0; give rule 'coverage' a share from 0 to 1."),
        ("--unsure coverage=half", "--unsure is 'coverage=half'; give mean, or a rule"),
        ("--unsure mean=3", "--unsure is 'mean=3.0', but mean takes no number"),
        ("--margin -1", "--margin is -1 pixels; give"),
        ("--carry far", "--carry is 'far'; accepted are scaled, exact."),
        ("--samples 16", "--samples is '16'; give those of both passes"),
        ("--reading no", "--reading is 'no'; accepted are softmax"),
        ("--tensor nowhere", "--tensor is 'nowhere', which no node"),
        ("--number -1", "--number is -1, but the data have 2000 inputs"),
        ("--axis 1", "--axis is 1, but does nothing where the scores of pixels"),
    ],
)
def test_a_mistake_is_a_sentence_about_an_option(
    capsys: pytest.CaptureFixture[str], argv: str, sentence: str
) -> None:
    image = [] if not argv else ["--image", str(DATA)]
    assert main(["attend", str(SHIPPED / "fashion_dsconv.onnx"), *image, *argv.split()]) == 2
    assert sentence in capsys.readouterr().err


def test_a_wide_picture_in_tiles_has_its_panels_below_each_other(
    found: Attended, tmp_path: Path, browser: Browser
) -> None:
    from dataclasses import replace

    tiling = Tiling((64, 64), 4, 2, 1.5, 2**20)
    wide = replace(found, picture=np.zeros((28, 140, 3), np.uint8), tiling=tiling, samples=(4, 4))
    write_attended(wide, tmp_path)
    with Image.open(tmp_path / "region.png") as one, Image.open(tmp_path / "errors.png") as other:
        assert one.height / one.width > 0.5 > 28 / 140 and other.width > 900
    text = (tmp_path / "attend.html").read_text()
    assert "on this machine, one run, where" in text and "min-width:0" in text
    assert "one picture in two passes at 4 samples" in text
    browser.show(tmp_path / "attend.html", 390, False)
    assert browser.js("document.documentElement.scrollWidth") <= 390
    assert browser.js("document.querySelector('picture img').scrollWidth") <= 390


def test_the_halo_is_named(found: Attended) -> None:
    from dataclasses import replace

    from reluflow.report.tables.attend_rows import chosen

    for options, words in (
        (RegionOptions("absolute", 0.5, halo=3), "above 0.5 bits, and a halo of 3 pixels around;"),
        (
            RegionOptions(halo=1, margin=2),
            "a halo of 1 pixel around; .*, with a margin of 2 p",
        ),
        (RegionOptions("quantile", 0.9), "above the quantile 0.9; the same part"),
    ):
        assert re.search(words, chosen(replace(found, options=options)))
