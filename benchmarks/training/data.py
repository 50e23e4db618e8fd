"""What the trainings learn from: scikit-learn's digits, FashionMNIST and text, each split once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # a benchmark of the torch bridge
from schedules import _tasks as fashion
from schedules._tasks import Pixels, Split

DIGITS_TOP, DIGITS_MEAN, DIGITS_STD = 16, 0.3053, 0.3761
"""Largest value of a pixel of the digits; mean and spread on the scale [0, 1]."""
DIGITS_SEED = 1797
N_SMALL = 512
CONTEXT = 16
"""Characters that the next one is guessed from."""
N_CHARACTERS = 64
"""Size of the alphabet: the most frequent ones; all others share the last number."""
CHARACTERS = {"train": 40_000, "validation": 5_000, "test": 10_000}
"""Windows of text per part."""

Parts = dict[str, Pixels]


def _digits(n_train: int, n_validation: int) -> Parts:
    """Returns the first images of a fixed order; those after the first two parts are the test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(DIGITS_SEED).permutation(len(labels))
    pixels = images.reshape(-1, 8, 8).astype(np.uint8)[order]
    cuts = [n_train, n_train + n_validation]
    names = ("train", "validation", "test")
    parts = zip(np.split(pixels, cuts), np.split(labels[order].astype(np.int64), cuts), strict=True)
    return {name: Pixels(*part) for name, part in zip(names, parts, strict=True)}


def _fashion_small() -> Parts:
    parts = fashion.pixels()
    train = parts["train"]
    return parts | {"train": Pixels(train.images[:N_SMALL], train.labels[:N_SMALL])}


def _characters() -> Parts:
    """Returns windows of the texts that come with Python, the parts from separate stretches."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    code = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    known = np.argsort(-np.bincount(code, minlength=256), kind="stable")[: N_CHARACTERS - 1]
    number = np.full(256, N_CHARACTERS - 1, np.uint8)
    number[known] = np.arange(len(known))
    bounds = np.linspace(0, len(code), 11).astype(int)  # tenths: 8 train, 1 validation, 1 test
    stretches = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}
    return {
        name: _windows(number[code[bounds[a] : bounds[b]]], CHARACTERS[name])
        for name, (a, b) in stretches.items()
    }


def _windows(text: np.ndarray, count: int) -> Pixels:
    starts = np.linspace(0, len(text) - CONTEXT - 1, count).astype(int)
    shown = np.lib.stride_tricks.sliding_window_view(text, CONTEXT + 1)[starts]
    return Pixels(shown[:, :CONTEXT].copy(), shown[:, CONTEXT].astype(np.int64))


SOURCES: dict[str, Callable[[], Parts]] = {
    "digits512": functools.partial(_digits, 512, 200),
    "digits1400": functools.partial(_digits, 1400, 100),
    "fashion512": _fashion_small,
    "fashion": fashion.pixels,
    "characters": _characters,
}
"""Data by name; the digits' tests are the other images: 1,085 and 297."""


@functools.cache
def load(name: str, file: Path | None = None, device: str = "cpu") -> dict[str, Split]:
    """Returns `train`, `validation` and `test` of a name in `SOURCES`.

    Args:
        name: of the data.
        file: what `pack` wrote; None: the places where scikit-learn and Debian keep them.
        device: where all of it lies from then on.

    Returns:
        Images float32 `(n, 1, h, w)` of mean 0 and variance 1, or characters int64 `(n, CONTEXT)`.
    """
    parts = SOURCES[name]() if file is None else _unpacked(name, file)
    return {
        part: Split(
            torch.from_numpy(_scaled(name, at.images)).to(device),
            torch.from_numpy(at.labels).to(device),
        )
        for part, at in parts.items()
    }


def _scaled(name: str, images: np.ndarray) -> np.ndarray:
    if name == "characters":
        return images.astype(np.int64)
    if name.startswith("fashion"):
        return fashion.scaled(images)
    shares = images[:, None].astype(np.float32) / DIGITS_TOP
    return ((shares - DIGITS_MEAN) / DIGITS_STD).astype(np.float32)


def pack(names: Iterable[str], file: Path) -> None:
    """Writes the data of some names into one file, for machines that have none of them."""
    arrays: dict[str, Any] = {}
    for name in names:
        for part, at in SOURCES[name]().items():
            arrays[f"{name}/{part}/images"], arrays[f"{name}/{part}/labels"] = at.images, at.labels
    np.savez_compressed(file, **arrays)


def _unpacked(name: str, file: Path) -> Parts:
    with np.load(file) as stored:
        if f"{name}/train/images" not in stored:
            raise SystemExit(f"{file} has no {name}; write it anew with --pack-data.")
        return {
            part: Pixels(stored[f"{name}/{part}/images"], stored[f"{name}/{part}/labels"])
            for part in ("train", "validation", "test")
        }
