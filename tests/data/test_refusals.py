"""Data that do not fit or cannot be read: each case ends in one helpful sentence."""

from __future__ import annotations

import gzip
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reluflow.data import InputSpec, open_data
from reluflow.errors import DataError, OptionError

IMAGE = InputSpec("x", np.dtype("f4"), ("N", 1, 28, 28))
FLAT = InputSpec("x", np.dtype("f4"), ("N", 3))


@pytest.mark.parametrize(
    ("array", "wanted", "match"),
    [
        (
            np.zeros((20, 28, 28)),
            ("N", 1, 28, 28),
            r"^data for input 'x' are float64 \[20, 28, 28\], but the model wants float32 "
            r"\[N, 1, 28, 28\]; add the channel axis with numpy.expand_dims\(x, 1\) and convert "
            r"with .astype\('float32'\)\.$",
        ),
        (np.zeros((1, 28, 28), "f4"), ("N", 1, 28, 28), r"add the batch axis with x\[None\]\.$"),
        (np.zeros((2, 8, 9, 3), "f4"), ("N", 3, 8, 9), r"with x.transpose\(0, 3, 1, 2\)\.$"),
        (np.zeros((2, 3, 8, 9), "f4"), ("N", 8, 9, 3), r"with x.transpose\(0, 2, 3, 1\)\.$"),
        (np.zeros((2, 28, 28), "f4"), ("N", 784), r"reshape with x.reshape\(-1, 784\)\.$"),
        (np.zeros((2, 5), "f4"), ("N", "C", 4, 4), r"give arrays of 4 axes, the batch first\.$"),
        (np.zeros((2, 5), "f4"), ("N", "T", 4), "give arrays of 3 axes"),
        (np.zeros((2, 4), "f4"), ("N", "T", 4), r"add the batch axis with x\[None\]"),
        (np.zeros((2, 5), "f4"), ("N", 1, 5), r"missing axis with numpy.expand_dims\(x, 1\)"),
        (np.zeros((2, 5), "f4"), ("N", 4), r"\[2, 5\], but .*\[N, 4\]; bring the samples to this"),
        (np.zeros((2, 4), "i8"), ("N", 4), r"int64 \[2, 4\], but .* convert with .astype"),
        (np.zeros((2, 4), "u1"), ("N", 4), "scale the bytes by giving a preprocessing, or"),
    ],
)
def test_the_sentence_says_how_to_mend_the_array(array, wanted, match):
    with pytest.raises(DataError, match=match):
        open_data(array, [InputSpec("x", np.dtype("f4"), wanted)])


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.array(3.0, "f4"), "a single number without a batch axis"),
        (np.zeros((0, 3), "f4"), "zero samples; give at least one"),
        (np.zeros((4, 0), "f4"), r"have shape \[4, 0\], so a sample has no elements"),
        (np.array([{}, {}]), "hold Python objects, which are never unpickled"),
        (np.array(["a", "b"]), "element type <U1; only numbers and booleans"),
        (np.array([b"a", b"b"]), "element type .S1"),
        (np.zeros(3, [("a", "f4")]), "only numbers and booleans can be fed"),
        (np.zeros(3, "M8[s]"), "only numbers and booleans can be fed"),
        (np.zeros((3, 3), "V4"), "but the model wants float32"),
    ],
)
def test_arrays_that_feed_no_model(array, match, tmp_path):
    with pytest.raises(DataError, match=match):
        open_data(array, [FLAT])
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=match):
        open_data(tmp_path / "a.npy", [FLAT])


def write(path, content):
    path.write_bytes(content)
    return path


def npy(tmp_path, array, cut=None, name="a.npy"):
    np.save(tmp_path / "whole.npy", array)
    return write(tmp_path / name, (tmp_path / "whole.npy").read_bytes()[:cut])


