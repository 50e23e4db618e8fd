"""Figures 2.4 to 2.13, one function each: it draws, and returns the numbers it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # a benchmark of the torch bridge
from _support.gallery import Rows
from evolution.cells import PLANE, cells_of, counts, dense, measure, most_lines, normal
from evolution.fashion import EPOCHS, VARIANTS, counted, plane, shown
from evolution.pictures import (
    save_boxes,
    save_cells,
    save_lines,
    save_points,
    save_positions,
)

SEEDS = 5
BOX_SEEDS = 25
COUNTED = 150
"""Pixels each way of grids that are only counted."""
LAYERS, NARROW = 8, 16
BIASED = 128


def figure_4(folder: Path) -> Rows:
    """Three widths of one layer."""
    found = {f"{width} units": cells_of(dense(1, width, 0))[0] for width in (16, 64, 256)}
    save_cells({"": found}, PLANE, folder / "2_4.png")
    return [{"layer": name, "cells": cells.count} for name, cells in found.items()]


def figure_5(folder: Path) -> Rows:
    """Number of cells by width, beside what could be."""
    widths = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    found = np.array([counts([dense(1, w, seed) for seed in range(SEEDS)]) for w in widths])
    at = np.array(widths, np.float64)
    lines = np.array([most_lines(width) for width in widths], np.float64)
    few = at[at <= BIASED / 8]
    save_lines(
        {
            "measured on [-5, 5]², mean": (at, found.mean(axis=1), found.std(axis=1)),
            "lines in the whole plane, at most": (at, lines, None),
            "patterns of so many bits, 2^D": (few, 2.0**few, None),
        },
        folder / "2_5.png",
        "units D of the layer",
        "cells",
        log="xy",
    )
    return [
        {"units": width, "cells": float(row.mean()), "lines at most": int(most)}
        for width, row, most in zip(widths, found, lines, strict=True)
    ]


def figure_6(folder: Path) -> Rows:
    """Three biases."""
    found = {
        f"bias {bias:g}": cells_of(dense(1, BIASED, 0, bias=bias))[0] for bias in (0.0, 0.25, 1.0)
    }
    save_cells({"": found}, PLANE, folder / "2_6.png")
    return [{"layer": name, "cells": cells.count} for name, cells in found.items()]


def figure_7(folder: Path) -> Rows:
    """Number of cells by bias."""
    biases = np.round(np.linspace(-3, 3, 25), 3)
    found = np.array(
        [
            counts([dense(1, BIASED, seed, bias=float(b)) for seed in range(SEEDS)], side=COUNTED)
            for b in biases
        ]
    )
    mean = found.mean(axis=1)
    curve = {"128 units, mean of 5 seeds": (biases, mean, found.std(axis=1))}
    save_lines(curve, folder / "2_7.png", "bias of every unit", "cells on [-5, 5]²")
    best = int(np.argmax(mean))
    return [
        {"bias": float(biases[at]), "cells": float(mean[at])} for at in (0, 6, 12, 16, 18, 24, best)
    ]


def figure_8(folder: Path) -> Rows:
    """Normalisation by data that lie beside the origin."""
    generator = torch.Generator().manual_seed(0)
    low, size = torch.tensor([-3.0, -3.0]), torch.tensor([2.0, 6.0])
    points = torch.rand(1024, 2, generator=generator) * size + low
    found = {}
    for bias in (0.0, 1.0):
        net = dense(1, BIASED, 0, bias=bias, norm=True)
        measure(net, points)
        found[f"bias {bias:g}"] = cells_of(net)[0]
    save_points(points.numpy().astype(np.float64), found, PLANE, folder / "2_8.png")
    return [{"layer": name, "cells": cells.count} for name, cells in found.items()]


def figure_9(folder: Path) -> Rows:
    """Three layers of a deep network."""
    cells = cells_of(dense(LAYERS, NARROW, 0, bias=1.0))
    found = {f"layer {n}": cells[n - 1] for n in (1, 2, LAYERS)}
    save_cells({"": found}, PLANE, folder / "2_9.png")
    return [{"layer": name, "cells": each.count} for name, each in found.items()]


def figure_10(folder: Path) -> Rows:
    """Number of cells by depth, with and without normalisation."""
    found = {}
    for name, norm in (("without normalisation", False), ("with batch normalisation", True)):
        rows = []
        for seed in range(BOX_SEEDS):
            net = dense(LAYERS, NARROW, seed, norm=norm)
            if norm:
                measure(net, normal(seed))
            rows.append([cells.count for cells in cells_of(net, side=COUNTED)])
        found[name] = np.array(rows, np.float64)
    save_boxes(found, folder / "2_10.png", "layer", "cells on [-5, 5]², 25 seeds")
    return [
        {"network": name} | {f"layer {n}": float(np.median(v[:, n - 1])) for n in (1, 2, 4, 8)}
        for name, v in found.items()
    ]


def figure_11(folder: Path) -> Rows:
    """Three images and their plane."""
    where = plane()
    assert where.points is not None
    three = [where.at(point[None])[0, 0] for point in where.points]
    save_positions(three, where, folder / "2_11.png")
    return [
        {"image at": f"({u:g}, {v:g})", "mean of its pixels": float(image.mean())}
        for (u, v), image in zip(where.points, three, strict=True)
    ]


def figure_12(folder: Path) -> Rows:
    """Cells of all layers of F1 while it learns."""
    found = {
        f"{name}\nepoch {epoch}": {f"layer {n}": c for n, c in enumerate(cells, start=1)}
        for name, norm in VARIANTS.items()
        for epoch, cells in shown(norm).items()
    }
    save_cells(found, plane(), folder / "2_12.png", side=1.75)
    return [
        {"network": name.replace("\n", ", ")} | {title: cells.count for title, cells in row.items()}
        for name, row in found.items()
    ]


def figure_13(folder: Path) -> Rows:
    """Number of cells of all layers of F1 while it learns."""
    found = {name: counted(norm) for name, norm in VARIANTS.items()}
    epochs = np.arange(EPOCHS + 1, dtype=np.float64)
    for (name, values), suffix in zip(found.items(), ("plain", "norm"), strict=True):
        save_lines(
            {f"layer {n + 1}": (epochs, each, None) for n, each in enumerate(values.T)},
            folder / f"2_13_{suffix}.png",
            f"epoch, F1 {name}",
            "cells on [-5, 5]², 10,000 points",
        )
    return [
        {"network": f"{name}, epoch {epoch}"}
        | {f"layer {n + 1}": int(each) for n, each in enumerate(values[epoch])}
        for name, values in found.items()
        for epoch in (0, 1, 2, 5, EPOCHS)
    ]


PLANES: dict[str, Callable[[Path], Rows]] = {
    "2.4": figure_4,
    "2.5": figure_5,
    "2.6": figure_6,
    "2.7": figure_7,
    "2.8": figure_8,
    "2.9": figure_9,
    "2.10": figure_10,
    "2.11": figure_11,
    "2.12": figure_12,
    "2.13": figure_13,
}
