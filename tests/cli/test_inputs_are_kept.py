"""No command writes over what it reads, whatever the file is called."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.errors import ModelError, OutputError
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


def test_convert_and_evaluate_are_calls(folder: Path) -> None:
    x = small_models.integers((50, 4))
    made = reluflow.convert("m.onnx", "p.onnx", calibration=x, limit=20)
    assert made.result.converted and made.sentences()
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
