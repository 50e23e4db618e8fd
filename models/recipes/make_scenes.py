"""Composes wide scenes: pictures of FashionMNIST on 1 to 10 % of a textured ground, labels known.

    python models/recipes/make_scenes.py --n 8 --seed 1 --out scenes.npz --png scenes

Objects are the first 2,000 test images, shipped in models/, or with `--split train` training images
from a local folder; each split has its own kinds of ground. Nothing is downloaded. The same seed
makes the same scenes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _fashion_mnist import DEBIAN_FOLDER, load_fashion_mnist
from _scenes import SIZE, Scene, scene_set
from _textures import TEST_KINDS, TRAINING_KINDS
from numpy.typing import NDArray
from PIL import Image

MODELS = Path(__file__).resolve().parents[1]
SHIPPED = MODELS / "fashion_mnist_test_2000.npz"


def shipped_objects() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the shipped test images as stored, uint8 `(2000, 28, 28)`, and their labels."""
    with np.load(SHIPPED) as arrays:
        return np.rint(arrays["image"][:, 0] * 255).astype(np.uint8), arrays["label"]


def as_arrays(scenes: list[Scene]) -> dict[str, Any]:
    """Returns scenes of one size as arrays; objects of all scenes follow each other.

    Args:
        scenes: at least one.

    Returns:
        `image` and `labels`, a scene each, `kind` too; `scene`, `classes` and `places` of objects.
    """
    return {
        "image": np.stack([scene.image for scene in scenes]),
        "labels": np.stack([scene.labels for scene in scenes]),
        "kind": np.array([scene.kind for scene in scenes]),
        "scene": np.repeat(np.arange(len(scenes)), [len(scene.classes) for scene in scenes]),
        "classes": np.concatenate([scene.classes for scene in scenes]),
        "places": np.concatenate([scene.places for scene in scenes]),
    }


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--png", type=Path, help="folder that gets a picture of each scene")
    parser.add_argument("--n", type=int, default=8, help="number of scenes")
    parser.add_argument("--seed", type=int, default=0, help="of the set")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--data-dir", type=Path, default=DEBIAN_FOLDER, help="idx.gz files")
    return parser.parse_args()


def main() -> None:
    """Composes the scenes and writes them."""
    options = parse_arguments()
    if options.split == "test":
        images, labels = shipped_objects()
    else:
        images, labels = load_fashion_mnist(options.data_dir, "train")
    kinds = TEST_KINDS if options.split == "test" else TRAINING_KINDS
    size = (options.size[0], options.size[1])
    scenes = list(scene_set(images, labels, options.n, options.seed, size, kinds))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **as_arrays(scenes))
    print(f"{options.out}: {len(scenes)} scenes, {sum(len(s.classes) for s in scenes)} objects")
    if options.png is not None:
        options.png.mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(scenes):
            grey = np.rint(scene.image[0] * 255).astype(np.uint8)
            Image.fromarray(grey).save(options.png / f"scene{number:03d}_{scene.kind}.png")


if __name__ == "__main__":
    main()
