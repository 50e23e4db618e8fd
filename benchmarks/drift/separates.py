"""Can drift be told from clean images? AUC per image and per batch, beside pytorch-ood's detectors.

FashionMNIST: 8,000 training images are the reference, 2,000 others are held out (or, in the second
table of false alarms, 2,000 test images). 4,000 test images stay clean; another 4,000 are changed.
The detectors of pytorch-ood are fitted to the same 8,000 images, with their labels, on the features
before the last layer; of k-nearest neighbours the k of its own list that does best on average.

    PYTHONPATH=benchmarks python benchmarks/drift/separates.py --json benchmarks/records/drift.json

With `--again` only the page and the picture are made, from the record. Needs pytorch-ood and
scikit-learn, with its sample images.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from _support import keep
from _support.record import fill
from pytorch_ood.detector import KNN, EnergyBased, Mahalanobis, MaxSoftmax, ViM
from scipy.ndimage import gaussian_filter, rotate
from scipy.stats import binomtest
from sklearn.datasets import load_digits, load_sample_images
from sklearn.metrics import roc_auc_score

import reluflow
from reluflow.data import InputSpec, open_data, read_labels

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("fashion_resnet8", "fashion_convnet8", "fashion_dsconv")
KNOWN, HELD, CLEAN, GROUP = 8000, 2000, 4000, 32
RATE = 0.01
OURS = "patterns"


def read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 `(n, 1, 28, 28)` images in [0, 1], and labels."""
    spec = InputSpec("image", np.dtype(np.uint8), ("N", 28, 28))
    stored = open_data(folder / f"{name}-images-idx3-ubyte.gz", [spec])
    images = np.concatenate([batch["image"] for batch in stored.batches(10_000)])
    labels = read_labels(folder / f"{name}-labels-idx1-ubyte.gz")
    return images[:, None].astype(np.float32) / 255, np.asarray(labels)


