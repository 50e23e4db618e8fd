"""`reluflow psb`: convert, eval and inspect from the command line to the files."""

import json
from pathlib import Path

import pytest

from reluflow.cli import main

MODELS = Path(__file__).parents[2] / "models"
FLOAT = str(MODELS / "fashion_resnet8.onnx")
DATA = str(MODELS / "fashion_mnist_test_2000.npz")


@pytest.fixture
def converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = str(tmp_path / "p.onnx")
    assert main(["psb", "convert", FLOAT, "-o", path, "--prune", "0.25"]) == 0
    text = capsys.readouterr().out
    assert "10 layers" in text and "9 batch normalisations folded" in text
    return path


def test_inspect_prints_a_table_or_json(converted: str, capsys) -> None:
    assert main(["psb", "inspect", converted]) == 0
    assert "25.0 % zeros" in capsys.readouterr().out
    assert main(["psb", "inspect", converted, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["p_bits"] == 4 and len(found["layers"]) == 10


def test_convert_tells_what_stays(tmp_path: Path, capsys) -> None:
    arguments = ["--exclude", "/dense/Gemm", "--calibrate", DATA, "--limit", "50", "--json"]
    assert main(["psb", "convert", FLOAT, "-o", str(tmp_path / "p.onnx"), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["refused"] == [{"node": "/dense/Gemm", "op": "Gemm", "reason": "it is excluded"}]
    assert found["layers"][0]["x_exponent"] == 10


def test_what_is_taken_over_is_shown_and_can_be_left(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "p.onnx")
    assert main(["psb", "convert", FLOAT, "-o", out]) == 0
    assert capsys.readouterr().out.count("add+relu") == 3
    assert main(["psb", "convert", FLOAT, "-o", out, "--no-fuse", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert {(layer["adds"], layer["activation"]) for layer in layers} == {(False, "none")}


def test_eval_prints_and_writes(converted: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "report"
    arguments = ["--data", DATA, "--limit", "60", "--samples", "1,4", "--seeds", "2"]
    arguments += ["--float", FLOAT, "--int8", "--out", str(out), "--threads", "1"]
    assert main(["psb", "eval", converted, *arguments]) == 0
    text = capsys.readouterr().out
    assert "int8" in text and "float32" in text and "nearest" in text
    assert "no activation saturates in nearest mode" in text
    assert {path.name for path in out.iterdir()} == {"psb.html", "psb.json", "samples.png"}
    numbers = json.loads((out / "psb.json").read_text())
    assert [point["samples"] for point in numbers["points"]] == [1, 4]
    page = (out / "psb.html").read_text()
    assert (
        "data:image/png;base64," in page
        and f"{100 * numbers['nearest']:.2f}\N{NO-BREAK SPACE}%" in page
    )
    assert (out / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_eval_shows_what_saturates(tmp_path: Path, capsys) -> None:
    path, out = str(tmp_path / "p.onnx"), tmp_path / "report"
    few = ["--calibrate", DATA, "--limit", "1"]
    assert main(["psb", "convert", FLOAT, "-o", path, *few]) == 0
    capsys.readouterr()
    arguments = ["--data", DATA, "--limit", "200", "--samples", "64", "--seeds", "1"]
    assert main(["psb", "eval", path, *arguments, "--out", str(out), "--threads", "1"]) == 0
    text = capsys.readouterr().out
    rows = json.loads((out / "psb.json").read_text())["saturation"]
    cut = [row for row in rows if row["saturated"]]
    assert len(rows) == 10 and cut and "saturated activations, nearest mode" in text
    for row in cut:
        assert f"{row['saturated']:,}" in text and row["name"] in text
    assert "<th>saturated activations, nearest mode</th>" in (out / "psb.html").read_text()


def test_eval_converts_a_float_model_itself(capsys) -> None:
    arguments = ["--data", DATA, "--limit", "40", "--samples", "64", "--seeds", "1", "--json"]
    assert main(["psb", "eval", FLOAT, *arguments, "--p-bits", "16", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["psb"]["p_bits"] == 16 and found["float_value"] is not None


def test_bad_usage_is_one_sentence(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "p.onnx")
    for arguments, words in (
        (["psb", "eval", FLOAT], "give the inputs with --data PATH"),
        (["psb", "eval", FLOAT, "--data", DATA, "--samples", "a"], "--samples is 'a'; give whole"),
        (["psb", "inspect", FLOAT], "has no PSB operator"),
        (["psb", "convert", FLOAT, "-o", out, "--p-bits", "5"], "--p-bits is 5; accepted are"),
        (["psb", "convert", _relu(tmp_path), "-o", out], "has nothing to convert (no linear"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_a_report_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--data", DATA, "--limit", "10", "--samples", "1", "--seeds", "1"]
    out = str(tmp_path / "file" / "report")
    assert main(["psb", "eval", FLOAT, *arguments, "--out", out]) == 2
    assert "cannot be made" in capsys.readouterr().err


def _relu(folder: Path) -> str:
    import onnx.parser

    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) {y = Relu(x)}'
    path = folder / "relu.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    return str(path)


def test_convert_proves_what_it_wrote(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "p.onnx")
    assert main(["psb", "convert", FLOAT, "-o", out]) == 0
    text = capsys.readouterr().out
    assert text.count("largest difference") == 3 and "Folding and raising" in text
    assert main(["psb", "convert", FLOAT, "-o", out, "--json"]) == 0
    check = json.loads(capsys.readouterr().out)["check"]
    assert check["rewrites"]["relative"] < 1e-5 and check["operators"]["relative"] < 1e-2
    assert main(["psb", "convert", FLOAT, "-o", out, "--no-check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check"] is None


def test_a_conversion_beyond_what_is_accepted_is_not_written(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reluflow.deployment._proof.SAME_WEIGHTS", 1e-9)
    out = tmp_path / "p.onnx"
    assert main(["psb", "convert", FLOAT, "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "the conversion to shift-adds changed what the model computes: output" in error
    assert "1e-09 is accepted" in error and not out.exists()
