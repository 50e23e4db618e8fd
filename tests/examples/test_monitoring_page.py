"""The code of docs/monitoring.md runs, and its pictures are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "monitoring.md").read_text(encoding="utf-8")


def test_the_first_program_and_the_pictures_run(tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    first, pictures = programs[0], programs[1]
    assert "PatternMonitor(" in first and "save_layer_time" in pictures
    whole = first.replace("\n):\n", "\n) as monitor:\n", 1) + pictures
    run = subprocess.run(
        [sys.executable, "-c", "import torch\ntorch.manual_seed(0)\n" + whole],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    assert run.returncode == 0, run.stderr
    assert {"layers.png", "phase.png", "recording"} <= {path.name for path in tmp_path.iterdir()}


def test_every_program_is_python() -> None:
    for program in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        compile(program, "docs/monitoring.md", "exec")


def test_its_pictures_are_there() -> None:
    names = re.findall(r"\]\((images/[^)]+)\)", TEXT)
    assert len(names) == 3
    assert all((DOCS / name).is_file() for name in names)
