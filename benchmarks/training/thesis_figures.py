"""Figures 3.8 to 3.22 and Table 3.1 of the thesis on FashionMNIST, with small networks.

Example: `thesis_figures.py 3.16 3.18 --json benchmarks/records/thesis_figures.json --page`; without
a name all are made. Trainings that several figures show are made once and kept in build/thesis.
"""

from __future__ import annotations

from pathlib import Path

import torch  # a benchmark of the torch bridge
from _support.gallery import remake
from training.thesis.figures import FIGURES

DOCS = Path(__file__).parents[2] / "docs"


if __name__ == "__main__":
    torch.set_num_threads(1)
    page = DOCS / "temperature-figures.md"
    remake(FIGURES, __doc__ or "", page, DOCS / "images" / "thesis")
