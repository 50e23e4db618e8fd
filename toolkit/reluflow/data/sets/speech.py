"""Speech Commands: a second of speech a file, one word each."""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluflow.data.sources.column import Array, PickedColumn
from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

RATE = 16_000
"""Samples per second, and of a file at most; shorter ones end with silence."""
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_LOUDEST = 32_768
_WIDTH = 2
"""Bytes of a sample."""


def is_speech(folder: Path) -> bool:
    """Tell whether a folder has the two lists of files.

    Args:
        folder: where they would be.
    """
    return all((folder / name).is_file() for name in LISTS.values())


def open_speech(folder: Path, split: str) -> tuple[list[Path], NDArray[np.int64], tuple[str, ...]]:
    """Return the sounds of a split.

    Args:
        folder: with a folder for each word, and the two lists.
        split: "train", which is what neither list names, "validation" or "test".

    Returns:
        Paths, `(n,)` classes in the alphabetical order of the words, the words.

    Raises:
        DataError: a file is missing.
    """
    words = tuple(
        sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(("_", "."))
        )
    )
    listed = {name: _listed(folder / file) for name, file in LISTS.items()}
    if split in listed:
        found = listed[split]
    else:
        held = {*listed["validation"], *listed["test"]}
        every = (
            f"{word}/{name}"
            for word in words
            for name in sorted(os.listdir(folder / word))
            if name.endswith(".wav")
        )
        found = [name for name in every if name not in held]
    place = {word: number for number, word in enumerate(words)}
    for name in found:
        word = name.partition("/")[0]
        if word not in place or not (folder / name).is_file():
            raise DataError(
                f"'{folder}' has no file {name}, which a list names; download the data set again."
            )
    if not found:
        raise DataError(f"'{folder}' has no sound of the split {split!r}; give another split.")
    labels = np.array([place[name.partition("/")[0]] for name in found], np.int64)
    return [folder / name for name in found], labels, words


class SoundColumn(PickedColumn):
    """WAV files of a second as numbers in [-1, 1)."""

    def __init__(self, paths: Sequence[Path], samples: int, axes: int) -> None:
        """Open the sounds.

        Args:
            paths: of the files.
            samples: of a sound: 16,000, or 8,000 for half the rate.
            axes: of the model's input: 3 with an axis for the one channel, 2 without.
        """
        self.paths = list(paths)
        self.n_samples, self.dtype = len(self.paths), np.dtype(np.float32)
        self.shape = (1, samples) if axes > 2 else (samples,)
        self._factor = RATE // samples

    def take(self, indices: Sequence[int]) -> Array:
        """Return the sounds at `indices`."""
        whole = np.zeros((len(indices), RATE), np.float32)
        for row, index in enumerate(indices):
            sound = read_sound(self.paths[index])
            whole[row, : len(sound)] = sound
        if self._factor > 1:
            from scipy.signal import resample_poly

            whole = resample_poly(whole, 1, self._factor, axis=1).astype(np.float32)
        return whole.reshape(len(indices), *self.shape)


def read_sound(path: Path) -> NDArray[np.float32]:
    """Read one file.

    Args:
        path: a WAV file of one channel, 16,000 samples a second of 16 bits, a second at most.

    Returns:
        `(samples,)` float32 in [-1, 1).

    Raises:
        DataError: it cannot be read, or is another sound.
    """
    try:
        with wave.open(str(path), "rb") as sound:
            made = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            count = sound.getnframes()
            content = sound.readframes(min(count, RATE))
    except (OSError, wave.Error, EOFError, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be read as a WAV file ({first_line(error)}); download it again."
        ) from error
    if made != (1, _WIDTH, RATE) or count > RATE:
        raise DataError(
            f"'{path}' has {count} samples of {8 * made[1]} bits in {made[0]} channels, {made[2]} "
            f"a second; give 16 bits in one channel, {RATE} a second and as many at most."
        )
    if len(content) < _WIDTH * count:
        raise DataError(f"'{path}' ends before its {count} samples do; download it again.")
    return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(_LOUDEST)


def _listed(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' cannot be read ({error}); download the data set again."
        ) from error
    found = [line.strip() for line in lines if line.strip()]
    for name in found:
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise DataError(f"'{path}' names {name!r}, outside its folder; download it again.")
    return found
