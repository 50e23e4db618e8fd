"""Files appear whole or not at all, whoever writes them."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.analysis import AnalysisOptions
from reluflow.files import appearing

ROOT = Path(reluflow.__file__).parent


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was put on disk so far, files by the names they are written under."""
    found: list[Path] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        found.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return found


def inputs() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)


def test_a_file_is_on_disk_before_its_name_and_the_name_before_the_end(
    synced: list[Path], tmp_path: Path
) -> None:
    with appearing(tmp_path / "a.txt") as partial:
        partial.write_text("all of it")
        assert synced == []
    assert synced == [partial, tmp_path]


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half"), appearing(tmp_path / "a.txt") as partial:
        partial.write_text("ne")
        raise RuntimeError("half")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("times", [1, 2], ids=["new", "replaced"])
def test_a_report_and_all_its_files_are_on_disk_in_the_end(
    times: int, synced: list[Path], tmp_path: Path
) -> None:
    external = tmp_path / "model.onnx"
    onnx.save(
        small_models.dense(), external, save_as_external_data=True, location="w", size_threshold=0
    )
    for _ in range(times):
        synced.clear()
        reluflow.analyze(external, inputs(), tmp_path / "report")
    written = {path.name for path in (tmp_path / "report").iterdir()}
    on_disk = {path.name.removeprefix(".").rsplit(".", 2)[0] for path in synced}
    assert "model_with_metrics.onnx" in written
    assert written - on_disk == set()
    assert synced[-1] == tmp_path


def test_a_checkpoint_is_on_disk_before_its_state_names_it(
    synced: list[Path], tmp_path: Path
) -> None:
    options = AnalysisOptions(batch_size=4, checkpoint_seconds=0)
    reluflow.analyze(small_models.dense(), inputs(), tmp_path / "report", options=options)
    names = [path.name.removeprefix(".").rsplit(".", 2)[0] for path in synced]
    first = names.index("state.json")
    assert "sample.npz" in names[:first]


def test_no_file_but_one_renames_or_syncs() -> None:
    """`files.py` alone knows how, of files and of folders."""
    callers = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"fsync", "rename", "renames"}:
                callers.add(path.relative_to(ROOT).as_posix())
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "os.replace":
                callers.add(path.relative_to(ROOT).as_posix())
    assert callers == {"files.py"}
