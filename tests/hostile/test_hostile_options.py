"""Numbers and files that make no sense are refused in a sentence, whatever reads them."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
import small_models
from onnx import TensorProto, helper

from reluflow.data import has_array

DATA = {"far": 99, "negative": -1, "right": 0}


@pytest.fixture
def place(tmp_path):
    onnx.save(small_models.dense(), tmp_path / "model.onnx")
    x = small_models.integers((50, 4))
    np.save(tmp_path / "x.npy", x)
    for name, label in DATA.items():
        np.savez(tmp_path / f"{name}.npz", x=x, label=np.full(50, label))
    np.savez(tmp_path / "wide.npz", x=x, label=np.ones((50, 9), "f4"))
    np.savez(tmp_path / "few.npz", x=x, label=np.ones((7, 3), "f4"))
    return tmp_path


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**40, 2**70])
@pytest.mark.parametrize(
    "command", [["analyze"], ["compare"], ["sensitivity"], ["psb", "eval"]], ids=" ".join
)
def test_numbers_of_threads(threads, command, refused, place):
    models = [place / "model.onnx"] * (2 if command == ["compare"] else 1)
    sentence = refused(*command, *models, "--data", place / "right.npz", "--threads", threads)
    assert f"--threads is {threads}" in sentence


@pytest.mark.parametrize("momentum", ["-1", "1", "nan", "inf", "1e300"])
def test_momentum(momentum, refused, place):
    argv = ["sensitivity", place / "model.onnx", "--data", place / "right.npz"]
    assert "--momentum is" in refused(*argv, "--momentum", momentum)


def test_labels_beyond_the_classes(refused, place):
    for name in ("far", "negative"):
        argv = [place / "model.onnx", "--data", place / f"{name}.npz"]
        assert "0 to 2" in refused("sensitivity", *argv)
    assert "a label is 99" in refused("psb", "eval", place / "model.onnx", "-d", place / "far.npz")


@pytest.mark.parametrize("name", ["wide", "few"])
def test_targets_of_other_shapes(name, refused, place):
    argv = [place / "model.onnx", "--data", place / f"{name}.npz", "--loss", "mse"]
    assert "labels" in refused("sensitivity", *argv) or name == "wide"


def test_a_pipe_is_not_waited_for(refused, place):
    os.mkfifo(place / "pipe")
    assert not has_array(place / "pipe", "label")
    for command in (["analyze"], ["sensitivity"], ["psb", "eval"]):
        argv = [*command, place / "model.onnx", "--data", place / "x.npy"]
        assert "no regular file" in refused(*argv, "--labels", place / "pipe")


def relu(shape, path):
    """Write a model of one ReLU."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.mark.parametrize("shape", [["N", 2**31, 2**31], ["N", 2**62, 2], ["N", 3, 2**32]], ids=str)
@pytest.mark.parametrize("command", ["analyze", "compare"])
def test_random_inputs_of_absurd_sizes(shape, command, refused, tmp_path):
    relu(shape, tmp_path / "m.onnx")
    models = [tmp_path / "m.onnx"] * (2 if command == "compare" else 1)
    assert "one sample of input 'x'" in refused(command, *models, "--random", 4)


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "picture.bmp"])
def test_a_program_named_as_a_picture_is_not_run(name, refused, place):
    (place / "pictures").mkdir()
    (place / "pictures" / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    relu(["N", 3, 8, 8], place / "images.onnx")
    sentence = refused("analyze", place / "images.onnx", "--data", place / "pictures")
    assert name in sentence
