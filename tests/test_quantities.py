"""Every measure that is written or shown has its key in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
import torch
from torch import nn

import reluflow
from reluflow.analysis import site_metrics
from reluflow.patterns import QUANTITIES, find_quantity, read
from reluflow.report.pages import comparison as comparison_page
from reluflow.report.pages import patterns as patterns_page
from reluflow.report.tables.graded import (
    CLASS_SHARES,
    COMPARISON_GRADED,
    EFFECTIVE,
    GRADED_SHARES,
)
from reluflow.report.tables.measures import COMPARISON_MEASURES, SITE_MEASURES, Measure, measure
from reluflow.report.text.terminal import print_table
from reluflow.temperature import SiteDistance, StepDistance
from reluflow_torch import PatternMonitor

ROOT = Path(__file__).parents[1]
NO_MEASURES = {"site", "top", "labels", "available", "estimated"}
"""Of a site's record: where it is, patterns one by one, names of classes, a yes or no, a None."""
MEASURES: list[Measure[Any]] = [
    *SITE_MEASURES,
    *GRADED_SHARES,
    EFFECTIVE,
    *CLASS_SHARES,
    *COMPARISON_MEASURES,
    *COMPARISON_GRADED,
]


def numbers(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a record, and of those in it, that hold numbers."""
    for key, value in record.items():
        if key in NO_MEASURES:
            continue
        if isinstance(value, Mapping):
            yield from numbers(value)
        elif value is None or np.asarray(value).dtype.kind in "bif":
            yield key


def model(seed: int) -> onnx.ModelProto:
    return small_models.dense(seed)


def data(n: int = 64) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """report.json of each kind, as written."""
    folder = tmp_path_factory.mktemp("reports")
    labels = np.arange(64) % 2
    reluflow.analyze(model(0), data(), folder / "patterns", labels=labels)
    reluflow.compare(model(0), model(1), data(), folder / "comparison")
    reluflow.compare_checkpoints([model(0), model(1), model(2)], data(), folder / "series")
    return {
        path.parent.name: json.loads(path.read_text("utf-8"))
        for path in folder.glob("*/report.json")
    }


@pytest.mark.parametrize("kind", ["patterns", "comparison", "series"])
def test_every_measure_of_report_json_is_in_the_table(
    reports: dict[str, dict[str, Any]], kind: str
) -> None:
    report = reports[kind]
    whole = {key: value for key, value in report.items() if key.startswith("mean_distance")}
    rows = [*report["sites"], report.get("global_pattern", {}), whole]
    keys = {key for row in rows for key in numbers(row)}
    assert len(keys) > 8
    assert {key for key in keys if find_quantity(key) is None} == set()


def test_classes_were_compared_in_that_report(reports: dict[str, dict[str, Any]]) -> None:
    keys = {key for site in reports["patterns"]["sites"] for key in numbers(site)}
    assert {"within_distance", "overlaps", "most_frequent_fraction"} <= keys


def test_every_column_of_a_recording_has_its_key_in_the_table(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    rates = np.geomspace(1e-4, 1e2, 9)
    with PatternMonitor(
        optimizer, net, every=1, measures_every=1, sweep_every=2, rates=rates, recorder=tmp_path
    ):
        for _ in range(4):
            optimizer.zero_grad()
            net(torch.randn(32, 4)).square().mean().backward()
            optimizer.step()
    columns = set(read(tmp_path).column_names) - {"step", "site"}
    assert {"most_frequent_fraction", "mean_active_fraction", "sigma", "born"} <= columns
    assert columns - QUANTITIES.keys() == set()


def test_a_step_is_told_in_the_keys_of_the_table() -> None:
    step = StepDistance((SiteDistance("a", 3, 4, units=2, nans=1, nonfinite=2),)).to_dict()
    keys = {*numbers({k: v for k, v in step.items() if k != "sites"}), *numbers(step["sites"][0])}
    assert keys - QUANTITIES.keys() == set()
    assert len(keys) == 10


@pytest.mark.parametrize("page", [patterns_page, comparison_page], ids=lambda page: page.__name__)
def test_every_number_of_a_page_s_table_has_its_key_in_the_table(page: Any) -> None:
    texts = [column.heading for column in page._COLUMNS if not column.key]
    assert texts in (["Site", "Op"], ["Site"])
    assert {column.key for column in page._COLUMNS if column.key} - QUANTITIES.keys() == set()


def test_what_charts_show_is_in_the_table_and_titled_by_it() -> None:
    for shown in MEASURES:
        assert shown.title == QUANTITIES[shown.key].heading != ""
    keys = [shown.key for shown in MEASURES]
    assert len(set(keys)) == len(keys)


def test_tables_of_text_take_their_titles_from_the_table(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    columns = {each.column for each in QUANTITIES.values() if each.column}
    for report, others in (
        (reluflow.analyze(model(0), data()), {"site", "op", "layer"}),
        (reluflow.compare(model(0), model(1), data()), {"site", "layer", "APT bits"}),
    ):
        text = io.StringIO()
        print_table(report, Console(file=text, width=400))
        heads = next(line for line in text.getvalue().splitlines() if "units" in line)
        shown = {cell.strip() for cell in heads.strip("┃│| ").replace("┃", "│").split("│")}
        titles, _ = report._rows()
        assert {*shown, *titles} - columns - others == set()
        assert len(shown) > 8


def test_the_model_s_node_metadata_have_keys_of_the_table() -> None:
    for found in site_metrics(reluflow.analyze(model(0), data())).values():
        assert found.keys() - QUANTITIES.keys() == set()


def test_no_name_means_two_measures() -> None:
    names = [name for each in QUANTITIES.values() for name in (each.key, *each.also)]
    assert len(set(names)) == len(names)
    titles = [each.title for each in QUANTITIES.values() if each.title]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("key", QUANTITIES)
def test_a_measure_says_what_it_means_and_where_that_is_defined(key: str) -> None:
    known = QUANTITIES[key]
    assert known.key == key
    assert known.meaning
    assert known.unit in {"share", "ratio", "signed", "bits", "count", "rate", "number", "flag"}
    page, _, section = known.source.partition(", section ")
    text = (ROOT / page).read_text("utf-8")
    assert not section or f"\n## {section}. " in text


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("most_frequent", "most_frequent_fraction"),
        ("mean_active", "mean_active_fraction"),
        ("temperature", "temperature_bits"),
        ("distances", "distance"),
        ("born", "born"),
    ],
)
def test_other_spellings_lead_to_the_measure(name: str, key: str) -> None:
    found = find_quantity(name)
    assert found is not None
    assert found.key == key


def test_what_is_no_measure_of_ours_is_not_found() -> None:
    assert find_quantity("loss") is None
    with pytest.raises(KeyError, match="loss"):
        measure("loss", lambda site: 0.0, "#0072b2")
