"""No command overwrites what it reads, whatever the file is called."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.errors import ModelError, OutputError
from reluflow.monitoring import KeptTables, SampleFlips, SiteCounts
from reluflow.patterns import PatternRecorder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    (tmp_path / "link.onnx").symlink_to("m.onnx")
    os.link(tmp_path / "m.onnx", tmp_path / "hard.onnx")
    onnx.save(
        onnx.load(tmp_path / "m.onnx"),
        tmp_path / "large.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    np.save(tmp_path / "x.npy", small_models.integers((50, 4)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("model", "out"),
    [
        ("m.onnx", "m.onnx"),
        ("m.onnx", "./link.onnx"),
        ("link.onnx", "m.onnx"),
        ("m.onnx", "hard.onnx"),
        ("large.onnx", "large.onnx"),
        ("large.onnx", "weights.bin"),
    ],
)
def test_convert_keeps_its_model(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, out: str
) -> None:
    before = read_all(folder)
    assert main(["psb", "convert", model, "-o", out]) == 2
    error = capsys.readouterr().err
    assert f"--out is {str(Path(out))!r}, which would replace" in error and error.count("\n") == 1
    with pytest.raises(OutputError, match="which would replace"):
        reluflow.convert(folder / model, folder / out)
    assert read_all(folder) == before


def test_convert_keeps_its_calibration_data(folder: Path) -> None:
    before = read_all(folder)
    assert main(["psb", "convert", "m.onnx", "-o", "x.npy", "--calibrate", "x.npy"]) == 2
    assert read_all(folder) == before


def test_a_report_does_not_replace_the_model_in_it(folder: Path) -> None:
    assert main(["analyze", "m.onnx", "--data", "x.npy", "--out", "report"]) == 0
    before = read_all(folder)
    inside = "report/model_with_metrics.onnx"
    assert main(["analyze", inside, "--data", "x.npy", "--out", "report"]) == 2
    assert main(["compare", inside, "m.onnx", "--data", "x.npy", "--out", "report"]) == 2
    many = [inside, "m.onnx", "m.onnx"]
    assert main(["compare", *many, "--data", "x.npy", "--out", "report"]) == 2
    assert read_all(folder) == before
    assert main(["analyze", "m.onnx", "--data", "x.npy", "--out", "report"]) == 0


def test_a_recording_keeps_its_parts(folder: Path) -> None:
    with PatternRecorder(folder / "run") as recorder:
        recorder.record(0, "relu0", {"patterns": 3})
    before = read_all(folder)
    [part] = (folder / "run").glob("part-*")
    assert main(["recording", "run", "--out", str(part)]) == 2
    assert read_all(folder) == before


@pytest.mark.parametrize("name", ["sample_flips.parquet", "tables/step-00000000.npz"])
def test_a_recording_keeps_what_is_beside_it(name: str, folder: Path) -> None:
    with PatternRecorder(folder / "run") as recorder:
        recorder.record(0, "relu0", {"patterns": 3})
    counts = SiteCounts.of(np.array([[0, 1]], np.uint64), np.array([1]))
    KeptTables(folder / "run").keep(0, {"relu0": counts})
    flips = SampleFlips()
    flips.add([0.5])
    flips.save(folder / "run")
    before = read_all(folder)
    assert main(["recording", "run", "--out", f"run/{name}"]) == 2
    assert read_all(folder) == before


LABELLED = np.arange(50) % 3
EVAL = ["psb", "eval", "m.onnx", "--samples", "4", "--seeds", "1"]
SENSITIVITY = ["sensitivity", "m.onnx", "--rates", "1e-2:1:3", "-b", "50"]
CELLS = ["cells", "m.onnx", "--plane", "data", "--points", "0,1,2"]
RASTER = ["cells", "m.onnx", "--raster", "4", "--plane", "data"]
INTO_FOLDERS = {
    "eval": (EVAL, "psb.json"),
    "sensitivity": (SENSITIVITY, "sensitivity.json"),
    "cells": (CELLS, "cells.json"),
    "cells on a grid": (RASTER, "raster.json"),
}
UNLABELLED = ("cells", "cells on a grid")


@pytest.fixture
def labelled(folder: Path) -> Path:
    """The folder, with inputs and answers in one file each, and in one."""
    x = small_models.integers((50, 4)).astype(np.float32)
    np.savez(folder / "xy.npz", x=x, label=LABELLED)
    np.save(folder / "y.npy", LABELLED)
    return folder


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_a_folder_of_results_keeps_the_model(
    labelled: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """The input has the name of a file to be written, or another name for it."""
    argv, name = INTO_FOLDERS[command]
    for out, make in (("as", Path.rename), ("hard", lambda a, b: os.link(a, b))):
        (labelled / out).mkdir()
        make(labelled / "hard.onnx", labelled / out / name)
        model = f"{out}/{name}" if out == "as" else "m.onnx"
        before = read_all(labelled)
        assert main([*argv[:-5], model, *argv[-4:], "--data", "xy.npz", "-o", out]) == 2
        assert "which would replace" in capsys.readouterr().err
        assert read_all(labelled) == before
        if out == "as":
            os.link(labelled / "m.onnx", labelled / "hard.onnx")


@pytest.mark.parametrize("command", INTO_FOLDERS)
@pytest.mark.parametrize("given", ["data", "labels"])
def test_a_folder_of_results_keeps_data_and_labels(
    labelled: Path, capsys: pytest.CaptureFixture[str], command: str, given: str
) -> None:
    argv, name = INTO_FOLDERS[command]
    if command in UNLABELLED and given == "labels":
        pytest.skip("it takes no labels")
    (labelled / "res").mkdir()
    paths = {"data": "x.npy", "labels": "y.npy"}
    (labelled / paths[given]).rename(labelled / "res" / name)
    paths[given] = f"res/{name}"
    before = read_all(labelled)
    told = ["--data", paths["data"]]
    told += [] if command in UNLABELLED else ["--labels", paths["labels"]]
    assert main([*argv, *told, "--out", "res"]) == 2
    assert f"which would replace 'res/{name}'" in capsys.readouterr().err
    assert read_all(labelled) == before


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_the_folder_of_results_is_no_input_and_no_file(
    labelled: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    argv, _ = INTO_FOLDERS[command]
    before = read_all(labelled)
    for out in ("m.onnx", "link.onnx", "xy.npz"):
        assert main([*argv, "--data", "xy.npz", "--out", out]) == 2
        assert "which would replace" in capsys.readouterr().err
    assert main([*argv, "--data", "xy.npz", "--out", "y.npy"]) == 2
    assert "--out is 'y.npy', a file; give a folder" in capsys.readouterr().err
    assert read_all(labelled) == before


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_links_and_devices_are_no_places_for_results(
    labelled: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    argv, name = INTO_FOLDERS[command]
    (labelled / "links").mkdir()
    (labelled / "links" / name).symlink_to("../notes.txt")
    (labelled / "pipes").mkdir()
    os.mkfifo(labelled / "pipes" / name)
    (labelled / "folders" / name).mkdir(parents=True)
    for out, what in (("links", "a link"), ("pipes", "a device"), ("folders", "a folder")):
        assert main([*argv, "--data", "xy.npz", "--out", out]) == 2
        assert f"is {what}" in capsys.readouterr().err


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_results_of_a_former_run_are_replaced(labelled: Path, command: str) -> None:
    argv, name = INTO_FOLDERS[command]
    (labelled / "res").mkdir()
    (labelled / "res" / name).write_text("old")
    before = read_all(labelled)
    assert main([*argv, "--data", "xy.npz", "--out", "res"]) == 0
    assert main([*argv, "--data", "xy.npz", "--out", "res"]) == 0
    assert (labelled / "res" / name).read_text() != "old"
    after = read_all(labelled)
    assert {each: after[each] for each in before if each != name} == {
        each: before[each] for each in before if each != name
    }


def test_eval_keeps_the_float_model_and_the_file_of_its_metric(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["psb", "convert", "m.onnx", "-o", "p.onnx"]) == 0
    (labelled / "res").mkdir()
    os.link(labelled / "m.onnx", labelled / "res" / "psb.html")
    (labelled / "mine.py").write_text("def one(outputs, labels):\n    return 1.0\n")
    (labelled / "metric").mkdir()
    os.link(labelled / "mine.py", labelled / "metric" / "samples.png")
    before = read_all(labelled)
    argv = ["psb", "eval", "p.onnx", *EVAL[3:], "--data", "xy.npz"]
    assert main([*argv, "--float", "m.onnx", "--out", "res"]) == 2
    assert "which would replace 'm.onnx'" in capsys.readouterr().err
    assert main([*argv, "--metric", "mine.py:one", "--out", "metric"]) == 2
    assert "which would replace 'mine.py'" in capsys.readouterr().err
    with pytest.raises(OutputError, match="which would replace"):
        reluflow.evaluate("p.onnx", "x.npy", "y.npy", "res", float_model="m.onnx")
    assert read_all(labelled) == before


def test_analyze_keeps_its_labels(labelled: Path) -> None:
    assert main(["analyze", "m.onnx", "--data", "x.npy", "--out", "report"]) == 0
    [page] = labelled.glob("report/report.html")
    page.unlink()
    os.link(labelled / "y.npy", page)
    argv = ["analyze", "m.onnx", "--data", "x.npy", "--labels", str(page), "--out", "report"]
    before = read_all(labelled)
    assert main(argv) == 2
    assert read_all(labelled) == before


def test_a_page_does_not_replace_a_link(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PatternRecorder(labelled / "run") as recorder:
        recorder.record(0, "relu0", {"patterns": 3})
    before = read_all(labelled)
    assert main(["recording", "run", "--out", "link.onnx"]) == 2
    assert "is a link, which a file would replace" in capsys.readouterr().err
    (labelled / "index.html").symlink_to("m.onnx")
    assert main(["view", "."]) == 2
    assert (labelled / "link.onnx").is_symlink() and (labelled / "index.html").is_symlink()
    after = read_all(labelled)
    assert {each: after[each] for each in before} == before


def test_convert_and_evaluate_are_calls(folder: Path) -> None:
    x = small_models.integers((50, 4))
    made = reluflow.convert("m.onnx", "p.onnx", calibration=x, limit=20)
    assert made.result.done.converted and made.sentences()
    options = reluflow.EvaluationOptions(samples=(1, 16), seeds=2)
    labels = np.arange(50) % 3
    found = reluflow.evaluate(
        "p.onnx", x, labels, folder / "page", float_model="m.onnx", options=options
    )
    assert (folder / "page" / "psb.html").is_file()
    direct = reluflow.evaluate("m.onnx", x, labels, options=options)
    assert [point.samples for point in direct.points] == [point.samples for point in found.points]


def test_a_model_without_layers_has_nothing_to_convert() -> None:
    nodes = [onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")]
    proto = small_models.model(nodes, {}, {"x": ["N", 4]}, {"y": ["N", 4]})
    with pytest.raises(ModelError, match=r"'<memory>' has nothing to convert \(no linear oper"):
        reluflow.convert(proto)
    with pytest.raises(ModelError, match="has nothing to convert"):
        reluflow.evaluate(proto, np.ones((5, 4), "f4"), np.zeros(5, int))
