"""Tables and picture of the record of wide scenes, for docs/attention.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from scenes.data import compose_set

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "attention_scenes.json"
PAGE = ROOT / "docs" / "attention.md"
PICTURE = ROOT / "docs" / "images" / "attention_scenes.png"


def attention_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of accuracy and time."""
    titles = (
        *("pass 1", "margin", "above, bits", "computed, %", "pass 1 alone, %", "dense, %"),
        *("attention, %", "points lost", "pass 1, of dense time", "all, of dense time"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        mean, time = row["mean"], row["time"]
        cells = (
            *(row["pass 1"], str(row["margin"])),
            f"{row['threshold'] or row['tried'][0]['threshold']:.2f}",
            f"{100 * mean['share']:.1f}",
            *(f"{100 * mean[key]:.2f}" for key in ("before", "dense", "objects")),
            *(f"{mean['lost_points']:.2f}", f"{time['first_of_dense']:.2f}"),
            f"{time['of_dense']:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def random_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of unsure against random pixels."""
    titles = (
        *("pass 1", "region, %", "pass 1 alone, %", "entropy, %", "random, %", "dense, %"),
        "sets in which entropy is ahead",
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        values = (row[key] for key in ("before", "entropy", "random", "dense"))
        cells = (
            *(row["pass 1"], f"{100 * row['coverage']:.0f}"),
            *(f"{100 * value:.2f}" for value in values),
            f"{row['ahead']} of {row['n_sets']}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def random_means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means over the sets for each pass 1 and coverage."""
    found = []
    for name, coverage in dict.fromkeys((row["pass 1"], row["coverage"]) for row in rows):
        of_it = [row for row in rows if (row["pass 1"], row["coverage"]) == (name, coverage)]
        means = {
            key: sum(row[key] for row in of_it) / len(of_it)
            for key in ("before", "entropy", "random", "dense")
        }
        ahead = sum(row["entropy"] > row["random"] for row in of_it)
        found.append(
            {"pass 1": name, "coverage": coverage, **means, "ahead": ahead, "n_sets": len(of_it)}
        )
    return found


def fill(page: str, record: dict[str, Any]) -> str:
    """Return the page with the tables and the command of a record."""
    tie = "\n<!-- record: benchmarks/records/attention_scenes.json -->\n"
    results = record["results"]
    parts = {
        "scenes": tie + attention_table(results["attention"]),
        "random scenes": tie + random_table(results["random_means"]),
        "scenes made": f"\n`{record['command']}`, {record['machine']}",
    }
    for name, text in parts.items():
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.S)
        page = pattern.sub(lambda _: f"<!-- {name} -->{text}\n<!-- /{name} -->", page)  # noqa: B023
    return page


def draw(record: dict[str, Any]) -> None:
    """Draw a scene with its region, accuracy against what is computed, unsure beside random."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["pass 1"] for row in record["attention"]))
    figure = plt.figure(figsize=(3.3 * (len(names) + 1), 6.4), layout="constrained")
    grid = figure.add_gridspec(2, len(names) + 1, height_ratios=(1, 1.15))
    _draw_example(figure.add_subplot(grid[0, :]), record["example"])
    axes = [figure.add_subplot(grid[1, column]) for column in range(len(names) + 1)]
    _draw_thresholds(axes[0], record["attention"], names)
    for axis, name in zip(axes[1:], names, strict=True):
        _draw_random(axis, [row for row in record["random_means"] if row["pass 1"] == name])
        axis.set_title(f"pass 1: {name}", fontsize=9)
    for axis in axes:
        axis.set_ylabel("objects right, %", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_example(axis: Any, kept: dict[str, Any]) -> None:
    rows, columns = kept["size"]
    scenes = compose_set(kept["n"], kept["seed"], (rows, columns), spare=kept["spare"])
    scene = scenes[kept["number"]]
    count = kept["shape"][0] * kept["shape"][1]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(kept["region"]), np.uint8), count=count)
    region = bits.reshape(kept["shape"])
    axis.imshow(scene.image[0], cmap="gray", vmin=0, vmax=1)
    red = np.zeros((*region.shape, 4))
    red[region > 0] = (1, 0.1, 0.1, 0.45)
    axis.imshow(red, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), interpolation="nearest")
    axis.set_title(
        f"red: computed again, {region.mean():.1%} of the map; objects cover "
        f"{scene.coverage:.1%} (pass 1: {kept['pass 1']}, margin {kept['margin']})",
        fontsize=9,
    )
    axis.axis("off")


def _draw_thresholds(axis: Any, rows: list[dict[str, Any]], names: list[str]) -> None:
    for row in rows:
        axis.plot(
            [100 * each["share"] for each in row["tried"]],
            [100 * each["objects"] for each in row["tried"]],
            "o-",
            ms=3,
            color=f"C{names.index(row['pass 1'])}",
            alpha=1 - 0.3 * row["margin"],
            label=f"{row['pass 1']}, margin {row['margin']}",
        )
    axis.axhline(100 * rows[0]["chosen_on"], color="grey", lw=0.8, ls="--")
    axis.set_title("thresholds, set for choosing", fontsize=9)
    axis.set_xlabel("computed again, % of the products", fontsize=8)
    axis.legend(fontsize=6)


def _draw_random(axis: Any, rows: list[dict[str, Any]]) -> None:
    coverage = [100 * row["coverage"] for row in rows]
    for key, mark in (("entropy", "o-"), ("random", "s-")):
        axis.plot(coverage, [100 * row[key] for row in rows], mark, ms=3, label=key)
    for key, label, style in (("dense", "dense", "--"), ("before", "pass 1 alone", ":")):
        axis.axhline(100 * rows[0][key], color="grey", lw=0.8, ls=style, label=label)
    axis.set_xlabel("region, % of the map", fontsize=8)
    axis.legend(fontsize=6)
