"""What the grid of trainings says: which runs failed, and which fell behind cosine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from training.loop import DONE

TIE = "<!-- record: benchmarks/records/robustness.json -->"
"""Stands above each table of the page but the first, which has it already."""
MARGIN = 1.0
"""Points of test accuracy that ActCoolLR may be behind."""
TITLES = {
    "digits512": "512 digits",
    "digits1400": "1,400 digits",
    "fashion512": "512 of FashionMNIST",
    "mlp": "MLP",
    "cnn": "CNN",
    "cnn_bn": "CNN + BN",
    "f1": "F1",
    "resnet8": "ResNet-8",
    "sgd": "SGD",
    "adamw": "AdamW",
}
"""Of the parts of a cell, on the page."""
CELL = ("data", "net", "optimizer", "epochs", "labels")
Record = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """One cell of the grid, over its seeds.

    Attributes:
        key: data, net, optimiser, epochs, labels.
        tag: of the runs of ActCoolLR.
        rate: of cosine, the better one by the mean validation accuracy.
        cosine: mean test accuracy at that rate.
        actcool: mean test accuracy.
        by_seed: test accuracies of ActCoolLR, by ascending seed.
        behind: the seeds that are more than `MARGIN` below `cosine`; none with random labels.
        failed: seed and end of the runs that ended in NaN or an exception.
        cosine_failed: the same of cosine at that rate.
    """

    key: Key
    tag: str
    rate: float | None
    cosine: float | None
    actcool: float
    by_seed: tuple[float, ...]
    behind: tuple[int, ...]
    failed: tuple[tuple[int, str], ...]
    cosine_failed: tuple[tuple[int, str], ...]

    @property
    def is_behind(self) -> bool:
        """Tells whether the mean over seeds is more than `MARGIN` below cosine's."""
        is_compared = self.cosine is not None and self.key[-1] == "true"
        return is_compared and self.actcool < self.cosine - MARGIN  # type: ignore[operator]


def cells(records: Iterable[Record]) -> list[Cell]:
    """Returns the cells that have runs of ActCoolLR, one for each tag.

    Args:
        records: of the runs; each compares with cosine runs of the same cell where there are any.
    """
    cosine: dict[Key, dict[float, list[Record]]] = defaultdict(lambda: defaultdict(list))
    actcool: dict[tuple[Key, str], list[Record]] = defaultdict(list)
    for record in records:
        run = record["run"]
        key = tuple(run[name] for name in CELL)
        if run["schedule"] == "cosine":
            cosine[key][run["rate"]].append(record)
        else:
            actcool[key, run["tag"]].append(record)
    return [_cell(key, tag, found, cosine[key]) for (key, tag), found in actcool.items()]


def _cell(key: Key, tag: str, found: list[Record], cosine: dict[float, list[Record]]) -> Cell:
    found = sorted(found, key=lambda record: record["run"]["seed"])
    rate, level = None, None
    if cosine:
        rate = max(cosine, key=lambda each: _mean(cosine[each], "validation_accuracy"))
        level = _mean(cosine[rate], "test_accuracy")
    is_true = key[-1] == "true"
    return Cell(
        key=key,
        tag=tag,
        rate=rate,
        cosine=level,
        actcool=_mean(found, "test_accuracy"),
        by_seed=tuple(record["test_accuracy"] for record in found),
        behind=tuple(
            record["run"]["seed"]
            for record in found
            if is_true and level is not None and record["test_accuracy"] < level - MARGIN
        ),
        failed=_failed(found),
        cosine_failed=() if rate is None else _failed(cosine[rate]),
    )


def _mean(records: Sequence[Record], name: str) -> float:
    return mean(record[name] for record in records)


def _failed(records: Sequence[Record]) -> tuple[tuple[int, str], ...]:
    return tuple((each["run"]["seed"], each["end"]) for each in records if each["end"] != DONE)


