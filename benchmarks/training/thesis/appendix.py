"""Figures A.1, A.3 and A.5 to A.8 of the thesis' appendix, and the accuracies that go with them.

The checkboard data are 200 batches of 250 points of [-sqrt 3, sqrt 3]^2 in a grid of 4 x 4 fields;
the class of a field is (column + row) mod 4. Networks are trained for 10 epochs by SGD at rate 0.1.

Example: `PYTHONPATH=benchmarks python benchmarks/training/thesis/appendix.py --json FILE --page`
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from _support import keep
from _support.gallery import lighten
from _support.record import fill
from numpy.typing import NDArray
from torch import Tensor, nn

from reluflow.report.pictures.canvas import INK, MUTED, calm, save, titled
from reluflow_torch.layers import RELAXATIONS, ExtrinsicReLU, extrinsic_projections, pattern_entropy

ROOT = Path(__file__).parents[3]
PAGE, IMAGES = ROOT / "docs" / "appendix.md", ROOT / "docs" / "images" / "thesis"
SIDE, FIELDS, BATCHES, BATCH, SHOWN = math.sqrt(3), 4, 200, 250, 1000
EPOCHS, RATE, EXTRINSIC_FILTERS = 10, 0.1, 600
SEEDS = {"2 x 2": 15, "3 x 50": 5, "extrinsic": 5, "extrinsic, homogeneous": 3}
"""Trainings of each network; those of two filters depend much on their start."""
THESIS = {"2 x 2": 48.9, "3 x 50": 93.8}
"""Accuracies that the thesis gives, in percent."""
COLOURS = np.array(["#d9a400", "#c8452f", "#1f7a78", "#7fb6d9"])
"""One for each class, told apart in print by their lightness too."""

Floats = NDArray[np.float64]
Data = tuple[Tensor, Tensor]


def checkboard(n: int, generator: torch.Generator) -> Data:
    """Return points `(n, 2)` with mean 0 and variance 1, and the classes of their fields."""
    x = (2 * torch.rand(n, 2, generator=generator) - 1) * SIDE
    field = ((x + SIDE) / (2 * SIDE) * FIELDS).long().clamp(0, FIELDS - 1)
    return x, field.sum(1) % FIELDS


def dense(*widths: int) -> nn.Sequential:
    """Return dense layers with ReLU by He's initialisation, and a dense layer for the classes."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip((2, *widths), (*widths, FIELDS), strict=True):
        layer = nn.Linear(n_in, n_out)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def extrinsic(homogeneous: bool) -> nn.Sequential:
    """Return three extrinsic layers and a dense layer for the classes."""
    sizes = [2 + number * homogeneous for number in range(4)]
    layers = [ExtrinsicReLU(size, EXTRINSIC_FILTERS, homogeneous=homogeneous) for size in sizes[:3]]
    return nn.Sequential(*layers, nn.Linear(sizes[3], FIELDS))


NETS: dict[str, Callable[[], nn.Sequential]] = {
    "2 x 2": lambda: dense(2, 2),
    "3 x 50": lambda: dense(50, 50, 50),
    "extrinsic": lambda: extrinsic(homogeneous=False),
    "extrinsic, homogeneous": lambda: extrinsic(homogeneous=True),
}


def trained(name: str, seed: int, moments: Sequence[int]) -> tuple[float, list[Any]]:
    """Train a network of `NETS`.

    Args:
        name: of the network.
        seed: of its weights and of the data.
        moments: steps at which the projections of its layers are kept.

    Returns:
        Its accuracy on new points, in percent; at each moment the step and, by layer, the shown
        points as the layer leaves them.
    """
    torch.manual_seed(seed)
    data = torch.Generator().manual_seed(1000 + seed)
    x, y = checkboard(BATCHES * BATCH, data)
    test_x, test_y = checkboard(BATCHES * BATCH, data)
    shown = points()[0]
    model = NETS[name]()
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    kept = []
    step = 0
    for epoch in range(EPOCHS + 1):
        for chosen in torch.randperm(len(x), generator=data).split(BATCH):
            if step in moments:
                kept.append((step, extrinsic_projections(model, shown)))
            if epoch == EPOCHS:
                break
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            step += 1
    with torch.no_grad():
        right = (model(test_x).argmax(1) == test_y).double().mean()
    return 100 * float(right), kept


def points() -> Data:
    """Return the points of all pictures."""
    return checkboard(SHOWN, torch.Generator().manual_seed(7))


def scatter(axes: Any, at: Floats, classes: NDArray[np.int64], size: float = 3) -> None:
    """Draw points in the colours of their classes, on one scale each."""
    axes.scatter(*at.T, s=size, c=COLOURS[classes], linewidths=0, rasterized=True)
    axes.set_aspect("equal", adjustable="datalim")
    axes.tick_params(labelsize=7)


