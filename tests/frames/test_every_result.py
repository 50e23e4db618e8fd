"""Whatever the functions of reluflow return is a table: printed, in a notebook, as a frame."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import small_models

import reluflow
from reluflow.frames import Tabular
from reluflow.temperature import CrossingCurve, CrossingCurves, LogNormal, PhaseDiagram, sweep

MODELS = Path(__file__).parents[2] / "models"
MODEL = MODELS / "fashion_resnet8.onnx"
EARLY = MODELS / "fashion_resnet8_epoch1.onnx"
TWO = reluflow.CascadeOptions((1, 16), coverages=(0.1,))
PAIR = reluflow.AttentionOptions((1,), (16,), margins=(0,))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    loaded: np.ndarray = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:16]
    return loaded


@pytest.fixture(scope="module")
def psb(x: np.ndarray) -> reluflow.Conversion:
    return reluflow.convert(MODEL)


def small_psb() -> reluflow.Model:
    return reluflow.to_psb(reluflow.load(small_models.dense())).model


def swept() -> Any:
    return sweep(lambda rate: {"a": float(LogNormal(-1.0, 1.25).distance(rate)), "b": 0.5})


RESULTS: dict[str, tuple[Callable[..., Tabular], int, set[str]]] = {
    "inspect": (lambda x, psb: reluflow.inspect(MODEL), 7, {"name", "units", "shape"}),
    "analyze": (lambda x, psb: reluflow.analyze(MODEL, x), 7, {"site_name", "entropy_bits"}),
    "compare": (lambda x, psb: reluflow.compare(EARLY, MODEL, x), 7, {"name", "patterns_second"}),
    "series": (
        lambda x, psb: reluflow.compare_checkpoints([EARLY, MODEL, MODEL], x),
        21,
        {"name", "checkpoint", "distances"},
    ),
    "find_pattern": (
        lambda x, psb: reluflow.find_pattern(MODEL, x, "/block3/relu2/Relu"),
        -1,
        {"input", "position"},
    ),
    "convert": (lambda x, psb: psb, 10, {"name", "was", "merged", "reason"}),
    "inspect_psb": (lambda x, psb: reluflow.inspect_psb(psb.model), 10, {"bits_per_weight"}),
    "inline": (lambda x, psb: reluflow.inline_psb(small_psb()), 1, {"operator", "nodes"}),
    "evaluate": (
        lambda x, psb: reluflow.evaluate(
            psb.model, x, float_model=MODEL, options=reluflow.EvaluationOptions(samples=(1, 4))
        ),
        -1,
        {"model", "samples", "seed", "metric", "value"},
    ),
    "profile": (
        lambda x, psb: reluflow.profile_psb(
            psb.model, options=reluflow.ProfileOptions(runs=2, threads=1)
        ),
        -1,
        {"name", "ms", "float_ms"},
    ),
    "allocate": (lambda x, psb: reluflow.allocate_samples(psb.model, x, 4), 10, {"samples"}),
    "cascade": (
        lambda x, psb: reluflow.evaluate_cascade(psb.model, x, cascade=TWO),
        3,
        {"runs", "coverage", "speed"},
    ),
    "attention": (
        lambda x, psb: reluflow.evaluate_attention(psb.model, x, attention=PAIR),
        4,
        {"runs", "coverage", "selection"},
    ),
    "attend": (lambda x, psb: reluflow.attend(psb.model, x[:1]), -1, {"node", "share", "made"}),
    "cells": (lambda x, psb: reluflow.find_cells(MODEL, raster=8), 7, {"name", "pieces"}),
    "animated cells": (
        lambda x, psb: reluflow.animate_cells([MODEL, MODEL], raster=8),
        2,
        {"model", "cells", "patterns"},
    ),
    "fit_drift": (lambda x, psb: reluflow.fit_drift(MODEL, x), 7, {"site", "kept", "chosen"}),
    "check_drift": (
        lambda x, psb: reluflow.check_drift(
            MODEL, reluflow.fit_drift(MODEL, x, held_out=x), x, false_alarms=0.1
        ),
        7,
        {"site", "share", "low", "high"},
    ),
    "slim": (lambda x, psb: reluflow.slim(MODEL, x), 7, {"site", "off", "merged_into"}),
    "sensitivity": (lambda x, psb: swept(), 100, {"rate", "site", "distance"}),
    "phases": (
        lambda x, psb: PhaseDiagram.from_sweeps([0, 9], [swept(), swept()]),
        200,
        {"step", "rate", "site", "distance", "used_rate"},
    ),
    "curves": (
        lambda x, psb: CrossingCurves({"a": CrossingCurve.of(np.geomspace(0.1, 10.0, 99), 8)}),
        -1,
        {"site", "rate", "distance", "temperature_bits"},
    ),
}


class Parser(HTMLParser):
    """Counts the rows of a table and checks that all marks are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def check(found: Tabular, rows: int, columns: set[str]) -> pa.Table:
    table = found.to_arrow()
    assert columns <= set(table.column_names)
    assert table.num_rows > 0 and rows in (-1, table.num_rows)
    streamed = pa.table(found)  # through the C stream interface
    assert streamed.schema == table.schema and repr(streamed.to_pydict()) == repr(table.to_pydict())
    text = str(found).splitlines()
    assert repr(found) == f"<{type(found).__name__}: {text[0]}>"
    shown = Parser(found._repr_html_()).rows
    assert len({len(row) for row in shown}) == 1
    assert [line.split()[0] for line in text[3 : 2 + len(shown)]] == [
        row[0].split()[0] for row in shown[1:]
    ]
    return table


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_a_table_in_every_form(
    name: str, x: np.ndarray, psb: reluflow.Conversion
) -> None:
    make, rows, columns = RESULTS[name]
    check(make(x, psb), rows, columns)


