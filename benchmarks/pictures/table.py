"""Table 4.2's rows of attention and Figure 4.5's grids on FashionMNIST.

    PYTHONPATH=benchmarks python benchmarks/pictures/table.py --json benchmarks/records/table.json

What `psb eval --attention` measures, on the networks of models/: psb 1/32 and 2/32 with unsure and
random regions, with and without a margin of one pixel of the map; then every pair of numbers of
samples, as grids of accuracy against a first pass alone and of shift-adds saved. The thesis writes
these as psb1/5 and psb2/5, powers of two. `--page` puts table and picture into docs/attention.md;
with `--only-page` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from _support import fill_page, keep

from reluflow import AttentionOptions, evaluate_attention

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "table.json"
MARK = "attention table"
PAGE, PICTURE = ROOT / "docs" / "attention.md", ROOT / "docs" / "images" / "attention_grid.png"
IMAGES = ROOT / "models" / "fashion_mnist_test_2000.npz"
NETWORKS = ("fashion_resnet8", "fashion_convnet8")
ROWS = AttentionOptions((1, 2), (32,))
GRID = AttentionOptions((1, 2, 4, 8, 16), (2, 4, 8, 16, 32))


def measured(name: str, options: AttentionOptions, limit: int) -> dict[str, Any]:
    """Return what attention keeps and saves on a network."""
    model = ROOT / "models" / f"{name}.onnx"
    found = evaluate_attention(model, IMAGES, attention=options, limit=limit)
    points = [
        {
            "samples": list(point.samples),
            "selection": point.selection,
            "random": point.random,
            "margin": point.margin,
            "coverage": point.coverage,
            "value": point.value,
            "cost": found.cost(point),
            "speed": found.speed(point),
        }
        for point in found.points
    ]
    passes = {str(n): each.value for n, each in found.passes.items()}
    return {
        "network": name,
        "n_inputs": found.n_inputs,
        "float": found.float_value,
        "passes": passes,
        "points": points,
    }


def table(results: dict[str, Any]) -> str:
    """Return the table of the page."""
    titles = (
        *("network", "samples", "pixels of pass 2", "accuracy, %", "region, %"),
        *("shift-adds, counted", "times as fast, measured"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results["rows"]:
        name = row["network"].removeprefix("fashion_")
        lines.append(f"| {name} | float | | {100 * row['float']:.2f} | | | |")
        for n, value in row["passes"].items():
            lines.append(f"| {name} | psb {n} | all | {100 * value:.2f} | | | |")
        for point in row["points"]:
            cells = (
                *(name, "psb {}/{}".format(*point["samples"]), point["selection"]),
                *(f"{100 * point['value']:.2f}", f"{100 * point['coverage']:.0f}"),
                *(f"{point['cost']:.2f}", f"{point['speed']:.2f}"),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(grid: dict[str, Any]) -> None:
    """Draw accuracy against the second pass alone and shift-adds saved, base by refine."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    selections = list(dict.fromkeys(point["selection"] for point in grid["points"]))
    bases = sorted({point["samples"][0] for point in grid["points"]})
    refines = sorted({point["samples"][1] for point in grid["points"]})
    figure, axes = plt.subplots(2, len(selections), figsize=(3.1 * len(selections), 5.6))
    for column, selection in enumerate(selections):
        lost, saved = np.full((2, len(bases), len(refines)), np.nan)
        for point in grid["points"]:
            if point["selection"] == selection:
                j, k = point["samples"]
                at = bases.index(j), refines.index(k)
                lost[at] = 100 * (point["value"] - grid["passes"][str(k)])
                saved[at] = 100 * (1 - point["cost"])
        parts = ((lost, "accuracy against psb k, points"), (saved, "shift-adds saved, %"))
        for line, (values, what) in enumerate(parts):
            axis = axes[line][column]
            scale = 10 if line == 0 else 100
            axis.imshow(values, cmap="RdBu", vmin=-scale, vmax=scale, origin="lower")
            for (i, j), value in np.ndenumerate(values):
                if np.isfinite(value):
                    dark = abs(value) > 0.6 * scale
                    ink = "white" if dark else "black"
                    axis.text(j, i, f"{value:.1f}", ha="center", va="center", size=8, color=ink)
            axis.set_xticks(range(len(refines)), [str(n) for n in refines])
            axis.set_yticks(range(len(bases)), [str(n) for n in bases])
            axis.set_xlabel("samples of pass 2", fontsize=8)
            axis.set_title(f"{selection}\n{what}" if line == 0 else what, fontsize=8)
        axes[0][column].set_ylabel("samples of pass 1", fontsize=8)
        axes[1][column].set_ylabel("samples of pass 1", fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="of the table")
    parser.add_argument("--grid-images", type=int, default=1000, help="of the grids")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        rows = []
        for name in NETWORKS:
            rows.append(measured(name, ROWS, options.images))
            print(json.dumps(rows[-1]), flush=True)
        grid = measured(NETWORKS[0], GRID, options.grid_images)
        keep(options.json, {"rows": rows, "grid": grid})
    if options.page or options.only_page:
        record = json.loads(RECORD.read_text("utf-8"))
        fill_page(PAGE, MARK, RECORD, table)
        draw(record["results"]["grid"])


if __name__ == "__main__":
    main()