def changes(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return what may happen to images, and images of something else."""
    random = np.random.default_rng(0)

    def noise(sigma: float) -> np.ndarray:
        return np.clip(images + sigma * random.standard_normal(images.shape), 0, 1)

    def blur(sigma: float) -> np.ndarray:
        return gaussian_filter(images, (0, 0, sigma, sigma))

    def turn(degrees: float) -> np.ndarray:
        return rotate(images, degrees, axes=(2, 3), reshape=False, order=1)

    digits = np.kron(load_digits().images / 16, np.ones((3, 3)))[:, None]
    pictures = [picture.mean(axis=2) / 255 for picture in load_sample_images().images]
    patches = []
    for _ in range(2000):
        picture = pictures[random.integers(len(pictures))]
        y, x = (random.integers(0, size - 56) for size in picture.shape)
        patches.append(picture[y : y + 56, x : x + 56].reshape(28, 2, 28, 2).mean(axis=(1, 3)))
    made = {
        "noise 0.02": noise(0.02),
        "noise 0.05": noise(0.05),
        "noise 0.1": noise(0.1),
        "blur 0.5": blur(0.5),
        "blur 0.7": blur(0.7),
        "blur 1": blur(1),
        "shifted by 2": np.roll(images, 2, axis=3),
        "shifted by 4": np.roll(images, 4, axis=3),
        "rotated by 15°": turn(15),
        "rotated by 90°": np.rot90(images, 1, (2, 3)),
        "half as bright": 0.5 * images,
        "inverted": 1 - images,
        "digits": np.pad(digits, ((0, 0), (0, 0), (2, 2), (2, 2))),
        "photographs": np.stack(patches)[:, None],
    }
    return {name: np.ascontiguousarray(x, np.float32) for name, x in made.items()}


class Features:
    """The outputs of a network and what its last layer reads."""

    def __init__(self, path: Path) -> None:
        proto = onnx.load(path)
        last = [node for node in proto.graph.node if node.op_type == "Gemm"][-1]
        weights = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }
        self.weights, self.bias = (torch.tensor(weights[name]) for name in last.input[1:3])
        hidden = onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None)
        proto.graph.output.append(hidden)
        names = [proto.graph.output[0].name, last.input[0]]
        self._session = reluflow.open_session(reluflow.load(proto), outputs=names, threads=1)
        self._input = proto.graph.input[0].name

    def __call__(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [
            self._session.run({self._input: images[first : first + 64]})
            for first in range(0, len(images), 64)
        ]
        logits, hidden = (np.concatenate(each) for each in zip(*parts, strict=True))
        return torch.tensor(logits), torch.tensor(hidden.reshape(len(hidden), -1))


Scores = Mapping[str, np.ndarray]
"""Detector -> score of each image."""


def detectors(features: Features, images: np.ndarray, labels: np.ndarray) -> Callable[..., Scores]:
    """Return a function from images to the scores of all of pytorch-ood's detectors."""
    _, hidden = features(images)
    classes = torch.tensor(labels.astype(np.int64))
    fitted = {"Mahalanobis": Mahalanobis(None).fit_features(hidden, classes)}
    half = hidden.shape[1] // 2
    fitted["ViM"] = ViM(None, half, features.weights, features.bias).fit_features(hidden, classes)
    for k in KNN.hyperparameter_space["k"]:
        fitted[f"KNN {k}"] = KNN(None, k=k).fit_features(hidden, classes)

    def score(some: np.ndarray) -> Scores:
        logits, found = features(some)
        scores = {
            "softmax": MaxSoftmax.score(logits).numpy(),
            "energy": EnergyBased.score(logits).numpy(),
        }
        return scores | {
            name: np.asarray(each.predict_features(found)) for name, each in fitted.items()
        }

    return score


def area(clean: np.ndarray, changed: np.ndarray) -> list[float]:
    """Return the AUC and half of its 95 % interval (Hanley and McNeil 1982)."""
    truth = np.r_[np.zeros(len(clean)), np.ones(len(changed))]
    a = float(roc_auc_score(truth, np.r_[clean, changed]))
    m, n = len(changed), len(clean)
    spread = a * (1 - a) + (m - 1) * (a / (2 - a) - a * a) + (n - 1) * (2 * a * a / (1 + a) - a * a)
    return [a, 1.96 * math.sqrt(max(spread, 0) / (m * n))]


def by_batch(scores: np.ndarray) -> np.ndarray:
    """Return the means of batches of 32 images, in random order."""
    order = np.random.default_rng(1).permutation(len(scores))
    whole = len(scores) // GROUP * GROUP
    return scores[order][:whole].reshape(-1, GROUP).mean(axis=1)


def share(alarms: np.ndarray) -> list[float]:
    """Return a share and its 95 % interval (Wilson)."""
    found = binomtest(int(alarms.sum()), len(alarms)).proportion_ci(method="wilson")
    return [float(alarms.mean()), float(found.low), float(found.high)]


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Return what one network tells of each change."""
    path = ROOT / "models" / f"{name}.onnx"
    train, labels = read(folder, "train")
    test, _ = read(folder, "t10k")
    options = reluflow.AnalysisOptions(threads=1)
    known, held = train[:KNOWN], train[KNOWN : KNOWN + HELD]
    unseen, clean, rest = np.split(test, [HELD, HELD + CLEAN])
    start = time.perf_counter()
    references = {
        "training images": reluflow.fit_drift(path, known, held_out=held, options=options),
        "test images": reluflow.fit_drift(path, known, held_out=unseen, options=options),
    }
    fitted = (time.perf_counter() - start) / 2
    features = Features(path)
    peers = detectors(features, known, labels[:KNOWN])
    start = time.perf_counter()
    plain = peers(clean)
    peer_seconds = time.perf_counter() - start
    start = time.perf_counter()
    features(clean)
    run_seconds = time.perf_counter() - start

    def check(images: np.ndarray, held_out: str = "test images") -> reluflow.DriftReport:
        # Test images are in random order: 32 in a row are of all classes.
        return reluflow.check_drift(
            path, references[held_out], images, group=GROUP, options=options
        )

    start = time.perf_counter()
    mine = {held_out: check(clean, held_out) for held_out in references}
    own_seconds = (time.perf_counter() - start) / 2
    ours = mine["test images"]
    rows: list[dict[str, Any]] = []
    for change, images in changes(rest).items():
        found = check(images)
        scores = {OURS: (ours.scores, found.scores)}
        scores |= {peer: (plain[peer], other) for peer, other in peers(images).items()}
        groups = np.array([g.score > g.threshold for g in found.groups if g.n_inputs == GROUP])
        rows.append(
            {
                "change": change,
                "images": len(images),
                "image": {peer: area(*pair) for peer, pair in scores.items()},
                "batch": {peer: area(*map(by_batch, pair)) for peer, pair in scores.items()},
                "alarms_image": share(found.scores > found.input_threshold),
                "alarms_batch": share(groups),
            }
        )
        print(name, change, {k: round(v[0], 3) for k, v in rows[-1]["image"].items()}, flush=True)
    false = {
        held_out: {
            "image": share(report.scores > report.input_threshold),
            "batch": share(np.array([g.alarm for g in report.groups])),
            "all": report.drift,
        }
        for held_out, report in mine.items()
    }
    [site] = [site for site in references["test images"].sites if site.chosen]
    return {
        "name": name,
        "site": site.site,
        "patterns": site.patterns,
        "held_out": {key: held_mean(reference) for key, reference in references.items()},
        "bytes": references["test images"].nbytes,
        "clean_images": len(clean),
        "ms_per_image": {
            "network alone": 1000 * run_seconds / len(clean),
            "check": 1000 * own_seconds / len(clean),
            "all peers": 1000 * peer_seconds / len(clean),
            "fit": 1000 * fitted / (KNOWN + HELD),
        },
        "false_alarms": false,
        "rows": rows,
    }


def held_mean(reference: reluflow.DriftReference) -> float:
    """Return the share of unseen patterns at the chosen site."""
    [site] = [site for site in reference.sites if site.chosen]
    return site.held_out


def best_neighbours(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the k-nearest neighbours whose AUC is best on average."""
    names = [name for name in found[0]["rows"][0]["image"] if name.startswith("KNN")]
    return max(names, key=lambda name: sum(r["image"][name][0] for m in found for r in m["rows"]))


def _peers(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [OURS, "softmax", "energy", "Mahalanobis", "ViM", best_neighbours(found)]


def areas(found: Sequence[Mapping[str, Any]], unit: str) -> str:
    """Return the AUC of the first network as Markdown, the best of a row in bold."""
    peers = _peers(found)
    lines = [
        f"| {found[0]['name']}, per {unit} | {' | '.join(peers)} |",
        "|---" + "|---:" * len(peers) + "|",
    ]
    for row in found[0]["rows"]:
        best = max(round(row[unit][peer][0], 3) for peer in peers)
        cells = []
        for peer in peers:
            a, half = row[unit][peer]
            text = f"{a:.3f} ± {half:.3f}"
            cells.append(f"**{text}**" if round(a, 3) == best else text)
        lines.append(f"| {row['change']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def networks(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the AUC per image of our score in every network, beside the best peer."""
    peers = _peers(found)[1:]
    heads = [f"{each['name']} | best of the others" for each in found]
    lines = [f"| per image | {' | '.join(heads)} |", "|---" + "|---:|---" * len(found) + "|"]
    for number, row in enumerate(found[0]["rows"]):
        cells = []
        for each in found:
            image = each["rows"][number]["image"]
            best = max(peers, key=lambda peer: image[peer][0])
            cells += [f"{image[OURS][0]:.3f}", f"{image[best][0]:.3f} ({best})"]
        lines.append(f"| {row['change']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(values: Sequence[float]) -> str:
    share_, low, high = (100 * value for value in values)
    return f"{share_:.1f} % ({low:.1f} to {high:.1f})"


def alarms(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the alarms at 1 % as Markdown: without drift first."""
    heads = [f"{each['name']}, images | batches" for each in found]
    lines = [
        f"| alarms at 1 % | {' | '.join(heads)} |",
        "|---" + "|---:" * (2 * len(found)) + "|",
    ]
    for held_out in found[0]["false_alarms"]:
        cells = [
            _percent(each["false_alarms"][held_out][unit])
            for each in found
            for unit in ("image", "batch")
        ]
        lines.append(f"| no drift, {held_out} held out | {' | '.join(cells)} |")
    for number, row in enumerate(found[0]["rows"]):
        cells = [
            f"{100 * each['rows'][number][key][0]:.1f} %"
            for each in found
            for key in ("alarms_image", "alarms_batch")
        ]
        lines.append(f"| {row['change']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def costs(found: Sequence[Mapping[str, Any]]) -> str:
    """Return site, size and time as Markdown."""
    lines = [
        "| network | site chosen | patterns of 8,000 images | new in held-out test images | file | "
        "ms per image: the network alone | with the check |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in found:
        ms = each["ms_per_image"]
        lines.append(
            f"| {each['name']} | `{each['site']}` | {each['patterns']:,} "
            f"| {each['held_out']['test images']:.1%} | {each['bytes'] / 2**20:.1f} MiB "
            f"| {ms['network alone']:.2f} | {ms['check']:.2f} |"
        )
    return "\n".join(lines)


TABLES: dict[str, Callable[[Any], str]] = {
    "auc per image": lambda found: areas(found, "image"),
    "auc per batch": lambda found: areas(found, "batch"),
    "networks": networks,
    "alarms": alarms,
    "costs": costs,
}


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the AUC per image of the first network, one row for each change."""
    import matplotlib.pyplot as plt

    peers = _peers(found)
    rows = found[0]["rows"]
    figure, axes = plt.subplots(figsize=(8, 5.2))
    marks = "Dosv^P"
    colours = ["#b3261e", "#4c78a8", "#72b7b2", "#54a24b", "#9d755d", "#7a5195"]
    for peer, mark, colour in zip(peers, marks, colours, strict=True):
        values = [row["image"][peer][0] for row in rows]
        size = 8 if peer == OURS else 5.5
        axes.plot(
            values, range(len(rows)), mark, color=colour, markersize=size, label=peer,
            zorder=3 if peer == OURS else 2, alpha=1 if peer == OURS else 0.8,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["change"] for row in rows])
    axes.invert_yaxis()
    axes.axvline(0.5, color="#888", linewidth=0.8, linestyle="--")
    axes.set_xlabel("AUC per image against clean test images (0.5: chance, 1: told apart)")
    axes.grid(axis="x", color="#ddd", linewidth=0.6)
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=6, frameon=False, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", type=Path, help="page whose tables are replaced")
    parser.add_argument("--picture", type=Path, help="PNG to draw")
    parser.add_argument("--again", action="store_true", help="only read --json again")
    options = parser.parse_args()
    if options.again:
        found = json.loads(options.json.read_text("utf-8"))["results"]
    else:
        torch.set_num_threads(1)
        found = [measure(name, options.data_dir) for name in MODELS]
        keep(options.json, found)
    for table in TABLES.values():
        print(table(found))
    if options.page is not None:
        record = json.loads(options.json.read_text("utf-8"))
        named = f"\n<!-- record: benchmarks/records/{options.json.name} -->\n"
        parts = {mark: named + table(found) for mark, table in TABLES.items()}
        parts["drift made"] = f"\n`{record['command']}`, {record['machine']}"
        page = fill(options.page.read_text(encoding="utf-8"), parts)
        options.page.write_text(page, encoding="utf-8")
    if options.picture is not None:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
