"""Figure 4.2 on FashionMNIST: in-place PSB of a float network against training on draws.

Eight convolutions of 3 x 3 with batch normalisation and ReLU, images of 14 x 14 pixels. Per seed
one network is trained in floating point, and one for each number of samples with weights drawn
at every step, all from the same fresh weights (binomial draws, as in the thesis). The float network
is also tuned for one epoch with the draws that tools choose. All are then measured at every
number of samples.

Example: `PYTHONPATH=benchmarks python benchmarks/training/thesis/drawn.py --json FILE --page`
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch  # a benchmark of the torch bridge
from _support import keep
from _support.gallery import lighten
from _support.record import fill
from schedules._tasks import Split
from torch import nn
from training.loop import Setup, accuracy, train
from training.thesis.runs import images

from reluflow.report.pictures.canvas import GRID, INK, calm, save, titled
from reluflow_torch.psb import PsbTraining
from reluflow_torch.zoo import eight_convs

ROOT = Path(__file__).parents[3]
PAGE, PICTURE = ROOT / "docs" / "psb-training.md", ROOT / "docs" / "images" / "thesis" / "4_2.png"
WIDTHS = (16, 16, 32, 32, 32, 64, 64, 64)
SAMPLES, TUNED = (1, 2, 4, 8, 16), (1, 2, 4)
SEEDS, EPOCHS, TUNED_EPOCHS, BATCH = 3, 3, 1, 128
LEARNT, JUDGED = 25_000, 5_000
"""Images of the training set, and of the test set."""
RATE, TUNED_RATE, MOMENTUM, DECAY = 0.1, 0.02, 0.9, 5e-4
CHOSEN, BINOMIAL = "chosen", "binomial"
MARKS = "osD^vP"
COLOURS = ("#0b6e99", "#d1662a", "#5a8f3c", "#8a4fa3", "#b8860b")


def fit(model: nn.Module, split: Split, seed: int, epochs: int, rate: float) -> None:
    """Train by SGD with a cosine from a rate down to 0."""

    def setup(model: nn.Module) -> Setup:
        optimizer = torch.optim.SGD(
            model.parameters(), rate, MOMENTUM, weight_decay=DECAY, nesterov=True
        )
        steps = epochs * -(-len(split.labels) // BATCH)
        return Setup(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps))

    course, _ = train(model, setup, split, epochs=epochs, batch=BATCH, seed=seed)
    if course.end != "done":
        raise SystemExit(f"a training ended early: {course.end}")


def fresh(seed: int) -> nn.Sequential:
    """Return eight convolutions with torch's own initialisation by a seed."""
    model = eight_convs(WIDTHS, channels=1)
    torch.manual_seed(seed)
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            layer.reset_parameters()
    return model


def measured(
    model: nn.Module, psb: PsbTraining | None, test: Split, samplers: Sequence[str]
) -> dict[str, float]:
    """Return the accuracy at each number of samples, in percent, each 1000 images with one draw."""
    draws = PsbTraining(model, test.images[:2], seed=1) if psb is None else psb
    found = {}
    for sampler in samplers:
        draws.sampler = None if sampler == CHOSEN else sampler
        for n in SAMPLES:
            draws.samples = n
            found[f"{sampler} {n}"] = accuracy(model, test)
    draws.remove()
    return found


def tuned(model: nn.Module, learnt: Split, test: Split, seed: int) -> dict[str, Any]:
    """Train a float network for an epoch more, with each kind of draws and without any."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    rows: dict[str, Any] = {}
    for sampler in (CHOSEN, BINOMIAL):
        for n in TUNED:
            model.load_state_dict(state)
            drawn_by = None if sampler == CHOSEN else sampler
            psb = PsbTraining(model, learnt.images[:2], n, sampler=drawn_by, seed=seed)
            fit(model, learnt, seed, TUNED_EPOCHS, TUNED_RATE)
            rows[f"tuned {n}, {sampler}"] = measured(model, psb, test, (sampler,))
    model.load_state_dict(state)
    fit(model, learnt, seed, TUNED_EPOCHS, TUNED_RATE)
    rows["float, as long as tuned"] = accuracy(model, test)
    rows["in place, as long as tuned"] = measured(model, None, test, (BINOMIAL, CHOSEN))
    return rows


def run(seed: int, splits: dict[str, Split]) -> dict[str, Any]:
    """Train and measure all networks of a seed."""
    learnt = Split(splits["train"].images[:LEARNT], splits["train"].labels[:LEARNT])
    test = Split(splits["test"].images[:JUDGED], splits["test"].labels[:JUDGED])
    model = fresh(seed)
    fit(model, learnt, seed, EPOCHS, RATE)
    rows: dict[str, Any] = {
        "float": accuracy(model, test),
        "in place": measured(model, None, test, (BINOMIAL, CHOSEN)),
    }
    rows |= tuned(model, learnt, test, seed)
    for n in SAMPLES:
        model = fresh(seed)
        psb = PsbTraining(model, learnt.images[:2], n, sampler=BINOMIAL, seed=seed)
        fit(model, learnt, seed, EPOCHS, RATE)
        rows[f"trained {n}"] = measured(model, psb, test, (BINOMIAL,))
        print(f"seed {seed}, trained at {n}: {rows[f'trained {n}']}", flush=True)
    return rows


SCRATCH = ("in place", *(f"trained {n}" for n in SAMPLES))
LATER = "in place, as long as tuned"
MARGINS = {
    "from scratch, binomial": ("trained {}", "in place", BINOMIAL),
    "tuned, binomial": ("tuned {}, binomial", LATER, BINOMIAL),
    "tuned, as tools draw": ("tuned {}, chosen", LATER, CHOSEN),
}
"""What is compared at the number of samples that it was trained for, and with what."""


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and standard deviations over the seeds, and the margins of every seed."""
    spread: dict[str, Any] = {}
    for name, row in runs[0].items():
        if isinstance(row, dict):
            values = {at: [run[name][at] for run in runs] for at in row}
        else:
            values = {"float": [run[name] for run in runs]}
        spread[name] = {
            at: {"mean": statistics.mean(each), "deviation": statistics.stdev(each)}
            for at, each in values.items()
        }
    margins: dict[str, Any] = {}
    for kind, (trained, against, sampler) in MARGINS.items():
        for n in TUNED:
            at = f"{sampler} {n}"
            each = [run[trained.format(n)][at] - run[against][at] for run in runs]
            margins.setdefault(kind, {})[n] = {"each": each, "mean": statistics.mean(each)}
    return {"spread": spread, "margins": margins}


