"""Compare checkpoints of one training run: how far apart are their activation patterns?

Run in the root of the repository: python examples/compare_checkpoints.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np

import reluflow

MODELS = Path(__file__).parents[1] / "models"


def main(folder: Path) -> None:
    """Compare the shipped network after one epoch with the one at the end."""
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:300]
    early, late = MODELS / "fashion_resnet8_epoch1.onnx", MODELS / "fashion_resnet8.onnx"

    two = reluflow.compare(early, late, images, folder / "two")
    print(two)

    # Any number of checkpoints, every pair:
    many = reluflow.compare_checkpoints([early, late, late], images, folder / "many")
    print(many)
    for site in many:
        print(f"{site.name}: Jaccard index to the last, {site.jaccard_to_last[0]:.3f}")
    print(f"open {folder / 'many' / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
