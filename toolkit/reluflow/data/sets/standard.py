"""Opens a standard data set: samples as they are stored, classes, and the names of these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.data.formats.idx import idx_column
from reluflow.data.sets.cifar import open_cifar
from reluflow.data.sets.find import KINDS, Place, find_set, idx_file
from reluflow.data.sets.pictures import open_imagenet, open_tiny
from reluflow.data.sets.speech import RATE, SoundColumn, open_speech
from reluflow.data.sources.column import Array, Column
from reluflow.data.sources.spec import InputSpec
from reluflow.errors import DataError

_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


@dataclass(frozen=True, slots=True, eq=False)
class StandardSet:
    """A split of a standard data set, as `open_set` returns it.

    Attributes:
        place: which it is and where it lies.
        files: those of the split; of pictures and sounds, one each.
        labels: `(n,)` int64 classes; None where the split has none.
        classes: their names, in order.
        column: the samples, where all have one shape; None for pictures of any size.
        is_pictures: whether each file is a picture.

    Example:
        >>> import tempfile
        >>> def idx(array):
        ...     sizes = np.array(array.shape, ">i4").tobytes()
        ...     return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("train", "t10k"):
        ...         images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
        ...         _ = Path(folder, f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        ...         _ = Path(folder, f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
        ...     found = open_set(folder)
        ...     print([(len(batch), part.tolist()) for batch, part in found.batches(2)])
        ...     print(found.column_for(InputSpec("x", np.dtype("uint8"), ("N", 28, 28))).shape)
        [(2, [0, 1]), (1, [2])]
        (28, 28)
    """

    place: Place
    files: tuple[Path, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    column: Column | None
    is_pictures: bool

    @property
    def title(self) -> str:
        """Name and split, as people write them."""
        return f"{self.place.kind.title}, {self.place.split}"

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.files) if self.column is None else self.column.n_samples

    def batches(self, batch_size: int) -> Iterator[tuple[Array, NDArray[np.int64] | None]]:
        """Yield samples and classes, a batch in memory at a time.

        Args:
            batch_size: samples of a batch; the last one may have fewer.

        Returns:
            uint8 images `(n, 3, 32, 32)` of CIFAR and `(n, 28, 28)` of FashionMNIST, float32 sounds
            `(n, 1, 16000)`, and `(n,)` classes.

        Raises:
            DataError: the samples are pictures of any size, which `open_data` brings to one, or a
                file is damaged.
        """
        if self.column is None:
            raise DataError(
                f"{self.title} has pictures of any size; open it with open_data and a "
                "preprocessing that has a size."
            )
        first = 0
        for batch in self.column.stream(0, batch_size):
            part = None if self.labels is None else self.labels[first : first + len(batch)]
            yield batch, part
            first += len(batch)

    def column_for(self, spec: InputSpec) -> Column:
        """Return the samples as an input of a model takes them, images as bytes.

        Args:
            spec: the input.

        Raises:
            DataError: the model wants sounds of another length, or the set is one of pictures.
        """
        if not isinstance(self.column, SoundColumn):
            if self.column is None:
                raise DataError(f"{self.title} has pictures of any size; give a preprocessing.")
            return self.column
        shape = spec.shape or (None, 1, RATE)
        wanted = shape[-1] if isinstance(shape[-1], int) else RATE
        if wanted not in (RATE, RATE // 2):
            raise DataError(
                f"the model wants {spec}, but the sounds of {self.title} have {RATE} numbers, or "
                f"{RATE // 2} at half the rate; give a model for one of these."
            )
        return SoundColumn(self.files, wanted, len(shape))


def open_set(source: str | os.PathLike[str], split: str | None = None) -> StandardSet:
    """Open CIFAR-10, CIFAR-100, Tiny ImageNet, ImageNet, Speech Commands or FashionMNIST.

    The files are those in which the sets are distributed, unpacked. A pickle of CIFAR's Python
    version is read without running anything that it names.

    Args:
        source: the folder of the files, or a name: "cifar10", "cifar100", "tiny-imagenet",
            "imagenet", "speech-commands" or "fashion-mnist". A name is looked for below the folder
            in the environment variable RELUFLOW_DATA, `data`, `~/data`, `~/.keras/datasets` and
            `/usr/share/datasets`. Both may end with a split: "cifar10:train".
        split: "train", "validation" or "test"; None: the one that accuracy is told on: test, of
            ImageNet and Tiny ImageNet validation.

    Returns:
        The split: its classes are read, its samples are not.

    Raises:
        DataError: there is no such set, which says where was looked, no such split, or a file is
            missing or damaged.

    Example:
        >>> try:
        ...     open_set("cifar10")
        ... except DataError as error:
        ...     print(str(error)[:51])
        CIFAR-10 is not on this machine; looked for its fil

    Reference: docs/networks.md.
    """
    place = find_set(source, split)
    if place is None:
        raise DataError(
            f"'{os.fspath(source)}' is neither a standard data set nor the name of one; give its "
            f"folder, or one of {', '.join(KINDS)}."
        )
    try:
        return _opened(place)
    except OSError as error:
        raise DataError(
            f"the files of {place.kind.title} in '{place.folder}' cannot be read "
            f"({error.strerror or error}); check the folder and its permissions."
        ) from error


def _opened(place: Place) -> StandardSet:
    folder, split = place.folder, place.split
    if place.name in ("cifar10", "cifar100"):
        column, labels, names, files = open_cifar(
            folder, int(place.name.removeprefix("cifar")), split
        )
        return StandardSet(place, tuple(files), labels, names, column, False)
    if place.name == "fashion-mnist":
        return _fashion(place)
    if place.name == "speech-commands":
        files, labels, names = open_speech(folder, split)
        sounds = SoundColumn(files, RATE, 3)
        return StandardSet(place, tuple(files), labels, names, sounds, False)
    opener = open_tiny if place.name == "tiny-imagenet" else open_imagenet
    files, found, names = opener(folder, split)
    return StandardSet(place, tuple(files), found, names, None, True)


def _fashion(place: Place) -> StandardSet:
    files = [idx_file(place.folder, place.split, what) for what in ("images", "labels")]
    images, labels = files
    if images is None or labels is None:
        raise DataError(
            f"'{place.folder}' has no labels of the split {place.split!r}; download the data set "
            "again."
        )
    column = idx_column(images)
    marks = idx_column(labels)
    found = np.concatenate([*marks.stream(0, max(1, marks.n_samples))]).astype(np.int64)
    if len(found) != column.n_samples:
        raise DataError(
            f"'{place.folder}' has {column.n_samples} images and {len(found)} labels of the split "
            f"{place.split!r}; download the data set again."
        )
    return StandardSet(place, (images, labels), found, _CLOTHES, column, False)
