"""The command line in processes of its own, with limits of time and memory."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("command_server.py")
MEMORY_BYTES = 8 << 30
ENVIRONMENT = {
    **os.environ,
    "COLUMNS": "200",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RELUFLOW_WORKER_BYTES": str(MEMORY_BYTES),
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `code` is minus the signal where the process died.

    `seconds` are those of the processor.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float


def _processor_seconds(pid: int) -> float:
    """Return what a process has used, 0 where this system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """A process that lives on between commands, started again when one kills it."""

    def __init__(self, folder: Path, seconds: float = 20, keeps: bool = False) -> None:
        """Keep its streams in a folder; a command that takes more processor time is killed.

        `keeps`: a line of arguments that comes again is not read again.
        """
        self.folder = folder
        self.seconds = seconds
        self.environment = {**ENVIRONMENT, "RELUFLOW_WORKER_KEEPS": str(int(keeps))}
        self.process: subprocess.Popen[str] | None = None

    def run(self, *argv: object) -> Outcome:
        process = self._up()
        assert process.stdin is not None and process.stdout is not None
        streams = {name: str(self.folder / name) for name in ("stdout", "stderr")}
        start = time.monotonic()
        task = {"argv": [str(word) for word in argv], **streams}
        print(json.dumps(task), file=process.stdin, flush=True)
        before = _processor_seconds(process.pid)
        ready: Sequence[object] = ()
        took = 0.0
        # A busy machine gives little time: it is the processor's that is limited.
        while not ready and took < self.seconds and time.monotonic() - start < 30 * self.seconds:
            ready, _, _ = select.select([process.stdout], [], [], self.seconds - took)
            took = _processor_seconds(process.pid) - before
        answer = process.stdout.readline() if ready else ""
        code = json.loads(answer) if answer else self.stop(kill=not ready)
        stdout, stderr = (Path(path).read_text(errors="replace") for path in streams.values())
        return Outcome(code, stdout, stderr, took if ready else self.seconds)

    def _up(self) -> subprocess.Popen[str]:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment,
            )
            assert self.process.stdout is not None
            self.process.stdout.readline()  # it is up: imports do not count
        return self.process

    def stop(self, kill: bool = False) -> int:
        if self.process is None:
            return 0
        assert self.process.stdin is not None and self.process.stdout is not None
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        code = self.process.wait()
        self.process = None
        return code


def run_alone(argv: list[str], seconds: float) -> Outcome:
    """Run the command line as a user does, in a process of its own."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "reluflow", *argv],
            capture_output=True,
            text=True,
            timeout=10 * seconds,  # its imports, on a busy machine
            env=ENVIRONMENT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        )
    except subprocess.TimeoutExpired:
        return Outcome(-9, "", "", seconds)
    took = min(time.monotonic() - start, seconds - 1)
    return Outcome(done.returncode, done.stdout, done.stderr, took)
