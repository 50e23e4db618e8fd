"""Saving and external data: completely or not at all, and working wherever it is put."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.errors import ModelError, OutputError
from reluflow.graph import Model, find_sites, load, tap
from reluflow.graph.proto import model as model_module
from reluflow.graph.proto import save as _save

RNG = np.random.default_rng(2)
X = RNG.standard_normal((2, 64)).astype(np.float32)


def dense(first, second=None):
    """Two dense layers of 64 units; `first` and `second` are their weights."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], "act"),
        helper.make_node("MatMul", ["b", "v"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [first, second or weights("v")])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def weights(name):
    return numpy_helper.from_array(RNG.standard_normal((64, 64)).astype(np.float32), name)


def external(name, location, offset=None, length=None, dims=(64, 64)):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.fixture
def stored(tmp_path):
    """A model whose weights are in `data/w.bin` next to it."""
    folder = tmp_path / "a"
    (folder / "data").mkdir(parents=True)
    raw = weights("w").raw_data + weights("v").raw_data
    (folder / "data" / "w.bin").write_bytes(raw)
    first = external("w", "data/w.bin", 0, 64 * 64 * 4)
    second = external("v", "data/w.bin", 64 * 64 * 4)
    path = folder / "m.onnx"
    path.write_bytes(dense(first, second).SerializeToString())
    return path


def test_save_and_load(tmp_path, parse):
    model = load(dense(weights("w")))
    path = tmp_path / "m.onnx"
    model.save(path)
    assert path.read_bytes() == model.serialize()
    assert os.listdir(tmp_path) == ["m.onnx"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_external_model_describes_itself(stored):
    model = load(stored)
    data = stored.parent / "data" / "w.bin"
    assert model.external_files == (data,)
    assert model.size_bytes == stored.stat().st_size + data.stat().st_size
    assert model.n_parameters == 2 * 64 * 64


def test_tapped_external_model_works_in_its_folder(stored, run):
    model = load(stored)
    tapped = tap(model, find_sites(model)).model
    target = stored.with_name("tapped.onnx")
    tapped.save(target)
    before, after = run(stored, {"x": X}), run(target, {"x": X})
    assert before["y"].tobytes() == after["y"].tobytes()
    assert after["a"].shape == (2, 64)
    assert sorted(os.listdir(stored.parent)) == ["data", "m.onnx", "tapped.onnx"]


def test_tapped_external_model_works_in_another_folder(stored, run, tmp_path):
    model = load(stored)
    target = tmp_path / "b" / "tapped.onnx"
    target.parent.mkdir()
    tapped = tap(model, find_sites(model)).model
    tapped.save(target)
    tapped.save(target)  # a second time finds its data in place
    before = run(stored, {"x": X})
    stored.unlink()
    assert before["y"].tobytes() == run(target, {"x": X})["y"].tobytes()
    assert os.listdir(target.parent / "data") == ["w.bin"]


def test_copied_data_are_files_of_their_own_that_onnx_accepts(stored, run, tmp_path):
    target = tmp_path / "b.onnx"
    load(stored).save(target)
    copy = tmp_path / "data" / "w.bin"
    assert copy.stat().st_nlink == 1
    assert copy.read_bytes() == (stored.parent / "data" / "w.bin").read_bytes()
    onnx.load(target)
    onnx.load(stored)
    assert run(stored, {"x": X})["y"].tobytes() == run(target, {"x": X})["y"].tobytes()


def test_data_of_another_model_are_not_overwritten(stored, run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"of another model")
    target = tmp_path / "b.onnx"
    load(stored).save(target)
    assert (tmp_path / "data" / "w.bin").read_bytes() == b"of another model"
    assert run(stored, {"x": X})["y"].tobytes() == run(target, {"x": X})["y"].tobytes()


def test_memory_beyond_the_limit_goes_to_a_data_file(run, tmp_path):
    proto = dense(weights("w"))
    whole, parted = tmp_path / "whole.onnx", tmp_path / "parted.onnx"
    load(proto).save(whole)
    _save.save_model(proto, None, parted, limit=20_000)
    assert parted.stat().st_size < 2_000
    assert (tmp_path / "parted.onnx.data").stat().st_size == 2 * 64 * 64 * 4
    assert run(whole, {"x": X})["y"].tobytes() == run(parted, {"x": X})["y"].tobytes()
    assert len(find_sites(load(parted))) == 1


def test_weights_that_cannot_be_moved_out(tmp_path):
    listed = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], [0.0] * 4096)
    with pytest.raises(ModelError, match="outside its initializers' raw data"):
        _save.save_model(dense(listed), None, tmp_path / "m.onnx", limit=100)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    model = load(dense(weights("w")))
    with pytest.raises(OutputError, match=r"the folder '.*no' does not exist; make it first"):
        model.save(tmp_path / "no" / "m.onnx")
    with pytest.raises(OutputError, match="it is a folder; give the path of a file"):
        model.save(tmp_path)
    with pytest.raises(OutputError, match=r"cannot write '.*': File name too long"):
        model.save(tmp_path / ("m" * 300))
    assert os.listdir(tmp_path) == []


def test_too_large_for_one_file_is_still_described(monkeypatch):
    monkeypatch.setattr(model_module, "PROTOBUF_LIMIT", 100)  # as if 32 KB were too much
    first, second = load(dense(weights("w"))), load(dense(weights("w")))
    first, second = (tap(m, find_sites(m)).model for m in (first, second))
    assert first.size_bytes == 2 * 64 * 64 * 4
    assert len(first.sha256) == 64 and first.sha256 != second.sha256


