"""Runs a benchmark of one framework in a process of its own, on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_apart(script: str | Path, packages: list[str], backend: str, args: list[str]) -> Any:
    """Run a script and return what its last line holds as JSON; None: a package is missing.

    Args:
        script: of this folder; it gets the option `--apart` and `args`.
        packages: that it imports; one that is missing is named.
        backend: of Keras.
        args: behind the option.
    """
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path[1:])),
    }
    missing = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(packages)}"], env=environment, check=False
    )
    if missing.returncode:
        print(f"left out: {' or '.join(packages)} is not installed", flush=True)
        return None
    done = subprocess.run(
        [sys.executable, str(script), "--apart", *args],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
