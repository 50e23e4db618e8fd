"""The last line of defence: whatever breaks, one sentence, a code, and a traceback on request."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
import small_models

from reluflow.cli import main


class Defect(Exception):
    """Stands for a fault that nobody knows about yet."""


UNFORESEEN = [
    (Defect("first line\nsecond line."), "Defect: first line second line"),
    (ValueError(), r"\(ValueError\)"),
    (AssertionError("x" * 900), r"xxx\.\.\."),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError"),
    (SystemError("from native code"), "SystemError"),
]
FORESEEN = [
    (MemoryError(), "not enough memory", 2),
    (RuntimeError("can't start new thread"), "not enough memory", 2),
    (RecursionError(), "nests deeper", 2),
    (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), "no space is left.*'/tmp/x'", 2),
    (OSError(errno.ENOSPC, "No space left on device"), "no space is left on the disk;", 2),
    (KeyboardInterrupt(), r"interrupted\.", 130),
]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run `inspect` while loading a model raises an unforeseen error."""
    onnx.save(small_models.dense(), tmp_path / "m.onnx")

    def run(error: BaseException, *extra: str) -> int:
        def load(path: object) -> None:
            raise error

        monkeypatch.setattr("reluflow._api.inspect.load_apart", load)
        return main(["inspect", str(tmp_path / "m.onnx"), *extra])

    return run


@pytest.mark.parametrize(("error", "pattern"), UNFORESEEN)
def test_what_nobody_foresaw_is_one_sentence(broken, capsys, error, pattern):
    assert broken(error) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and len(lines[0]) < 600
    assert re.search(pattern, lines[0]) and "run again with --debug" in lines[0]


@pytest.mark.parametrize(("error", "pattern", "code"), FORESEEN)
def test_what_any_program_meets_has_its_own_sentence(broken, capsys, error, pattern, code):
    assert broken(error) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(pattern, lines[0]), lines
    assert "foresee" not in lines[0]


@pytest.mark.parametrize("where", ["option", "variable"])
def test_the_traceback_is_shown_on_request(broken, capsys, monkeypatch, where):
    if where == "variable":
        monkeypatch.setenv("RELUFLOW_DEBUG", "1")
    assert broken(Defect("deep"), *(["--debug"] if where == "option" else [])) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and "raise error\n" in err
    assert err.splitlines()[-1].startswith("reluflow: an error that reluflow did not foresee")


def test_the_traceback_of_a_foreseen_error_is_shown_too(capsys, tmp_path):
    assert main(["--debug", "inspect", str(tmp_path / "gone.onnx")]) == 2
    assert "ModelError" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "gone.onnx")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.2])
def test_ctrl_c_while_the_program_starts_is_one_word(seconds, tmp_path):
    """At every moment of the imports, which take about a second."""
    code = (
        "import sys; import reluflow.cli._start; print('up', flush=True); "
        f"sys.exit(reluflow.cli._start.main(['inspect', {str(tmp_path / 'm')!r}]))"
    )
    os.mkfifo(tmp_path / "m")  # inspect refuses it at once; the imports take the time
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    if "is no regular file" not in err:  # else Python itself received the signal
        assert (process.returncode, err) == (130, "reluflow: interrupted.\n")


def test_ctrl_c_in_a_command_is_one_word(tmp_path):
    """A library turns the exception into its own exit code; the message is printed anyway."""
    code = (
        "import os, signal, sys\n"
        "import reluflow._api.inspect as command\n"
        "from reluflow.cli import main\n"
        "command.load_apart = lambda path: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(['inspect', 'm.onnx']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "reluflow: interrupted.\n")
