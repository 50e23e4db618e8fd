"""Pages of recordings and of many checkpoints, and the index over reports."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.errors import DataError, ModelError, OptionError, OutputError
from reluflow.monitoring import KeptTables, SampleFlips, SiteCounts
from reluflow.patterns import PatternRecorder
from reluflow.report import read_json, write_index, write_recording_page

X = small_models.integers((120, 4))


class Page(HTMLParser):
    """Checks that tags are balanced and collects links and text."""

    VOID = frozenset({"meta", "link", "wbr", "br", "path", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def record(folder: Path, steps: int = 5) -> Path:
    with PatternRecorder(folder) as recorder:
        for step in range(steps):
            for site in ("fc1", "<em>fc2", "mean"):
                measures = {"distance": 0.1 * step, "patterns": 10 + step, "nans": 0}
                recorder.record(step * 10, site, measures if step else {"patterns": 10})
            recorder.record(step * 10, "mean", {"rate": 0.1 / (step + 1)})
    return folder


def checkpoints() -> list[onnx.ModelProto]:
    return [small_models.dense(shift=shift) for shift in (0, 1, 1, 3)]


def test_a_recording_becomes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record(tmp_path / "run")
    assert main(["recording", str(folder)]) == 0
    assert capsys.readouterr().out == f"Wrote {folder / 'recording.html'}\n"
    text = (folder / "recording.html").read_text()
    page = Page(text)
    assert "Learning rate" in page.words and "<em>fc2" in page.words and "<em>fc2" not in text
    assert "10 → 14" in page.words  # patterns, from the first step to the last
    assert "Never changed" in page.words  # no NaN at any step
    assert "default-src 'none'" in text and "<script" not in text


def test_long_recordings_are_thinned_and_say_so(tmp_path: Path) -> None:
    page = write_recording_page(record(tmp_path / "run", 200), tmp_path / "page.html")
    text = page.read_text()
    assert "60 of 200 are shown" in text
    rows = re.findall(r"<div class=\"plot cells\".*?</div>", text, re.S)
    assert rows and max(row.count("<i ") for row in rows) == 60


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no recording"):
        write_recording_page(tmp_path)
    with PatternRecorder(tmp_path / "bare") as recorder:
        recorder.record(0, "fc1", {})
    with pytest.raises(DataError, match="holds no measure; record at least one number"):
        write_recording_page(tmp_path / "bare")


def test_checkpoints_agree_with_comparisons_of_two() -> None:
    models = checkpoints()
    series = reluflow.compare_checkpoints(models, X)
    for a, b in [(0, 1), (1, 2), (0, 3), (2, 3)]:
        pair = reluflow.compare(models[a], models[b], X)
        for site in series:
            other = pair[site.name]
            assert site.distances[a][b] == site.distances[b][a] == other.distance
            assert (site.patterns[a], site.patterns[b]) == other.patterns
            assert (site.entropy_bits[a], site.entropy_bits[b]) == other.entropy_bits
            if b == 3:
                assert site.jaccard_to_last[a] == other.jaccard
        assert series.mean_distances[a][b] == pytest.approx(pair.mean_distance)
    assert series["relu0"].distances[1][2] == 0.0


def test_activity_changes_are_those_of_the_units() -> None:
    models = checkpoints()
    series = reluflow.compare_checkpoints(models, X)
    shares = [
        np.array(site.unit_active_counts) / site.samples
        for site in (reluflow.analyze(model, X)["relu1"] for model in models)
    ]
    wanted = np.array([[np.abs(a - b).mean() for b in shares] for a in shares])
    np.testing.assert_allclose(series["relu1"].activity_changes, wanted)


def test_compare_takes_many_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for number, model in enumerate(checkpoints()):
        paths.append(str(tmp_path / f"epoch{number}.onnx"))
        onnx.save(model, paths[-1])
    np.save(tmp_path / "x.npy", X)
    argv = ["compare", *paths, "--data", str(tmp_path / "x.npy"), "--out", str(tmp_path / "r")]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "4 checkpoints on 120 inputs" in shown and "D 3>4" in shown
    assert f"Wrote {tmp_path / 'r' / 'report.html'}" in shown
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert "epoch3.onnx" in page.words and "Every checkpoint against every other" in page.words
    assert main([*argv, "--json"]) == 0  # over the former report
    fields = json.loads(capsys.readouterr().out)
    report: Any = read_json(tmp_path / "r" / "report.json")
    assert fields["format"] == "reluflow series report"
    assert [site["name"] for site in fields["sites"]] == [site.name for site in report.sites]
    assert main(["compare", paths[0], "--random", "3"]) == 2
    assert "1 checkpoint is given; name two at least" in capsys.readouterr().err


def test_checkpoints_of_other_networks_are_refused() -> None:
    with pytest.raises(OptionError, match="models are 1; give two checkpoints at least"):
        reluflow.compare_checkpoints(checkpoints()[:1], X)
    with pytest.raises(ModelError, match="compare two checkpoints of one network"):
        reluflow.compare_checkpoints([*checkpoints(), small_models.dense(units=7)], X)


def test_an_index_links_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = checkpoints()
    (tmp_path / "deep er").mkdir()
    reluflow.analyze(models[0], X, tmp_path / "deep er" / "one & only")
    reluflow.compare(models[0], models[1], X, tmp_path / "two")
    series = reluflow.compare_checkpoints(models, X, tmp_path / "many")
    record(tmp_path / "run")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "report.html").write_text("")
    (tmp_path / "torn" / "report.json").write_text("{")
    assert main(["view", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"Wrote {tmp_path / 'index.html'}\n"
    assert "torn was left out: " in captured.err
    page = Page((tmp_path / "index.html").read_text())
    assert len(page.links) == 4
    for link in page.links:
        assert (tmp_path / link.replace("%20", " ").replace("%26", "&")).is_file()
    assert f"{series.mean_distances[0][-1] * 100:.1f}" in page.words
    assert "one & only" in page.words and "torn was left out" in page.words


@pytest.mark.parametrize("metric", ["accuracy", "rmse"])
def test_an_index_shows_an_evaluation_in_its_own_unit(tmp_path: Path, metric: str) -> None:
    options = reluflow.EvaluationOptions(samples=(4,), seeds=1)
    model = small_models.dense()
    labels = np.arange(len(X)) % 3 if metric == "accuracy" else np.ones((len(X), 3), np.float32)
    found = reluflow.evaluate(model, X, labels, tmp_path / "e", metric=metric, options=options)
    page = Page(write_index(tmp_path)[0].read_text())
    assert found.float_value is not None
    number = found.float_value * 100 if metric == "accuracy" else found.float_value
    assert metric in page.words and f"{number:.1f}" in page.words
    assert ("\N{NO-BREAK SPACE}%" in page.words) == (metric == "accuracy")


def test_an_index_of_several_folders_stands_side_by_side(tmp_path: Path) -> None:
    models = checkpoints()
    for name, model in (("one", models[0]), ("two", models[1])):
        (tmp_path / name).mkdir()
        reluflow.analyze(model, X, tmp_path / name / "run")
    out = tmp_path / "seen" / "all.html"
    out.parent.mkdir()
    line = ["view", str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "two" / "run")]
    assert main([*line, "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert len(set(page.links)) == 2  # a folder given twice counts once
    for link in page.links:
        assert (out.parent / link).resolve().is_file()
    assert "one/run" in page.words and "Relative entropy, side by side" in page.words
    report = read_json(tmp_path / "one" / "run" / "report.json")
    assert f"{report.sites[0].entropy_bits:.2f}" in page.words
    assert not (tmp_path / "one" / "index.html").exists()


def test_an_index_replaces_no_part_of_a_report(tmp_path: Path) -> None:
    reluflow.analyze(checkpoints()[0], X, tmp_path / "run")
    before = (tmp_path / "run" / "report.html").read_bytes()
    for name in ("report.html", "report.json", "other.html"):
        with pytest.raises(OutputError, match="in the folder of a report; write the page to an"):
            write_index(tmp_path, tmp_path / "run" / name)
    assert (tmp_path / "run" / "report.html").read_bytes() == before
    with pytest.raises(OutputError, match="no folder is given"):
        write_index([])


def test_an_index_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no report within 3 folders"):
        write_index(tmp_path)
    with pytest.raises(OutputError, match="is no folder; give one that holds reports"):
        write_index(tmp_path / "missing")


def record_flips(folder: Path, strikes: tuple[int, ...], steps: int = 60) -> Path:
    kept = KeptTables(folder)
    with PatternRecorder(folder) as recorder:
        for step in range(steps):
            struck = step in strikes
            share = (0.2 + step / 1000) if struck else 0.01
            recorder.record(step, "mean", {"flip_fraction": share, "strike": int(struck)})
            recorder.record(step, "fc1", {"flip_fraction": share, "patterns": 2})
            if step % 20 == 0:
                keys = np.array([[0, 1], [0, 2 + (step < 40)]], np.uint64)
                kept.keep(step, {"fc1": SiteCounts.of(keys, np.array([1, 1]))})
    return folder


def words(page: Path) -> str:
    return (
        page.read_text()
        .replace("\N{NO-BREAK SPACE}", " ")
        .replace("\N{NARROW NO-BREAK SPACE}", " ")
    )


def test_strikes_samples_and_the_final_state_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record_flips(tmp_path, (30, 41))
    flips = SampleFlips()
    flips.add([0.1, 0.5, 0.3])
    flips.add([0.1, 0.7, 0.3])
    flips.save(folder)
    assert main(["recording", str(folder)]) == 0
    assert capsys.readouterr().out == f"Wrote {folder / 'recording.html'}\n"
    text = words(folder / "recording.html")
    assert "Steps that struck" in text and "Step 30" in text and "Step 41" in text
    assert "23.0 %" in text and "24.1 %" in text
    assert text.index("Sample 1<") < text.index("Sample 2<") < text.index("Sample 0<")
    assert "60.0 %" in text and "Mean of 3 samples" in text and "over 2 steps" in text
    assert "Jaccard index to the final state" in text
    assert "33.3 % → 100" in text


@pytest.mark.parametrize("strikes", [(), tuple(range(10, 35))])
def test_none_are_left_out_and_many_are_cut(strikes: tuple[int, ...], tmp_path: Path) -> None:
    text = words(write_recording_page(record_flips(tmp_path, strikes)))
    assert ("Steps that struck" in text) == bool(strikes)
    assert ("5 weaker strikes" in text) == bool(strikes)
    assert "Step 14<" not in text
    assert ("Step 15<" in text) == bool(strikes)
    assert "Samples that flip most" not in text


def test_recordings_of_before_there_were_flips_have_a_page(tmp_path: Path) -> None:
    with PatternRecorder(tmp_path) as recorder:
        for step in range(3):
            recorder.record(step, "fc1", {"patterns": step})
    text = words(write_recording_page(tmp_path))
    assert "Steps that struck" not in text and "final state" not in text


def test_only_ten_samples_are_named(tmp_path: Path) -> None:
    folder = record_flips(tmp_path, ())
    flips = SampleFlips()
    flips.add(np.linspace(0, 0.5, 40))
    flips.save(folder)
    text = words(write_recording_page(folder))
    assert "Sample 30<" in text and "Sample 29<" not in text
    assert "Mean of 40 samples" in text and "over 1 step<" in text


def test_damaged_flips_are_named(tmp_path: Path) -> None:
    folder = record_flips(tmp_path, ())
    (folder / "sample_flips.parquet").write_bytes(b"x")
    with pytest.raises(OutputError, match="the sample flips"):
        write_recording_page(folder)
