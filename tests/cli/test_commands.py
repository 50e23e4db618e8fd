import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

from reluflow.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", small_models.integers((50, 4)))
    return tmp_path / "m.onnx"


def test_inspect_lists_the_sites(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model)]) == 0
    out = capsys.readouterr().out
    assert "relu0" in out and "relu1" in out
    assert main(["inspect", str(model), "--json"]) == 0
    sites = json.loads(capsys.readouterr().out)["sites"]
    assert [site["tensor"] for site in sites] == ["pre0", "pre1"]


def test_analyze_prints_a_table_and_writes_a_report(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = model.parent / "report"
    argv = ["analyze", str(model), "--data", str(model.parent / "x.npy"), "--out", str(out)]
    assert main(argv) == 0
    assert "relu0" in capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    assert {"report.html", "report.json", "patterns.parquet", "model_with_metrics.onnx"} <= names
    annotated = onnx.load(out / "model_with_metrics.onnx")
    relu = next(node for node in annotated.graph.node if node.name == "relu0")
    metrics = {entry.key: entry.value for entry in relu.metadata_props}
    report = json.loads((out / "report.json").read_text())
    assert metrics["reluflow.patterns"] == str(report["sites"][0]["patterns"])


def test_analyze_prints_json_without_a_directory(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(model), "--random", "9", "--seed", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_inputs"] == 9
    assert report["data"]["kind"] == "random"


def test_compare_two_checkpoints(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(small_models.dense(shift=1), model.parent / "later.onnx")
    out = model.parent / "compared"
    argv = ["compare", str(model), str(model.parent / "later.onnx"), "--random", "40"]
    assert main([*argv, "--out", str(out)]) == 0
    assert "relu0" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["mean_distance"] > 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["analyze", "MODEL"], "give the inputs with --data PATH, or ask for random ones"),
        (["analyze", "MODEL", "--data", "x", "--random", "3"], "not both"),
        (["analyze", "MODEL", "--random", "3", "--dim", "h"], "--dim is 'h'; give NAME=SIZE"),
        (["analyze", "MODEL", "--data", "x", "--size", "0x2"], "--size is '0x2'"),
        (["analyze", "MODEL", "--data", "x", "--mean", "a"], "--mean is 'a'"),
        (["analyze", "MODEL", "--random", "many"], "see reluflow --help"),
        (["analyse"], "see reluflow --help"),
        (["demo", "--models", "nowhere"], "--models is 'nowhere', which lacks"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    model: Path, argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(model) if word == "MODEL" else word for word in argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("reluflow: ") and err.count("\n") == 1
    assert sentence in err


def test_the_module_and_its_version_run() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "reluflow", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("reluflow ")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import reluflow, sys; print(*{'numba', 'onnxruntime', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
