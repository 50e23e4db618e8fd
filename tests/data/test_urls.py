"""Data at URLs: the file systems of fsspec give what paths of this machine give."""

import gzip
import importlib.util
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from PIL import Image

import reluflow
from reluflow import AnalysisOptions
from reluflow.data import InputSpec, find_classes, open_data
from reluflow.data.labels import read_labels
from reluflow.errors import DataError, OptionError
from reluflow.report import to_json

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath")

X = small_models.integers((60, 4))
SPEC = InputSpec("x", np.dtype("float32"), ("N", 4))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Files of each kind on disk; the same ones are put into a file system in memory."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(X))
    np.savez(tmp_path / "x.npz", x=X, label=np.arange(60))
    np.savez_compressed(tmp_path / "packed.npz", x=X)
    images = tmp_path / "images" / "sub"
    images.mkdir(parents=True)
    for number in range(12):
        pixels = np.full((6, 5, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(images.parent / f"img{number}.png")
    Image.fromarray(pixels).save(images / "last.png")
    (images.parent / "notes.txt").write_text("no image")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/urls", recursive=True)
    yield tmp_path
    memory.rm("/urls", recursive=True)


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, folder: Path) -> Callable[[str], str]:
    start = "memory://urls" if request.param == "memory" else f"file://{folder}"
    return lambda name: f"{start}/{name}"


def read(source: str, spec: InputSpec = SPEC, **given: Any) -> np.ndarray:
    data = open_data(source, [spec], **given)
    everything = np.concatenate([batch[spec.name] for batch in data.batches(7)])
    assert np.array_equal(data.take([3, 1])[spec.name], everything[[3, 1]])
    assert data.description.source == source
    return everything


@pytest.mark.parametrize("name", ["x.npy", "fortran.npy", "x.npz", "packed.npz"])
def test_arrays(url: Callable[[str], str], folder: Path, name: str) -> None:
    assert np.array_equal(read(url(name)), X)
    assert np.array_equal(read(url(name)), read(str(folder / name)))


def test_idx(url: Callable[[str], str], folder: Path, write_idx: Callable[..., Path]) -> None:
    path = write_idx(folder / "x.idx", X.astype(">f4"))
    (folder / "x.idx.gz").write_bytes(gzip.compress(path.read_bytes()))
    memory = fsspec.filesystem("memory")
    for name in ("x.idx", "x.idx.gz"):
        memory.put(str(folder / name), f"/urls/{name}")
        assert np.array_equal(read(url(name)), X)


def test_images(url: Callable[[str], str], folder: Path) -> None:
    spec = InputSpec("image", np.dtype("float32"), ("N", 3, 6, 5))
    found = read(url("images"), spec)
    assert len(found) == 13 and np.array_equal(found, read(str(folder / "images"), spec))
    one = read_one(url("images/img3.png"), spec)
    assert np.array_equal(one, found[3:4])


def read_one(source: str, spec: InputSpec) -> np.ndarray:
    (batch,) = open_data(source, [spec]).batches(4)
    return batch[spec.name]


def test_labels(url: Callable[[str], str]) -> None:
    assert read_labels(url("x.npz")).tolist() == list(range(60))
    found, origin = find_classes(None, open_data(url("x.npz"), [SPEC]))
    assert found is not None and found[-1] == 59
    assert origin == f"array 'label' of {url('x.npz')}"


def test_a_changed_file_is_another_one(folder: Path) -> None:
    for start in ("memory://urls", f"file://{folder}"):
        before = open_data(f"{start}/x.npy", [SPEC]).description.fingerprint
        assert open_data(f"{start}/x.npy", [SPEC]).description.fingerprint == before
        with fsspec.open(f"{start}/x.npy", "wb") as file:
            np.save(file, X + 1)
        assert open_data(f"{start}/x.npy", [SPEC]).description.fingerprint != before


def test_two_inputs_of_one_stream_do_not_disturb_each_other() -> None:
    memory = fsspec.filesystem("memory")
    content = io.BytesIO()
    np.savez(content, a=X, b=X + 1)
    memory.pipe("/urls-two/x.npz", content.getvalue())
    specs = [InputSpec(name, np.dtype("float32"), ("N", 4)) for name in "ab"]
    for batch in open_data("memory://urls-two/x.npz", specs).batches(9):
        assert np.array_equal(batch["a"] + 1, batch["b"])


def test_analyses(url: Callable[[str], str], folder: Path, tmp_path: Path) -> None:
    proto, options = small_models.dense(), AnalysisOptions(batch_size=10)
    local = reluflow.analyze(proto, folder / "x.npy", options=options)
    remote = reluflow.analyze(proto, url("x.npy"), options=options)
    assert remote.sites == local.sites
    with ThreadPoolExecutor(2) as threads:
        divided = reluflow.analyze(proto, url("x.npy"), options=options, cluster=threads, parts=3)
    assert to_json(replace(divided, run=remote.run)) == to_json(remote)


def test_processes_do_not_see_this_memory(folder: Path) -> None:
    with pytest.raises(OptionError, match="lie in the memory of this process"):
        reluflow.analyze(small_models.dense(), "memory://urls/x.npy", workers=2)


@pytest.mark.slow
def test_processes_read_urls_themselves(folder: Path) -> None:
    proto, options = small_models.dense(), AnalysisOptions(batch_size=10)
    source = f"file://{folder}/x.npy"
    whole = reluflow.analyze(proto, source, options=options)
    divided = reluflow.analyze(proto, source, options=options, workers=2)
    assert to_json(replace(divided, run=whole.run)) == to_json(whole)


def test_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"'memory://urls/y.npy' do not exist; did you mean 'x.np"):
        open_data("memory://urls/y.npy", [SPEC])
    with pytest.raises(DataError, match=r"a protocol that fsspec does not know .*nosuch"):
        open_data("nosuch://x.npy", [SPEC])
    with pytest.raises(DataError, match="user or password in their URL"):
        open_data("ftp://me:secret@host/x.npy", [SPEC])
    with pytest.raises(DataError, match=r"damaged|truncated"):
        whole = fsspec.filesystem("memory").cat("/urls/x.npy")
        fsspec.filesystem("memory").pipe("/urls/short.npy", whole[:-9])
        open_data("memory://urls/short.npy", [SPEC])
    with pytest.raises(DataError, match=r"no readable \.npz archive"):
        fsspec.filesystem("memory").pipe("/urls/short.npz", b"PK\3\4" + bytes(90))
        open_data("memory://urls/short.npz", [SPEC])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'reluflow\[remote\]'"):
        open_data("memory://urls/x.npy", [SPEC])


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_protocol_without_its_package() -> None:
    with pytest.raises(DataError, match=r"which is not installed \(Install s3fs"):
        open_data("s3://bucket/x.npy", [SPEC])


def test_a_failing_store_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_data("memory://urls/x.npy", [SPEC])

    def fail(self: Any, *args: Any) -> bytes:
        raise RuntimeError("connection lost")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.read", fail)
    with pytest.raises(DataError, match=r"cannot be read to its end .connection lost"):
        list(data.batches(7))
