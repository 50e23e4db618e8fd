"""Every script and the notebook of examples/ run as they stand."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import reluflow

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "analyze_torch_model.py": ("never fire", "report/report.html"),
    "animate_training.py": ("step 1280.onnx", "cells/animation.gif"),
    "compare_checkpoints.py": ("3 checkpoints on 300 inputs", "many/report.html"),
    "train_in_numpy.py": ("accuracy 8", "relu1"),
    "train_in_tinygrad.py": ("measured", "relu1"),
    "train_with_actcool.py": ("accuracy", "recording/recording.html"),
    "convert_to_shift_adds.py": ("shift_adds.onnx", "evaluation/psb.html"),
    "graphsurgeon_pipeline.py": ("folded 4", "tapped.onnx: 23 nodes, 8 outputs", "shift_adds.onnx"),
    "onnx_ir_pass.py": ("fold_batchnorm: 4 done", "tap_all: 7 done", "shift_adds.onnx"),
    "custom_data.py": ("a generator of batches: [", "random numbers: ["),
}

NEEDS = {
    "graphsurgeon_pipeline.py": "onnx_graphsurgeon",
    "onnx_ir_pass.py": "onnx_ir",
    "train_in_tinygrad.py": "tinygrad",
}


def test_no_example_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_script_runs(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(EXAMPLES / name), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=EXAMPLES.parent,
    )
    assert run.returncode == 0, run.stderr
    for words in SHOWN[name]:
        assert words in run.stdout.replace("\n", ""), run.stdout
    for path in tmp_path.glob("*.onnx"):
        reluflow.open_session(reluflow.load(path))


def test_the_same_data_in_five_ways_are_the_same_patterns(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "custom_data.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=EXAMPLES.parent,
        check=True,
    )
    lists = [line.split(": ", 1)[1] for line in run.stdout.splitlines() if ": [" in line]
    assert len(lists) == 6 and len(set(lists[:5])) == 1 and lists[5] != lists[0]


def test_the_notebook_runs_cell_by_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell runs in one namespace; its last expression is shown as a notebook would."""
    monkeypatch.chdir(EXAMPLES)
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text())["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(codes) >= 8 and all(not cell.get("outputs") for cell in cells)
    names: dict[str, object] = {}
    shown = []
    for number, text in enumerate(codes):
        tree = ast.parse(text)
        last = tree.body[-1]
        tree.body = tree.body[:-1] if isinstance(last, ast.Expr) else tree.body
        exec(compile(tree, f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
            shown.append(value)
    tables = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(tables) == 2 and all(table.count("<tr>") == 8 for table in tables)


def test_the_notebook_is_one_for_jupyter() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(EXAMPLES / "tour.ipynb", as_version=4))
