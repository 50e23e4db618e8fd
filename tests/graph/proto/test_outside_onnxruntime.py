"""Converted files in other tools: the reference evaluator, ONNX's inliner, without defaults."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from reluflow.graph import Model, PsbOptions, to_psb
from reluflow.graph.rewrite.conv_attributes import explicit_window
from reluflow.sessions import open_session

RNG = np.random.default_rng(11)
WINDOWS: dict[str, dict[str, Any]] = {
    "no attributes": {},
    "strides only": {"strides": [2, 1]},
    "dilated, padded, grouped": {"dilations": [2, 1], "pads": [1, 0, 2, 1], "group": 2},
    "valid": {"auto_pad": "VALID"},
    "same upper": {"auto_pad": "SAME_UPPER"},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": [1, 1]},
}
EVERY_OPTION = {
    "usual": PsbOptions(),
    "other draws": PsbOptions(sampler="binomial", draws="product", p_bits=2),
    "nearest, half": PsbOptions(sampler="nearest", rounding="half", x_bits=16),
}


def net(window: dict[str, Any], size: tuple[int, int] = (9, 8)) -> tuple[Model, np.ndarray]:
    """Return Conv-Relu-pool-Gemm, and inputs."""
    channels = 4 // int(window.get("group", 1))
    constants = {
        "w": RNG.standard_normal((6, channels, 2, 3)),
        "b": RNG.standard_normal(6),
        "v": RNG.standard_normal((6, 5)),
        "c": RNG.standard_normal(5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["h"], **window),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["n", 4, *size])],
        [helper.make_tensor_value_info("y", 1, ["n", 5])],
        [numpy_helper.from_array(a.astype(np.float32), k) for k, a in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return Model(proto), RNG.standard_normal((3, 4, *size)).astype(np.float32)


@pytest.mark.parametrize("options", EVERY_OPTION)
@pytest.mark.parametrize("window", WINDOWS)
def test_the_reference_and_inlined_files_give_the_same(
    window: str, options: str, tmp_path: Path
) -> None:
    model, x = net(WINDOWS[window])
    made = to_psb(model, EVERY_OPTION[options])
    assert len(made.done.converted) == 2
    made.model.save(tmp_path / "psb.onnx")
    proto = onnx.load(tmp_path / "psb.onnx")
    inlined = inline_local_functions(proto)
    onnx.checker.check_model(inlined, full_check=True)
    assert {node.domain for node in inlined.graph.node} == {""}
    session = open_session(made.model, threads=1, library=False)
    for samples in (0, 1, 4):
        feeds = {"x": x, "samples": np.array(samples, np.int64), "seed": np.array(3, np.int64)}
        wanted = session.run(feeds)[0]
        with np.errstate(over="ignore"):  # the largest scales that fit are found by trying
            (reference,) = list(ReferenceEvaluator(proto).run(None, feeds))
        np.testing.assert_allclose(reference, wanted, rtol=1e-4, atol=1e-4)
        (without,) = ort.InferenceSession(inlined.SerializeToString()).run(None, feeds)
        np.testing.assert_allclose(without, wanted, rtol=1e-5, atol=1e-5)
    exact = open_session(model, threads=1).run({"x": x})[0]
    assert np.corrcoef(wanted.ravel(), exact.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("window", WINDOWS)
def test_written_out_windows_are_the_same_convolution(window: str) -> None:
    """Sizes even, odd and small: the explicit pads do what auto_pad did."""
    for size in ((9, 8), (6, 7), (3, 5)):
        model, x = net(WINDOWS[window], size)
        proto = onnx.ModelProto()
        proto.CopyFrom(model._proto)
        conv = proto.graph.node[0]
        written = explicit_window(conv, (6, 4, 2, 3))
        assert {"strides", "dilations", "group", "auto_pad", "pads"} == set(written)
        del conv.attribute[:]
        conv.attribute.extend(helper.make_attribute(*each) for each in written.items())
        model._proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("h", 1, [None] * 4))
        proto.graph.output[0].CopyFrom(model._proto.graph.output[0])
        wanted, found = (
            ort.InferenceSession(each.SerializeToString()).run(None, {"x": x})[0]
            for each in (model._proto, proto)
        )
        np.testing.assert_array_equal(found, wanted)


def test_padding_that_depends_on_the_size_stays_automatic() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 1])
    written = explicit_window(conv, (6, 4, 2, 3))
    assert written["auto_pad"] == "SAME_UPPER" and "pads" not in written


def test_every_declared_attribute_is_written() -> None:
    model, _ = net({})
    proto = to_psb(model).model._proto
    declared = {
        f.name: {*f.attribute, *(a.name for a in f.attribute_proto)} for f in proto.functions
    }
    calls = [node for node in proto.graph.node if node.domain == "ai.reluflow"]
    assert len(calls) == 2
    for node in calls:
        assert {entry.name for entry in node.attribute} >= declared[node.op_type]


def test_without_defaults_samples_and_seed_are_plain_inputs() -> None:
    """What docs/psb.md advises for runtimes that cannot replace defaults."""
    model, x = net({})
    proto = onnx.ModelProto()
    proto.CopyFrom(to_psb(model).model._proto)
    feeds = {"x": x, "samples": np.array(4, np.int64), "seed": np.array(0, np.int64)}
    wanted = open_session(Model(proto), threads=1, library=False).run(feeds)[0]
    for name in ("samples", "seed"):
        default = next(each for each in proto.graph.initializer if each.name == name)
        proto.graph.initializer.remove(default)
    session = ort.InferenceSession(proto.SerializeToString())
    assert [each.name for each in session.get_inputs()] == ["x", "samples", "seed"]
    np.testing.assert_array_equal(session.run(None, feeds)[0], wanted)
