"""The recipes' reader of FashionMNIST: what it accepts, and what it says when it cannot."""

from __future__ import annotations

import gzip
import importlib.util
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    path = MODELS / "recipes" / "_fashion_mnist.py"
    spec = importlib.util.spec_from_file_location("recipes_fashion_mnist", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(path: Path, values: np.ndarray, code: int = 0x08) -> None:
    head = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes()))


def write_split(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    write_idx(folder / "t10k-images-idx3-ubyte.gz", images)
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels)


def test_reads_back_what_was_stored(reader: ModuleType, tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([9, 0, 3, 3, 1], dtype=np.uint8)
    write_split(tmp_path, images, labels)
    read_images, read_labels = reader.load_fashion_mnist(tmp_path, "test")
    assert np.array_equal(read_images, images)
    assert np.array_equal(read_labels, labels)
    assert (read_images.dtype, read_labels.dtype) == (np.uint8, np.int64)


def test_unit_scale_is_the_value_over_255(reader: ModuleType) -> None:
    scaled = reader.to_unit_scale(np.full((1, 28, 28), 51, dtype=np.uint8))
    assert (scaled.dtype, scaled.shape) == (np.float32, (1, 1, 28, 28))
    assert np.all(scaled == np.float32(51) / np.float32(255))


def test_says_where_it_looked(reader: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"looked for .*nowhere.t10k-images.*--data-dir"):
        reader.load_fashion_mnist(tmp_path / "nowhere", "test")


def test_refuses_other_element_types(reader: ModuleType, tmp_path: Path) -> None:
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((1, 28, 28), "u1"), code=0x0D)
    with pytest.raises(SystemExit, match="not an idx file of unsigned bytes"):
        reader.load_fashion_mnist(tmp_path, "test")


def test_refuses_a_cut_file(reader: ModuleType, tmp_path: Path) -> None:
    head = struct.pack(">HBB3I", 0, 0x08, 3, 2, 28, 28)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(head + bytes(784)))
    with pytest.raises(SystemExit, match=r"holds 784 values where its header says \(2, 28, 28\)"):
        reader.load_fashion_mnist(tmp_path, "test")


def test_refuses_labels_of_another_number(reader: ModuleType, tmp_path: Path) -> None:
    write_split(tmp_path, np.zeros((3, 28, 28), "u1"), np.zeros(2, "u1"))
    with pytest.raises(SystemExit, match=r"images \(3, 28, 28\) and labels \(2,\)"):
        reader.load_fashion_mnist(tmp_path, "test")


def test_shipped_images_are_the_first_of_the_test_split(reader: ModuleType) -> None:
    if not reader.DEBIAN_FOLDER.is_dir():
        pytest.skip(f"FashionMNIST is not in {reader.DEBIAN_FOLDER}")
    images, labels = reader.load_fashion_mnist(reader.DEBIAN_FOLDER, "test")
    with np.load(MODELS / "fashion_mnist_test_2000.npz") as shipped:
        assert np.array_equal(shipped["image"], reader.to_unit_scale(images[:2000]))
        assert np.array_equal(shipped["label"], labels[:2000])
