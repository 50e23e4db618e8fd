"""docs/attention.md holds the kept record of the cascades."""

from __future__ import annotations

import json

import cascade

KEPT = json.loads(cascade.RECORD.read_text("utf-8"))


def test_the_page_is_what_the_record_gives() -> None:
    page = cascade.PAGE.read_text("utf-8")
    assert cascade.fill(page, KEPT) == page, "run python benchmarks/cascade.py --only-page"
    cascades = page[page.index("<!-- cascades -->") : page.index("<!-- /cascades -->")]
    assert cascades.count("| resnet8 |") == sum(
        row["network"] == "fashion_resnet8" for row in KEPT["results"]
    )


def test_the_kept_point_is_the_least_coverage_within_the_loss() -> None:
    for row in KEPT["results"]:
        within = [
            point
            for point in row["points"]
            if point["loss_points"] <= 100 * cascade.ACCEPTED + 1e-6
        ]
        assert row["kept"] == min(within, key=lambda point: point["coverage"])
        assert row["points"][-1]["coverage"] == 1


def test_an_empty_page_is_filled() -> None:
    empty = "<!-- cascades --><!-- /cascades -->\n<!-- made --><!-- /made -->"
    filled = cascade.fill(empty, KEPT)
    assert KEPT["command"] in filled and "EfficientNet-Lite0" in filled
