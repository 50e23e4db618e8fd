"""Turn the multiplications of a model into shift-adds, and measure what that costs in accuracy.

Run in the root of the repository: python examples/convert_to_shift_adds.py [FOLDER]
"""

import sys
from pathlib import Path

from reluflow.cli import main as reluflow

MODELS = Path(__file__).parents[1] / "models"


def main(folder: Path) -> None:
    """Convert the shipped network, inspect it, and evaluate it against the float model."""
    model, data = MODELS / "fashion_resnet8.onnx", MODELS / "fashion_mnist_test_2000.npz"
    converted = folder / "shift_adds.onnx"
    commands = [
        ["psb", "convert", model, "--out", converted, "--calibrate", data, "--limit", 200],
        ["psb", "inspect", converted],
        ["psb", "eval", converted, "--data", data, "--float", model, "--samples", "1,4,16",
         "--seeds", 2, "--limit", 200, "--out", folder / "evaluation"],
    ]  # fmt: skip
    for command in commands:
        words = [str(word) for word in command]
        print("$ reluflow", *words)
        if code := reluflow(words):
            sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