def table(spread: dict[str, Any], sampler: str, names: Sequence[str]) -> str:
    """Return accuracies in percent, mean and standard deviation over the seeds."""
    lines = [
        "| network | " + " | ".join(f"n = {n}" for n in SAMPLES) + " |",
        "|---" + "|---:" * len(SAMPLES) + "|",
    ]
    for name in names:
        cells = [_cell(spread[name][f"{sampler} {n}"]) for n in SAMPLES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, float]) -> str:
    return f"{found['mean']:.1f} ± {found['deviation']:.1f}"


def margin_table(margins: dict[str, Any]) -> str:
    """Return by how many points training for n beats in-place draws at n, seed by seed."""
    lines = [
        "| trained | " + " | ".join(f"n = {n}" for n in TUNED) + " |",
        "|---" + "|---:" * len(TUNED) + "|",
    ]
    for kind, row in margins.items():
        cells = []
        for found in row.values():
            each = ", ".join(f"{value:z.1f}" for value in found["each"])
            cells.append(f"{found['mean']:z.1f} ({each})")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draw Figure 4.2: accuracy over samples at evaluation, one line per network."""
    figure = titled("", 9.0, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    kinds = (
        (left, "in place", "trained {}", SAMPLES, "trained from scratch"),
        (right, LATER, "tuned {}, binomial", TUNED, "tuned from floating point"),
    )
    for axes, base, kind, numbers, title in kinds:
        lines = {base: (INK, "in place, not trained for draws")}
        for n, colour in zip(numbers, COLOURS, strict=False):
            lines[kind.format(n)] = (colour, f"{title.split()[0]} at n = {n}")
        marks = dict(zip(lines, MARKS, strict=False))
        for name, (colour, label) in lines.items():
            values = [[run[name][f"{BINOMIAL} {n}"] for run in runs] for n in SAMPLES]
            middle = [statistics.mean(each) for each in values]
            axes.plot(
                SAMPLES, middle, color=colour, label=label, marker=marks[name], markersize=4.5
            )
            axes.fill_between(
                SAMPLES,
                [min(v) for v in values],
                [max(v) for v in values],
                color=colour,
                alpha=0.15,
            )
        float_name = "float" if base == "in place" else "float, as long as tuned"
        floats = statistics.mean(run[float_name] for run in runs)
        axes.axhline(floats, color=INK, linestyle="--", linewidth=1, label="floating point")
        axes.set_xscale("log", base=2)
        axes.set_xticks(SAMPLES, [str(n) for n in SAMPLES])
        axes.set_xlabel("samples n at evaluation", fontsize=9, color=INK)
        axes.set_title(title, fontsize=9, loc="left", color=INK)
        calm(axes)
        axes.grid(color=GRID)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    left.set_ylabel("test accuracy, %", fontsize=9, color=INK)
    save(figure, path)


def parts(record: dict[str, Any], file: Path) -> dict[str, str]:
    """Return the tables of the page."""
    named = f"\n<!-- record: benchmarks/records/{file.name} -->\n"
    found = record["results"]["summary"]
    spread = found["spread"]
    tuned = {
        sampler: (LATER, *(f"tuned {n}, {sampler}" for n in TUNED))
        for sampler in (BINOMIAL, CHOSEN)
    }
    floats = _cell(spread["float"]["float"])
    later = _cell(spread["float, as long as tuned"]["float"])
    return {
        "margins": named + margin_table(found["margins"]),
        "scratch": named + table(spread, BINOMIAL, SCRATCH),
        "tuned binomial": named + table(spread, BINOMIAL, tuned[BINOMIAL]),
        "tuned chosen": named + table(spread, CHOSEN, tuned[CHOSEN]),
        "floats": f"\n{floats} % in floating point, {later} % after one more epoch.",
        "made": f"\n`{record['command']}`, {record['machine']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="2 or more; 0 trains none")
    parser.add_argument("--page", action="store_true", help=f"fill the tables of {PAGE.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.seeds:
        splits = images(small=True)
        runs = [run(seed, splits) for seed in range(given.seeds)]
        keep(given.json, {"runs": runs, "summary": summary(runs)})
    if given.json is not None and given.page:
        record = json.loads(given.json.read_text("utf-8"))
        draw(record["results"]["runs"], PICTURE)
        lighten(PICTURE)
        PAGE.write_text(fill(PAGE.read_text("utf-8"), parts(record, given.json)), "utf-8")


if __name__ == "__main__":
    main()
