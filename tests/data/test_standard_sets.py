"""Standard data sets: small files in their exact formats, found, read, refused where damaged."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import reluflow
from reluflow.data import (
    InputSpec,
    Preprocessing,
    find_classes,
    find_set,
    has_array,
    open_data,
    open_set,
    read_answers,
    read_labels,
)
from reluflow.errors import DataError

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (30, 3072), np.uint8)
TEN = np.arange(30) % 10
PICTURE = InputSpec("x", np.dtype(np.float32), ("N", 3, 32, 32))


def short(text: bytes) -> bytes:
    """A string as Python 2 pickled it."""
    return b"U" + bytes([len(text)]) + text


def number(value: int) -> bytes:
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def of_python_2(images: np.ndarray, entry: bytes, labels: Any) -> bytes:
    """The pickle, of protocol 2, that CIFAR's makers distribute."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85"
    array += short(b"b") + b"\x87R(" + number(1) + number(len(images)) + number(3072) + b"\x86"
    array += b"cnumpy\ndtype\n" + short(b"u1") + number(0) + number(1) + b"\x87R("
    array += number(3) + short(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + number(0) + b"tb"
    array += b"\x89T" + struct.pack("<i", images.size) + images.tobytes() + b"tb"
    every = b"](" + b"".join(number(int(each)) for each in labels) + b"e"
    return (
        b"\x80\x02}(" + short(b"data") + array + short(entry) + every
        + short(b"batch_label") + short(b"testing batch 1 of 1") + b"u."
    )  # fmt: skip


def of_python_3(images: np.ndarray, entry: bytes, labels: Any, protocol: int) -> bytes:
    return pickle.dumps({b"data": images, entry: [int(n) for n in labels]}, protocol)


def cifar10(folder: Path, write: Callable[..., bytes] = of_python_2, **given: Any) -> Path:
    folder.mkdir()
    for number in range(5):
        part = slice(5 * number, 5 * number + 5)
        content = write(IMAGES[part], b"labels", TEN[part], **given)
        (folder / f"data_batch_{number + 1}").write_bytes(content)
    (folder / "test_batch").write_bytes(write(IMAGES[25:], b"labels", TEN[25:], **given))
    names = [f"class {number}".encode() for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, 2))
    return folder


def cifar10_binary(folder: Path) -> Path:
    folder.mkdir()
    rows = np.concatenate([TEN[:, None].astype(np.uint8), IMAGES], axis=1)
    for number in range(5):
        (folder / f"data_batch_{number + 1}.bin").write_bytes(rows[5 * number :][:5].tobytes())
    (folder / "test_batch.bin").write_bytes(rows[25:].tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(f"name{n}" for n in range(10)) + "\n\n")
    return folder


