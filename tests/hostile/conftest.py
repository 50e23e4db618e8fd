"""The harness: a worker that outlives bad input, and what a refusal must look like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_worker import Worker


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
