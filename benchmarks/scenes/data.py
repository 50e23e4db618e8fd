"""Scenes, and the forms of the classifier that is shipped for them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import reluflow
from reluflow.graph import Model, load

if TYPE_CHECKING:
    from _scene_measure import Accuracy
    from _scenes import Scene

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "recipes"
RECIPES = ("_fashion_mnist", "_textures", "_scenes", "_scene_measure", "make_scenes")
"""Modules of that folder, each after those that it imports."""
NETWORK = "fashion_scenes"
FOR_CALIBRATION = 60
"""Shipped images that calibrate where there are no training images; the others are then tested."""
CALIBRATION_SEED = 7_000
CALIBRATION_SCENES = 12


def compose_set(n: int, seed: int, size: tuple[int, int], *, spare: int = 0) -> list[Scene]:
    """Return scenes of test images on other textures than those of training.

    Args:
        n: number of scenes.
        seed: of the set.
        size: rows and columns.
        spare: leave out so many of the first images.
    """
    _find_recipes()
    from _scenes import scene_set
    from make_scenes import shipped_objects

    images, labels = shipped_objects()
    return list(scene_set(images[spare:], labels[spare:], n, seed, size))


def calibration(folder: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return pictures without labels: training images on training grounds, `(n, 1, h, w)`.

    Args:
        folder: of FashionMNIST; without it the first shipped images are taken.
        size: rows and columns.
    """
    _find_recipes()
    from _fashion_mnist import load_fashion_mnist
    from _scenes import scene_set
    from _textures import TRAINING_KINDS
    from make_scenes import shipped_objects

    if folder.is_dir():
        images, labels = load_fashion_mnist(folder, "train")
    else:
        images, labels = (each[:FOR_CALIBRATION] for each in shipped_objects())
    scenes = scene_set(images, labels, CALIBRATION_SCENES, CALIBRATION_SEED, size, TRAINING_KINDS)
    return np.stack([scene.image for scene in scenes])


def halved(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return pictures of even sides at half the side: the mean of each 2 x 2 pixels."""
    above, below = image[..., ::2, :], image[..., 1::2, :]
    both = above + below
    return np.asarray((both[..., ::2] + both[..., 1::2]) * np.float32(0.25))


def forms(pictures: NDArray[np.float32]) -> dict[str, Model]:
    """Return the float model, its int16 form, and bytes calibrated on halves."""
    path = ROOT / "models" / f"{NETWORK}.onnx"
    made = {
        name: reluflow.convert(path, calibration={"image": data}, x_bits=x_bits, check=False).model
        for name, data, x_bits in (
            ("int16", pictures, None),
            ("bytes of halves", halved(pictures), 8),
        )
    }
    return {"float": load(path), **made}


def judge(logits: Iterable[NDArray[Any]], scenes: list[Scene]) -> Accuracy:
    """Return what maps `(11, h, w)` get right."""
    _find_recipes()
    from _scene_measure import accuracy, score_scene

    return accuracy(score_scene(each, scene) for each, scene in zip(logits, scenes, strict=True))


def _find_recipes() -> None:
    """Load the recipes' modules, which lie beside the models, so that they can be imported."""
    for name in RECIPES:
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
            if spec is None or spec.loader is None:
                raise ImportError(f"{FOLDER / name}.py is no module; take a whole copy of models/.")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