def whole(found: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*found.batches(size), strict=True)
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize(
    "make",
    [
        cifar10,
        lambda folder: cifar10(folder, of_python_3, protocol=2),
        lambda folder: cifar10(folder, of_python_3, protocol=4),
        lambda folder: cifar10(folder, of_python_3, protocol=5),
        cifar10_binary,
    ],
    ids=["Python 2", "protocol 2", "protocol 4", "protocol 5", "binary"],
)
def test_cifar_10_is_read_in_every_version(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path / "cifar")
    train, test = open_set(folder, "train"), open_set(folder)
    assert (train.title, test.title) == ("CIFAR-10, train", "CIFAR-10, test")
    for size in (4, 7, 25, 100):  # batches reach over the ends of files
        images, labels = whole(train, size)
        np.testing.assert_array_equal(images, IMAGES[:25].reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(labels, TEN[:25])
    assert [len(batch) for batch, _ in train.batches(7)] == [7, 7, 7, 4]
    source = open_data(f"{folder}:train", [PICTURE])
    np.testing.assert_allclose(source.take([11, 2])["x"] * 255, images[[11, 2]], rtol=0, atol=1e-4)
    rest = np.concatenate([batch["x"] for batch in source.batches(4, start=6)])
    np.testing.assert_allclose(rest * 255, images[6:], rtol=0, atol=1e-4)
    assert test.classes[3] in ("class 3", "name3")


def test_cifar_100_has_the_fine_classes(tmp_path: Path) -> None:
    fine, coarse = np.arange(30) + 60, np.arange(30) % 20
    plain, binary = tmp_path / "plain", tmp_path / "binary"
    for folder in (plain, binary):
        folder.mkdir()
    for name, part in (("train", slice(0, 20)), ("test", slice(20, 30))):
        (plain / name).write_bytes(of_python_2(IMAGES[part], b"fine_labels", fine[part]))
        rows = np.column_stack([coarse, fine, IMAGES]).astype(np.uint8)[part]
        (binary / f"{name}.bin").write_bytes(rows.tobytes())
    names = [f"fine {n}".encode() for n in range(100)]
    (plain / "meta").write_bytes(pickle.dumps({b"fine_label_names": names}, 2))
    (binary / "fine_label_names.txt").write_text("\n".join(f"fine{n}" for n in range(100)))
    for folder in (plain, binary):
        found = open_set(folder)
        images, labels = whole(found, 4)
        assert found.place.kind.title == "CIFAR-100" and len(found.classes) == 100
        np.testing.assert_array_equal(labels, fine[20:])
        np.testing.assert_array_equal(images.reshape(10, -1), IMAGES[20:])
    (plain / "meta").unlink()
    assert find_set(plain) is None  # train and test are names of many things


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 3",)


LARGE_MEMO = b"\x80\x02Nr\xff\xff\xff\xff."


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (pickle.dumps({b"data": Bomb()}), "it names posix.system"),
        (pickle.dumps({b"data": np.dtype("O")}), "does not hold 'data' of 3072 bytes"),
        (pickle.dumps({b"data": np.zeros((5, 3072)), b"labels": [0] * 5}), "an array f8"),
        (pickle.dumps({b"data": IMAGES[:5], b"labels": [0] * 4}), "does not hold 'data'"),
        (pickle.dumps({b"data": IMAGES[:5, :9], b"labels": [0] * 5}), "does not hold 'data'"),
        (pickle.dumps([1, 2]), "has no attribute 'items'"),
        (of_python_2(IMAGES[:5], b"labels", [0] * 5)[:-900], "cannot be read as a file of CIFAR's"),
        (of_python_2(IMAGES[:5], b"labels", [12] * 5), "images of class 12, but there are 10"),
        (LARGE_MEMO, "cannot be read as a file of CIFAR's Python version"),
        (b"", "cannot be read as a file of CIFAR's Python version"),
    ],
)
def test_a_pickle_runs_nothing_and_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    folder = cifar10(tmp_path / "cifar")
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=match):
        open_set(folder)


def test_damaged_files_of_cifar(tmp_path: Path) -> None:
    folder = cifar10_binary(tmp_path / "binary")
    with (folder / "test_batch.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="has 15366 bytes, no whole number of images of 3073"):
        open_set(folder)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"has no file data_batch_3\.bin; download"):
        open_set(folder, "train")
    huge = cifar10(tmp_path / "plain")
    with (huge / "test_batch").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(DataError, match="has 1,073,741,824 bytes, more than any file of CIFAR"):
        open_set(huge)


def picture(path: Path, value: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, quality=95)


