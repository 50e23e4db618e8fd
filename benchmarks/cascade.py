"""Cascades on trained classifiers: what they keep of pass 2, and what they save.

    python benchmarks/cascade.py --json benchmarks/records/cascade.json --page

FashionMNIST networks by accuracy on test images, EfficientNet-Lite0 by agreement with float on
views of photographs. Shift-adds are counted. Times are measured in one thread: each batch goes
through the cascade and through pass 2 alone in turn, and the sums are compared. Calibration uses
other images, without labels. `--page` puts the table and the picture of the record into
docs/attention.md; with `--only-page` nothing is measured. `--scenes` measures regions of wide
scenes instead (`scenes/measure.py`).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep
from networks.real import FOLDER, find_network
from numpy.typing import NDArray
from real.tasks import TASKS
from scenes.measure import main as measure_scenes

from reluflow import convert
from reluflow.attention import CascadeOptions, CascadeReport, measure_cascade, open_cascade
from reluflow.data import open_data, read_labels
from reluflow.graph import Model, load

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "records" / "cascade.json"
PAGE, PICTURE = ROOT / "docs" / "attention.md", ROOT / "docs" / "images" / "cascade.png"
SHIPPED = ("fashion_resnet8", "fashion_convnet8", "fashion_dsconv", "fashion_resnet8_bn_after_add")
LITE0 = "efficientnet_lite0"
COVERAGES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
ACCEPTED = 0.003
"""Loss against pass 2 at which the table's point is taken: the least coverage that keeps to it."""
CASCADES = (
    ("1 sample / 16 samples", "margin", ("wide", 1), ("wide", 16)),
    ("8 bits / 12 bits", "entropy", ("bytes", 16), ("wide", 16)),
    ("8 bits / 12 bits", "margin", ("bytes", 16), ("wide", 16)),
    ("8 bits / float", "margin", ("bytes", 16), ("float", None)),
)
"""Name, measure of uncertainty, form and samples of pass 1, and of pass 2."""
DRAWN = "margin"


@dataclass(frozen=True)
class Network:
    """A classifier, its forms, and the data it is judged on."""

    forms: dict[str, Model]
    images: NDArray[Any]
    labels: NDArray[Any] | None
    batch: int


def forms_of(model: Model, calibration: NDArray[Any]) -> dict[str, Model]:
    """Return the float model, and what `psb convert --calibrate --tune usual` makes of it."""
    given = {model.inputs[0].name: calibration}
    wide = convert(model, calibration=given, tune=["usual"], p_bits="auto", x_bits=12, check=False)
    narrow = convert(model, calibration=given, tune=["usual"], x_bits=8, check=False)
    return {"float": model, "wide": wide.model, "bytes": narrow.model}


def shipped(name: str, folder: Path, n: int) -> Network:
    """Return a network of models/ with test images; calibrated on training images."""
    model = load(ROOT / "models" / f"{name}.onnx")
    test, train = (folder / f"{each}-images-idx3-ubyte.gz" for each in ("t10k", "train"))
    if train.is_file():
        labels = read_labels(folder / "t10k-labels-idx1-ubyte.gz", limit=n)
        images = _read(model, test, n)
        return Network(forms_of(model, _read(model, train, 60)), images, labels, 50)
    file = ROOT / "models" / "fashion_mnist_test_2000.npz"
    images, labels = _read(model, file, 2000), read_labels(file)
    return Network(forms_of(model, images[:60]), images[60:n], labels[60:n], 50)


def lite0(folder: Path, n: int) -> Network:
    """Return EfficientNet-Lite0 with views of photographs, judged by float's answers."""
    model = load(find_network(LITE0, folder))
    task = TASKS[LITE0]
    calibration = np.asarray(task.inputs(True, task.n_calibration))
    return Network(forms_of(model, calibration), np.asarray(task.inputs(False, n)), None, 1)


def _read(model: Model, file: Path, n: int) -> NDArray[Any]:
    batches = open_data(file, model.inputs, limit=n).batches(500)
    return np.concatenate([next(iter(batch.values())).copy() for batch in batches])


