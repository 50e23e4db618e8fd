"""Accuracy of the shipped networks as shift-adds: samplers, stored bits, pruning, network kinds.

The tables of the thesis (4.2) and its figure on kinds of networks (4.3), on FashionMNIST. Inputs
are the 10,000 test images where `--data-dir` has the standard idx files, else the 2,000 shipped.
Every figure is in percent, mean and deviation over seeds; nothing is retrained. ONNX Runtime's
static int8 is shown with the first setting of each network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep

from reluflow.data import open_data, read_labels
from reluflow.evaluation import EvaluationOptions, evaluate
from reluflow.graph import PsbOptions, load, to_psb

MODELS = Path(__file__).resolve().parents[1] / "models"
IMAGES = "t10k-images-idx3-ubyte.gz"
LABELS = "t10k-labels-idx1-ubyte.gz"
SAMPLES = (1, 2, 4, 8, 16, 32, 64)
NETWORKS = (
    "fashion_resnet8",
    "fashion_convnet8",
    "fashion_dsconv",
    "fashion_resnet8_bn_after_add",
)


def settings() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (network, name of the setting, options of the conversion)."""
    for sampler in ("systematic", "binomial", "nearest"):
        yield NETWORKS[0], f"{sampler}, p 4 bits", {"sampler": sampler, "p_bits": 4}
    for bits in (1, 2, 3, 6, 8, 16):
        yield NETWORKS[0], f"systematic, p {bits} bits", {"p_bits": bits}
    for share in (0.25, 0.5):
        yield NETWORKS[0], f"pruned {share:.0%}", {"p_bits": 4, "prune": share}
    for network in NETWORKS[1:]:
        for bits in (3, 4):
            yield network, f"systematic, p {bits} bits", {"p_bits": bits}


def inputs(folder: Path) -> tuple[Path, np.ndarray]:
    """Return the file of images and their classes."""
    if not (folder / IMAGES).is_file():
        shipped = MODELS / "fashion_mnist_test_2000.npz"
        return shipped, read_labels(shipped)
    return folder / IMAGES, read_labels(folder / LABELS)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args()
    images, labels = inputs(options.data_dir)
    chosen_n = tuple(sorted(options.samples))
    print(f"{images}, {options.seeds} seeds, percent right")
    print("| network | setting | file / float32 | float | " + " | ".join(map(str, chosen_n)) + " |")
    print("|---" * (4 + len(chosen_n)) + "|")
    rows = []
    compared: set[str] = set()
    for network, what, chosen in settings():
        model = load(MODELS / f"{network}.onnx")
        source = open_data(images, model.inputs)
        found = evaluate(
            to_psb(model, PsbOptions(**chosen)).model,
            source,
            labels,
            float_model=model,
            options=EvaluationOptions(
                samples=chosen_n,
                seeds=options.seeds,
                batch_size=250,
                threads=options.threads,
                int8=network not in compared,
            ),
        )
        compared.add(network)
        cells = " | ".join(f"{100 * p.mean:.2f} ± {100 * p.std:.2f}" for p in found.points)
        ratio = found.psb.file_bytes / model.size_bytes
        print(
            f"| {network.removeprefix('fashion_')} | {what} | {ratio:.3f} | "
            f"{100 * (found.float_value or 0):.2f} | {cells} |",
            flush=True,
        )
        row = {"network": network, "setting": what, "file_share": ratio}
        row |= {"float_value": found.float_value, "int8_value": found.int8_value}
        rows.append(row | {"points": [asdict(point) for point in found.points]})
        keep(options.json, rows)


if __name__ == "__main__":
    main()
