"""Where tiles go: arrays in memory, or files that keep what was done when a run is interrupted."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.tiles.plan import Tile, TilePlan
from reluflow.errors import DataError, OptionError, OutputError
from reluflow.files import appearing, sync_folder, what_stands_there
from reluflow.graph import Model

Arrays = Mapping[str, NDArray[Any]]
Files = Mapping[str, Path]


class Kept:
    """The outputs of a run in tiles as far as they are done.

    Args:
        plan: how the picture is cut.
        files: output -> file; empty: arrays in memory.
        identity: what tells this run from others.
        n_done: tiles that the files hold already.
    """

    def __init__(self, plan: TilePlan, files: Files, identity: str, n_done: int) -> None:
        self._plan, self.files, self._identity = plan, files, identity
        self._arrays: dict[str, Any] = {}
        self.n_done = self.n_resumed = n_done
        if n_done:
            self._arrays = {name: np.load(_part(f), mmap_mode="r+") for name, f in files.items()}

    def add(self, tile: Tile, values: Arrays) -> None:
        """Copy what a crop gave for its tile.

        Args:
            tile: its place.
            values: output -> its values for the crop.
        """
        for name, value in values.items():
            into, out_of = self._places(tile, name, value)
            self._array(name, value)[into] = value[out_of]
        self.n_done += 1
        if self.files:
            for array in self._arrays.values():
                array.flush()
            self._note()

    def finish(self) -> dict[str, NDArray[Any]]:
        """Give the files their names; return the outputs."""
        if not self.files:
            return self._arrays
        self._arrays.clear()
        for file in self.files.values():
            _part(file).replace(file)
            sync_folder(file.parent)
        _state(self.files).unlink(missing_ok=True)
        return {name: np.load(file, mmap_mode="r") for name, file in self.files.items()}

    def _places(
        self, tile: Tile, name: str, value: NDArray[Any]
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return where pixels go in the whole output, and where they are in the crop's."""
        lattice = self._plan.lattice
        into, out_of = [slice(None)] * value.ndim, [slice(None)] * value.ndim
        for at, axis in enumerate(lattice.graph.axes[name]):
            begin, end = tile.spans[name][at]
            moved = lattice.shift(name, at, tile.starts[at])
            into[axis], out_of[axis] = slice(begin, end), slice(begin - moved, end - moved)
        return tuple(into), tuple(out_of)

    def _array(self, name: str, value: NDArray[Any]) -> Any:
        """Return the whole output, made when its first tile tells type and channels."""
        if name not in self._arrays:
            graph, shape = self._plan.lattice.graph, list(value.shape)
            for axis, size in zip(graph.axes[name], graph.sizes[name], strict=True):
                shape[axis] = size
            if self.files:
                self._arrays[name] = np.lib.format.open_memmap(
                    _part(self.files[name]), mode="w+", dtype=value.dtype, shape=tuple(shape)
                )
            else:
                self._arrays[name] = np.zeros(shape, value.dtype)
        return self._arrays[name]

    def _note(self) -> None:
        with appearing(_state(self.files)) as partial:
            state = {"identity": self._identity, "n_done": self.n_done}
            partial.write_text(json.dumps(state), encoding="utf-8")


def what_is_kept(n_done: int, n_tiles: int, kept: Kept) -> str:
    """Return what an interrupted run says.

    Args:
        n_done: tiles that are done.
        n_tiles: tiles of the whole picture.
        kept: the outputs so far.
    """
    if not kept.files:
        return (
            f"interrupted after {n_done} of {n_tiles} tiles, and arrays in memory are gone; give a "
            "file to keep them."
        )
    names = ", ".join(str(file) for file in kept.files.values())
    return (
        f"interrupted after {n_done} of {n_tiles} tiles, which are kept beside {names}; run again "
        "with resume to go on."
    )


def open_kept(
    model: Model, inputs: Arrays, out: Any, plan: TilePlan, chosen: tuple[int | None, int, bool]
) -> Kept:
    """Prepare the outputs of a run.

    Args:
        model: what runs.
        inputs: what it runs on.
        out: a path for the only output, one for each by name, or None for arrays.
        plan: how the picture is cut.
        chosen: samples, seed, and whether to resume.

    Raises:
        OptionError: paths do not fit the outputs.
        OutputError: a file cannot be written there.
        DataError: there is nothing to resume, or it is of another run.
    """
    samples, seed, resume = chosen
    if out is None:
        if resume:
            raise OptionError(
                "resume is True, but no file is given, and arrays are kept nowhere; give a file."
            )
        return Kept(plan, {}, "", 0)
    files = _files(out, plan.lattice.outputs)
    identity = _identity(model, inputs, plan, (samples, seed))
    return Kept(plan, files, identity, _earlier(files, identity) if resume else 0)


def _files(out: Any, outputs: tuple[str, ...]) -> Files:
    by_name = dict(out) if isinstance(out, Mapping) else {outputs[0]: out}
    if set(by_name) != set(outputs):
        raise OptionError(
            f"out names {', '.join(map(repr, by_name))}, but the outputs are "
            f"{', '.join(map(repr, outputs))}; give a file for each by name."
        )
    files = {name: Path(os.fspath(path)) for name, path in by_name.items()}
    for file in files.values():
        if not file.parent.is_dir() or (there := what_stands_there(file)):
            what = there if file.parent.is_dir() else "no folder"
            raise OutputError(f"out is {str(file)!r}, where there is {what}; choose another file.")
    return files


def is_begun(files: Files) -> bool:
    """Tell whether an interrupted run lies beside some files.

    Args:
        files: output -> file.
    """
    return _state(files).is_file() and all(_part(file).is_file() for file in files.values())


def _earlier(files: Files, identity: str) -> int:
    state, beside = _state(files), str(next(iter(files.values())))
    if not is_begun(files):
        raise DataError(
            f"resume is True, but no interrupted run is beside {beside!r}; run without it."
        )
    known = json.loads(state.read_text(encoding="utf-8"))
    if known["identity"] != identity:
        raise DataError(
            f"the interrupted run beside {beside!r} had another model, "
            "picture, crop, samples or seed; run without resume to begin again."
        )
    return int(known["n_done"])


def _part(file: Path) -> Path:
    return file.with_name(f".{file.name}.partial")


def _state(files: Files) -> Path:
    first = next(iter(files.values()))
    return first.with_name(f".{first.name}.tiles.json")


def _identity(model: Model, inputs: Arrays, plan: TilePlan, chosen: tuple[int | None, int]) -> str:
    """Return what tells a run from others: model, pictures, crops and draws."""
    return tell_apart([model], inputs, (plan.crop, plan.lattice.outputs, *chosen))


def tell_apart(models: Iterable[Model], inputs: Arrays, chosen: object) -> str:
    """Return what tells a run from others.

    Args:
        models: that run.
        inputs: what they run on; pictures in files are read piece by piece.
        chosen: the rest, whose `repr` tells it.
    """
    told = hashlib.sha256()
    for model in models:
        told.update(model.serialize())
    for name, array in inputs.items():
        told.update(f"{name} {array.dtype} {array.shape}".encode())
        rows = np.asarray(array).reshape(math.prod(array.shape[:-1]), -1)
        for at in range(0, len(rows), _ROWS):
            told.update(np.ascontiguousarray(rows[at : at + _ROWS]).tobytes())
    told.update(repr(chosen).encode())
    return told.hexdigest()


_ROWS = 1024
"""Rows of a picture that are read at a time."""
