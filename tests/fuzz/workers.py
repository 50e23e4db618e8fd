"""Processes that run command lines, with limits of time and memory."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "support" / "hostile_worker.py"
MEMORY_BYTES = 8 << 30


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `code` is minus the signal where the process died."""

    code: int
    stderr: str
    seconds: float


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


class Worker:
    """The command line in a process that lives on between commands, started again when it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def run(self, argv: list[str], seconds: float) -> Outcome:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(SUPPORT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=_environment() | {"RELUFLOW_WORKER_BYTES": str(MEMORY_BYTES)},
            )
            self.process.stdout.readline()  # it is up: imports do not count
        streams = {name: str(self.folder / name) for name in ("stdout", "stderr")}
        start = time.monotonic()
        print(json.dumps({"argv": argv, **streams}), file=self.process.stdin, flush=True)
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        answer = self.process.stdout.readline() if ready else ""
        code = json.loads(answer) if answer else self.stop(kill=not ready)
        stderr = Path(streams["stderr"]).read_text(errors="replace")
        return Outcome(code, stderr, time.monotonic() - start)

    def stop(self, kill: bool = False) -> int:
        if self.process is None:
            return 0
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
            timeout=seconds + 10,  # its imports
            env=_environment(),
            preexec_fn=_limited,
        )
    except subprocess.TimeoutExpired:
        return Outcome(-9, "", seconds)
    return Outcome(done.returncode, done.stderr, min(time.monotonic() - start, seconds - 1))
