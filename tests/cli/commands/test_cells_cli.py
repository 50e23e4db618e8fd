"""`reluflow cells` as its user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from celled.models import graph, mlp, random_mlp
from onnx import helper

from reluflow.cells import MOST_CELLS, count_cells, exact_cells, plane_of_inputs
from reluflow.cli import main
from reluflow.report.pages.cells import CELLS_FILES, RASTER_FILES

FLAT = random_mlp([2, 8, 8, 3], 4)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cells")
    FLAT.save(made / "flat.onnx")
    random_mlp([6, 12, 3], 5).save(made / "six.onnx")
    random_mlp([2, 64, 64, 1], 5).save(made / "wide.onnx")
    mlp([[[1, 0, 1], [0, 1, 1]], np.ones((3, 1))], [[0, 0, 0], [0]]).save(made / "origin.onnx")
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"], name="soft"),
        helper.make_node("Relu", ["s"], ["y"], name="r"),
    ]
    graph(nodes, [], [2], [2]).save(made / "curved.onnx")
    np.save(made / "six.npy", np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32))
    np.save(made / "two.npy", np.eye(2, dtype=np.float32))
    np.save(made / "line.npy", np.outer(np.arange(3.0), np.ones(6)).astype(np.float32))
    return made


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def printed(line: str, capsys: Capture) -> dict[str, object]:
    assert main([*line.split(), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_plane_of_inputs_is_exact_and_written(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "made"
    found = printed(f"cells flat.onnx --classes -o {out}", capsys)
    assert sorted(path.name for path in out.iterdir()) == sorted(CELLS_FILES)
    assert json.loads((out / "cells.json").read_text()) == found
    exact = exact_cells(FLAT, plane_of_inputs(), classes=True)
    assert (found["kind"], found["polygons"], found["near"]) == ("exact", len(exact), exact.near)
    assert found["plane"] == "its two inputs"


def test_three_inputs_and_a_random_plane(capsys: Capture) -> None:
    through = printed("cells six.onnx -d six.npy --points 8,0,3", capsys)
    assert through["plane"] == "through inputs 8, 0 and 3"
    assert through["window"] == [-0.5, 1.5, -0.5, 1.5]
    drawn = printed("cells six.onnx --seed 4 --plane random --window=-1,1,-2,2", capsys)
    assert drawn["plane"] == "random (seed 4) through zeros" and drawn["window"] == [-1, 1, -2, 2]
    at = printed("cells six.onnx --plane random -d six.npy --points 2", capsys)
    assert at["plane"] == "random (seed 0) through input 2"


def test_a_site_ends_the_cells(capsys: Capture) -> None:
    found = printed("cells flat.onnx --site r0", capsys)
    assert [each["name"] for each in found["sites"]] == ["r0"]  # type: ignore[attr-defined]
    assert found["polygons"] == len(exact_cells(FLAT, plane_of_inputs(), until="r0"))
    assert found["affine_regions"] is None


def test_a_curved_model_is_put_on_a_grid_and_that_is_said(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "made"
    assert main(["cells", "curved.onnx", "--classes", "-o", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "A grid instead of exact polygons: " in text and "Sigmoid" in text
    assert "A grid has no decision boundary." in text and "500 x 500 pixels" in text
    assert sorted(path.name for path in out.iterdir()) == sorted(RASTER_FILES)


def test_too_many_cells_are_put_on_a_grid(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from reluflow._api import inspect

    monkeypatch.setattr(inspect, "PIXELS", 20)
    monkeypatch.setattr(inspect, "MOST_ON_PAGE", 100)
    found = printed("cells wide.onnx", capsys)
    assert found["kind"] == "raster" and found["pixels"] == [20, 20]
    assert "more than 100 cells" in str(found["notes"])
    assert printed("cells wide.onnx --window=-0.01,0.01,0,0.01", capsys)["kind"] == "exact"


def test_signs_by_the_tolerance_are_said(capsys: Capture) -> None:
    found = printed("cells origin.onnx", capsys)
    assert found["near"] and found["polygons"] == 6
    assert main(["cells", "origin.onnx"]) == 0
    assert f"{found['near']} values at corners within 1e-12" in capsys.readouterr().out
    assert main(["cells", "flat.onnx"]) == 0
    assert "no sign depends on the tolerance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cells flat.onnx --plane cube", "--plane is 'cube'; give one of auto, inputs"),
        ("cells flat.onnx --plane data", "--plane is 'data', but there are no inputs; give --data"),
        ("cells six.onnx --plane inputs", "not two numbers; give --plane random or --plane data"),
        (
            "cells six.onnx -d six.npy --points 0,1",
            "--points are [0, 1]; give the numbers of three",
        ),
        ("cells six.onnx -d six.npy --points 0,1,x", "--points is '0,1,x'; give numbers of inputs"),
        ("cells six.onnx -d six.npy --points 0,1,9", "the data have 9 samples"),
        ("cells six.onnx -d two.npy", "[N, 6]"),
        ("cells six.onnx -d line.npy", "the plane's two directions lie on one line"),
        ("cells flat.onnx --window 1,2", "--window is [1.0, 2.0]; give least u"),
        ("cells flat.onnx --window 2,1,0,1", "the window is [2.0, 1.0, 0.0, 1.0]"),
        ("cells flat.onnx --window nan,1,0,1", "the window is [nan, 1.0, 0.0, 1.0]"),
        ("cells flat.onnx --window a,1,0,1", "--window is 'a,1,0,1'; give numbers"),
        ("cells flat.onnx --raster 0", "--raster is 0; give a whole number from 1 to 4096"),
        ("cells flat.onnx --raster 5000", "--raster is 5000; give a whole number from 1 to 4096"),
        ("cells flat.onnx --threads 0", "--threads is 0"),
        ("cells flat.onnx --raster 9 --site none", "--site names 'none', which is no site"),
        ("cells none.onnx", "none.onnx"),
        ("cells flat.onnx -o two.npy", "--out is 'two.npy', a file"),
    ],
)
def test_a_bad_line_is_one_sentence(line: str, words: str, folder: Path, capsys: Capture) -> None:
    before = sorted(folder.iterdir())
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_ctrl_c_ends_it_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    random_mlp([2, 900, 900, 900, 1], 5).save(tmp_path / "huge.onnx")
    line = [sys.executable, "-m", "reluflow", "cells", "huge.onnx", "-o", "made"]
    process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".made.lock").exists():  # the work has begun
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and error.strip() == "reluflow: interrupted."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["huge.onnx"]


def test_counts_agree_with_and_without_cells_kept() -> None:
    counted = count_cells(FLAT, plane_of_inputs())
    kept = exact_cells(FLAT, plane_of_inputs(), most=MOST_CELLS)
    assert (counted.cells, counted.near) == (len(kept), kept.near)
