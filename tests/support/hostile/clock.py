"""An analysis whose clock jumps by decades, forwards and back, while it runs.

    python clock.py FOLDER JOB

`JOB` is `whole` (one process), `stopped` (killed by signal 9 midway), `resumed` (goes on with that)
or `divided` (two processes count and merge). libfaketime, preloaded by the caller, reads the
offset of the clock from FOLDER/clock each time it is asked; this script changes that file at every
report of progress and tells how many times it did.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import small_models

import reluflow
from reluflow import AnalysisOptions

OFFSETS = ("+30y", "-20y", "+0", "-56y", "+78y")
"""From 1970 to 2104."""
N_INPUTS, BATCH, STOP_AT = 800, 10, 300


def main() -> None:
    folder, job = Path(sys.argv[1]), sys.argv[2]
    offsets = itertools.cycle(OFFSETS)
    made = 0

    def jump(stage: str, done: int, total: int | None) -> None:
        nonlocal made
        # Renamed into place: a clock that is asked meanwhile finds one offset or the other.
        (folder / "next").write_text(next(offsets), "ascii")
        (folder / "next").replace(folder / "clock")
        made += 1
        if job == "stopped" and done > STOP_AT:
            print(made, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    given: dict[str, Any] = {"workers": 2, "parts": 4} if job == "divided" else {}
    reluflow.analyze(
        small_models.dense(units=20),
        folder / "x.npy",
        folder / ("divided" if job == "divided" else "out"),
        options=AnalysisOptions(batch_size=BATCH, checkpoint_seconds=0),
        resume=job == "resumed",
        progress=jump,
        **given,
    )
    print(made)


if __name__ == "__main__":
    main()
