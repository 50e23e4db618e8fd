"""docs/attention.md holds the kept records of regions; the pictures they are measured on."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest
from _support import fill_table
from pictures import table, text, tiles, video


@pytest.mark.parametrize("benchmark", [table, text, tiles, video], ids=lambda each: each.MARK)
def test_the_page_is_what_the_record_gives(benchmark: ModuleType) -> None:
    page = benchmark.PAGE.read_text("utf-8")
    made = fill_table(page, benchmark.MARK, benchmark.RECORD, benchmark.table)
    assert made == page, "run the benchmark with --only-page"
    assert json.loads(benchmark.RECORD.read_text("utf-8"))["command"] in page


def test_words_cover_the_wanted_share() -> None:
    pytest.importorskip("skimage", reason="the photographs come with it")
    for share, seed in ((0.02, 0), (0.1, 1)):
        scene = text.written(share, 320, 448, seed)
        assert scene.picture.shape == (320, 448, 3)
        assert share <= scene.share < share + 0.06  # a line more at most
        assert (text.written(share, 320, 448, seed).picture == scene.picture).all()
    assert (text.written(0.1, 320, 448, 2).picture != text.written(0.1, 320, 448, 3).picture).any()


def test_scans_fit_a_pass_at_half_the_side() -> None:
    pytest.importorskip("skimage", reason="the photographs come with it")
    for name in text.SCANS:
        scene = text.scanned(name)
        assert all(n % 64 == 0 for n in scene.picture.shape[:2])
        assert text.feed(scene)["image"].shape == (1, 3, *scene.picture.shape[:2])


def test_overlap_counts_text_alone() -> None:
    one, none = np.zeros((1, 4, 4, 2)), np.zeros((1, 4, 4, 2))
    one[0, :2, :, 0] = 1
    half = np.where(np.arange(4)[:, None] < 1, one[..., 0], 0)[..., None]
    assert text.overlap(one, one) == 1 and text.overlap(none, none) == 1
    assert text.overlap(one, none) == 0 and text.overlap(one, half) == 0.5


def test_the_record_holds_what_the_page_says_of_it() -> None:
    rows = json.loads(text.RECORD.read_text("utf-8"))["results"]["pictures"]
    known = [row for row in rows if row["text_share"] is not None and row["text_share"] < 0.2]
    assert all(row["halos"][0]["speed"] > 2 for row in known)
    assert all(row["halos"][0]["iou"] > row["int8_iou"] for row in known)
