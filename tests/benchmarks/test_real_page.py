"""docs/psb.md and its picture hold the kept record of the real networks."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from real import page, tables
from real.picture import draw, height_of, nice_ticks
from real.tasks import TASKS

KEPT = json.loads(page.RECORD.read_text("utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


def form(title: str, family: str, **points: float) -> dict[str, Any]:
    """Return the record of a form: samples after an underscore -> closeness."""
    listed = [
        {"samples": int(n[1:]), "seeds": 1, "measures": {"close": {"mean": share, "std": 0.0}}}
        for n, share in points.items()
    ]
    return {"title": title, "family": family, "file_share": 0.25, "points": listed}


def timed(ms: float) -> dict[str, float]:
    return {"median_ms": ms, "ratio": 10 / ms}


RESULTS: dict[str, Any] = {
    "timed_samples": [4, 16],
    "networks": {
        "a": {
            "title": "A & B",
            "what": "agreement",
            "measures": ["close"],
            "file_bytes": 2_000_000,
            "variants": {
                "int8": form("int8", "int8", _0=0.9),
                "psb": form("PSB", "psb", _0=1.0, _4=0.5, _16=0.99) | {"what": "drawn"},
                "bad": {
                    "title": "bad",
                    "family": "int8",
                    "what": "not to be had",
                    "failed": "it cannot.",
                },
            },
            "times": {
                threads: {
                    "rounds": 3,
                    "forms": {
                        "float": timed(10),
                        "int8": timed(4),
                        "psb, 4": timed(5),
                        "psb, 16": timed(8),
                    },
                }
                for threads in ("1", "2")
            },
        }
    },
}


def test_the_page_holds_what_was_measured() -> None:
    text = page.PAGE.read_text("utf-8")
    assert page.fill(text, KEPT) == text, "run python benchmarks/real_models.py --page"


def test_the_picture_is_that_of_the_record() -> None:
    drawn = draw(KEPT["results"]["networks"])
    assert page.PICTURE.read_text("utf-8") == drawn, "run python benchmarks/real_models.py --page"


def test_the_record_has_all_networks_and_no_hidden_ones() -> None:
    assert set(KEPT["results"]["networks"]) == set(TASKS)
    for row in KEPT["results"]["networks"].values():
        for each in row["variants"].values():
            assert ("failed" in each) != bool(each.get("points"))


def test_the_page_says_what_timed_the_forms_anew() -> None:
    again = json.loads(json.dumps(KEPT))
    for row in again["results"]["networks"].values():
        row["timed_by"] = {"command": "python later.py", "machine": "another"}
    text = page.fill(page.PAGE.read_text("utf-8"), again)
    assert f"{KEPT['machine']}; times: `python later.py`, another\n" in text


@pytest.mark.parametrize("mark", [*page.TABLES, "forms", "made"])
def test_a_page_without_its_mark_is_refused(mark: str) -> None:
    text = page.PAGE.read_text("utf-8").replace(f"<!-- {mark} -->", "")
    with pytest.raises(ValueError, match=f"has the marks of {mark} 0 times"):
        page.fill(text, KEPT)


def test_tables_of_a_small_record() -> None:
    assert tables.closeness(RESULTS).splitlines() == [
        "| network | measured, % | int8 | PSB | bad |",
        "|---|---|---|---|---|",
        "| A & B | agreement | 90.0 | 50.0 / 99.0 | fails |",
    ]
    assert tables.speed(RESULTS).splitlines()[2] == (
        "| A & B | 10.0 / 10.0 | 2.50 / 2.50 | 1.25 / 1.25 |  |"
    )
    assert tables.sizes(RESULTS).splitlines()[2] == "| A & B | 2.0 | 25 | 25 |  |"


def test_forms_that_need_it_are_explained() -> None:
    assert tables.explained(RESULTS) == "* PSB: drawn;\n* bad: not to be had."


def test_the_picture_shows_each_timed_point_where_it_belongs() -> None:
    tree = ET.fromstring(draw(RESULTS["networks"]))
    (panel,) = tree.iter(f"{SVG}g")
    circles = [each for each in panel.iter(f"{SVG}circle")]
    low, high = circles
    assert float(low.attrib["cx"]) < float(high.attrib["cx"])  # 4 samples took less time
    assert float(low.attrib["cy"]) > float(high.attrib["cy"])  # and came less close
    assert low.attrib["fill"] == "#fff" != high.attrib["fill"]
    assert len(list(panel.iter(f"{SVG}polygon"))) == 1
    texts = [each.text for each in tree.iter(f"{SVG}text")]
    assert {"A & B", "agreement", "int8", "PSB"} <= set(texts)


def test_nothing_is_drawn_outside_the_picture() -> None:
    drawn = draw(KEPT["results"]["networks"])
    tree = ET.fromstring(drawn)
    width, height = (float(value) for value in tree.attrib["viewBox"].split()[2:])
    for group in tree.iter(f"{SVG}g"):
        dx, dy = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
        for mark in group.iter(f"{SVG}circle"):
            assert 0 < dx + float(mark.attrib["cx"]) < width
            assert 0 < dy + float(mark.attrib["cy"]) < height


@pytest.mark.parametrize(
    ("share", "height"), [(-0.2, 0), (0, 0), (0.9, 1 / 3), (0.99, 2 / 3), (0.999, 1), (1, 1)]
)
def test_the_axis_widens_towards_one(share: float, height: float) -> None:
    assert height_of(share) == pytest.approx(height)


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (7.3, [0, 2, 4, 6]), (48, [0, 10, 20, 30, 40])],
)
def test_ticks_are_round(longest: float, expected: list[float]) -> None:
    assert nice_ticks(longest) == pytest.approx(expected)
