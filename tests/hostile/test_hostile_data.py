"""Data, however damaged, cause only one sentence and leave nothing behind."""

from __future__ import annotations

import re

import hostile_data
import numpy as np
import onnx
import pytest
import small_models
from onnx import parser


@pytest.fixture
def dense(tmp_path):
    onnx.save(small_models.dense(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def vision(path):
    proto = parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,3,8,8] x) => (float[N,3,8,8] y) { y = Relu(x) }"""
    )
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize("name", hostile_data.REFUSED)
def test_data_are_refused(name, refused, dense, tmp_path):
    build, pattern = hostile_data.REFUSED[name]
    data = build(tmp_path)
    sentence = refused("analyze", dense, "--data", data, "--out", tmp_path / "report")
    assert re.search(pattern, sentence), sentence


@pytest.mark.parametrize("name", hostile_data.REFUSED_IMAGES)
def test_image_folders_are_refused(name, refused, tmp_path):
    build, pattern = hostile_data.REFUSED_IMAGES[name]
    data = build(tmp_path)
    model = vision(tmp_path / "model.onnx")
    sentence = refused(
        "analyze", model, "--data", data, "--out", tmp_path / "report", "--batch-size", 2
    )
    assert re.search(pattern, sentence), sentence


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ([], "--data PATH, or ask for random ones"),
        (["--data", "x.npy", "--random", 3], "not both"),
        (["--random", 0], "--random is 0"),
        (["--random", -4], "--random is -4"),
        (["--random", "many"], "--random"),
        (["--random", 3, "--seed", -1], "seed is -1"),
        (["--random", 3, "--dim", "N"], "--dim is 'N'"),
        (["--random", 3, "--limit", 0], "limit is 0"),
        (["--random", 3, "--batch-size", 0], "--batch-size is 0"),
        (["--random", 3, "--batch-size", -1], "--batch-size is -1"),
        (["--random", 3, "--threads", 0], "threads is 0"),
        (["--random", 3, "--threads", -2], "threads is -2"),
        (["--random", 3, "--top", -1], "top is -1"),
        (["--random", 3, "--memory", -1], "memory"),
        (["--random", 3, "--hash", "md5"], "md5"),
        (["--random", 3, "--checkpoint-every", "nan"], "checkpoint"),
        (["--random", 3, "--checkpoint-every", "-1"], "checkpoint"),
        (["--random", 3, "--size", "big"], "--size is 'big'"),
        (["--random", 3, "--mean", "a,b"], "--mean is 'a,b'"),
        (["--random", 3, "--std", "0"], "std is"),
        (["--random", 3, "--channels", "cmyk"], "--channels is 'cmyk'"),
        (["--random", 3, "--size", "8"], "--layout was given with random data"),
        (["--random", 3, "--no-such-option"], "no-such-option"),
        (["--random", 3, "--resume"], "resume"),
        (["--random"], "--random"),
    ],
)
def test_options_are_refused(options, pattern, refused, dense):
    assert re.search(pattern, refused("analyze", dense, *options)), pattern


def test_a_fixed_batch_that_does_not_divide_is_refused(refused, tmp_path):
    proto = small_models.dense()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(proto, tmp_path / "model.onnx")
    np.save(tmp_path / "x.npy", np.ones((10, 4), "f4"))
    argv = ["analyze", tmp_path / "model.onnx", "--data", tmp_path / "x.npy"]
    assert "limit the data to 8" in refused(*argv, "--out", tmp_path / "report")
    assert "batches of 4" in refused(*argv, "--batch-size", 5)


def test_there_are_enough():
    assert len(hostile_data.REFUSED) + len(hostile_data.REFUSED_IMAGES) >= 60
