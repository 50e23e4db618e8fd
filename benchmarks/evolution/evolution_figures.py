"""Figures 2.4 to 2.13 and 3.1 to 3.7 of the thesis with small networks and FashionMNIST.

Example: `evolution_figures.py 3.3 --json benchmarks/records/evolution_figures.json --page`; without
a name all are made. Trainings that several figures show are made once and kept in build/evolution.
"""

from __future__ import annotations

from pathlib import Path

import torch  # a benchmark of the torch bridge
from _support.gallery import remake
from evolution.figures import FIGURES
from evolution.planes import PLANES

DOCS = Path(__file__).parents[2] / "docs"


if __name__ == "__main__":
    torch.set_num_threads(1)
    page = DOCS / "evolution.md"
    remake(PLANES | FIGURES, __doc__ or "", page, DOCS / "images" / "evolution")