def figure_a5(path: Path) -> None:
    """Draw the checkboard data and a placement that a dense layer could tell apart."""
    figure = titled("", 7.5, 3.6)
    left, right = figure.subplots(1, 2)
    x, y = points()
    scatter(left, x.double().numpy(), y.numpy(), 6)
    noise = 0.15 * torch.randn(SHOWN, 2, generator=torch.Generator().manual_seed(1))
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    scatter(right, (corners[y] + noise).double().numpy(), y.numpy(), 6)
    for axes, title in ((left, "(a) data"), (right, "(b) a possible target")):
        axes.set_title(title, fontsize=9, loc="left", color=INK)
        axes.set_xlabel("first coordinate, standard deviations", fontsize=8, color=INK)
        calm(axes)
    left.set_ylabel("second coordinate, standard deviations", fontsize=8, color=INK)
    save(figure, path)


def figure_folds(name: str, moments: Sequence[int], path: Path) -> list[float]:
    """Draw the projections of each layer over training, and return accuracies of all seeds.

    The pictures show the training whose accuracy is nearest to that of the thesis, else the median.
    """
    runs = [trained(name, seed, moments) for seed in range(SEEDS[name])]
    wanted = THESIS.get(name, statistics.median(run[0] for run in runs))
    accuracy, kept = min(runs, key=lambda run: abs(run[0] - wanted))
    classes = points()[1].numpy()
    columns = len(kept[0][1])
    figure = titled("", 2.0 * columns + 1.0, 1.75 * len(kept) + 0.5)
    grid = figure.subplots(len(kept), columns, squeeze=False)
    for at_row, (row, (step, layers)) in enumerate(zip(grid, kept, strict=True)):
        for column, (axes, at) in enumerate(zip(row, layers.values(), strict=True), start=1):
            scatter(axes, at.numpy()[:, :2], classes)
            calm(axes)
            if not at_row:
                what = "classes" if column == columns else f"layer {column}"
                axes.set_title(what, fontsize=9, loc="left", color=INK)
        at = f"step {step}" if step % BATCHES or not step else f"epoch {step // BATCHES}"
        row[0].set_ylabel(at, fontsize=9, color=INK)
    figure.supxlabel(
        "coordinates of the inputs, standard deviations; each panel has its own scale",
        fontsize=8,
        color=MUTED,
    )
    save(figure, path)
    print(f"{name}: {[round(run[0], 1) for run in runs]}, shown {accuracy:.1f} %", flush=True)
    return [run[0] for run in runs]


def figure_a1(path: Path) -> dict[str, float]:
    """Draw independent and dependent data with two biases, and return their entropies in bits."""
    figure = titled("", 6.4, 6.0)
    grid = figure.subplots(2, 2)
    random = np.random.default_rng(0)
    plain = random.standard_normal((4 * SHOWN, 2))
    along = random.standard_normal(4 * SHOWN)
    leaning = np.stack([along, 0.95 * along + math.sqrt(1 - 0.95**2) * plain[:, 1]], 1)
    found = {}
    for column, (title, data) in enumerate((("independent", plain), ("dependent", leaning))):
        data = (data - data.mean(0)) / data.std(0)
        for row, bias in enumerate((np.zeros(2), np.array([0.6, -0.6]))):
            y = data + bias
            entropy = float(pattern_entropy(torch.from_numpy(y)))
            found[f"{title}, bias {bias[0]:g}, {bias[1]:g}"] = entropy
            axes = grid[row, column]
            pattern = (y > 0) @ np.array([1, 2])
            scatter(axes, y[:SHOWN], pattern[:SHOWN], 5)
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_aspect("equal", adjustable="box")
            axes.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6))
            label = f"{title}, bias ({bias[0]:g}, {bias[1]:g}): {entropy:.2f} bits"
            axes.set_title(label, fontsize=8.5, loc="left", color=INK)
            calm(axes)
    figure.supxlabel("first unit's pre-activation, standard deviations", fontsize=8, color=INK)
    figure.supylabel("second unit's pre-activation, standard deviations", fontsize=8, color=INK)
    save(figure, path)
    return found


CLUSTERS, UNITS, STEPS, ENTROPY_RATE = 5, 6, 400, 0.005


def _lines(axes: Any, weight: Floats, bias: Floats, limit: float) -> None:
    """Draw where units switch."""
    for number, (w, b) in enumerate(zip(weight, bias, strict=True)):
        normal = w / np.linalg.norm(w)
        foot, along = -b / np.linalg.norm(w) * normal, np.array([-normal[1], normal[0]])
        ends = np.stack([foot - 3 * limit * along, foot + 3 * limit * along])
        axes.plot(*ends.T, linewidth=1.4, color=f"C{number}")


