"""Nothing overwrites what was read, nor anything that is not a regular file."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
import small_models

from reluflow.cli import main
from reluflow.errors import OutputError
from reluflow.graph import load


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    proto = small_models.dense()
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def itself(folder: Path) -> Path:
    return folder / "m.onnx"


def by_another_way(folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub" / ".." / "m.onnx"


def by_a_hard_link(folder: Path) -> Path:
    os.link(folder / "m.onnx", folder / "other.onnx")
    return folder / "other.onnx"


def weights(folder: Path) -> Path:
    return folder / "w.bin"


def link(folder: Path) -> Path:
    (folder / "new.onnx").symlink_to(folder / "target.onnx")
    return folder / "new.onnx"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "new.onnx")
    return folder / "new.onnx"


REFUSED = [
    (itself, "which would replace"),
    (by_another_way, "which would replace"),
    (by_a_hard_link, "which would replace"),
    (weights, "which would replace"),
    (link, "it is a link"),
    (pipe, "it is a device or a pipe"),
    (lambda folder: Path("/dev/null"), "it is a device or a pipe"),
    (lambda folder: folder, "it is a folder"),
]


@pytest.mark.parametrize(("build", "pattern"), REFUSED)
def test_a_conversion_loses_no_file(build, pattern, model, capsys, tmp_path):
    out = build(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert main(["psb", "convert", str(model), "-o", str(out)]) == 2
    assert pattern in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("build", [link, pipe])
def test_saving_replaces_regular_files_only(build, model, tmp_path):
    with pytest.raises(OutputError, match="which would be replaced by a file"):
        load(model).save(build(tmp_path))


def test_a_file_of_one_s_own_may_be_replaced(model, tmp_path):
    (tmp_path / "old.onnx").write_bytes(b"old")
    for _ in range(2):
        assert main(["psb", "convert", str(model), "-o", str(tmp_path / "old.onnx")]) == 0
    load(tmp_path / "old.onnx")
