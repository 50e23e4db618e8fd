"""Damaged and hostile data for a network with the input `x`: float32 [N, 4]."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Builder = Callable[[Path], Path]
REFUSED: dict[str, tuple[Builder, str]] = {}
"""Name -> builder, and a pattern that the sentence must match."""
REFUSED_IMAGES: dict[str, tuple[Builder, str]] = {}
"""The same for a network with the input `x`: float32 [N, 3, 8, 8]."""

RNG = np.random.default_rng(3)
GOOD = RNG.standard_normal((5000, 4), np.float32)


def npy_bytes(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def idx_bytes(*shape: int, code: int = 13, body: bytes | None = None) -> bytes:
    head = bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return head + (RNG.standard_normal(shape).astype(">f4").tobytes() if body is None else body)


def zip_bytes(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :]


def content(name: str, raw: bytes, pattern: str) -> None:
    def build(folder: Path) -> Path:
        (folder / "data.bin").write_bytes(raw)
        return folder / "data.bin"

    REFUSED[name] = (build, pattern)


_npy = npy_bytes(GOOD)
_zip = zip_bytes(("x.npy", _npy))
_stored = zip_bytes(("x.npy", _npy), method=zipfile.ZIP_STORED)
_idx_gz = gzip.compress(idx_bytes(900, 4))
_shape = b"(5000, 4)"

for _name, _raw, _pattern in (
    ("empty_file", b"", "empty file"),
    ("text_file", b"0.5, 0.25, 1, 2\n", "no known format"),
    ("random_bytes", bytes(RNG.integers(1, 256, 999, np.uint8)), "no known format"),
    ("pickle", b"\x80\x04\x95\0\0\0\0\0\0\0\0N.", "a pickle, which is never opened"),
    ("npy_of_six_bytes", _npy[:6], "no readable .npy"),
    ("npy_cut_in_the_header", _npy[:70], "no readable .npy"),
    ("npy_cut_in_the_data", _npy[:-7], "truncated"),
    ("npy_without_data", _npy[:128], "truncated"),
    ("npy_of_version_9", _npy.replace(b"NUMPY\x01", b"NUMPY\x09"), "no readable .npy"),
    ("npy_of_objects", npy_bytes(np.array([{}, {}]), allow_pickle=True), "never unpickled"),
    ("npy_of_strings", npy_bytes(np.array(["a", "b"])), "only numbers and booleans"),
    ("npy_of_records", npy_bytes(np.zeros(3, [("a", "f4")])), "only numbers and booleans"),
    ("npy_of_dates", npy_bytes(np.zeros(3, "M8[s]")), "only numbers and booleans"),
    ("npy_of_one_number", npy_bytes(np.array(1.0, "f4")), "without a batch axis"),
    ("npy_of_zero_samples", npy_bytes(GOOD[:0]), "zero samples"),
    ("npy_of_zero_features", npy_bytes(GOOD[:, :0]), "no elements"),
    ("npy_of_wrong_rank", npy_bytes(GOOD[None]), r"float32 \[1, 5000, 4\], but the model wants"),
    ("npy_of_wrong_width", npy_bytes(GOOD[:, :3]), r"\[5000, 3\], but the model wants"),
    ("npy_of_wrong_type", npy_bytes(GOOD.astype("f8")), "convert with .astype"),
    ("npy_of_integers", npy_bytes(GOOD.astype("i8")), "convert with .astype"),
    ("npy_of_complex_numbers", npy_bytes(GOOD.astype("c8")), "convert with .astype"),
    ("npy_of_negative_shape", _npy.replace(_shape, b"(-500, 4)"), "no axis can be negative"),
    ("npy_that_lies", _npy.replace(_shape + b", }   ", b"(9" + b"0" * 12 + b"4)"), "npy|promises"),
    ("npy_of_huge_header", b"\x93NUMPY\x02\0\xff\xff\xff\x7f" + b" " * 99, "no readable .npy"),
    ("npy_of_code", _npy.replace(b"'<f4'", b"open("), "no readable .npy"),
    ("npy_nested_deeply", b"\x93NUMPY\x01\0\xf0\x0f" + b"(" * 4080, "no readable .npy"),
    ("zip_without_arrays", zip_bytes(("a.txt", b"x")), "without any .npy"),
    ("zip_without_members", zip_bytes(), "without any .npy"),
    ("torch_checkpoint", zip_bytes(("model/data.pkl", b"\x80\x02")), "without any .npy"),
    ("zip_cut", _zip[:-30], "no readable .npz"),
    ("zip_head_only", _zip[:40], "no readable .npz"),
    ("zip_garbage", b"PK\x03\x04" + bytes(300), "no readable .npz"),
    ("zip_with_damaged_data", flipped(_zip, len(_zip) // 2), "cannot be read to its end|damaged"),
    ("zip_with_damaged_bytes", flipped(_stored, len(_stored) // 2), "Bad CRC-32"),
    ("zip_with_damaged_header", flipped(_stored, 48), "no readable .npy|Bad CRC"),
    ("npz_of_objects", zip_bytes(("x.npy", npy_bytes(np.array([{}, {}])))), "never unpickled"),
    (
        "npz_of_other_names",
        zip_bytes(("a.npy", _npy), ("b.npy", _npy)),
        "holds the arrays 'a', 'b'",
    ),
    ("npz_that_lies", zip_bytes(("x.npy", _npy.replace(_shape, b"(9000, 4)"))), "promises 144000"),
    ("npz_member_cut", zip_bytes(("x.npy", _npy[:-9])), "promises"),
    ("npz_member_is_text", zip_bytes(("x.npy", b"hello")), "no readable .npy"),
    ("npz_member_is_empty", zip_bytes(("x.npy", b"")), "no readable .npy"),
    ("npz_of_wrong_width", zip_bytes(("x.npy", npy_bytes(GOOD[:, :3]))), "the model wants"),
    ("npz_in_fortran_order", zip_bytes(("x.npy", npy_bytes(GOOD.T.copy().T))), "Fortran order"),
    ("zip_bomb", zip_bytes(("x.npy", bytes(1 << 26))), "no readable .npy"),
    ("idx_of_unknown_type", b"\0\0\x07\x02" + bytes(40), "no known format"),
    ("idx_without_axes", b"\0\0\x0d\0" + bytes(40), "no known format"),
    ("idx_cut_in_the_header", idx_bytes(9, 4)[:7], "ends within its header"),
    ("idx_cut_in_the_data", idx_bytes(9, 4)[:-1], "promises 144 bytes of elements, 143"),
    ("idx_too_long", idx_bytes(9, 4) + b"x", "promises 144 bytes of elements, 145"),
    ("idx_that_lies", idx_bytes(2**32 - 1, 2**32 - 1, body=b""), "promises"),
    ("idx_of_zero_samples", idx_bytes(0, 4), "zero samples"),
    ("idx_of_255_axes", b"\0\0\x0d\xff" + bytes(4 * 255), "zero samples|elements"),
    ("gzip_of_text", gzip.compress(b"hello"), "does not begin as an idx"),
    ("gzip_of_nothing", gzip.compress(b""), "does not begin as an idx"),
    ("gzip_of_npy", gzip.compress(_npy), "does not begin as an idx"),
    ("gzip_cut", _idx_gz[:-2000], "cannot be read to its end"),
    ("gzip_without_checksum", _idx_gz[:-8], "cannot be read to its end"),
    ("gzip_of_wrong_checksum", flipped(_idx_gz, len(_idx_gz) - 6), "CRC check failed"),
    ("gzip_with_damaged_data", flipped(_idx_gz, 5000), "cannot be read to its end"),
    ("gzip_header_only", _idx_gz[:5], "cannot be read"),
    ("gzip_that_lies", gzip.compress(idx_bytes(99, 4, body=b"x")), "cannot be read to its end"),
    ("zlib_stream", zlib.compress(_npy), "no known format"),
):
    content(_name, _raw, _pattern)


def built(pattern: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        REFUSED[builder.__name__] = (builder, pattern)
        return builder

    return register


@built("do not exist; did you mean 'images.npy'")
def path_with_a_typing_error(folder: Path) -> Path:
    (folder / "images.npy").write_bytes(_npy)
    return folder / "imagse.npy"


@built("its folder .* does not exist")
def path_in_a_missing_folder(folder: Path) -> Path:
    return folder / "no" / "images.npy"


@built("no regular file")
def device(folder: Path) -> Path:
    return Path("/dev/zero")


@built("no regular file")
def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@built("cannot be read")
def link_to_itself(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


@built("do not exist")
def dangling_link(folder: Path) -> Path:
    (folder / "link.npy").symlink_to(folder / "gone.npy")
    return folder / "link.npy"


@built("File name too long")
def path_too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


@built("zip|encrypted|cannot be opened")
def encrypted_archive(folder: Path) -> Path:
    raw = bytearray(_zip)
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 8] |= 1
    raw[6] |= 1
    (folder / "data.npz").write_bytes(raw)
    return folder / "data.npz"


@built("give --channels")
def images_for_a_model_of_vectors(folder: Path) -> Path:
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder / "a.png"


@built("holds no image")
def empty_folder(folder: Path) -> Path:
    (folder / "images").mkdir()
    return folder / "images"


def pictures(pattern: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a folder with five good images and something bad."""

    def register(spoil: Callable[[Path], None]) -> Callable[[Path], None]:
        def build(folder: Path) -> Path:
            (folder / "images").mkdir()
            for number in range(5):
                pixels = RNG.integers(0, 256, (9, 9, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
            spoil(folder / "images")
            return folder / "images"

        REFUSED_IMAGES[spoil.__name__] = (build, pattern)
        return spoil

    return register


@pictures("0.png' cannot be decoded")
def first_image_cut(folder: Path) -> None:
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes()[:120])


@pictures("4.png' cannot be decoded")
def last_image_cut(folder: Path) -> None:
    (folder / "4.png").write_bytes((folder / "1.png").read_bytes()[:120])


@pictures("3.png' cannot be decoded")
def image_of_no_bytes(folder: Path) -> None:
    (folder / "3.png").write_bytes(b"")


@pictures("2.jpg' cannot be decoded")
def image_that_is_text(folder: Path) -> None:
    (folder / "2.jpg").write_text("hello")


@pictures("2.png' cannot be read")
def image_that_is_a_dangling_link(folder: Path) -> None:
    (folder / "2.png").unlink()
    (folder / "2.png").symlink_to("gone.png")


@pictures("2.png' is no regular file")
def image_that_is_a_pipe(folder: Path) -> None:
    (folder / "2.png").unlink()
    os.mkfifo(folder / "2.png")


@pictures("bomb|cannot be decoded")
def image_that_is_a_bomb(folder: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (folder / "2.png").write_bytes(raw)


@pictures("range is unknown")
def image_of_floats(folder: Path) -> None:
    Image.fromarray(np.ones((9, 9), np.float32)).save(folder / "2.tif")
