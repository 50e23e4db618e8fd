"""FashionMNIST from the four idx.gz files of a local folder; nothing is downloaded."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_PREFIX = {"train": "train", "test": "t10k"}
_UINT8_CODE = 0x08


def load_fashion_mnist(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split as it is stored.

    Args:
        folder: where the idx.gz files lie.
        split: `"train"` (60,000 images) or `"test"` (10,000 images).

    Returns:
        Images, uint8 `(n, 28, 28)`, and labels, int64 `(n,)`.

    Raises:
        SystemExit: a file is absent or is not what its header says.
    """
    images = _read_idx(_find(folder, f"{_PREFIX[split]}-images-idx3-ubyte.gz"))
    labels = _read_idx(_find(folder, f"{_PREFIX[split]}-labels-idx1-ubyte.gz"))
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise SystemExit(
            f"The {split} split in {folder} has images {images.shape} and labels {labels.shape}; "
            "FashionMNIST has (n, 28, 28) and (n,): point --data-dir at another folder."
        )
    return images, labels.astype(np.int64)


def to_unit_scale(images: np.ndarray) -> np.ndarray:
    """Brings stored images to the form that the shipped models take.

    Args:
        images: uint8 `(n, 28, 28)`.

    Returns:
        float32 `(n, 1, 28, 28)` in [0, 1]: the stored value over 255.
    """
    return images[:, None].astype(np.float32) / np.float32(255)


def _find(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise SystemExit(
            f"FashionMNIST is not complete: looked for {path.absolute()} and found no such file; "
            "install Debian's package dataset-fashion-mnist (its folder is "
            f"{DEBIAN_FOLDER}) or name the folder of the four idx.gz files with --data-dir."
        )
    return path


def _read_idx(path: Path) -> np.ndarray:
    """Reads a uint8 idx file: two zero bytes, type code, rank, big-endian sizes, values."""
    content = gzip.decompress(path.read_bytes())
    zeros, code, rank = struct.unpack_from(">HBB", content)
    if zeros != 0 or code != _UINT8_CODE:
        raise SystemExit(f"{path} is not an idx file of unsigned bytes: fetch a sound copy of it.")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank)
    if values.size != np.prod(shape):
        raise SystemExit(
            f"{path} holds {values.size} values where its header says {shape}: "
            "fetch a sound copy of it."
        )
    return values.reshape(shape)