def test_damaged_npy_files(tmp_path):
    array = np.zeros((50, 3), "f4")
    for cut in (6, 7, 9, 50, 127):
        with pytest.raises(DataError, match=r"a.npy' is no readable .npy array"):
            open_data(npy(tmp_path, array, cut), [FLAT])
    with pytest.raises(DataError, match=r"truncated: its header promises 600 bytes .*, 72 are"):
        open_data(npy(tmp_path, array, 200), [FLAT])
    raw = npy(tmp_path, array).read_bytes()
    for old, new, match in (
        (b"(50, 3)", b"(-5, 3)", r"declare shape \[-5, 3\]; no axis can be negative"),
        (b"(50, 3)", b"(50, x)", "is no readable .npy array"),
        (b"'<f4'", b"open(", "is no readable .npy array .EOF"),
        (b"'<f4'", b"'<q9'", "is no readable .npy array"),
        (b"\x93NUMPY\x01", b"\x93NUMPY\x03", "format version 3.0 holds records"),
    ):
        with pytest.raises(DataError, match=match):
            open_data(write(tmp_path / "b.npy", raw.replace(old, new)), [FLAT])
    with pytest.raises(DataError, match=r"header promises 12000000000000000 bytes"):
        huge = raw.replace(b"(50, 3), }                ", b"(1000000000000000, 3), }  ")
        open_data(write(tmp_path / "b.npy", huge), [FLAT])


def test_files_of_no_known_format(tmp_path):
    for content, match in (
        (b"", "are an empty file; give .npy, .npz, idx"),
        (b"hello world", r"are of no known format \(first bytes 68 65 6c"),
        (b"\x80\x04\x95", "are a pickle, which is never opened"),
        (b"\x89HDF\r\n", "are of no known format"),
        (bytes([0, 0, 7, 3, 0, 0]), "are of no known format"),
        (gzip.compress(b"no idx"), r"does not begin as an idx file does \(first bytes 6e 6f"),
        (gzip.compress(b""), r"does not begin as an idx file does \(first bytes none"),
        (gzip.compress(b"x" * 99)[:9], "cannot be read"),
        (b"\x1f\x8bgarbage garbage", "cannot be read"),
        (bytes([0, 0, 8, 3, 0, 0]), "ends within its header"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 9, 1, 2]), "promises 9 bytes of elements, 2 are there"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 2]), "promises 1 bytes of elements, 2 are there"),
        (gzip.compress(bytes([0, 0, 8, 2, *[0, 0, 0, 1], *[255] * 4])), "cannot hold so many"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 0]), "zero samples"),
        (bytes([0, 0, 8, 99, *[0] * 396]), r"have shape \[0(, 0){11}, ...\], so a sample has"),
    ):
        with pytest.raises(DataError, match=match):
            open_data(write(tmp_path / "data.bin", content), [FLAT])


def test_a_truncated_gzip_fails_while_it_is_read(tmp_path):
    head = bytes([0, 0, 8, 3]) + np.array([9, 28, 28], ">u4").tobytes()
    body = np.random.default_rng(0).integers(0, 256, 9 * 784, np.uint8).tobytes()
    for content in (gzip.compress(head + body)[:-900], gzip.compress(head + body[:-900])):
        source = open_data(write(tmp_path / "data.gz", content), [IMAGE])
        with pytest.raises(DataError, match=r"data.gz' cannot be read to its end \(.*end(ed|s) "):
            list(source.batches(2))
        with pytest.raises(DataError, match=r"cannot be read to its end"):
            source.take([8])
    flipped = bytearray(gzip.compress(head + body))
    flipped[-6] ^= 1
    source = open_data(write(tmp_path / "data.gz", bytes(flipped)), [IMAGE])
    with pytest.raises(DataError, match=r"CRC check failed"):
        list(source.batches(4))


def test_archives_that_do_not_fit(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, a=np.zeros((2, 3), "f4"), b=np.zeros(2))
    with pytest.raises(
        DataError, match=r"holds the arrays 'a', 'b', but the model wants 'x'; save"
    ):
        open_data(path, [FLAT])
    two = [FLAT, InputSpec("y", np.dtype("f4"), ("N", 3))]
    np.savez(path, x=np.zeros((2, 3), "f4"), y=np.zeros((4, 3), "f4"))
    with pytest.raises(
        DataError, match=r"inputs of different length .'x' has 2, 'y' has 4.; every"
    ):
        open_data(path, two)
    np.savez(path, x=np.array([{}, {}]))
    with pytest.raises(DataError, match=r"array 'x' of .* hold Python objects, which are never"):
        open_data(path, [FLAT])
    np.savez(path, x=np.asfortranarray(np.zeros((4, 3), "f4")))
    with pytest.raises(DataError, match=r"is in Fortran order, which cannot be streamed"):
        open_data(path, [FLAT])
    for single in (tmp_path / "one.npy",):
        np.save(single, np.zeros((2, 3), "f4"))
        with pytest.raises(
            DataError, match=r"hold one array, but the model wants 2 inputs .'x', 'y'"
        ):
            open_data(single, two)
    with pytest.raises(DataError, match=r"data are one array, but the model wants 2 inputs"):
        open_data(np.zeros((2, 3), "f4"), two)


