"""A report appears completely where it may, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

from reluflow._api.lock import locked
from reluflow.errors import OutputError

HOLD = """
import sys
from pathlib import Path
from reluflow._api.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def argv(tmp_path):
    """The beginning of a command line that would succeed."""
    onnx.save(small_models.dense(), tmp_path / "model.onnx")
    np.save(tmp_path / "x.npy", small_models.integers((50, 4)))
    return ["analyze", tmp_path / "model.onnx", "--data", tmp_path / "x.npy"]


def test_a_file_stands_there(argv, refused, tmp_path):
    (tmp_path / "report").write_text("mine")
    assert "is a file" in refused(*argv, "--out", tmp_path / "report")


def test_the_parent_is_missing(argv, refused, tmp_path):
    assert "no parent folder" in refused(*argv, "--out", tmp_path / "no" / "report")


def test_the_parent_is_a_file(argv, refused, tmp_path):
    assert "no parent folder" in refused(*argv, "--out", tmp_path / "x.npy" / "report")


def test_the_parent_is_a_device(argv, refused, tmp_path):
    assert "no parent folder" in refused(*argv, "--out", "/dev/null/report")


def test_a_folder_with_other_things(argv, refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose me")
    assert "is not a reluflow report" in refused(*argv, "--out", tmp_path / "mine")
    assert "is not a reluflow report" in refused(*argv, "--out", tmp_path)


@pytest.mark.parametrize("out", ["", "/", ".", "/dev/null"])
def test_places_that_are_no_place(out, argv, refused):
    assert "directory" in refused(*argv, "--out", out)


def test_a_name_too_long(argv, refused, tmp_path):
    assert "long" in refused(*argv, "--out", tmp_path / ("r" * 300))


def test_a_folder_without_permission(argv, worker):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o500)
        outcome = worker.run(*argv, "--out", Path(folder, "report"))
        assert outcome.code == 2 and "not writable" in outcome.stderr
        assert list(Path(folder).iterdir()) == []
        Path(folder).chmod(0o700)


def test_a_former_report_survives_a_failure(argv, refused, worker, tmp_path):
    report = tmp_path / "report"
    assert worker.run(*argv, "--out", report).code == 0
    raw = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(raw[:-3])
    assert "truncated" in refused(*argv, "--out", report)
    np.savez(tmp_path / "x.npz", x=np.ones((3000, 4), "f4"))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[40000] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    argv[-1] = tmp_path / "x.npz"
    assert "Bad CRC-32" in refused(*argv, "--out", report, "--batch-size", 8)
    (report / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(*argv, "--out", report)


def test_nothing_to_resume(argv, refused, tmp_path):
    assert "resume" in refused(*argv, "--out", tmp_path / "report", "--resume")


@pytest.mark.parametrize("content", [None, b"", b"{", b"{}", b"[1]", b"\xff\xfe", b"null"])
def test_a_checkpoint_that_is_damaged(content, argv, refused, tmp_path):
    partial = tmp_path / "report.partial"
    partial.mkdir()
    if content is not None:
        for name in ("checkpoint.json", "state.json", "current", "CURRENT"):
            (partial / name).write_bytes(content)
    sentence = refused(*argv, "--out", tmp_path / "report", "--resume")
    assert "report.partial" in sentence


@pytest.mark.parametrize("command", ["inspect", "analyze", "compare", "demo", "paint"])
def test_commands_without_arguments(command, refused, tmp_path):
    extra = ["--models", tmp_path] if command == "demo" else []
    refused(command, *extra)


def test_compare_refuses_models_that_differ(argv, refused, tmp_path):
    onnx.save(small_models.convolutional(), tmp_path / "other.onnx")
    onnx.save(small_models.dense(units=5), tmp_path / "narrow.onnx")
    first = tmp_path / "model.onnx"
    for other in ("other.onnx", "narrow.onnx", "missing.onnx"):
        refused("compare", first, tmp_path / other, "--random", 8, "--out", tmp_path / "report")


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder `report`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "report")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_two_analyses_into_one_folder(argv, refused, worker, holder, tmp_path):
    for out in (tmp_path / "report", tmp_path / "x" / ".." / "report"):
        (tmp_path / "x").mkdir(exist_ok=True)
        assert "another analysis" in refused(*argv, "--out", out)
    assert "another analysis" in refused(*argv, "--out", tmp_path / "report", "--resume")
    assert worker.run(*argv, "--out", tmp_path / "other").code == 0
    holder.communicate()  # the process ends, and its lock with it
    assert worker.run(*argv, "--out", tmp_path / "report").code == 0
    assert not (tmp_path / ".report.lock").exists()


def test_the_lock_of_a_dead_process_is_taken_over(argv, worker, holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / ".report.lock").exists()
    assert worker.run(*argv, "--out", tmp_path / "report").code == 0
    assert not (tmp_path / ".report.lock").exists()


def test_a_lock_within_one_process(tmp_path):
    with locked(tmp_path / "report"):
        with pytest.raises(OutputError, match="another analysis"), locked(tmp_path / "report"):
            pass
        with locked(tmp_path / "other"):
            pass
    with locked(tmp_path / "report"):
        pass


def test_a_lock_that_cannot_be_made(tmp_path):
    (tmp_path / ".report.lock").mkdir()
    with pytest.raises(OutputError, match="cannot be locked"), locked(tmp_path / "report"):
        pass
