"""Odd but valid: these must succeed, and say what is odd."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import small_models
from hostile_graphs import nested


@pytest.fixture
def analysed(worker, tmp_path):
    """Analyse a network and return the whole outcome and the JSON report."""

    def run(proto=None, array=None, data=None):
        onnx.save(proto or small_models.dense(), tmp_path / "model.onnx")
        np.save(tmp_path / "x.npy", small_models.integers((9, 4)) if array is None else array)
        source = data or tmp_path / "x.npy"
        report = tmp_path / "report"
        outcome = worker.run("analyze", tmp_path / "model.onnx", "--data", source, "--out", report)
        assert outcome.code == 0, outcome
        assert outcome.stderr == ""
        assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "report", "x.npy"]
        return outcome, json.loads((report / "report.json").read_text())

    return run


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_values_that_are_not_finite_are_counted_and_noted(value, analysed):
    array = small_models.integers((9, 4))
    array[4, 2] = value
    _, report = analysed(array=array)
    assert report["n_inputs"] == 9
    assert report["sites"][0]["nonfinite"] > 0
    assert any("finite" in note or "NaN" in note for note in report["notes"])


def test_denormals_and_signed_zeros_pass(analysed):
    _, report = analysed(array=np.full((3, 4), -1e-42, "f4"))
    assert report["n_inputs"] == 3 and report["sites"][0]["nonfinite"] == 0


def test_nodes_without_names(analysed):
    proto = small_models.dense()
    for node in proto.graph.node:
        node.name = ""
    _, report = analysed(proto)
    names = [site["site"]["name"] for site in report["sites"]]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\nb\x1b[31m", "../../etc/passwd", "ü" * 300, "'\";--"]
)
def test_names_are_only_names(name, analysed, tmp_path):
    proto = small_models.dense()
    proto.graph.node[1].name = name
    proto.graph.node[1].output[0] = name
    proto.graph.node[2].input[0] = name
    outcome, report = analysed(proto)
    assert report["sites"][0]["site"]["name"] == name
    assert "<script>alert(1)" not in (tmp_path / "report" / "report.html").read_text()
    assert "\x1b" not in outcome.stdout


def test_names_that_are_no_utf8(worker, tmp_path):
    raw = small_models.dense().SerializeToString().replace(b"act0", b"\xff\xfe\xfdt")
    (tmp_path / "model.onnx").write_bytes(raw)
    report = tmp_path / "report"
    outcome = worker.run("analyze", tmp_path / "model.onnx", "--random", 3, "--out", report)
    assert outcome.code == 0 or (outcome.code == 2 and not report.exists()), outcome


def test_nodes_out_of_order_are_sorted_and_noted(analysed):
    proto = small_models.dense()
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    _, report = analysed(proto)
    assert len(report["sites"]) == 2 and any("order" in note for note in report["notes"])


def test_a_model_without_opset_domain_and_with_unused_parts(analysed):
    proto = small_models.dense()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, "f4"), "unused"))
    proto.opset_import.append(onnx.helper.make_opsetid("com.example.unused", 7))
    assert len(analysed(proto)[1]["sites"]) == 2


def test_big_endian_and_fortran_data_pass(analysed):
    array = small_models.integers((9, 4))
    reference = analysed(array=array)[1]["sites"]
    for other in (array.astype(">f4"), np.asfortranarray(array)):
        assert analysed(array=other)[1]["sites"] == reference


def test_nested_branches(worker, tmp_path):
    (tmp_path / "model.onnx").write_bytes(nested(12).SerializeToString())
    data = {"x": small_models.integers((1, 4)), "c": np.ones(1, bool)}
    np.savez(tmp_path / "x.npz", x=data["x"], c=data["c"])
    outcome = worker.run("analyze", tmp_path / "model.onnx", "--data", tmp_path / "x.npz")
    assert outcome.code in (0, 2) and "Traceback" not in outcome.stderr, outcome
