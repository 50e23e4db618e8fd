"""A check of the native library by one table of kernels, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = ("portable", "avx2", "avx512vnni")


def check_with(kernel: str, script: str, folder: Path) -> None:
    """Run a Python script that may import a folder's modules; skip what a processor lacks."""
    paths = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"RELUFLOW_KERNEL": kernel, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    if "this processor lacks it" in done.stderr:
        pytest.skip(f"this processor lacks {kernel}")
    assert done.returncode == 0, done.stderr[-3000:]
