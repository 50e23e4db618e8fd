"""Watch the cells of a small network change while it learns.

Run in the root of the repository: python examples/animate_training.py [FOLDER]
It needs torch. The checkpoints are ONNX files; a pattern keeps its colour from first to last.
"""

import sys
from pathlib import Path

import torch

import reluflow

STEPS = (0, 5, 10, 20, 40, 80, 160, 320, 640, 1280)


def rings(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points and which of three rings around the origin each lies in."""
    points = torch.rand(n, 2) * 6 - 3
    return points, points.norm(dim=1).div(1.1).long().clamp(max=2)


def main(folder: Path) -> None:
    """Train, keep checkpoints, and animate their cells with the decision boundary."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU(),
        torch.nn.Linear(16, 3),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    kept = folder / "checkpoints"
    kept.mkdir(parents=True, exist_ok=True)
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            torch.onnx.export(
                model,
                (torch.zeros(1, 2),),
                kept / f"step {step}.onnx",
                dynamo=False,
                dynamic_axes={"x": {0: "N"}},
                input_names=["x"],
            )
        points, labels = rings(128)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(points), labels).backward()
        optimizer.step()
    series = reluflow.animate_cells(kept, folder / "cells", window=(-3, 3, -3, 3), classes=True)
    print(series)
    print(f"open {folder / 'cells' / 'animation.gif'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