def test_a_project_of_c_is_a_table(tmp_path: Path) -> None:
    numbers = small_models.integers((8, 4)).astype(np.float32)
    made = reluflow.edge_project(small_models.dense(), tmp_path / "net", calibration=numbers)
    table = check(made, -1, {"name", "op", "shift_adds", "alive_bytes"})
    assert sum(table["shift_adds"].to_pylist()) == made.cost.shift_adds


def test_every_public_result_is_among_them() -> None:
    """A record that a function returns whole is a table, or is listed here with its reason."""
    others = {
        "Model": "a model",
        "ReluflowError": "an error",
        "StepMeter": "measures; its results are curves",
    }
    kinds = {name: getattr(reluflow, name) for name in reluflow.__all__ if name[0].isupper()}
    left = {
        name
        for name, kind in kinds.items()
        if not issubclass(kind, Tabular) and not name.endswith("Options")
    }
    assert left == set(others)


def test_rows_of_an_evaluation_are_its_numbers(x: np.ndarray, psb: reluflow.Conversion) -> None:
    options = reluflow.EvaluationOptions(samples=(1, 4), seeds=2)
    found = reluflow.evaluate(psb.model, x, float_model=MODEL, options=options)
    rows = found.to_arrow().to_pylist()
    drawn = [row for row in rows if row["samples"] == 4 and row["metric"] == found.metric]
    assert [(row["seed"], row["value"]) for row in drawn] == [
        *zip(found.seeds, found.points[1].values, strict=True)
    ]
    beside = {row["model"]: row["value"] for row in rows if row["metric"] == found.metric}
    assert beside["float32"] == found.float_value and beside["nearest"] == found.nearest
    noise = [row for row in rows if row["metric"] == "SQNR in dB" and row["samples"] == 4]
    assert [row["value"] for row in noise] == [out.sqnr_db for out in found.points[1].outputs]


def test_curves_are_read_at_the_edges_of_their_lattice() -> None:
    curve = CrossingCurve.of(np.geomspace(0.1, 10.0, 999), 8)
    table = CrossingCurves({"a": curve}).to_arrow()
    rates = np.array(table["rate"])
    np.testing.assert_array_equal(np.array(table["distance"]), curve.distance(rates))
    assert rates[0] <= 0.1 and rates[-1] >= 10.0 and len(rates) == len(set(rates))


def test_marks_in_names_stay_text() -> None:
    curves = CrossingCurves({"<img src=x onerror=alert(1)>\x1b[2J": CrossingCurve.of([1.0])})
    assert "<img" not in curves._repr_html_() and "\x1b" not in str(curves)
    assert not re.search("[\x00-\x08\x1b]", curves._repr_html_())