def measure(
    net: Network, unsure: str, first: tuple[str, int], second: tuple[str, int | None]
) -> dict[str, Any]:
    """Return a cascade at every coverage, with its times."""
    (form, samples), (fine_form, fine_samples) = first, second
    model = net.forms["float"]
    coarse, fine = net.forms[form], net.forms[fine_form]
    source = open_data({model.inputs[0].name: net.images}, model.inputs)
    options = CascadeOptions(
        (samples, fine_samples),
        measure=unsure,
        coverages=COVERAGES,
        loss=0.005,
        batch_size=net.batch,
        threads=1,
    )
    found = measure_cascade(coarse, fine, source, net.labels, float_model=model, options=options)
    points: list[dict[str, Any]] = [
        {
            "coverage": point.coverage,
            "value": point.value,
            "loss_points": 100 * (found.fine.value - point.value),
            "shift_adds": found.cost(point),
            "speed": speed(net, coarse, fine, options, point.threshold),
        }
        for point in found.points
    ]
    lost = [100 * (found.fine.value - point.value) for point in found.points]
    kept = points[next(i for i, each in enumerate(lost) if each <= 100 * ACCEPTED + 1e-9)]
    return {
        "unsure": unsure,
        "metric": found.metric,
        "n_inputs": found.n_inputs,
        "coarse": found.coarse.value,
        "fine": found.fine.value,
        "float": found.float_value,
        "points": points,
        "kept": kept,
        "chosen": _chosen(found),
    }


def _chosen(found: CascadeReport) -> dict[str, float] | None:
    if found.chosen is None:
        return None
    lost = 100 * (found.chosen.fine_value - found.chosen.value)
    return {"loss_points": lost, "coverage": found.chosen.coverage}


def speed(
    net: Network, coarse: Model, fine: Model, options: CascadeOptions, threshold: float
) -> float:
    """Return the time of pass 2 alone over that of the cascade, batch by batch in turn."""
    cascade = open_cascade(
        coarse, fine, options.samples, measure=options.measure, threshold=threshold, threads=1
    )
    alone = replace(cascade, coarse=cascade.fine, threshold=np.inf, measure="margin")
    name = net.forms["float"].inputs[0].name
    times = [0.0, 0.0]
    for number, at in enumerate(range(0, len(net.images), net.batch)):
        feeds = {name: net.images[at : at + net.batch]}
        for which in (0, 1) if number % 2 else (1, 0):
            if which:
                times[1] += alone.run(feeds).coarse_seconds
            else:
                times[0] += cascade.run(feeds).seconds
    return times[1] / times[0]


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the cascades of all networks."""
    for name in options.only:
        if name == LITE0:
            net = lite0(options.models, options.views)
        else:
            net = shipped(name, options.data_dir, options.images)
        for title, unsure, first, second in CASCADES:
            row = {"network": name, "cascade": title, **measure(net, unsure, first, second)}
            kept = row["kept"]
            print(
                f"{name}, {title}, {unsure}: {kept['coverage']:.0%} go on, "
                f"{kept['loss_points']:.2f} points lost, {kept['speed']:.2f} times as fast",
                flush=True,
            )
            yield row


def table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    titles = (
        *("network", "pass 1 / pass 2", "unsure by", "pass 1, %", "pass 2, %"),
        *("go on, %", "points lost", "shift-adds", "times as fast"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results:
        kept = row["kept"]
        adds = "" if kept["shift_adds"] is None else f"{kept['shift_adds']:.2f}"
        cells = (
            *(_title(row["network"]), row["cascade"], row["unsure"]),
            *(f"{100 * row['coarse']:.2f}", f"{100 * row['fine']:.2f}"),
            *(f"{100 * kept['coverage']:.0f}", f"{kept['loss_points']:.2f}"),
            *(adds, f"{kept['speed']:.2f}"),
        )
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
            if row["network"] != network or row["unsure"] != DRAWN:
                continue
            value = [100 * point["value"] for point in row["points"]]
            if row["points"][0]["shift_adds"] is not None:
                counted = [point["shift_adds"] for point in row["points"]]
                axes[0][column].plot(counted, value, "o-", ms=3, label=row["cascade"])
            else:
                axes[0][column].plot([], [], "o-", ms=3, label=row["cascade"])
            timed = [1 / point["speed"] for point in row["points"]]
            axes[1][column].plot(timed, value, "o-", ms=3, label=row["cascade"])
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
    parser.add_argument("--images", type=int, default=10_000, help="of FashionMNIST")
    parser.add_argument("--views", type=int, default=720, help="of photographs")
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
