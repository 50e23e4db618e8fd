"""`reluflow psb`: convert, eval and inspect from the command line to the files."""

import json
from pathlib import Path

import numpy as np
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
    few = ["--calibrate", DATA, "--limit", "1", "--no-chains"]
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
    monkeypatch.setattr("reluflow.evaluation.conversion.SAME_WEIGHTS", 1e-9)
    out = tmp_path / "p.onnx"
    assert main(["psb", "convert", FLOAT, "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "the conversion to shift-adds changed what the model computes: output" in error
    assert "1e-09 is accepted" in error and not out.exists()


@pytest.fixture
def linear(tmp_path: Path) -> tuple[str, str]:
    """A net of one logit, and inputs without labels."""
    import onnx
    from evaluation_models import one_value

    case = one_value()
    onnx.save(case.proto, tmp_path / "float.onnx")
    np.savez(tmp_path / "x.npz", x=case.x, truth=case.labels)
    return str(tmp_path / "float.onnx"), str(tmp_path / "x.npz")


QUICK = ["--samples", "1,16", "--seeds", "1", "--threads", "1"]


def test_eval_without_labels_is_judged_by_the_float_model(linear, tmp_path: Path, capsys) -> None:
    model, data = linear
    converted = str(tmp_path / "p.onnx")
    assert main(["psb", "convert", model, "-o", converted]) == 0
    capsys.readouterr()
    arguments = ["psb", "eval", converted, "--data", data, *QUICK]
    assert main(arguments) == 2
    sentence = capsys.readouterr().err
    assert "holds no array 'label', and the float model that the file was conv" in sentence
    assert "give --float MODEL, --labels FILE or --label-name NAME" in sentence
    np.save(tmp_path / "x.npy", np.load(data)["x"])
    assert main(["psb", "eval", converted, "--data", str(tmp_path / "x.npy"), *QUICK]) == 2
    assert "no labels are given, and the float model" in capsys.readouterr().err
    assert main([*arguments, "--float", model]) == 0
    text = capsys.readouterr().out
    assert "all is judged by the answers of the float model" in " ".join(text.split())
    assert "correlation" in text and "SQNR" in text
    assert main([*arguments, "--label-name", "truth"]) == 0
    text = capsys.readouterr().out
    assert "No float model was given" in text and "logits of yes, above 0" in text
    assert main([*arguments, "--label-name", "nothing"]) == 2
    assert "holds no array 'nothing' but 'x', 'truth'" in capsys.readouterr().err


def test_eval_takes_output_metric_and_threshold(linear, tmp_path: Path, capsys) -> None:
    model, data = linear
    arguments = ["psb", "eval", model, "--data", data, "--label-name", "truth", *QUICK, "--json"]
    assert main([*arguments, "--metric", "iou", "--output", "y", "--threshold", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["output"]) == ("iou", "y") and found["float_value"] < 1
    (tmp_path / "mine.py").write_text("def largest(outputs, labels):\n    return outputs.max()\n")
    for metric in (f"{tmp_path / 'mine.py'}:largest", "numpy:vdot"):
        assert main([*arguments, "--metric", metric]) == 0
        assert json.loads(capsys.readouterr().out)["metric"] == metric.rpartition(":")[2]


def test_what_eval_cannot_measure_is_one_sentence(linear, capsys) -> None:
    model, data = linear
    arguments = ["psb", "eval", model, "--data", data, *QUICK]
    for more, words in (
        (["--metric", "f1"], "--metric is 'f1'; give one of accuracy, iou, r2, rmse, mae"),
        (["--metric", "no.such:f"], "--metric is 'no.such:f', which cannot be loaded (ModuleNot"),
        (["--metric", "nothing.py:f"], "which cannot be loaded (FileNotFoundError"),
        (["--metric", f"{Path(data).parent}.py:f"], "which cannot be loaded ("),
        (["--metric", "numpy:pi"], "--metric is 'numpy:pi', which is no function"),
        (["--output", "z"], "--output is 'z'; the model has 'y'"),
    ):
        assert main([*arguments, *more]) == 2
        assert words in capsys.readouterr().err


def test_eval_explains_a_loud_channel_in_options(tmp_path: Path, capsys) -> None:
    import onnx
    from evaluation_models import loud_channel

    case = loud_channel(2000.0)
    onnx.save(case.proto, tmp_path / "loud.onnx")
    np.save(tmp_path / "x.npy", case.x)
    arguments = ["--data", str(tmp_path / "x.npy"), "--samples", "1,4", "--seeds", "1"]
    assert main(["psb", "eval", str(tmp_path / "loud.onnx"), *arguments]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "activations below the step, nearest mode" in text
    assert "does not fall with the number of samples" in text
    assert "convert with 16 bits an activation (--x-bits)" in text