@pytest.mark.slow
def test_more_than_two_gigabytes_do_not_fit_one_file():
    proto = dense(weights("w"))
    proto.graph.initializer[0].raw_data = bytes(2**31)
    with pytest.raises(ModelError, match="takes more than 2 GB"):
        Model(proto).serialize()


EXTERNAL = {
    "missing": (external("w", "no.bin"), "does not exist; put it next to the model"),
    "folder": (external("w", "."), "is a folder; put it next to the model"),
    "up": (external("w", "../w.bin"), "outside the model's folder"),
    "detour": (external("w", "a/../../w.bin"), "outside the model's folder"),
    "absolute": (external("w", "/etc/passwd"), "absolute path '/etc/passwd'"),
    "drive": (external("w", "C:\\w.bin"), "absolute path 'C:"),
    "no-location": (external("w", None), "names no file"),
    "short": (external("w", "w.bin"), "has 100 bytes, but tensor 'w' needs bytes 0 to 16384"),
    "offset": (external("w", "w.bin", 2**40), "the file is incomplete"),
    "negative": (external("w", "w.bin", -1), "whole numbers >= 0 are accepted"),
    "words": (external("w", "w.bin", "ten"), "whole numbers >= 0 are accepted"),
    "length": (external("w", "w.bin", 0, 3), "needs 16384 bytes, but its entry"),
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_external_data_refused(tmp_path, name):
    tensor, match = EXTERNAL[name]
    (tmp_path / "w.bin").write_bytes(bytes(100))
    path = tmp_path / "m.onnx"
    path.write_bytes(dense(tensor).SerializeToString())
    with pytest.raises(ModelError, match=match):
        load(path)


def test_external_strings_are_refused(tmp_path):
    tensor = external("w", "w.bin")
    tensor.data_type = TensorProto.STRING
    (tmp_path / "w.bin").write_bytes(bytes(100))
    path = tmp_path / "m.onnx"
    path.write_bytes(dense(tensor).SerializeToString())
    with pytest.raises(ModelError, match="which cannot be kept in an external file"):
        load(path)


def test_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(weights("w").raw_data)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "w.bin").symlink_to(tmp_path / "w.bin")
    path = inside / "m.onnx"
    path.write_bytes(dense(external("w", "w.bin")).SerializeToString())
    with pytest.raises(ModelError, match=r"is a link to .* outside the model's folder"):
        load(path)


def test_model_linked_together_with_its_data_is_accepted(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    (blobs / "2").write_bytes(weights("w").raw_data)
    (blobs / "1").write_bytes(dense(external("w", "w.bin")).SerializeToString())
    (snapshot / "m.onnx").symlink_to(blobs / "1")
    (snapshot / "w.bin").symlink_to(blobs / "2")
    assert len(find_sites(load(snapshot / "m.onnx"))) == 1


def test_external_data_of_bytes_are_looked_for_in_the_current_folder(stored, monkeypatch):
    monkeypatch.chdir(stored.parent)
    assert load(stored.read_bytes()).base_dir == stored.parent


def test_small_external_constants_are_read(tmp_path, run):
    """A Clip whose bound and a Reshape whose target are in the data file."""
    (tmp_path / "c.bin").write_bytes(
        np.zeros(1, np.float32).tobytes() + np.array([-1, 2, 2], np.int64).tobytes()
    )
    zero = external("zero", "c.bin", 0, 4, dims=())
    shape = TensorProto(name="shape", data_type=TensorProto.INT64, dims=[3])
    shape.data_location = TensorProto.EXTERNAL
    shape.external_data.add(key="location", value="c.bin")
    shape.external_data.add(key="offset", value="4")
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["a"]),
            helper.make_node("Clip", ["a", "zero"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 2, 2])],
        [zero, shape],
    )
    path = tmp_path / "m.onnx"
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    )
    (site,) = find_sites(load(path))
    assert (site.op, site.shape, site.units) == ("Clip", (3, 2, 2), 2)


HUGE = """
import sys
from reluflow.analysis import peak_memory_bytes
from reluflow.graph import find_sites, load, tap
before = peak_memory_bytes()
model = load(sys.argv[1])
result = tap(model, find_sites(model))
result.model.save(sys.argv[2])
assert result.done[0].output == "a", result
print(peak_memory_bytes() - before, model.size_bytes)
"""


def test_three_gigabytes_are_never_read(tmp_path):
    """A sparse file of 3 GB: structure is found and rewritten, weights stay where they are."""
    rows = 3 * 2**30 // 4 // 64
    with open(tmp_path / "w.bin", "wb") as file:
        file.truncate(rows * 64 * 4)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", rows])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [external("w", "w.bin", 0, rows * 256, (rows, 64))]
    )
    path = tmp_path / "m.onnx"
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    )
    (tmp_path / "other").mkdir()
    target = tmp_path / "other" / "tapped.onnx"
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(path), str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    growth, size = map(int, done.stdout.split())
    assert size > 3 * 2**30 and growth < 100 * 2**20
    assert (tmp_path / "other" / "w.bin").stat().st_blocks * 512 < 2**20
    assert load(target).outputs == ("y", "a")
