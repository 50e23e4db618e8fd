"""Folders of image files, read one batch at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reluflow.data.sources.column import Array, PickedColumn
from reluflow.data.sources.pixels import read_pixels
from reluflow.data.sources.places import stamp, walk
from reluflow.data.sources.preprocessing import Plan
from reluflow.errors import DataError

SUFFIXES = frozenset(".png .jpg .jpeg .jpe .jfif .bmp .webp .tif .tiff .gif .ppm .pgm .pbm".split())


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key in which runs of digits count as numbers: img2 comes before img10.

    Example:
        >>> sorted(["img10", "img2", "Img1"], key=natural_key)
        ['Img1', 'img2', 'img10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def list_images(folder: Path) -> tuple[list[Path], int]:
    """Find the image files below a folder, in natural order of their path.

    Hidden files and folders and links to folders are skipped. Files are recognised by suffix.

    Args:
        folder: where to look.

    Returns:
        The images and the number of other files.

    Raises:
        DataError: no image, or the folder cannot be read.
    """
    names: list[str] = []
    others = 0

    def fail(error: OSError) -> None:
        raise DataError(
            f"folder '{error.filename}' cannot be read ({error.strerror}); change its permissions."
        ) from error

    for root, folders, files in walk(folder, fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                others += 1
            else:
                names.append((root / name).relative_to(folder).as_posix())
    if not names:
        raise DataError(
            f"folder '{folder}' holds no image ({others} other files); "
            f"images end in {', '.join(sorted(SUFFIXES))}; give a folder that holds some."
        )
    names.sort(key=lambda name: (natural_key(name), name))
    return [folder / name for name in names], others


def identify(paths: Sequence[Path], folder: Path) -> list[list[object]]:
    """Return name, size in bytes and modification time in nanoseconds of every image.

    Args:
        paths: the images.
        folder: names are relative to it.

    Raises:
        DataError: an image cannot be reached or is not a regular file.
    """
    files: list[list[object]] = []
    for path in paths:
        try:
            found = stamp(path)
        except OSError as error:
            raise DataError(
                f"image '{path}' cannot be read ({error.strerror}); remove it or mend the link."
            ) from error
        if not path.is_file():
            raise DataError(f"image '{path}' is no regular file; remove it from the folder.")
        files.append([path.relative_to(folder).as_posix(), *found[1:]])
    return files


class ImageColumn(PickedColumn):
    """Image files decoded, brought to one size and scaled by a plan."""

    def __init__(self, paths: Sequence[Path], plan: Plan) -> None:
        self.paths = list(paths)
        self.n_samples = len(self.paths)
        self.dtype = plan.spec.dtype
        self._plan = plan
        self._pixels = read_pixels(self.paths[0], plan).shape
        self.shape = plan.sample_shape(self._pixels[0], self._pixels[1])

    def take(self, indices: Sequence[int]) -> Array:
        """Return the finished images at `indices`."""
        batch = np.empty((len(indices), *self._pixels), np.uint8)
        for row, index in enumerate(indices):
            pixels = read_pixels(self.paths[index], self._plan)
            if pixels.shape != self._pixels:
                height, width, _ = pixels.shape
                raise DataError(
                    f"image '{self.paths[index]}' has {height} x {width} pixels, but "
                    f"'{self.paths[0]}' has {self._pixels[0]} x {self._pixels[1]}; "
                    "give a size to bring all images to."
                )
            batch[row] = pixels
        return self._plan.finish(batch)
