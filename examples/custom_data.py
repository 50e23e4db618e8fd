"""Feed data of various kinds: arrays, dictionaries, files and generators.

Run in the root of the repository: python examples/custom_data.py [FOLDER]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import reluflow
from reluflow.data import RandomData
from reluflow.graph import load

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "fashion_resnet8.onnx"


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield batches of any length; only one is in memory at a time."""
    for start in range(0, len(images), 48):
        yield images[start : start + 48]


def main(folder: Path) -> None:
    """Give the same images in five ways; the patterns are the same."""
    images = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"][:150]
    np.save(folder / "images.npy", images)
    ways = {
        "an array": images,
        "a dictionary by input name": {name_of_input(): images},
        "a file": folder / "images.npy",
        "a generator of batches": batches(images),
        "a function that returns one": lambda: batches(images),
    }
    for name, data in ways.items():
        report = reluflow.analyze(MODEL, data)
        print(f"{name}: {[site.patterns for site in report]}")

    noise = reluflow.analyze(MODEL, RandomData(150, seed=1))
    print(f"random numbers: {[site.patterns for site in noise]}")
    print("as Arrow:", ", ".join(noise.to_arrow().column_names[:4]), "...")


def name_of_input() -> str:
    """Return the name of the model's input."""
    return load(MODEL).inputs[0].name


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
