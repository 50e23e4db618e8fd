from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.errors import OutputError
from reluflow.report import write_html

Report = PatternReport | ComparisonReport
VOID = {"wbr", "meta", "link", "br", "img", "input", "hr", "path", "rect"}


class Page(HTMLParser):
    """Checks that tags balance and collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            self.ids.append(str(dict(attrs)["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def written(report: Report, folder: Path) -> tuple[str, Page]:
    write_html(report, folder / "r.html")
    text = (folder / "r.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return text, page


def test_the_markup_is_balanced_and_ids_are_unique(any_report: Report, tmp_path: Path) -> None:
    text, page = written(any_report, tmp_path)
    assert text.startswith("<!doctype html>")
    assert len(page.ids) == len(set(page.ids))
    for tag, attrs in page.tags:
        target = attrs.get("href") or ""
        if tag == "a":
            assert target[1:] in page.ids, target
        for label in (attrs.get("aria-labelledby") or "").split():
            assert label in page.ids


def test_nothing_is_fetched_from_anywhere(any_report: Report, tmp_path: Path) -> None:
    text, page = written(any_report, tmp_path)
    for tag, attrs in page.tags:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img", "audio", "video"}
        assert not {"src", "srcset", "data", "action", "background", "ping"} & set(attrs)
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "link":
            assert attrs["href"] == "data:,"
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\"' )]*", text)) <= {"http://www.w3.org/2000/svg"}


def test_hostile_names_are_text_and_nothing_else(build: dict[str, Any], tmp_path: Path) -> None:
    for name in ("hostile", "comparison_hostile"):
        text, page = written(build[name](), tmp_path)
        assert text.count("<script") == 2
        assert "<script>alert" not in text
        assert "49$" not in text
        assert "<b>Relu</b>" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert any("<script>alert(1)</script>" in piece for piece in page.text)


def test_only_its_own_script_may_run(any_report: Report, tmp_path: Path) -> None:
    text, page = written(any_report, tmp_path)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    script = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)


def test_the_embedded_data_are_json_with_every_site(any_report: Report, tmp_path: Path) -> None:
    text, _ = written(any_report, tmp_path)
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])
    assert len(data["sites"]) == len(any_report.sites)
    sites: tuple[Any, ...] = tuple(any_report.sites)
    for site, packed in zip(sites, data["sites"], strict=True):
        assert len(packed["tip"]) == len(data["labels"])
        assert packed["units"] in (0, site.units)
        assert len(packed["shares"]) == 2 * packed["units"]


def test_the_page_tells_what_was_found(build: dict[str, Any], tmp_path: Path) -> None:
    _, page = written(build["resnet8"](), tmp_path)
    words = " ".join(" ".join(page.text).split())
    for wanted in [
        "12 of 64 units of /stage1/relu1/Relu never fire",
        "12 units never on",
        "3 units always on",
        "models/fashion_test.npz",
        "3f" * 32,
        "IR version 10, opset ai.onnx 20, ai.onnx.ml 4",
        "128-bit fingerprint of random words",
        "20250101",
        "2 January 2026, 03:04",
        "inference",
        "Relative entropy",
        "min(",
    ]:
        assert wanted in words, wanted


def test_skipped_sites_and_notes_are_shown(build: dict[str, Any], tmp_path: Path) -> None:
    text, page = written(build["hostile"](), tmp_path)
    words = " ".join(" ".join(page.text).split())
    assert "inside a Loop" in words
    assert "its tensor is a string" in words
    assert "Too many units to draw" in words
    assert text.index('class="notes"') < text.index('id="findings"')


def test_bars_of_a_lower_bound_are_marked(build: dict[str, Any], tmp_path: Path) -> None:
    text, _ = written(build["comparison"](), tmp_path)
    assert text.count('class="orange bound"') == 1
    assert "≥ 18.58" in text


def test_landmarks_headings_and_labels(any_report: Report, tmp_path: Path) -> None:
    _, page = written(any_report, tmp_path)
    tags = [tag for tag, _ in page.tags]
    for landmark in ("header", "nav", "main", "footer", "h1", "title"):
        assert tags.count(landmark) == 1, landmark
    assert next(a for t, a in page.tags if t == "html")["lang"] == "en"
    for _tag, attrs in page.tags:
        if attrs.get("role") == "img":
            assert attrs.get("aria-label")


@pytest.mark.parametrize(
    ("name", "limit_kib"), [("resnet8", 120), ("resnet50", 400), ("deep160", 1200)]
)
def test_the_page_stays_small(
    name: str, limit_kib: int, build: dict[str, Any], tmp_path: Path
) -> None:
    text, _ = written(build[name](), tmp_path)
    assert len(text.encode()) < limit_kib * 1024


def test_the_same_report_gives_the_same_page(small_report: PatternReport, tmp_path: Path) -> None:
    assert written(small_report, tmp_path)[0] == written(small_report, tmp_path)[0]


def test_an_unwritable_place_is_an_output_error(
    small_report: PatternReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_html(small_report, tmp_path / "none" / "r.html")
