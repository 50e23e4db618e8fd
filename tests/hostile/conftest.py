"""The harness: a worker that outlives bad input, and what a refusal must look like."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[1] / "support" / "hostile_worker.py"
SECONDS = 20


@dataclass(frozen=True)
class Outcome:
    """How one command line ended; `code` is minus the signal where the process died."""

    code: int
    stdout: str
    stderr: str


class Worker:
    """The command line in a process of its own, started again when a case kills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def run(self, *argv: object) -> Outcome:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "COLUMNS": "200"},
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        streams = {name: str(self.folder / name) for name in ("stdout", "stderr")}
        task = {"argv": [str(word) for word in argv], **streams}
        print(json.dumps(task), file=self.process.stdin, flush=True)
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        answer = self.process.stdout.readline() if ready else ""
        code = json.loads(answer) if answer else self.stop(kill=not ready)
        texts = [Path(path).read_text(errors="replace") for path in streams.values()]
        return Outcome(code, *texts)

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


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("streams"))
    yield worker
    worker.stop()


def snapshot(folder: Path) -> dict[str, str]:
    """Return every path below a folder with a digest of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        regular = path.is_file() and not path.is_symlink()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
        found[str(path.relative_to(folder))] = digest
    return found


@pytest.fixture
def refused(worker: Worker, tmp_path: Path) -> Callable[..., str]:
    """Run a command line that must fail: code 2, one sentence, nothing written."""

    def run(*argv: object) -> str:
        before = snapshot(tmp_path)
        outcome = worker.run(*argv)
        assert "Traceback" not in outcome.stderr, outcome.stderr
        assert outcome.code == 2, outcome
        assert outcome.stdout == ""
        lines = outcome.stderr.splitlines()
        assert len(lines) == 1, outcome.stderr
        assert lines[0].startswith("reluflow: ") and 25 < len(lines[0]) < 900, lines[0]
        assert lines[0].isprintable(), lines[0]
        assert snapshot(tmp_path) == before
        return lines[0]

    return run
