"""The example page in Chromium: its numbers are Python's, and it works by keyboard and offline.

`npm ci --ignore-scripts` in the folder web installs what builds the page; without it, without Node
or without Chromium these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM, Browser

from reluflow.graph import load
from reluflow.sessions import Session, open_session

WEB = Path(__file__).parents[2] / "web"
NODE = shutil.which("node")
SECONDS = 300
SHIPPED = {"clothes": "fashion_dsconv", "scenes": "fashion_scenes"}
RESULT = "reluflow.result()"

pytestmark = pytest.mark.skipif(
    NODE is None or CHROMIUM is None or not (WEB / "node_modules" / "esbuild").is_dir(),
    reason="Node, esbuild or Chromium is missing: npm ci --ignore-scripts in web",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the networks, the pictures and the page."""
    folder = tmp_path_factory.mktemp("page")
    page = ["--parts", str(folder), "--out", str(folder / "index.html")]
    for command in (
        [sys.executable, str(WEB / "make_parts.py"), "--out", str(folder)],
        [str(NODE), str(WEB / "build.mjs"), *page],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def page(built: Path, browser: Browser) -> Browser:
    """Return the page when it is ready."""
    browser.show(built / "index.html", 1280)
    assert browser.js(RESULT)["network"] == "clothes"
    return browser


def pictures(built: Path, network: str) -> list[np.ndarray]:
    parts = json.loads((built / "parts.json").read_text())
    return [
        np.frombuffer(base64.b64decode(each["grey"]), np.uint8)
        .reshape(1, 1, each["rows"], each["columns"])
        .astype(np.float32)
        / np.float32(255)
        for each in parts["pictures"]
        if each["network"] == network
    ]


@cache
def session_of(path: Path) -> Session:
    return open_session(load(path), threads=1, library=False)


def in_python(built: Path, network: str, image: np.ndarray, samples: int, seed: int) -> Any:
    """Return what ONNX Runtime for Python makes of the page's network: outputs by name."""
    session = session_of(built / f"{network}.onnx")
    own = {"samples": np.array(samples, np.int64), "seed": np.array(seed, np.int64)}
    return dict(zip(session.outputs, session.run({"image": image} | own), strict=True))


def choose(page: Browser, network: str, number: int) -> dict[str, Any]:
    """Click a network and one of its test pictures."""
    page.js(f"document.querySelector('input[value={network}]').click()")
    page.js(f"document.getElementById('samples').children[{number}].click()")
    found: dict[str, Any] = page.js(RESULT)
    return found


def slide(page: Browser, place: int) -> dict[str, Any]:
    page.js(
        "{const s = document.getElementById('samples-slider'); "
        f"s.value = {place}; s.dispatchEvent(new Event('input'));}}"
    )
    found: dict[str, Any] = page.js(RESULT)
    return found


def patterns(values: np.ndarray) -> int:
    bits = np.moveaxis(values[0], 0, -1).reshape(-1, values.shape[1]) > 0
    return len(np.unique(bits, axis=0))


@pytest.mark.parametrize(("network", "numbers"), [("clothes", range(10)), ("scenes", range(3))])
def test_nearest_mode_gives_the_numbers_of_python(
    network: str, numbers: range, page: Browser, built: Path
) -> None:
    slide(page, 0)
    images = pictures(built, network)
    assert len(images) == len(numbers)
    layers = json.loads((built / "parts.json").read_text())["networks"][network]["layers"]
    for number in numbers:
        found = choose(page, network, number)
        wanted = in_python(built, network, images[number], 0, 0)
        logits = np.array(found["logits"], np.float32).reshape(found["dims"])
        assert np.abs(logits - wanted["logits"]).max() <= 1e-5 * np.abs(wanted["logits"]).max()
        for layer in layers:
            if layer["relu"]:
                assert found["patterns"][layer["name"]] == patterns(wanted[layer["output"]])
    assert page.troubles() == []


def test_draws_are_those_of_python(page: Browser, built: Path) -> None:
    image = pictures(built, "clothes")[6]
    choose(page, "clothes", 6)
    for place, samples in ((1, 1), (3, 4), (7, 64)):
        slide(page, place)
        page.js("document.getElementById('redraw').click()")
        found = page.js(RESULT)
        assert found["samples"] == samples and found["seed"] > 0
        wanted = in_python(built, "clothes", image, samples, found["seed"])["logits"]
        assert np.abs(np.array([found["logits"]]) - wanted).max() <= 1e-5 * np.abs(wanted).max()
    slide(page, 0)
    assert page.js("document.getElementById('redraw').disabled") is True


def test_the_converted_network_itself_gives_these_numbers(page: Browser, built: Path) -> None:
    """Against the functions of the PSB file, without what the page adds to it."""
    from reluflow.graph import to_psb

    model = to_psb(load(f"models/{SHIPPED['clothes']}.onnx")).model
    session = open_session(model, threads=1, library=False)
    slide(page, 0)
    for number, image in enumerate(pictures(built, "clothes")[:3]):
        (wanted,) = session.run({"image": image})
        found = choose(page, "clothes", number)
        assert np.abs(np.array([found["logits"]]) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_what_is_shown_is_what_was_found(page: Browser) -> None:
    slide(page, 2)
    found = choose(page, "clothes", 7)
    shares = page.js("[...document.querySelectorAll('#bars .number')].map(e => e.textContent)")
    assert shares == [f"{100 * p:.1f} %" for p in found["probabilities"]]
    widths = page.js(
        "[...document.querySelectorAll('#bars li')].map(e => e.querySelector('.fill')"
        ".getBoundingClientRect().width / e.querySelector('.track').clientWidth)"
    )
    assert np.abs(np.array(widths) - found["probabilities"]).max() < 0.01
    text = page.js("document.body.innerText")
    assert "6.58M" in text and "3.29M" in text  # 2 shift-adds for each multiplication
    assert "simulation" in text
    choose(page, "scenes", 1)
    assert page.js("document.getElementById('maps').hidden") is False
    assert page.js("document.getElementById('entropy-map').width") == 48


def press(page: Browser, key: str, text: str = "") -> None:
    code = {" ": "Space"}.get(key, key)
    numbers = {"ArrowRight": 39, "ArrowDown": 40, " ": 32, "Tab": 9, "Enter": 13}
    more = {"text": text} if text else {}
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent",
            type=kind, key=key, code=code, windowsVirtualKeyCode=numbers[key], **more,
        )  # fmt: skip


def test_it_works_by_keyboard(page: Browser) -> None:
    slide(page, 0)
    choose(page, "clothes", 0)
    page.js("document.getElementById('clear').click()")
    empty = page.js(RESULT)["logits"]
    page.js("document.getElementById('picture').focus()")
    press(page, " ", " ")
    for _ in range(6):
        press(page, "ArrowRight")
    press(page, "ArrowDown")
    assert page.js(RESULT)["logits"] != empty
    assert page.js("document.getElementById('status').textContent") == "Ready"
    press(page, "Tab")
    assert page.js("document.activeElement.id") == "clear"
    press(page, "Enter", "\r")
    assert page.js(RESULT)["logits"] == empty
    seen = []
    for _ in range(20):
        press(page, "Tab")
        seen.append(page.js("document.activeElement.id || document.activeElement.textContent"))
    for wanted in ("file", "camera-button", "invert", "T-shirt/top", "samples-slider", "forget"):
        assert wanted in seen
    page.js("document.getElementById('samples-slider').focus()")
    press(page, "ArrowRight")
    press(page, "ArrowRight")
    assert page.js(RESULT)["samples"] == 2
    assert page.troubles() == []


def test_a_file_is_taken_in_and_another_is_refused_in_words(page: Browser) -> None:
    page.js("document.querySelector('input[value=clothes]').click()")
    before = page.js(RESULT)["logits"]
    give = """(async (type, name, make) => {
      const canvas = new OffscreenCanvas(56, 40);
      canvas.getContext('2d').fillStyle = '#fff';
      canvas.getContext('2d').fillRect(14, 8, 28, 24);
      const blob = make ? await canvas.convertToBlob() : new Blob(['no picture']);
      const transfer = new DataTransfer();
      transfer.items.add(new File([blob], name, {type}));
      document.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true}));
      await new Promise(done => setTimeout(done, 500));
    })"""
    page.js(f"{give}('image/png', 'box.png', true)")
    assert page.js(RESULT)["logits"] != before
    page.js(f"{give}('text/plain', 'notes.txt', false)")
    told = page.js("document.getElementById('status').textContent")
    assert told == "notes.txt is no picture that this browser reads; give a PNG or JPEG."
    assert page.troubles() == []


def test_the_camera_gives_pictures_until_it_is_stopped(built: Path, tmp_path: Path) -> None:
    fake = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
    chromium = Browser(tmp_path, *fake)
    button = "document.getElementById('camera-button')"
    try:
        chromium.show(built / "index.html", 390)
        before = chromium.js(RESULT)["logits"]
        chromium.js(f"{button}.click()")
        deadline = time.monotonic() + 60
        while (found := chromium.js(RESULT)["logits"]) == before:
            told = chromium.js("document.getElementById('status').textContent")
            assert time.monotonic() < deadline, told
        assert np.isfinite(found).all() and chromium.js(f"{button}.ariaPressed") == "true"
        assert chromium.js("document.documentElement.scrollWidth") <= 390
        chromium.js(f"{button}.click()")
        assert chromium.js(f"{button}.ariaPressed") == "false"
        still = [
            chromium.js(f"new Promise(done => setTimeout(done, 300)).then(() => {RESULT})")
            for _ in range(2)
        ]
        assert still[0]["logits"] == still[1]["logits"]
        assert chromium.troubles() == []
    finally:
        chromium.close()


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_it_fits_and_is_quiet(width: int, dark: bool, built: Path, browser: Browser) -> None:
    browser.show(built / "index.html", width, dark)
    assert browser.js(RESULT)["patterns"]
    for network in ("scenes", "clothes"):
        choose(browser, network, 1)
        assert browser.js("document.documentElement.scrollWidth") <= width
    shade = "rgb(16, 21, 28)" if dark else "rgb(246, 247, 249)"
    assert browser.js("getComputedStyle(document.body).backgroundColor") == shade
    assert browser.troubles() == []
