"""Makes what the page runs and shows: two networks of shift-adds, and pictures to choose from.

    python web/make_parts.py [--out web/build]

Writes `clothes.onnx` and `scenes.onnx`, inlined into ONNX's own operators and with the output of
every ReLU as an output of the network, and `parts.json` with pictures, classes and layers.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.graph import Model, expose, find_psb, inline_psb, load, to_psb

MODELS = Path(__file__).resolve().parents[1] / "models"
sys.path.insert(0, str(MODELS / "recipes"))
from _scenes import compose  # noqa: E402

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
NETWORKS = {
    "clothes": ("fashion_dsconv", CLASSES),
    "scenes": ("fashion_scenes", (*CLASSES, "ground")),
}
"""Name on the page -> shipped file, and what its outputs stand for."""
SCENE_SIZE, SCENE_COVERAGE, SCENE_SEEDS = (96, 192), 0.1, (4, 11, 23)
WHITE = 255


def convert(name: str) -> tuple[Model, list[dict[str, Any]]]:
    """Return a network for the page, and its layers.

    Args:
        name: a key of `NETWORKS`.
    """
    psb = to_psb(load(MODELS / f"{NETWORKS[name][0]}.onnx")).model
    nodes = find_psb(psb)
    layers = [
        {
            "name": node.name,
            "output": node.output,
            "units": node.weight_shape[0],
            "weights": math.prod(node.weight_shape),
            "nonzero": math.prod(node.weight_shape) - node.zeros,
            "relu": node.activation == "relu",
        }
        for node in nodes
    ]
    shown = [node.output for node in nodes if node.activation == "relu"]
    return inline_psb(expose(psb, shown).model).model, layers


def pictures() -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Give network, name and grey values of the pictures: the first of each class, and scenes."""
    with np.load(MODELS / "fashion_mnist_test_2000.npz") as held:
        grey = np.rint(held["image"][:, 0] * WHITE).astype(np.uint8)
        labels = held["label"]
    for number, name in enumerate(CLASSES):
        yield "clothes", name, grey[int(np.flatnonzero(labels == number)[0])]
    for count, seed in enumerate(SCENE_SEEDS, start=1):
        scene = compose(grey, labels, SCENE_COVERAGE, seed, SCENE_SIZE)
        yield "scenes", f"Scene {count}", np.rint(scene.image[0] * WHITE).astype(np.uint8)


def main() -> None:
    """Write all parts."""
    parser = argparse.ArgumentParser(description="networks and pictures of the page")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "build")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    networks = {}
    for name, (file, classes) in NETWORKS.items():
        model, layers = convert(name)
        model.save(out / f"{name}.onnx")
        networks[name] = {"file": f"{file}.onnx", "classes": classes, "layers": layers}
    shown = [
        {
            "network": network,
            "name": name,
            "rows": grey.shape[0],
            "columns": grey.shape[1],
            "grey": base64.b64encode(grey.tobytes()).decode(),
        }
        for network, name, grey in pictures()
    ]
    (out / "parts.json").write_text(json.dumps({"networks": networks, "pictures": shown}))
    print(f"Wrote {out / 'parts.json'} and {len(networks)} networks")


if __name__ == "__main__":
    main()
