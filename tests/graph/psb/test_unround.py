"""Quantised models: the rounding of activations goes, its range stays, and what stays says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from rewriting import close, ops, run, weights

import reluflow
from reluflow.data import open_data
from reluflow.graph import (
    Model,
    PsbOptions,
    find_psb,
    fold_batchnorm,
    load,
    to_psb,
    unround_activations,
)
from reluflow.sessions import open_session, static_int8

MODELS = Path(__file__).parents[3] / "models"
PAIR = "q = QuantizeLinear(a, s, z) b = DequantizeLinear(q, s, z)"


def parsed(body: str, constants: str = "float s = {0.5}, uint8 z = {3}", opset: int = 21) -> Model:
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
        g (float[N,4] x) => (float[N,4] y) <{constants}> {{ {body} }}"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights(4, 4), "w"))
    return load(proto)


RANGES: dict[str, tuple[float, float]] = {
    "float s = {0.5}, uint8 z = {3}": (-1.5, 126.0),
    "float s = {0.5}, int8 z = {-128}": (0.0, 127.5),
    "float s = {0.25}, int8 z = {0}": (-32.0, 31.75),
    "float[1] s = {2}, uint16 z = {1}": (-2.0, 131068.0),
    "float s = {2}, int16 z = {0}": (-65536.0, 65534.0),
}


@pytest.mark.parametrize("constants", RANGES)
def test_the_range_stays_and_the_rounding_goes(constants: str) -> None:
    low, high = RANGES[constants]
    model = parsed(f"a = MatMul(x, w) {PAIR} y = Neg(b)", constants)
    result = unround_activations(model)
    [pair] = result.done
    assert (pair.node, pair.tensor, pair.low, pair.high) == ("q", "a", low, high)
    assert ops(result.model) == ["MatMul", "Clip", "Neg"] and not result.refused
    x = weights(50, 4, scale=2 * high)
    rounded, bare = run(model, x)[0], run(result.model, x)[0]
    step = (high - low) / (255 if high - low < 4096 else 65535)
    assert np.abs(rounded - bare).max() <= step / 2 + 1e-4 * high
    assert -bare.max() == low and -bare.min() == high  # both ends are reached, and kept


def test_without_a_zero_point_bytes_begin_at_0() -> None:
    pair = "q = QuantizeLinear(a, s) b = DequantizeLinear(q, s)"
    result = unround_activations(parsed(f"a = MatMul(x, w) {pair} y = Neg(b)"))
    assert [(each.low, each.high) for each in result.done] == [(0.0, 127.5)]


def test_a_relu_in_front_becomes_part_of_the_clip_and_of_the_operator() -> None:
    model = parsed(f"a0 = MatMul(x, w) a = Relu(a0) {PAIR} y = MatMul(b, w)")
    result = unround_activations(model)
    assert ops(result.model) == ["MatMul", "Clip", "MatMul"]
    x = weights(20, 4, scale=40)
    assert close(run(model, x)[0], run(result.model, x)[0], 0.02)
    converted = to_psb(model, PsbOptions(p_bits=16, x_bits=16))
    assert [each.activation for each in find_psb(converted.model)] == ["clip", "none"]
    assert len(converted.done.unrounded) == 1


def test_readers_of_one_pair_share_its_range() -> None:
    two = "q = QuantizeLinear(a, s, z) b = DequantizeLinear(q, s, z) c = DequantizeLinear(q, s, z)"
    model = parsed(f"a = MatMul(x, w) {two} y = Add(b, c)")
    result = unround_activations(model)
    assert ops(result.model) == ["MatMul", "Clip", "Clip", "Add"] and len(result.done) == 1
    x = weights(20, 4, scale=40)
    assert close(run(model, x)[0], run(result.model, x)[0], 0.02)


STAY: dict[str, tuple[str, str]] = {
    "its integers are read by Cast": (
        f"a = MatMul(x, w) {PAIR} d = Cast<to = 1>(q) y = Add(b, d)",
        "float s = {0.5}, uint8 z = {3}",
    ),
    "its scale and zero point are not one constant each": (
        f"a = MatMul(x, w) {PAIR} y = Neg(b)",
        "float[4] s = {0.5, 1, 2, 3}, uint8[4] z = {3, 3, 3, 3}",
    ),
    "what reads it back has another scale or zero point": (
        "a = MatMul(x, w) q = QuantizeLinear(a, s, z) b = DequantizeLinear(q, t, z) y = Neg(b)",
        "float s = {0.5}, float t = {0.25}, uint8 z = {3}",
    ),
    "it rounds to FLOAT8E4M3FN, not to whole numbers": (
        "a = MatMul(x, w) q = QuantizeLinear<output_dtype = 17>(a, s) "
        "b = DequantizeLinear(q, s) y = Neg(b)",
        "float s = {0.5}",
    ),
}


@pytest.mark.parametrize("reason", STAY)
def test_a_pair_that_stays_tells_why(reason: str) -> None:
    body, constants = STAY[reason]
    result = unround_activations(parsed(body, constants))
    assert [each.reason for each in result.refused] == [reason] and not result.done
    assert "QuantizeLinear" in ops(result.model)


def test_what_the_caller_reads_or_names_stays() -> None:
    model = parsed("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)")
    named = parsed(f"[h] a = MatMul(x, w) {PAIR} [l] y = MatMul(b, w)")
    assert unround_activations(model).done
    given = model._proto.graph.output.add()
    given.CopyFrom(onnx.helper.make_tensor_value_info("q", onnx.TensorProto.UINT8, None))
    [kept] = unround_activations(model).refused
    assert kept.reason == "its integers are an output of the model, or are not read"
    for name in ("q", "b"):
        plan = reluflow.graph.plan_psb(named, PsbOptions(exclude=(name,)))
        assert plan.done.unrounded == () and "QuantizeLinear" in ops(plan.model)
    assert [p.node for p in unround_activations(named, ["q"]).done] == ["q"]
    [kept] = unround_activations(named, []).refused
    assert kept.reason == "it is excluded"


def test_weights_that_are_quantised_in_the_graph_stay_weights() -> None:
    body = "v = QuantizeLinear(w, s, z) u = DequantizeLinear(v, s, z) y = MatMul(x, u)"
    model = parsed(body)
    assert unround_activations(model).done == () and unround_activations(model).refused == ()


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantised_network_keeps_its_answers(per_channel: bool) -> None:
    floats = fold_batchnorm(load(MODELS / "fashion_resnet8.onnx")).model
    source = open_data(MODELS / "fashion_mnist_test_2000.npz", floats.inputs, limit=300)
    batches = [dict(batch) for batch in source.batches(100)]
    int8 = static_int8(floats, batches[:1], per_channel=per_channel)
    made = reluflow.convert(int8)
    kinds = ops(made.result.model)
    assert kinds.count("PsbConv") == 9 and kinds.count("PsbMatMul") == 1
    assert not {"QuantizeLinear", "DequantizeLinear", "Relu"} & set(kinds)
    assert made.unrounded is not None and made.to_dict()["unrounded"]["accepted"] is not None
    assert made.sentences()[0].startswith("Activations without their rounding to integers: ")
    assert made.rewrites.accepted < 0.01 and made.rewrites.holds

    def answers(model: Any) -> np.ndarray:
        session = open_session(model, threads=1)
        return np.concatenate([session.run(b)[0].argmax(1) for b in batches])

    assert np.mean(answers(int8) == answers(made.result.model)) > 0.98
