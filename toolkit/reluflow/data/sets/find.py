"""Which standard data set a path or a name means, and where it lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reluflow.data.sets.cifar import is_cifar
from reluflow.data.sets.pictures import is_imagenet, is_tiny
from reluflow.data.sets.speech import is_speech
from reluflow.data.sources.places import is_url
from reluflow.errors import DataError

VARIABLE = "RELUFLOW_DATA"
"""Environment variable with a folder in which data sets are looked for first."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, slots=True)
class Kind:
    """A standard data set.

    Attributes:
        title: as people write it.
        splits: those it has, the one taken without a word first.
        folders: names that its folder usually has.
        is_here: tells whether a folder holds it.
    """

    title: str
    splits: tuple[str, ...]
    folders: tuple[str, ...]
    is_here: Callable[[Path], bool]


def _is_fashion(folder: Path) -> bool:
    return all(idx_file(folder, split, "images") is not None for split in (TRAIN, TEST))


def idx_file(folder: Path, split: str, what: str) -> Path | None:
    """Return a file of FashionMNIST, zipped or not; None where it is not there.

    Args:
        folder: of the files.
        split: "train" or "test".
        what: "images" or "labels".
    """
    name = f"{'t10k' if split == TEST else split}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


KINDS: dict[str, Kind] = {
    "cifar10": Kind(
        "CIFAR-10",
        (TEST, TRAIN),
        ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar10"),
        partial(is_cifar, classes=10),
    ),
    "cifar100": Kind(
        "CIFAR-100",
        (TEST, TRAIN),
        ("cifar-100-python", "cifar-100-binary", "cifar100"),
        partial(is_cifar, classes=100),
    ),
    "tiny-imagenet": Kind(
        "Tiny ImageNet", (VALIDATION, TRAIN, TEST), ("tiny-imagenet-200", "tiny-imagenet"), is_tiny
    ),
    "imagenet": Kind(
        "ImageNet",
        (VALIDATION, TRAIN),
        ("imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
        is_imagenet,
    ),
    "speech-commands": Kind(
        "Speech Commands",
        (TEST, VALIDATION, TRAIN),
        ("speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02", "speech_commands"),
        is_speech,
    ),
    "fashion-mnist": Kind(
        "FashionMNIST", (TEST, TRAIN), ("fashion-mnist", "FashionMNIST/raw"), _is_fashion
    ),
}
"""Data sets by the name that stands for them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A split of a data set on this machine.

    Attributes:
        name: a key of `KINDS`.
        folder: of its files.
        split: "train", "validation" or "test".

    Example:
        >>> place = Place("cifar10", Path("cifar-10-batches-py"), "train")
        >>> place.kind.title, str(place)
        ('CIFAR-10', 'cifar-10-batches-py:train')
    """

    name: str
    folder: Path
    split: str

    @property
    def kind(self) -> Kind:
        """What is known of the data set."""
        return KINDS[self.name]

    def __str__(self) -> str:
        return f"{self.folder}:{self.split}"


def places() -> list[Path]:
    """Return the folders in which the folders of data sets are looked for, in this order."""
    own = os.environ.get(VARIABLE)
    home = Path("~").expanduser()
    return [
        *([Path(own).expanduser()] if own else []),
        Path("data"),
        home / "data",
        home / ".keras" / "datasets",
        Path("/usr/share/datasets"),
    ]


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except OSError:  # too long for a name
        return False


def _kinds_in(folder: Path) -> list[str] | None:
    """Return the data sets whose files are in a folder, None where there is no folder."""
    if not folder.is_dir():
        return None
    return [name for name, kind in KINDS.items() if kind.is_here(folder)]


def find_set(source: str | os.PathLike[str], split: str | None = None) -> Place | None:
    """Return the standard data set that a path or a name means.

    Args:
        source: a folder of one, or a name such as "cifar10", which is looked for in the usual
            places; both may end with a split, as in "cifar10:train".
        split: which one; None: that of `source`, or else the one that accuracy is told on.

    Returns:
        The data set; None for any other path.

    Raises:
        DataError: the name's data set is not there, the folder has none although a split is named,
            or it has no such split.

    Example:
        >>> find_set("models") is None
        True

    Reference: docs/networks.md.
    """
    text = os.fspath(source)
    if not isinstance(text, str) or "\0" in text or is_url(text):
        return None
    rest, colon, named = text.rpartition(":")
    if colon and named in (TRAIN, VALIDATION, TEST) and not _is_there(text):
        text, split = rest, split or named
    folder = Path(text).expanduser()
    try:
        found = _kinds_in(folder)
    except OSError:  # too long a name, or no permission: whoever opens the path says so
        return None
    if found is not None:
        if found:
            return _place(found[0], folder, split)
        if split is None:
            return None
        known = ", ".join(kind.title for kind in KINDS.values())
        raise DataError(
            f"folder '{folder}' holds the files of no standard data set, so it has no split "
            f"{split!r}; give a folder of {known}, or leave the split out."
        )
    if text not in KINDS or folder.exists():
        return None
    return _place(text, _looked_up(text), split)


def _place(name: str, folder: Path, split: str | None) -> Place:
    splits = KINDS[name].splits
    if split is not None and split not in splits:
        raise DataError(
            f"{KINDS[name].title} has no split {split!r}; give one of {', '.join(splits)}."
        )
    return Place(name, folder, splits[0] if split is None else split)


def _looked_up(name: str) -> Path:
    kind = KINDS[name]
    looked = [place / folder for place in places() for folder in kind.folders]
    for folder in looked:
        if folder.is_dir() and kind.is_here(folder):
            return folder
    where = ", ".join(f"'{folder}'" for folder in looked)
    raise DataError(
        f"{kind.title} is not on this machine; looked for its files in {where}. Give its folder, "
        f"or name the folder that has it in the environment variable {VARIABLE}."
    )
