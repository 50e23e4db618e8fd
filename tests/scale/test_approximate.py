"""Approximate analyses: what is estimated is marked, what is not known is said to be missing."""

import io
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from onnx import parser
from rich.console import Console

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.cli import main
from reluflow.errors import OptionError
from reluflow.patterns import QUANTITIES
from reluflow.report import print_table, to_json
from reluflow.report.files.jsonfile import read_json

pytest.importorskip("datasketches")

PROTO = parser.parse_model(
    """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,20] x) => (float[N,20] y) { y = Relu(x) }"""
)
DATA = np.random.default_rng(0).standard_normal((30_000, 20), np.float32)
DATA[::25] = np.abs(DATA[::25])
DATA[1::100] = -np.abs(DATA[1::100])
GIVEN: dict[str, Any] = {"options": AnalysisOptions(approximate=True, batch_size=1000)}


@pytest.fixture(scope="module")
def exact() -> PatternReport:
    return reluflow.analyze(PROTO, DATA, options=AnalysisOptions(batch_size=1000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("approximate") / "out"
    reluflow.analyze(PROTO, DATA, folder, **GIVEN)
    return folder


def test_estimates_beside_exact_counts(exact: PatternReport, folder: Path) -> None:
    (true,) = exact.sites
    report = read_json(folder / "report.json")
    assert isinstance(report, PatternReport)
    (site,) = report.sites
    assert true.patterns > 16_384
    assert site.estimated is not None
    assert site.estimated.patterns_low <= true.patterns <= site.estimated.patterns_high
    assert site.unit_active_counts == true.unit_active_counts
    assert site.graded and true.graded
    assert site.graded.unit_entropy_bits == true.graded.unit_entropy_bits
    assert site.graded.group_entropy_bits == true.graded.group_entropy_bits
    assert len(site.top) == 2
    for each, counted in zip(site.top, true.top, strict=False):
        assert each.fingerprint == counted.fingerprint and each.bits == counted.bits
        assert 0 <= each.count - counted.count <= site.estimated.count_error
    whole = report.global_pattern
    assert whole.estimated and math.isnan(whole.entropy_bits)


def test_missing_is_null(folder: Path) -> None:
    (site,) = json.loads((folder / "report.json").read_text())["sites"]
    assert set(site["estimated"]) <= set(QUANTITIES)
    for missing in ("entropy_bits", "relative_entropy", "table_load"):
        assert site[missing] is None
    for missing in ("effective_bits", "effective_low_bits", "effective_high_bits", "coverage"):
        assert site["graded"][missing] is None
    assert reluflow.read_patterns(folder) == {}


def test_estimates_are_marked(folder: Path) -> None:
    report = read_json(folder / "report.json")
    assert isinstance(report, PatternReport)
    text = io.StringIO()
    print_table(report, Console(file=text, width=200))
    words = " ".join(text.getvalue().split())
    patterns = f"~{report.sites[0].patterns:,}"
    assert patterns in words and "99.7 % confidence" in words and "are estimated" in words
    assert patterns in " ".join(str(report).split())
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert patterns in page and "not known from estimates" in page and "too high by" in page


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_parts_give_the_same_report(parts: int) -> None:
    whole = reluflow.analyze(PROTO, DATA, **GIVEN)
    with ThreadPoolExecutor(2) as threads:
        divided = reluflow.analyze(PROTO, DATA, cluster=threads, parts=parts, **GIVEN)
    assert to_json(replace(divided, run=whole.run)) == to_json(whole)


def test_few_patterns_stay_exact() -> None:
    x = small_models.integers((700, 4))
    proto = small_models.dense()
    exact = reluflow.analyze(proto, x)
    found = reluflow.analyze(proto, x, options=AnalysisOptions(approximate=True))
    assert found.sites == exact.sites and found.global_pattern == exact.global_pattern
    assert "so that all counts are exact" in found.notes[-1]


def test_refused(capsys: pytest.CaptureFixture[str]) -> None:
    options = AnalysisOptions(approximate=True)
    x = DATA[:4]
    with pytest.raises(OptionError, match="a comparison needs exact counts"):
        reluflow.compare(PROTO, PROTO, x, options=options)
    with pytest.raises(OptionError, match="a comparison needs exact counts"):
        reluflow.compare_checkpoints([PROTO] * 2, x, options=options)
    with pytest.raises(OptionError, match="a list of all patterns needs exact counts"):
        reluflow.count_patterns(PROTO, x, options=options)
    with pytest.raises(OptionError, match="whose table has a fixed size"):
        AnalysisOptions(approximate=True, hash="thesis-64")
    with pytest.raises(OptionError, match="remember 1024 patterns"):
        AnalysisOptions(approximate=True, top=5000)
    assert main(["analyze", "m.onnx", "--random", "3", "--approximate", "--memory", "3"]) == 2
    assert "--memory is given, but does nothing with --approximate" in capsys.readouterr().err


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'reluflow\[approximate\]'"):
        AnalysisOptions(approximate=True)
