from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.errors import OutputError
from reluflow.report import write_pictures

Report = PatternReport | ComparisonReport


def test_every_picture_decodes_and_shows_something(any_report: Report, tmp_path: Path) -> None:
    if len(any_report.sites) > 16:
        any_report = replace(any_report, sites=any_report.sites[:16])  # type: ignore[arg-type]
    for path in write_pictures(any_report, tmp_path):
        image = np.asarray(Image.open(path).convert("RGB"))
        assert 800 <= image.shape[1] <= 2400
        assert 250 <= image.shape[0] <= 1000
        assert 500 < path.stat().st_size < 900_000
        assert len(np.unique(image.astype(np.uint32) @ [1, 256, 65536])) > 20


def test_names_of_the_pictures(build: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    names = [p.name for p in write_pictures(build["resnet8"](), tmp_path)]
    assert names == ["measures.png", "heatmap.png", "unit_activity.png"]
    assert [p.name for p in write_pictures(build["comparison"](), tmp_path)] == ["compare.png"]
    assert write_pictures(build["empty"](), tmp_path) == ()
    assert len(list(tmp_path.iterdir())) == 4


def test_the_same_report_gives_the_same_bytes(small_report: PatternReport, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = [p.read_bytes() for p in write_pictures(small_report, tmp_path / "a")]
    two = [p.read_bytes() for p in write_pictures(small_report, tmp_path / "b")]
    assert one == two


def test_dead_units_are_dark_and_active_ones_bright(build: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    write_pictures(build["hostile"](), tmp_path)
    image = np.asarray(Image.open(tmp_path / "unit_activity.png").convert("L")).astype(int)
    middle = image[:, image.shape[1] // 2]
    assert middle.min() < 40
    assert (np.abs(middle - 222) < 12).any()


def test_a_thousand_sites_still_fit_a_picture(small_report: PatternReport, tmp_path: Path) -> None:
    sites = tuple(replace(small_report.sites[0]) for _ in range(500))
    from reluflow.report.pictures.sites import _unit_activity

    figure = _unit_activity(
        "many", [s.site.name for s in sites], replace(small_report, sites=sites)
    )
    assert figure.get_size_inches()[1] <= 90


def test_an_unwritable_folder_is_an_output_error(
    small_report: PatternReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_pictures(small_report, tmp_path / "none")
