"""Train at a falling temperature, record the patterns, and write a page from the recording.

Run: python examples/train_with_actcool.py [FOLDER]; needs torch.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from reluflow.patterns import read
from reluflow.report import save_layer_time, save_phase_diagram, write_recording_page
from reluflow_torch import ActCoolLR, PatternMonitor

STEPS = 120


def main(folder: Path) -> None:
    """Learn the quadrant of a point."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = ActCoolLR(optimizer, model, total_steps=STEPS)
    inputs = torch.randn(2048, 8)
    labels = (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long()

    with (
        PatternMonitor(
            optimizer,
            model,
            every=5,  # distance and temperature of the step
            measures_every=20,  # patterns, entropy, dead units of `data`
            sweep_every=15,  # the sensitivity to the learning rate
            recorder=folder / "recording",
            data=inputs[:512],
        ) as monitor
    ):
        for _ in range(STEPS):
            batch = torch.randint(0, len(inputs), (128,))
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            scheduler.step()

    right = (model(inputs).argmax(1) == labels).float().mean()
    print(f"loss {loss.item():.3f}, accuracy {right.item():.1%}")
    measures = ("temperature_bits", "relative_entropy")
    save_layer_time(read(folder / "recording"), folder / "layer_time.png", measures)
    save_phase_diagram(monitor.phase_diagram(), folder / "phase_diagram.png")
    print(f"open {write_recording_page(folder / 'recording')}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
