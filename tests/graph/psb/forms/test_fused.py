"""What ONNX Runtime's optimiser fuses is written as the operators that it was, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow import StepMeter, analyze, compare, inspect
from reluflow.errors import ModelError
from reluflow.graph import (
    Model,
    find_psb,
    find_sites,
    load,
    load_apart,
    spell_out,
    switches_apart,
    to_psb,
)
from reluflow.sessions import open_session

RNG = np.random.default_rng(5)
KERNEL = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32)
FACTOR = RNG.normal(size=(4, 5)).astype(np.float32)
IMAGE = RNG.normal(size=(2, 2, 6, 6)).astype(np.float32)
ROWS = RNG.normal(size=(3, 4)).astype(np.float32)


def fused(op: str, x: np.ndarray, tensors: list[np.ndarray], **attributes: Any) -> Model:
    """Return a model of one operator of com.microsoft."""
    names = [f"w{place}" for place in range(len(tensors))]
    node = helper.make_node(
        op, ["x", *names], ["y"], name="it", domain="com.microsoft", **attributes
    )
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(w, name) for w, name in zip(tensors, names, strict=True)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return load(helper.make_model(graph, ir_version=8, opset_imports=opsets))


BIAS = RNG.normal(size=3).astype(np.float32)
ADDED = RNG.normal(size=(2, 3, 4, 4)).astype(np.float32)
CASES: dict[str, tuple[Model, np.ndarray, str]] = {
    "conv-relu": (fused("FusedConv", IMAGE, [KERNEL, BIAS], activation="Relu"), IMAGE, "Conv Relu"),
    "conv-clip": (
        fused("FusedConv", IMAGE, [KERNEL], activation="Clip", activation_params=[-0.5, 2.0]),
        IMAGE,
        "Conv Clip",
    ),
    "conv-leaky": (
        fused("FusedConv", IMAGE, [KERNEL], activation="LeakyRelu", activation_params=[0.2]),
        IMAGE,
        "Conv LeakyRelu",
    ),
    "conv-hard": (
        fused("FusedConv", IMAGE, [KERNEL], activation="HardSigmoid", activation_params=[0.3, 0.4]),
        IMAGE,
        "Conv HardSigmoid",
    ),
    "conv-add": (
        fused("FusedConv", IMAGE, [KERNEL, BIAS, ADDED], activation="Relu"),
        IMAGE,
        "Conv Add Relu",
    ),
    "gemm": (
        fused("FusedGemm", ROWS, [FACTOR.T.copy()], transB=1, alpha=0.5, activation="Relu"),
        ROWS,
        "Gemm Relu",
    ),
    "gemm-leaky": (
        fused("FusedGemm", ROWS, [FACTOR], activation="LeakyRelu", activation_alpha=0.1),
        ROWS,
        "Gemm LeakyRelu",
    ),
    "matmul": (fused("FusedMatMul", ROWS, [FACTOR.T.copy()], transB=1, alpha=0.25), ROWS, "MatMul"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_fused_computes_the_same_apart(case: str) -> None:
    model, x, ops = CASES[case]
    result = spell_out(model)
    assert [node.op_type for node in result.model._proto.graph.node] == ops.split()
    assert (
        result.done[0].into
        == ", ".join(ops.split()[:-1]) + " and " * (" " in ops) + (ops.split()[-1])
    )
    old = open_session(model).run({"x": x})[0]
    new = open_session(result.model).run({"x": x})[0]
    np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)
    (node,) = find_psb(to_psb(model).model)
    assert node.name == "it"


def test_the_switch_inside_can_be_seen_apart() -> None:
    model = CASES["conv-relu"][0]
    assert [site.untappable != "" for site in find_sites(model)] == [True]
    assert [site.untappable for site in find_sites(spell_out(model).model)] == [""]


BIASED = {
    op: fused(op, ROWS, [RNG.normal(size=4).astype(np.float32)]) for op in ("BiasGelu", "FastGelu")
}


@pytest.mark.parametrize("case", [*(case for case in CASES if case != "matmul"), *BIASED])
def test_switches_alone_are_written_apart(case: str) -> None:
    if case in BIASED:
        model, x, ops = BIASED[case], ROWS, f"Add {case.removeprefix('Bias')}"
    else:
        model, x, ops = CASES[case]
    result = switches_apart(model)
    assert [node.op_type for node in result.model._proto.graph.node] == ops.split()
    assert result.model.opset[""] == model.opset[""]
    sites = find_sites(result.model, smooth=True)
    assert [site.untappable for site in sites] == ([] if case == "conv-clip" else [""])  # from -0.5
    (told,) = result.notes
    assert told.endswith(f"its switches can be seen: 1 {result.done[0].op}.")
    old = open_session(model).run({"x": x})[0]
    new = open_session(result.model).run({"x": x})[0]
    np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_what_has_no_switch_inside_stays() -> None:
    for model in (CASES["matmul"][0], fused("FastGelu", ROWS, [])):
        assert load_apart(model) is model
    strange = fused("FusedConv", IMAGE, [KERNEL], activation="Mish")
    (refused,) = switches_apart(strange).refused
    assert refused.reason == "its activation 'Mish' is not known"


def test_functions_that_count_patterns_write_it_apart_themselves(tmp_path: Path) -> None:
    model = CASES["conv-add"][0]
    model.save(path := tmp_path / "fused.onnx")
    report = analyze(path, IMAGE, tmp_path / "report")
    assert report.model.path == str(path) and report.model.sha256 == load(path).sha256
    assert [site.site.units for site in report] == [3]
    assert any("1 FusedConv" in note for note in report.notes)
    assert [site.untappable for site in inspect(path).sites] == [""]
    assert compare(path, path, IMAGE).sites[0].distance == 0
    assert len(StepMeter(path).sites) == 1


def test_a_file_for_one_processor_says_how_to_make_another() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")
    node.attribute.append(helper.make_attribute("activation", "Relu"))
    model = fused("FusedConv", IMAGE, [KERNEL], activation="Relu")._proto
    node.input[1] = model.graph.node[0].input[1]
    model.graph.node[0].CopyFrom(node)
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    with pytest.raises(ModelError, match=r"write it at the level ORT_ENABLE_EXTENDED, or give the"):
        analyze(model, IMAGE)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (fused("FusedMatMul", FACTOR, [FACTOR], transA=1), "it has transA"),
        (fused("FusedConv", IMAGE, [KERNEL], activation="Mish"), "activation 'Mish' is not known"),
        (
            fused("FusedConv", IMAGE, [KERNEL], activation="LeakyRelu"),
            "its activation LeakyRelu has no parameters",
        ),
    ],
)
def test_what_stays_fused_says_why(model: Model, reason: str) -> None:
    result = to_psb(model)
    assert not result.done.converted
    assert reason in result.refused[0].reason
