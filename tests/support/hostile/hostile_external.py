"""Models whose weights lie in other files, or seem to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import small_models
from hostile_models import REFUSED, Builder, put
from onnx import TensorProto


def external(pattern: str, **entries: object) -> Callable[[Callable[[Path], None]], Builder]:
    """Register a network whose first weights lie outside; the function writes files."""

    def register(prepare: Callable[[Path], None]) -> Builder:
        def build(folder: Path) -> Path:
            inside = folder / "inside"
            inside.mkdir()
            proto = small_models.dense()
            tensor = proto.graph.initializer[0]
            (folder / "weights.bin").write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in entries.items():
                text = str(value).replace("{folder}", str(folder))
                tensor.external_data.add(key=key, value=text)
            prepare(folder)
            return put(inside, proto)

        REFUSED[prepare.__name__] = (build, pattern)
        return build

    return register


def _move_in(folder: Path, cut: int | None = None) -> None:
    raw = (folder / "weights.bin").read_bytes()
    (folder / "inside" / "w.bin").write_bytes(raw[:cut])


@external("does not exist", location="w.bin")
def external_data_missing(folder: Path) -> None:
    pass


@external("outside the model's folder", location="../weights.bin")
def external_data_one_folder_up(folder: Path) -> None:
    pass


@external("outside the model's folder", location="a/../../weights.bin")
def external_data_up_by_a_detour(folder: Path) -> None:
    (folder / "inside" / "a").mkdir()


@external("absolute path", location="{folder}/weights.bin")
def external_data_by_absolute_path(folder: Path) -> None:
    pass


@external("escapes|link|outside", location="w.bin")
def external_data_by_a_link_out(folder: Path) -> None:
    (folder / "inside" / "w.bin").symlink_to(folder / "weights.bin")


@external("escapes|link|outside", location="a/weights.bin")
def external_data_by_a_linked_folder(folder: Path) -> None:
    (folder / "inside" / "a").symlink_to(folder)


@external("incomplete", location="w.bin")
def external_data_too_short(folder: Path) -> None:
    _move_in(folder, -8)


@external("incomplete", location="w.bin", offset=2**62)
def external_offset_beyond_the_end(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", offset=-4)
def external_offset_negative(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", length=-1)
def external_length_negative(folder: Path) -> None:
    _move_in(folder)


@external("gives|incomplete", location="w.bin", length=2**70)
def external_length_huge(folder: Path) -> None:
    _move_in(folder)


@external("whole numbers >= 0", location="w.bin", offset="ten")
def external_offset_in_words(folder: Path) -> None:
    _move_in(folder)


@external("names no file", offset=0)
def external_data_without_location(folder: Path) -> None:
    pass


@external("does not exist|folder", location=".")
def external_data_in_a_folder(folder: Path) -> None:
    pass


@external("does not exist|regular", location="pipe")
def external_data_in_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "inside" / "pipe")
