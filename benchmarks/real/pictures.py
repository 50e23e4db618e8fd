"""Views of the photographs that scikit-image and scikit-learn install: crops, flips, scales.

Those for calibration are other photographs than those for the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
CALIBRATION = ("coffee", "rocket", "coins", "ihc", "brick", "flower")
TEST = (
    *("astronaut", "chelsea", "camera", "china", "motorcycle_left", "page"),
    *("hubble_deep_field", "retina", "moon", "grass", "text", "horse"),
)
WITH_LINES = ("camera", "china", "motorcycle_left", "page")
"""Those of the test that show straight edges: on the others a line detector finds next to none."""
_SUFFIXES = (".png", ".jpg")
_SMALLEST = 0.4  # of the shorter side: a view shows a part of a thing, not its texture alone


def find_picture(name: str) -> Path:
    """Return the file of a photograph.

    Raises:
        FileNotFoundError: neither package is installed, or has it.
    """
    places = []
    for package, folder in FOLDERS.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        places.append(Path(spec.submodule_search_locations[0]) / folder)
        for suffix in _SUFFIXES:
            if (places[-1] / f"{name}{suffix}").is_file():
                return places[-1] / f"{name}{suffix}"
    raise FileNotFoundError(
        f"the picture {name!r} is not in {', '.join(map(str, places)) or 'any package'}; "
        "install scikit-image and scikit-learn."
    )


def views(names: Sequence[str], each: int, height: int, width: int, seed: int) -> Array:
    """Return random parts of pictures, resized, half of them mirrored.

    Args:
        names: of the pictures.
        each: views of one picture.
        height: of a view in pixels.
        width: of a view in pixels.
        seed: chooses the parts.

    Returns:
        `(len(names) * each, height, width, 3)`, red, green, blue from 0 to 255.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((len(names) * each, height, width, 3), np.float32)
    for i, name in enumerate(names):
        whole = Image.open(find_picture(name)).convert("RGB")
        for j in range(each):
            found[i * each + j] = np.asarray(_view(whole, height, width, rng), np.float32)
    return found


def _view(whole: Image.Image, height: int, width: int, rng: np.random.Generator) -> Image.Image:
    largest = min(whole.width / width, whole.height / height)
    scale = largest * rng.uniform(_SMALLEST, 1)
    wide, high = int(width * scale), int(height * scale)
    left = int(rng.integers(0, whole.width - wide + 1))
    top = int(rng.integers(0, whole.height - high + 1))
    part = whole.crop((left, top, left + wide, top + high))
    part = part.resize((width, height), Image.Resampling.BILINEAR)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part
