"""The page in a real browser: no error, no request, no horizontal scrolling, everything works."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest
from chromium import Browser

from reluflow.report import write_html

PAGES = [
    "resnet8",
    "resnet50",
    "one_site",
    "deep160",
    "hostile",
    "empty",
    "comparison",
    "comparison_hostile",
]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_error_no_request_and_no_sideways_scrolling(
    name: str, width: int, browser: Browser, build: dict[str, Any], tmp_path: Path
) -> None:
    write_html(build[name](), tmp_path / "r.html")
    browser.show(tmp_path / "r.html", width)
    browser.js("document.getElementById('open-all')?.click()")
    browser.js("new Promise(done => setTimeout(done, 50))")
    assert browser.js("innerWidth") == width
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.troubles() == []


def test_the_checks_see_what_they_look_for(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        "<div style='width:2000px'>x</div><link rel=stylesheet href=none.css>"
        "<script>console.error('a'); nothing.here</script>"
    )
    browser.show(tmp_path / "bad.html", 1280)
    assert browser.js("document.documentElement.scrollWidth") > 1280
    troubles = "\n".join(browser.troubles())
    for wanted in ("none.css", "ReferenceError", '"value": "a"'):
        assert wanted in troubles


def test_the_picture_of_the_page_is_not_blank(
    browser: Browser, build: dict[str, Any], tmp_path: Path
) -> None:
    from PIL import Image

    write_html(build["resnet8"](), tmp_path / "r.html")
    darkness = []
    for dark in (False, True):
        browser.show(tmp_path / "r.html", 1280, dark)
        browser.picture(tmp_path / "r.png")
        image = Image.open(tmp_path / "r.png").convert("L")
        assert image.width == 1280
        assert image.height > 2000
        (low, high) = cast(tuple[int, int], image.getextrema())
        assert high - low > 200
        darkness.append(cast(int, image.resize((1, 1)).getpixel((0, 0))))
    assert darkness[0] > 190
    assert darkness[1] < 70


def test_strips_are_drawn_and_hold_every_unit(
    browser: Browser, build: dict[str, Any], tmp_path: Path
) -> None:
    report = build["resnet8"]()
    write_html(report, tmp_path / "r.html")
    browser.show(tmp_path / "r.html", 1280)
    browser.js("document.querySelector('#site-4 > details').open = true")
    browser.js("document.getElementById('open-all').click()")
    deadline = time.monotonic() + 10
    cells = "document.querySelectorAll('#site-4 .bits')[0]?.querySelector('.on')?.getAttribute('d')"
    while not browser.js(cells):
        assert time.monotonic() < deadline, "nothing was drawn"
    on = browser.js(f"{cells}.match(/M/g).length")
    assert on == report.sites[3].top[0].bits.count("1")
    units = browser.js(
        "[...document.querySelectorAll('#site-4 .units path')]"
        ".map(p => [p.style.fill, p.getAttribute('d').match(/M/g).length])"
    )
    assert sum(n for _, n in units) == 64
    assert dict(units)["var(--red)"] == 12


def test_the_table_sorts_and_the_list_filters(
    browser: Browser, build: dict[str, Any], tmp_path: Path
) -> None:
    report = build["resnet8"]()
    write_html(report, tmp_path / "r.html")
    browser.show(tmp_path / "r.html", 1280)
    column = "[...document.querySelectorAll('tbody tr')].map(r => Number(r.cells[4].dataset.v))"
    patterns = [site.patterns for site in report.sites]
    click = "document.querySelectorAll('thead button')[4].click()"
    assert browser.js(column) == patterns
    browser.js(click)
    assert browser.js(column) == sorted(patterns, reverse=True)
    browser.js(click)
    assert browser.js(column) == sorted(patterns)
    browser.js(
        "f = document.getElementById('filter'); f.value = 'stage1';"
        "f.dispatchEvent(new Event('input'))"
    )
    assert browser.js("document.getElementById('shown').textContent") == "2 of 9 sites"
    assert browser.js("document.querySelectorAll('.flow > li:not([hidden])').length") == 2


def test_arrow_keys_read_a_chart(browser: Browser, build: dict[str, Any], tmp_path: Path) -> None:
    write_html(build["resnet8"](), tmp_path / "r.html")
    browser.show(tmp_path / "r.html", 1280)
    browser.js("document.querySelector('.plot').focus()")
    for _ in range(4):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
    assert "/stage1/relu1/Relu" in browser.js("document.getElementById('tip').textContent")
    assert browser.js("document.querySelectorAll('.cursor:not([hidden])').length") > 4
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter")
    assert browser.js("location.hash") == "#site-4"
    assert browser.js("document.querySelector('#site-4 > details').open") is True
    assert browser.js("document.getElementById('tip').hidden") is True


def test_hostile_names_do_not_run(browser: Browser, build: dict[str, Any], tmp_path: Path) -> None:
    write_html(build["hostile"](), tmp_path / "r.html")
    browser.show(tmp_path / "r.html", 1280)
    browser.js("document.querySelector('.plot').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
    assert "<script>alert(1)</script>" in browser.js("document.getElementById('tip').textContent")
    assert browser.js("document.querySelectorAll('#tip script, main script').length") == 0
    assert not [e for e in browser.events if e.get("method") == "Page.javascriptDialogOpening"]
