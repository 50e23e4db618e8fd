"""Folders of pictures with a folder for each class: ImageNet and Tiny ImageNet."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.data.formats.images import list_images
from reluflow.data.sources.words import listing
from reluflow.errors import DataError

Labels = NDArray[np.int64]
Split = tuple[list[Path], Labels | None, tuple[str, ...]]
ANNOTATIONS = Path("val", "val_annotations.txt")
_WORDNET = re.compile(r"n\d{8}")
_LOOKED_AT = 16
"""Entries of a folder that tell whether it is one of classes."""


def is_tiny(folder: Path) -> bool:
    """Tell whether a folder is laid out as Tiny ImageNet.

    Args:
        folder: where it would be.
    """
    return (folder / "wnids.txt").is_file() and (folder / ANNOTATIONS).is_file()


def is_imagenet(folder: Path) -> bool:
    """Tell whether a folder has a folder train or val with a folder for each WordNet number.

    Args:
        folder: where it would be.
    """
    return any(_has_wordnet(folder / name) for name in ("train", "val"))


def open_tiny(folder: Path, split: str) -> Split:
    """Return the pictures of a split of Tiny ImageNet.

    Args:
        folder: with wnids.txt, train, val and test.
        split: "train", "validation" or "test", which has no classes.

    Returns:
        Paths, `(n,)` classes in the alphabetical order of their WordNet numbers, their names.

    Raises:
        DataError: a file or a class is missing.
    """
    names = tuple(sorted(_lines(folder / "wnids.txt")))
    if split == "test":
        return list_images(folder / "test")[0], None, names
    if split == "train":
        paths = [path for path in list_images(folder / "train")[0] if path.parent.name == "images"]
        return paths, _numbers([path.parent.parent.name for path in paths], names, folder), names
    paths = list_images(folder / "val")[0]
    rows = [line.split("\t") for line in _lines(folder / ANNOTATIONS)]
    known = {row[0]: row[1] for row in rows if len(row) > 1}
    missing = [path.name for path in paths if path.name not in known]
    if missing:
        raise DataError(
            f"'{folder / ANNOTATIONS}' does not name {listing(missing)}; download the data set "
            "again."
        )
    return paths, _numbers([known[path.name] for path in paths], names, folder), names


def open_imagenet(folder: Path, split: str) -> Split:
    """Return the pictures of a split of ImageNet.

    Args:
        folder: with train and val, each with a folder for each class.
        split: "train" or "validation".

    Returns:
        Paths, `(n,)` classes in the alphabetical order of their folders, their names.

    Raises:
        DataError: the split is not there, or its pictures are in no folders of classes.
    """
    root = folder / ("val" if split == "validation" else split)
    if not root.is_dir():
        raise DataError(f"'{folder}' has no folder {root.name!r}; give another split.")
    if not _has_wordnet(root):
        raise DataError(
            f"'{root}' has no folder for each class, so its pictures have no classes; sort them "
            f"into such folders, or give '{root}' itself, whose pictures are read without classes."
        )
    return open_classes(root)


def open_classes(folder: Path) -> Split:
    """Return the pictures of a folder with a folder for each class.

    Args:
        folder: with the folders.

    Returns:
        Paths, `(n,)` classes in the alphabetical order of their folders, their names.

    Raises:
        DataError: no picture, or one beside the folders.
    """
    paths = list_images(folder)[0]
    owners = [path.relative_to(folder).parts[0] for path in paths]
    beside = [path.name for path in paths if path.parent == folder]
    if beside:
        raise DataError(
            f"'{folder}' has pictures in no folder of a class ({listing(beside)}); move each into "
            "the folder of its class."
        )
    names = tuple(sorted(set(owners)))
    return paths, _numbers(owners, names, folder), names


def _numbers(owners: list[str], names: tuple[str, ...], folder: Path) -> Labels:
    place = {name: number for number, name in enumerate(names)}
    strange = sorted({owner for owner in owners if owner not in place})
    if strange:
        raise DataError(
            f"'{folder}' has pictures of {listing(strange)}, which wnids.txt does not name; "
            "download the data set again."
        )
    return np.array([place[owner] for owner in owners], np.int64)


def _has_wordnet(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    entries = itertools.islice((each for each in folder.iterdir() if each.is_dir()), _LOOKED_AT)
    found = [bool(_WORDNET.fullmatch(each.name)) for each in entries]
    return bool(found) and all(found)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' cannot be read ({error}); download the data set again."
        ) from error