def zip_of(path, *members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_damaged_archives(tmp_path):
    good = npy(tmp_path, np.zeros((50, 3), "f4")).read_bytes()
    path = tmp_path / "d.npz"
    lying = good.replace(b"(50, 3)", b"(51, 3)")
    for members, match in (
        ([], "is a zip without any .npy array"),
        ([("data.pkl", b"\x80\x02")], "is a zip without any .npy array"),
        ([("x.npy", good[:50])], "array 'x' of .* is no readable .npy array"),
        ([("x.npy", lying)], "header promises 612 bytes of elements, the archive holds 600"),
        ([("x.npy", good[:-4])], "promises 600 bytes of elements, the archive holds 596"),
    ):
        with pytest.raises(DataError, match=match):
            open_data(zip_of(path, *members), [FLAT])
    with pytest.warns(UserWarning, match=r"Duplicate name"):
        zip_of(path, ("x.npy", good), ("x.npy", good))
    with pytest.raises(DataError, match=r"holds two arrays of one name"):
        open_data(path, [FLAT])
    raw = zip_of(path, ("x.npy", good)).read_bytes()
    for cut in (4, 20, 300, len(raw) - 5):
        with pytest.raises(DataError, match=r"is no readable .npz archive"):
            open_data(write(path, raw[:cut]), [FLAT])
    at = raw.rindex(b"PK\x01\x02")
    for offset, byte, match in ((8, 1, "encrypted"), (10, 97, "compression method")):
        changed = bytearray(raw)
        changed[at + offset] = changed[offset - 2] = byte
        with pytest.raises(DataError, match=rf"array 'x' of .* cannot be opened \(.*{match}"):
            open_data(write(path, bytes(changed)), [FLAT])


def test_a_member_that_lies_about_its_size_is_caught_while_it_is_read(tmp_path):
    good = npy(tmp_path, np.zeros((5000, 3), "f4")).read_bytes()
    short = zip_of(tmp_path / "d.npz", ("x.npy", good[:-40000]), compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(short.read_bytes())
    at = raw.rindex(b"PK\x01\x02") + 24
    raw[at : at + 4] = len(good).to_bytes(4, "little")
    source = open_data(write(tmp_path / "d.npz", bytes(raw)), [FLAT])
    with pytest.raises(DataError, match=r"cannot be read to its end"):
        list(source.batches(8))


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "train_images.npy").write_bytes(b"x")
    with pytest.raises(DataError, match=r"do not exist; did you mean 'train_images.npy'\?"):
        open_data(tmp_path / "train_image.npy", [FLAT])
    with pytest.raises(DataError, match=r"do not exist; check the path"):
        open_data(tmp_path / "zzz", [FLAT])
    with pytest.raises(DataError, match=r"its folder .* does not exist"):
        open_data(tmp_path / "no" / "a.npy", [FLAT])
    with pytest.raises(DataError, match=r"'/dev/null' are no regular file"):
        open_data("/dev/null", [FLAT])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"are no regular file"):
        open_data(tmp_path / "pipe", [FLAT])
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=r"loop' (cannot be read|do not exist)"):
        open_data(tmp_path / "loop", [FLAT])
    for path in ("a\0b", "x" * 5000):
        with pytest.raises(DataError, match=r"is no path|cannot be read .File name too long"):
            open_data(path, [FLAT])


