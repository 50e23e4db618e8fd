"""Labels are read with the same care as inputs."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reluflow.data import read_labels, read_targets
from reluflow.data.answers import read_array
from reluflow.errors import DataError


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(path: Path, content: bytes, member: str = "label.npy") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(member, content)
    return path


def broken_checksum(folder: Path) -> Path:
    path = folder / "y.npz"
    np.savez(path, label=np.arange(64))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x93NUMPY") + 140] ^= 1
    path.write_bytes(raw)
    return path


def pickled(folder: Path) -> Path:
    np.savez(folder / "y.npz", label=np.array([{"a": 1}], dtype=object))
    return folder / "y.npz"


def bomb(folder: Path) -> Path:
    """A few hundred kB that would expand to 1.5 GB."""
    head = npy(np.zeros(0, np.int64)).replace(b"(0,)", b"(201326592,)")
    head = head[:-1].rstrip(b" ")[: 128 - 1].ljust(127, b" ") + b"\n"
    with zipfile.ZipFile(folder / "y.npz", "w", zipfile.ZIP_DEFLATED) as out:
        with out.open("label.npy", "w", force_zip64=True) as stream:
            stream.write(head)
            for _ in range(24):
                stream.write(bytes(2**26))
    return folder / "y.npz"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "y.npz")
    return folder / "y.npz"


def garbage(folder: Path) -> Path:
    (folder / "y.npz").write_bytes(b"PK\x03\x04" + os.urandom(200))
    return folder / "y.npz"


def gzipped_text(folder: Path) -> Path:
    (folder / "y").write_bytes(gzip.compress(b"1\n2\n3\n"))
    return folder / "y"


REFUSED = {
    "broken checksum": (broken_checksum, "(?i)crc"),
    "Python objects": (pickled, "Python objects, which are never unpickled"),
    "bomb": (bomb, "would grow from .* to 1,610,612,864|to 1,610,612,"),
    "pipe": (pipe, "no regular file"),
    "device": (lambda folder: Path("/dev/zero"), "no regular file"),
    "garbage": (garbage, "no readable .npz archive|cannot be read"),
    "text in an archive": (
        lambda folder: archive(folder / "y.npz", b"hello"),
        "no readable .npy array|cannot be opened",
    ),
    "a member that is no array": (
        lambda folder: archive(folder / "y.npz", b"hello", "label"),
        "zip without any .npy",
    ),
    "other names": (
        lambda folder: archive(folder / "y.npz", npy(np.arange(3)), "y.npy"),
        "holds no array 'label' but 'y'",
    ),
    "missing": (lambda folder: folder / "gone.npz", "cannot be read .*No such file"),
    "folder": (lambda folder: folder, "no regular file"),
    "text": (lambda folder: _text(folder), r"cannot be read as \.npz, \.npy or idx"),
    "gzipped text": (gzipped_text, "idx|cannot be read"),
    "one number": (lambda folder: archive(folder / "y.npz", npy(np.array(3))), "single number"),
}


def _text(folder: Path) -> Path:
    (folder / "y.csv").write_text("1\n2\n3\n")
    return folder / "y.csv"


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("read", [read_labels, read_targets])
def test_answers_are_refused_in_one_sentence(name, read, tmp_path):
    build, pattern = REFUSED[name]
    with pytest.raises(DataError, match=pattern) as caught:
        read(build(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, ">i4"])
def test_answers_of_every_type_are_read(dtype, tmp_path):
    wanted = np.arange(7).astype(dtype)
    np.save(tmp_path / "y.npy", wanted)
    np.savez_compressed(tmp_path / "y.npz", label=wanted, other=np.zeros(3))
    for name in ("y.npy", "y.npz"):
        found = read_labels(tmp_path / name, limit=5)
        assert found.dtype == np.int64 and found.tolist() == [0, 1, 2, 3, 4]


def test_targets_keep_their_shape(tmp_path):
    wanted = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
    np.savez(tmp_path / "y.npz", label=wanted)
    assert np.array_equal(read_targets(tmp_path / "y.npz"), wanted)
    assert np.array_equal(read_array(tmp_path / "y.npz", "label"), wanted)


def test_an_empty_array_is_empty(tmp_path):
    np.save(tmp_path / "y.npy", np.zeros(0, np.int64))
    assert read_array(tmp_path / "y.npy", "").shape == (0,)
