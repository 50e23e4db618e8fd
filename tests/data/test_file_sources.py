"""Every stored kind: what is read back equals what was written."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluflow.data import InputSpec, open_data
from reluflow.errors import DataError, OptionError

KINDS = ("npy", "npy-fortran", "npy-big-endian", "npz", "npz-deflated", "idx", "idx-gz", "array")


def idx_bytes(array):
    sizes = np.asarray(array.shape, ">u4").tobytes()
    return bytes([0, 0, 13, array.ndim]) + sizes + array.astype(">f4").tobytes()


def stored(kind, array, folder):
    """Write an array in one of the kinds; return what `open_data` takes."""
    path = Path(folder, "data")
    if kind == "array":
        return array
    if kind.startswith("npy"):
        path = path.with_suffix(".npy")
        swapped = array.dtype.newbyteorder("S")
        order = {"npy-fortran": np.asfortranarray(array), "npy-big-endian": array.astype(swapped)}
        np.save(path, order.get(kind, array))
    elif kind.startswith("npz"):
        path = path.with_suffix(".npz")
        save = np.savez if kind == "npz" else np.savez_compressed
        save(path, x=array, labels=np.arange(3))
    else:
        raw = idx_bytes(array)
        path.write_bytes(raw if kind == "idx" else gzip.compress(raw))
    return path


def joined(source, batch_size, start=0):
    parts = []
    for batch in source.batches(batch_size, start):
        array = batch["x"]
        assert array.flags.c_contiguous and array.dtype.isnative
        assert 1 <= len(array) <= batch_size
        parts.append(array.copy())
    return np.concatenate(parts)


@settings(max_examples=12)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_batches_together_are_the_whole(kind, data):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    batch_size = data.draw(st.integers(1, 7))
    start = data.draw(st.integers(0, shape[0]))
    limit = data.draw(st.none() | st.integers(max(1, start), 8))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with tempfile.TemporaryDirectory() as folder:
        inputs = [InputSpec("x", np.dtype("f4"), ("N", *shape[1:]))]
        source = open_data(stored(kind, array, folder), inputs, limit=limit)
        kept = array[:limit]
        assert source.n_samples == len(kept)
        lengths = [len(batch["x"]) for batch in source.batches(batch_size, start)]
        assert all(length == batch_size for length in lengths[:-1])
        if start < len(kept):
            np.testing.assert_array_equal(joined(source, batch_size, start), kept[start:])
        else:
            assert lengths == []
        indices = data.draw(st.lists(st.integers(0, len(kept) - 1), min_size=1, max_size=6))
        np.testing.assert_array_equal(source.take(indices)["x"], kept[indices])


@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "float64", "uint8", "complex64"])
@pytest.mark.parametrize("kind", ["npy", "npz-deflated", "array"])
def test_types_pass_unchanged(kind, dtype, tmp_path, spec):
    array = np.arange(12).reshape(4, 3).astype(dtype)
    source = open_data(stored(kind, array, tmp_path), [spec("N", 3, dtype=dtype)])
    got = joined(source, 3)
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("kind", ["npy", "npz", "array"])
@pytest.mark.parametrize("small", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_small_floats_come_back_from_bare_bytes(kind, small, tmp_path, spec):
    array = np.arange(12).reshape(4, 3).astype(small)
    source = open_data(stored(kind, array, tmp_path), [spec("N", 3, dtype=small)])
    assert source.description.inputs == {"x": f"{np.dtype(small)} [3]"}
    assert joined(source, 4).tobytes() == array.tobytes()


def test_any_byte_is_a_valid_boolean(tmp_path, spec):
    np.save(tmp_path / "b.npy", np.zeros((2, 3), np.bool_))
    raw = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(raw[:-6] + bytes([0, 1, 2, 255, 0, 7]))
    got = joined(open_data(tmp_path / "b.npy", [spec("N", 3, dtype=bool)]), 2)
    assert got.view(np.uint8).tolist() == [[0, 1, 1], [1, 0, 1]]


def test_several_inputs_come_by_name(tmp_path, spec):
    tokens, mask = np.arange(20).reshape(5, 4), np.ones((5, 4), np.bool_)
    np.savez_compressed(tmp_path / "d.npz", mask=mask, labels=np.arange(9), tokens=tokens)
    inputs = [spec("N", "T", dtype="int64", name="tokens"), spec("N", "T", dtype=bool, name="mask")]
    source = open_data(tmp_path / "d.npz", inputs)
    assert source.description.preprocessing == {"ignored": ["labels"]}
    batches = list(source.batches(3))
    assert [list(batch) for batch in batches] == [["tokens", "mask"]] * 2
    np.testing.assert_array_equal(batches[1]["tokens"], tokens[3:])


def test_one_array_fits_one_input_whatever_its_name(tmp_path, spec):
    np.savez(tmp_path / "d.npz", other=np.ones((2, 3), np.float32))
    assert joined(open_data(str(tmp_path / "d.npz"), [spec("N", 3)]), 2).shape == (2, 3)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_zip_methods_stream_too(method, tmp_path, spec):
    array = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    raw = io.BytesIO()
    np.save(raw, array)
    with zipfile.ZipFile(tmp_path / "d.npz", "w", method) as archive:
        archive.writestr("x.npy", raw.getvalue())
    np.testing.assert_array_equal(joined(open_data(tmp_path / "d.npz", [spec("N", 3)]), 2), array)


def test_npz_checksum_is_compared_at_the_end(tmp_path, spec):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.ones((5000, 3), np.float32))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x80\x3f") + 40000] ^= 1
    path.write_bytes(raw)
    source = open_data(path, [spec("N", 3)])
    with pytest.raises(DataError, match=r"array 'x' of .* cannot be read to its end \(Bad CRC-32"):
        list(source.batches(8))


def test_taking_from_a_damaged_file_fails_with_a_sentence(tmp_path, spec):
    path = tmp_path / "a.npy"
    for array in (np.ones((9, 3), "f4"), np.asfortranarray(np.ones((9, 3), "f4"))):
        np.save(path, array)
        source = open_data(path, [spec("N", 3)])
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(DataError, match=r"a.npy' cannot be read to its end \(it ends"):
            source.take([8])
        with pytest.raises(DataError, match=r"damaged or incomplete"):
            list(source.batches(4))


def test_a_limit_shortens_and_changes_the_fingerprint(tmp_path, spec):
    np.save(tmp_path / "a.npy", np.ones((9, 3), "f4"))
    whole = open_data(tmp_path / "a.npy", [spec("N", 3)])
    part = open_data(tmp_path / "a.npy", [spec("N", 3)], limit=4)
    assert part.n_samples == 4 and joined(part, 3).shape == (4, 3)
    assert whole.description.fingerprint != part.description.fingerprint
    again = open_data(tmp_path / "a.npy", [spec("N", 3)])
    assert whole.description == again.description


@pytest.mark.parametrize("limit", [0, -3, True, 2.0, "7"])
def test_limits_that_are_no_count_are_refused(limit, spec):
    with pytest.raises(OptionError, match=r"limit is .* give a number of samples of at least 1"):
        open_data(np.ones((2, 3), "f4"), [spec("N", 3)], limit=limit)


def test_fingerprint_follows_the_file_and_the_bytes(tmp_path, spec):
    prints = set()
    for value in (1, 2):
        np.save(tmp_path / "a.npy", np.full((9, 3), value, "f4"))
        prints.add(open_data(tmp_path / "a.npy", [spec("N", 3)]).description.fingerprint)
        array = np.full((9, 3), value, "f4")
        prints.add(open_data(array, [spec("N", 3)]).description.fingerprint)
    assert len(prints) == 4 and all(len(text) == 64 for text in prints)


def test_fortran_and_c_order_in_memory_have_one_fingerprint(spec):
    array = np.random.default_rng(1).standard_normal((5, 3)).astype("f4")
    first = open_data(array, [spec("N", 3)]).description.fingerprint
    assert open_data(np.asfortranarray(array), [spec("N", 3)]).description.fingerprint == first
