"""A short run of the mutator: no traceback, nothing unforeseen, no hang, no crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", [10_000, 10_050, 10_100])
def test_mutated_models_work_or_get_a_sentence(first, tmp_path):
    argv = [sys.executable, str(FUZZ), "--first", str(first), "--count", "50", "--seed", "7"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models: 50" in done.stdout


def test_a_case_is_the_same_each_time(tmp_path):
    found = []
    for number in range(2):
        keep = tmp_path / str(number)
        argv = [sys.executable, str(FUZZ), "--seed", "3", "--case", "12", "--keep", str(keep)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        assert "models: 1" in done.stdout, done.stderr
        found.append((keep / "3-12" / "model.onnx").read_bytes())
    assert found[0] == found[1]
