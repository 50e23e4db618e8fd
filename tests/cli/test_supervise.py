"""A crash of native code ends only the command: one sentence, code 2."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are split on Linux")


def supervised(body: str, folder: Path, **popen: object) -> subprocess.Popen[str]:
    """Run a function `command` with the code `body` under the supervisor."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    code = (
        f"import ctypes, os, signal, sys, time\ndef command():\n{lines}\n"
        "from reluflow.cli._supervise import supervised\nsys.exit(supervised(command))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **popen,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("code", [0, 2, 130])
def test_an_exit_code_passes(code, tmp_path):
    process = supervised(f"print('out'); return {code}", tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "out\n", "")


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        ("ctypes.string_at(0)", "SIGSEGV: native code failed on this model or data"),
        ("os.abort()", "SIGABRT: native code failed"),
        ("os.kill(os.getpid(), signal.SIGFPE)", "SIGFPE"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL.*lack of memory"),
    ],
)
def test_death_by_a_signal_is_a_sentence(body, pattern, tmp_path):
    process = supervised(body, tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1 and err.startswith("reluflow: the command was ended by")
    assert re.search(pattern, err), err


def test_a_signal_sent_to_the_parent_reaches_the_child(tmp_path):
    body = (
        "signal.signal(signal.SIGINT, lambda *a: (print('heard', flush=True), os._exit(7)))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    process = supervised(body, tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "heard\n")


def test_the_child_does_not_outlive_its_parent(tmp_path):
    process = supervised("print(os.getpid(), flush=True)\ntime.sleep(60)", tmp_path)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        if psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert time.monotonic() < deadline


def test_terminal_signals_are_not_heard_twice(tmp_path):
    """A signal that reaches the whole group from a terminal is not forwarded again."""
    body = (
        "heard = []\nsignal.signal(signal.SIGINT, lambda *a: heard.append(1))\n"
        "print('up', flush=True)\nend = time.monotonic() + 2\n"
        "while time.monotonic() < end: time.sleep(0.05)\nprint(len(heard))\nreturn 0"
    )
    leader, follower = os.openpty()
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    code = (
        "import os, fcntl, signal, sys, termios, time\n"
        f"fcntl.ioctl({follower}, termios.TIOCSCTTY, 0)\ndef command():\n{lines}\n"
        "from reluflow.cli._supervise import supervised\nsys.exit(supervised(command))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=follower,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=(follower,),
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    os.write(leader, b"\x03")
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    os.close(follower)
    assert (process.returncode, out) == (0, "1\n")