def figure_a3(path: Path) -> dict[str, float]:
    """Draw the switches of one layer over five clusters: normalised, and of greatest entropy."""
    generator = torch.Generator().manual_seed(3)
    angles = 2 * math.pi * torch.arange(CLUSTERS) / CLUSTERS + 0.3
    centres = 3 * torch.stack([angles.cos(), angles.sin()], 1)
    noise = torch.randn(CLUSTERS * BATCH, 2, generator=generator)
    x = centres.repeat_interleave(BATCH, 0) + 0.5 * noise + torch.tensor([1.5, 0.5])
    torch.manual_seed(5)
    layer = nn.Linear(2, UNITS)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        y = layer(x)
        normalised = layer.weight / y.std(0)[:, None], -y.mean(0) / y.std(0)
    panels = {"(a) batch normalisation": normalised}
    for letter, relaxation in zip("bc", RELAXATIONS, strict=True):
        title = f"({letter}) entropy, {relaxation}"
        weight = nn.Parameter(layer.weight.detach().clone())
        bias = nn.Parameter(layer.bias.detach().clone())
        optimizer = torch.optim.Adam([weight, bias], lr=ENTROPY_RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (-pattern_entropy(x @ weight.T + bias, relaxation)).backward()
            optimizer.step()
        panels[title] = (weight.detach(), bias.detach())
    figure = titled("", 9.5, 3.5)
    found = {}
    for axes, (title, (weight, bias)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        with torch.no_grad():
            entropy = float(pattern_entropy(x @ weight.T + bias))
        found[title[4:]] = entropy
        axes.scatter(*x.numpy().T, s=3, color=MUTED, linewidths=0, rasterized=True)
        _lines(axes, weight.double().numpy(), bias.double().numpy(), 6)
        axes.set(xlim=(-4.5, 7.5), ylim=(-5.5, 6.5))
        axes.set_title(f"{title}: {entropy:.2f} bits", fontsize=8.5, loc="left", color=INK)
        axes.set_xlabel("first input, arbitrary units", fontsize=8, color=INK)
        calm(axes)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("second input, arbitrary units", fontsize=8, color=INK)
    save(figure, path)
    return found


EARLY = (0, BATCHES, 2 * BATCHES, 3 * BATCHES, EPOCHS * BATCHES)
FINE = (0, 1, 10, 25, BATCHES, 2 * BATCHES, EPOCHS * BATCHES)


def make(images: Path) -> dict[str, Any]:
    """Draw all figures and return the numbers that go with them."""
    figure_a5(images / "A_5.png")
    entropies = {"A.1": figure_a1(images / "A_1.png"), "A.3": figure_a3(images / "A_3.png")}
    accuracies = {
        "2 x 2": figure_folds("2 x 2", EARLY, images / "A_6.png"),
        "3 x 50": figure_folds("3 x 50", FINE, images / "A_7.png"),
        "extrinsic": figure_folds("extrinsic", FINE, images / "A_8.png"),
    }
    name = "extrinsic, homogeneous"
    accuracies[name] = [trained(name, seed, ())[0] for seed in range(SEEDS[name])]
    for picture in images.glob("A_*.png"):
        lighten(picture)
    return {"entropies": entropies, "checkboard": rows(accuracies)}


def rows(accuracies: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return what the table of the networks shows."""
    return [
        {
            "network": name,
            "parameters": sum(weight.numel() for weight in NETS[name]().parameters()),
            "accuracies": accuracies[name],
            "median": statistics.median(accuracies[name]),
            "thesis": THESIS.get(name),
        }
        for name in NETS
    ]


def table(found: list[dict[str, Any]]) -> str:
    """Return the table of the networks on the checkboard data."""
    head = ("network", "parameters", "seeds, %", "median, %", "thesis, %")
    lines = ["| " + " | ".join(head) + " |", "|---|---:|---|---:|---:|"]
    for row in found:
        each = ", ".join(f"{value:.1f}" for value in row["accuracies"])
        cells = (row["network"], f"{row['parameters']:,}", each, f"{row['median']:.1f}")
        lines.append("| " + " | ".join((*cells, str(row["thesis"] or ""))) + " |")
    return "\n".join(lines)


def parts(record: dict[str, Any], file: Path) -> dict[str, str]:
    """Return what is filled into the page."""
    named = f"\n<!-- record: benchmarks/records/{file.name} -->\n"
    return {
        "checkboard": named + table(record["results"]["checkboard"]),
        "made": f"\n`{record['command']}`, {record['machine']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument("--page", action="store_true", help=f"fill the table of {PAGE.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.images.mkdir(parents=True, exist_ok=True)
    keep(given.json, make(given.images))
    if given.page and given.json is not None:
        record = json.loads(given.json.read_text("utf-8"))
        PAGE.write_text(fill(PAGE.read_text("utf-8"), parts(record, given.json)), "utf-8")


if __name__ == "__main__":
    main()
