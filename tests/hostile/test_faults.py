"""Work that ends at every change of a file, by `kill -9` or by the disk, loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import pytest

NAMES = {
    "kill": "`kill -9` at a change of a file",
    "full": "the disk full at a change of a file",
    "broken": "the disk broken at a change of a file",
}
LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"


@pytest.mark.parametrize("job", faults.JOBS)
@pytest.mark.parametrize("kind", faults.FAULTS)
def test_the_former_output_stays_or_the_new_one_is_complete(
    job: str, kind: str, tmp_path: Path, injected: Callable[..., None]
) -> None:
    if not LONG and job != "convert":
        pytest.skip("RELUFLOW_LONG_TESTS=1 runs it")
    done = subprocess.run(
        [sys.executable, faults.__file__, job, kind, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    number = int(done.stdout.split()[0])
    assert number >= (30 if job == "analyse" else 3)
    injected(NAMES[kind], number)