@pytest.fixture
def as_nobody():
    """Be a user whom permissions bind, even where tests run as root."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if user == 0:
            os.seteuid(65534)
        try:
            yield lambda change: change(Path(folder), user)
        finally:
            os.seteuid(user)


def closed(folder, user):
    os.seteuid(user)
    np.save(folder / "a.npy", np.zeros((2, 3), "f4"))
    (folder / "a.npy").chmod(0)
    (folder / "images").mkdir(mode=0)
    if user == 0:
        os.seteuid(65534)
    return folder


def test_files_without_permission(as_nobody):
    folder = as_nobody(closed)
    with pytest.raises(DataError, match=r"a.npy' cannot be read .Permission denied.; check the"):
        open_data(folder / "a.npy", [FLAT])
    with pytest.raises(DataError, match=r"folder .* cannot be read .Permission denied"):
        open_data(folder / "images", [IMAGE])
    with pytest.raises(DataError, match=r"images/a.npy' cannot be read .Permission denied"):
        open_data(folder / "images" / "a.npy", [IMAGE])


@pytest.mark.parametrize("source", [None, 3, b"a.npy", object()])
def test_sources_of_no_known_kind(source):
    with pytest.raises(DataError, match=f"data are a {type(source).__name__}; give a path"):
        open_data(source, [FLAT])


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({}, "data have nothing for input 'x'; found none, the model wants 'x'"),
        ({"y": np.zeros((2, 3), "f4")}, "nothing for input 'x'; found 'y'"),
        ({"x": np.zeros((2, 3), "f4"), "y": 1}, "data have 'y', but the model's inputs are 'x'"),
    ],
)
def test_dicts_with_other_names(arrays, match):
    with pytest.raises(DataError, match=match):
        open_data(arrays, [FLAT])


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ([], "the model has no input to feed"),
        ([InputSpec("s", np.dtype(object), ("N",))], "input 's' takes object elements, but only"),
        ([InputSpec("s", np.dtype("U"), ("N",))], "input 's' takes <U0 elements"),
        ([InputSpec("s", np.dtype("f4"), ())], "input 's' is a scalar without a batch axis"),
        ([InputSpec("s", np.dtype("f4"), ("N", 0))], r"wants float32 \[N, 0\], which has no elem"),
    ],
)
def test_models_that_arrays_cannot_feed(inputs, match):
    with pytest.raises(DataError, match=match):
        open_data(np.zeros((2, 3), "f4"), inputs)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None])
def test_batch_sizes_that_are_no_count(size):
    with pytest.raises(OptionError, match=r"batch_size is .*; give a whole number of at least 1"):
        open_data(np.zeros((2, 3), "f4"), [FLAT]).batches(size)


def test_fixed_batch_sizes_are_held_against_the_number_of_samples():
    fixed = [InputSpec("x", np.dtype("f4"), (4, 3))]
    whole = open_data(np.zeros((8, 3), "f4"), fixed)
    whole.check_batch(4)
    with pytest.raises(OptionError, match=r"batch_size is 3, but input 'x' wants float32 \[4, 3\]"):
        whole.check_batch(3)
    odd = open_data(np.zeros((10, 3), "f4"), fixed)
    with pytest.raises(
        DataError, match=r"and 10 samples are no multiple of it; limit the data to 8"
    ):
        odd.batches(4)
    few = open_data(np.zeros((3, 3), "f4"), fixed)
    with pytest.raises(DataError, match=r"and 3 samples are no multiple of it; give at least 4"):
        few.check_batch(4)


def test_samples_out_of_range():
    source = open_data(np.zeros((8, 3), "f4"), [FLAT])
    for indices in ([8], [0, -1]):
        with pytest.raises(OptionError, match=r"indices hold .*, but the data have 8 samples"):
            source.take(indices)
    with pytest.raises(OptionError, match=r"indices are empty"):
        source.take([])
    with pytest.raises(OptionError, match=r"start is 9, but the data have only 8 samples"):
        source.batches(2, 9)
    assert list(source.batches(2, 8)) == []


def test_a_sample_too_large_for_memory_says_so(tmp_path):
    head = npy(tmp_path, np.zeros((1, 3), "f4")).read_bytes()[:128]
    old, new = b"(1, 3), }            ", b"(2, 2000000000000), }"
    (tmp_path / "a.npy").write_bytes(head.replace(old, new))
    os.truncate(tmp_path / "a.npy", 128 + 2 * 4 * 2_000_000_000_000)
    source = open_data(tmp_path / "a.npy", [InputSpec("x", np.dtype("f4"), ("N", "D"))])
    with pytest.raises(DataError, match=r"samples of 8000000000000 bytes, .* smaller batch size"):
        next(source.batches(1))


def test_nan_is_data_like_any_other():
    array = np.full((2, 3), np.nan, "f4")
    (batch,) = open_data(array, [FLAT]).batches(2)
    assert np.isnan(batch["x"]).all()
