"""Cascades on trained classifiers: what they keep of pass 2, and what they save.

    python benchmarks/cascade.py --forms FOLDER --json benchmarks/records/cascade.json --page

FashionMNIST networks by accuracy on test images, EfficientNet-Lite0 by agreement with float on
views of photographs. Shift-adds are counted. Times are measured in one thread: some of the inputs
go through the cascade and through pass 2 alone in turn. Thresholds are chosen on one half of the
inputs and reported on the other, both ways round; the halves of the views are of different
photographs. Calibration uses others, without labels. `--forms` takes those of EfficientNet-Lite0
from the folder of `real_models.py --forms`; making them takes half an hour. `--page` puts the table
and the picture of the record into docs/attention.md; with `--only-page` nothing is measured.
`--scenes` measures regions of wide scenes instead (`scenes/measure.py`).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _support import keep
from cascades.measure import Bench, Which, measure
from cascades.networks import LITE0, lite0, shipped
from networks.real import FOLDER
from scenes.measure import main as measure_scenes

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "records" / "cascade.json"
PAGE, PICTURE = ROOT / "docs" / "attention.md", ROOT / "docs" / "images" / "cascade.png"
SHIPPED = ("fashion_resnet8", "fashion_convnet8", "fashion_dsconv", "fashion_resnet8_bn_after_add")
CASCADES: tuple[tuple[str, str, Which, Which], ...] = (
    ("1 sample / 16 samples", "margin", ("wide", 1), ("wide", 16)),
    ("8 bits / 12 bits", "margin", ("bytes", 16), ("wide", 16)),
    ("8 bits / 12 bits", "ratio", ("bytes", 16), ("wide", 16)),
    ("8 bits / float", "ratio", ("bytes", 16), ("float", None)),
)
"""Name, measure of uncertainty, form and samples of pass 1, and of pass 2."""


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the cascades of all networks."""
    for name in options.only:
        if name == LITE0:
            net = lite0(options.models, options.views, options.forms)
        else:
            net = shipped(name, options.data_dir, options.images)
        bench = Bench(net, options.timed, options.rounds)
        for title, unsure, first, second in CASCADES:
            row = {"network": name, "cascade": title, **measure(bench, unsure, first, second)}
            found = row["halves"]
            print(
                f"{name}, {title}, {unsure}: {found['coverage']:.1%} go on, "
                f"{found['loss_points']:.2f} points lost, {found['speed']:.2f} times as fast",
                flush=True,
            )
            yield row


def table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page; records made before thresholds were tested have no halves."""
    halves = all("halves" in row for row in results)
    titles = (
        *("network", "pass 1 / pass 2", "unsure by", "pass 1, %", "pass 2, %"),
        *("go on, %", "points lost", "shift-adds", "times as fast"),
        *(("on the other half: go on, %", "points lost", "times as fast") if halves else ()),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results:
        kept = row["kept"]
        adds = "" if kept["shift_adds"] is None else f"{kept['shift_adds']:.2f}"
        cells = [
            *(_title(row["network"]), row["cascade"], row["unsure"]),
            *(f"{100 * row['coarse']:.2f}", f"{100 * row['fine']:.2f}"),
            *(f"{100 * kept['coverage']:.0f}", f"{kept['loss_points']:.2f}"),
            *(adds, f"{kept['speed']:.2f}"),
        ]
        if halves:
            found = row["halves"]
            cells += [f"{100 * found['coverage']:.1f}", f"{found['loss_points']:.2f}"]
            cells += [f"{found['speed']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _title(network: str) -> str:
    return "EfficientNet-Lite0" if network == LITE0 else network.removeprefix("fashion_")


def draw(results: list[dict[str, Any]]) -> None:
    """Draw the loss against the mean cost, counted and measured."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(row["network"] for row in results))
    figure, axes = plt.subplots(2, len(networks), figsize=(3.1 * len(networks), 6), squeeze=False)
    for column, network in enumerate(networks):
        for row in results:
            if row["network"] != network:
                continue
            value = [100 * point["value"] for point in row["points"]]
            if row["points"][0]["shift_adds"] is not None:
                counted = [point["shift_adds"] for point in row["points"]]
                axes[0][column].plot(
                    counted, value, "o-", ms=3, label=f"{row['cascade']}, {row['unsure']}"
                )
            else:
                axes[0][column].plot([], [], "o-", ms=3, label=f"{row['cascade']}, {row['unsure']}")
            timed = [1 / point["speed"] for point in row["points"]]
            axes[1][column].plot(
                timed, value, "o-", ms=3, label=f"{row['cascade']}, {row['unsure']}"
            )
        axes[0][column].set_title(_title(network), fontsize=10)
        for line, what in enumerate(("shift-adds, counted", "time, measured")):
            axes[line][column].set_xlabel(f"{what}, pass 2 alone = 1", fontsize=8)
            axes[line][column].axvline(1, color="grey", lw=0.8, ls="--")
            axes[line][column].tick_params(labelsize=8)
            axes[line][column].grid(alpha=0.3)
    axes[0][0].set_ylabel("accuracy or agreement, %", fontsize=8)
    axes[1][0].set_ylabel("accuracy or agreement, %", fontsize=8)
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def fill(page: str, record: dict[str, Any]) -> str:
    """Return the page with the table and the command of a record."""
    parts = {
        "cascades": "\n<!-- record: benchmarks/records/cascade.json -->\n"
        + table(record["results"]),
        "made": f"\n`{record['command']}`, {record['machine']}",
    }
    for name, text in parts.items():
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.S)
        page = pattern.sub(lambda _: f"<!-- {name} -->{text}\n<!-- /{name} -->", page)  # noqa: B023
    return page


def main() -> None:
    """Measure the cascades, or remake the page; with `--scenes` regions instead."""
    if "--scenes" in sys.argv[1:]:
        measure_scenes([each for each in sys.argv[1:] if each != "--scenes"])
        return
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--only", nargs="+", default=[*SHIPPED, LITE0], choices=[*SHIPPED, LITE0])
    parser.add_argument("--images", type=int, default=4000, help="of FashionMNIST")
    parser.add_argument("--views", type=int, default=2400, help="of photographs")
    parser.add_argument("--forms", type=Path, help="folder of EfficientNet-Lite0's forms")
    parser.add_argument("--timed", type=int, default=240, help="inputs that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        results = []
        for row in rows(options):
            results.append(row)
            keep(options.json, results)
    if options.page or options.only_page:
        record = json.loads(RECORD.read_text("utf-8"))
        PAGE.write_text(fill(PAGE.read_text("utf-8"), record), encoding="utf-8")
        draw(record["results"])


if __name__ == "__main__":
    main()