def tiny(folder: Path) -> Path:
    names = ["n02124075", "n01443537"]  # wnids.txt is in no order
    for number, name in enumerate(sorted(names)):
        for each in range(2):
            picture(folder / "train" / name / "images" / f"{name}_{each}.JPEG", 50 * number + each)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("x\t0\t0\t1\t1\n")
    for each in range(3):
        picture(folder / "val" / "images" / f"val_{each}.JPEG", 100 + each)
    picture(folder / "test" / "images" / "test_0.JPEG", 200)
    (folder / "wnids.txt").write_text("\n".join(names) + "\n")
    owners = [names[0], names[1], names[0]]
    rows = [f"val_{each}.JPEG\t{owners[each]}\t0\t0\t62\t57" for each in (2, 0, 1)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return folder


def test_tiny_imagenet(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny")
    spec = InputSpec("x", np.dtype(np.float32), ("N", 3, 8, 8))
    source = open_data(folder, [spec])
    assert source.description.kind == "set"
    assert source.description.source == f"{folder}:validation"
    (batch,) = source.batches(5)
    np.testing.assert_allclose(batch["x"][:, 0, 0, 0] * 255, [100, 101, 102], atol=2)
    labels, origin = find_classes(None, source)
    assert labels is not None and labels.tolist() == [1, 0, 1]
    assert origin == "the classes of Tiny ImageNet, validation"
    train = open_set(folder, "train")
    assert train.labels is not None and train.labels.tolist() == [0, 0, 1, 1]
    assert train.classes == ("n01443537", "n02124075")
    test = open_data(f"{folder}:test", [spec], limit=1)
    assert find_classes(None, test) == (None, "")
    with pytest.raises(DataError, match="has pictures of any size; open it with open_data"):
        next(train.batches(2))
    with pytest.raises(DataError, match="Tiny ImageNet, test has no classes; give another split"):
        read_labels(f"{folder}:test")


def test_damaged_tiny_imagenet(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "tiny")
    picture(folder / "val" / "images" / "val_9.JPEG", 0)
    with pytest.raises(DataError, match=r"does not name 'val_9.JPEG'; download"):
        open_set(folder)
    (folder / "wnids.txt").write_text("n01443537\n")
    with pytest.raises(DataError, match=r"pictures of 'n02124075', which wnids.txt does not name"):
        open_set(folder, "train")
    (folder / "wnids.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"wnids.txt' cannot be read"):
        open_set(folder, "train")


def test_imagenet_folders(tmp_path: Path) -> None:
    for split, size in (("train", (9, 12)), ("val", (12, 9))):
        for number, name in enumerate(["n01440764", "n03888257"]):
            for each in range(2 - number):
                picture(tmp_path / split / name / f"{each}.JPEG", 100 * number, size)
    spec = InputSpec("x", np.dtype(np.float32), ("N", 3, 4, 4))
    choices = Preprocessing(size=(4, 4))
    source = open_data(f"{tmp_path}:train", [spec], preprocessing=choices)
    (batch,) = source.batches(9)
    assert batch["x"].shape == (3, 3, 4, 4)
    assert read_labels(f"{tmp_path}:train").tolist() == [0, 0, 1]
    assert open_set(tmp_path).place.split == "validation"
    with pytest.raises(DataError, match="ImageNet has no split 'test'; give one of validation, tr"):
        open_set(tmp_path, "test")
    picture(tmp_path / "val" / "beside.JPEG", 0)
    with pytest.raises(DataError, match=r"pictures in no folder of a class \('beside.JPEG'\)"):
        open_set(tmp_path)


def test_imagenet_whose_pictures_are_not_sorted(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "n01440764" / "a.JPEG", 0)
    with pytest.raises(DataError, match="has no folder 'val'; give another split"):
        open_set(tmp_path)
    picture(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG", 0)
    with pytest.raises(DataError, match="has no folder for each class, so its pictures have no cl"):
        open_set(tmp_path)


def sound(path: Path, values: Any, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(values, "<i2").tobytes())


def speech(folder: Path) -> Path:
    time = np.arange(16_000)
    for number, name in enumerate(
        ["bed/a_nohash_0", "bed/b_nohash_0", "cat/a_nohash_0", "cat/b_nohash_0", "cat/c_nohash_1"]
    ):
        length = 16_000 if number else 12_000
        sound(folder / f"{name}.wav", 8000 * np.sin(time[:length] * (number + 1) / 40))
    sound(folder / "_background_noise_" / "rain.wav", np.zeros(50_000))
    (folder / "validation_list.txt").write_text("cat/a_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("bed/b_nohash_0.wav\ncat/b_nohash_0.wav\n")
    return folder


def test_speech_commands(tmp_path: Path) -> None:
    folder = speech(tmp_path / "speech")
    for split, count, labels in (
        ("train", 2, [0, 1]),
        ("validation", 1, [1]),
        ("test", 2, [0, 1]),
    ):
        found = open_set(folder, split)
        assert found.labels is not None and found.labels.tolist() == labels
        assert found.n_samples == count and found.classes == ("bed", "cat")
    sounds, _ = next(open_set(folder, "train").batches(2))
    assert sounds.shape == (2, 1, 16_000) and not sounds[0, 0, 12_000:].any()
    np.testing.assert_allclose(
        sounds[0, 0, :12_000], 8000 / 32_768 * np.sin(np.arange(12_000) / 40), atol=1e-4
    )
    half = InputSpec("x", np.dtype(np.float32), ("N", 1, 8000))
    (batch,) = open_data(f"{folder}:train", [half]).batches(2)
    inner = slice(100, 5900)  # every second sample of the sine
    np.testing.assert_allclose(batch["x"][0, 0, inner], sounds[0, 0, ::2][inner], atol=2e-3)
    flat = InputSpec("x", np.dtype(np.float32), ("N", None))
    assert open_data(folder, [flat]).take([1])["x"].shape == (1, 16_000)
    other = InputSpec("x", np.dtype(np.float32), ("N", 1, 100))
    with pytest.raises(DataError, match=r"wants float32 \[N, 1, 100\], but the sounds of Speech"):
        open_data(folder, [other])


def test_damaged_speech_commands(tmp_path: Path) -> None:
    folder = speech(tmp_path / "speech")
    for values, given, match in (
        (np.zeros(100), {"rate": 8000}, "has 100 samples of 16 bits in 1 channels, 8000 a second"),
        (np.zeros(100), {"channels": 2}, "has 50 samples of 16 bits in 2 channels, 16000 a second"),
        (np.zeros(16_001), {}, "has 16001 samples"),
    ):
        sound(folder / "bed" / "b_nohash_0.wav", values, **given)
        with pytest.raises(DataError, match=match):
            next(open_set(folder).batches(1))
    path = folder / "bed" / "b_nohash_0.wav"
    sound(path, np.zeros(1000))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="ends before its 1000 samples do"):
        next(open_set(folder).batches(1))
    path.write_bytes(b"no sound")
    with pytest.raises(DataError, match="cannot be read as a WAV file"):
        next(open_set(folder).batches(1))
    (folder / "testing_list.txt").write_text("cat/none.wav\n")
    with pytest.raises(DataError, match=r"has no file cat/none.wav, which a list names"):
        open_set(folder)
    (folder / "testing_list.txt").write_text("../secret.wav\n")
    with pytest.raises(DataError, match=r"names '../secret.wav', outside its folder"):
        open_set(folder)
    (folder / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match="has no sound of the split 'test'"):
        open_set(folder)


@pytest.mark.parametrize("zipped", [False, True])
def test_fashion_mnist(
    tmp_path: Path, zipped: bool, write_idx: Callable[[Path, np.ndarray], Path]
) -> None:
    for name, count in (("train", 12), ("t10k", 5)):
        images, labels = IMAGES[:count, :784].reshape(-1, 28, 28), TEN[:count].astype(np.uint8)
        for file, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = write_idx(tmp_path / f"{name}-{file}-ubyte", array)
            if zipped:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
    found = open_set(tmp_path)
    images, labels = whole(found, 2)
    np.testing.assert_array_equal(images, IMAGES[:5, :784].reshape(-1, 28, 28))
    assert labels.tolist() == TEN[:5].tolist() and found.classes[9] == "Ankle boot"
    spec = InputSpec("x", np.dtype(np.float32), ("N", 1, 28, 28))
    assert open_data(f"{tmp_path}:train", [spec]).n_samples == 12
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", TEN[:4].astype(np.uint8))
    if not zipped:
        with pytest.raises(DataError, match="has 5 images and 4 labels of the split 'test'"):
            open_set(tmp_path)


def test_a_name_is_looked_for_in_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELUFLOW_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(DataError) as raised:
        open_set("cifar10:train")
    for place in (tmp_path / "own", Path("data"), tmp_path / "home" / "data"):
        assert f"'{place / 'cifar-10-batches-py'}'" in str(raised.value)
    (tmp_path / "data").mkdir()
    cifar10(tmp_path / "data" / "cifar-10-batches-py")
    assert open_set("cifar10:train").n_samples == 25
    (tmp_path / "own").mkdir()
    cifar10_binary(tmp_path / "own" / "cifar-10-batches-bin")
    assert open_set("cifar10").files[0].name == "test_batch.bin"


def test_what_is_no_set_stays_what_it_was(tmp_path: Path) -> None:
    picture(tmp_path / "cats" / "a.png", 7)
    assert find_set(tmp_path) is None and find_set("no/such/place") is None
    spec = InputSpec("x", np.dtype(np.float32), ("N", 3, 8, 8))
    assert open_data(tmp_path, [spec]).description.kind == "images"
    with pytest.raises(DataError, match="holds the files of no standard data set"):
        open_data(f"{tmp_path}:train", [spec])
    with pytest.raises(DataError, match="is neither a standard data set nor the name of one"):
        open_set(tmp_path)


def test_models_are_analysed_and_judged_on_a_set(tmp_path: Path) -> None:
    folder = cifar10(tmp_path / "cifar")
    assert has_array(folder, "label") and not has_array(folder, "mask")
    assert read_answers(str(folder)).tolist() == TEN[25:].tolist()
    two = [PICTURE, InputSpec("y", np.dtype(np.float32), ("N", 3, 32, 32))]
    with pytest.raises(DataError, match="hold one array, but the model wants 2 inputs"):
        open_data(folder, two)


def test_the_cli_takes_a_set(tmp_path: Path, write_idx: Callable[[Path, np.ndarray], Path]) -> None:
    for name in ("train", "t10k"):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", IMAGES[:20, :784].reshape(-1, 28, 28))
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", TEN[:20].astype(np.uint8))
    result = reluflow.analyze("models/fashion_resnet8.onnx", data=f"{tmp_path}:train")
    assert result.data.source == f"{tmp_path}:train" and result.data.n_samples == 20
