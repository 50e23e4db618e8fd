"""Makes all runs of some stages that are not there yet; start it twice to use two cores.

Example: `run_all.py search baselines`

A run that another process has claimed is left to it; the claim of a dead process is void.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch  # a benchmark of the torch bridge
from schedules._plan import STAGES
from schedules._train import Run
from schedules.run_one import perform


def _claim(path: Path) -> bool:
    """Writes this process' id into a new file; false where a living process has done so."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        return True
    except FileExistsError:
        owner = path.read_text("utf-8")
    if owner and Path(f"/proc/{owner}").exists():
        return False
    path.unlink(missing_ok=True)
    return _claim(path)


def work(stage: str, folder: Path) -> None:
    """Makes the runs of a stage, asking anew after each what is left."""
    while (run := _next(stage, folder)) is not None:
        claim = folder / f"{run.name}.claim"
        try:
            perform(run, folder)
        finally:
            claim.unlink(missing_ok=True)


def _next(stage: str, folder: Path) -> Run | None:
    for run in STAGES[stage](folder):
        if (folder / f"{run.name}.json").exists():
            continue
        if _claim(folder / f"{run.name}.claim"):
            return run
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--out", type=Path, default=Path("build/schedules"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for stage in given.stages:
        work(stage, given.out)


if __name__ == "__main__":
    main()