def as_json(found: Sequence[Cell]) -> dict[str, Any]:
    """Returns counts and cells ready for JSON."""
    return {"counts": counts(found), "cells": [asdict(cell) for cell in found]}


def report(found: Sequence[Cell]) -> str:
    """Returns the failures and what is behind in words, then a table by length of the training."""
    lines = []
    for cell in found:
        name = " ".join(str(each) for each in cell.key) + (f" [{cell.tag}]" if cell.tag else "")
        lines += [f"FAILED {name}, seed {seed}: {end}" for seed, end in cell.failed]
        lines += [f"cosine failed {name}, seed {seed}: {end}" for seed, end in cell.cosine_failed]
        if cell.behind or cell.is_behind:
            by_seed = ", ".join(f"{each:.2f}" for each in cell.by_seed)
            mark = "BEHIND" if cell.is_behind else "behind in some seeds"
            lines.append(
                f"{mark} {name}: {cell.actcool:.2f} ({by_seed}) against {cell.cosine:.2f} "
                f"of cosine at {cell.rate:g}"
            )
    return "\n".join([*lines, "", table(counts(found))])


def page(results: dict[str, Any]) -> str:
    """Returns the tables of the page from what `as_json` gave: counts, then what is behind."""
    found = [Cell(**{**row, "key": tuple(row["key"])}) for row in results["cells"]]
    behind = sorted((each for each in found if each.is_behind), key=lambda each: each.key)
    lines = [
        "| behind | by seed | ActCoolLR, % | cosine, % | at a rate of |",
        "|---|---|---:|---:|---:|",
    ]
    for cell in behind:
        by_seed = ", ".join(f"{each:.2f}" for each in cell.by_seed)
        levels = f"{cell.actcool:.2f} | {cell.cosine:.2f} | {cell.rate:g}"
        lines.append(f"| {told(cell)} | {by_seed} | {levels} |")
    return "\n".join([table(results["counts"]), *(["", TIE, *lines] if behind else [])])


def told(cell: Cell) -> str:
    """Returns the name of a cell for a page."""
    data, net, optimizer, epochs, labels = cell.key
    parts = (TITLES[data], f"{TITLES[net]}, {TITLES[optimizer]}, {epochs} epochs")
    return ", ".join((*parts, *(() if labels == "true" else ("random labels",))))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows of `counts` as a Markdown table; tags only where there are any."""
    is_tagged = any(row["tag"] for row in rows)
    lines = [
        "| optimiser | labels | epochs | runs | failed | runs behind | cells | cells behind "
        "| mean difference, points |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    if is_tagged:
        lines = ["| tag " + lines[0], "|---" + lines[1]]
    for row in rows:
        cells = [TITLES.get(value, value) for name, value in row.items() if name != "tag"]
        cells[-1] = "" if cells[-1] is None else f"{cells[-1]:+.2f}"
        shown = [*([row["tag"]] if is_tagged else []), *cells]
        lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines)


def counts(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """Returns a row of counts per tag, optimiser, labels and epochs, ready for JSON."""
    groups: dict[Key, list[Cell]] = defaultdict(list)
    for cell in found:
        _, _, optimizer, epochs, labels = cell.key
        groups[cell.tag, optimizer, labels, epochs].append(cell)
    return [_counted(key, groups[key]) for key in sorted(groups)]


def _counted(key: Key, found: Sequence[Cell]) -> dict[str, Any]:
    differences = [cell.actcool - cell.cosine for cell in found if cell.cosine is not None]
    return dict(zip(("tag", "optimizer", "labels", "epochs"), key, strict=True)) | {
        "runs": sum(len(cell.by_seed) for cell in found),
        "failed": sum(len(cell.failed) for cell in found),
        "behind": sum(len(cell.behind) for cell in found),
        "cells": len(found),
        "cells_behind": sum(cell.is_behind for cell in found),
        "mean_difference": mean(differences) if differences else None,
    }
