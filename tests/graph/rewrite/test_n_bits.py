"""Weights of a few bits in blocks: read as ONNX Runtime computes with them, or with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.graph import Model, PsbOptions, psb_in_floats, to_psb
from reluflow.sessions import open_session

N = 5


def model(
    bits: int,
    inputs: int = 32,
    block: int = 16,
    zero: str = "",
    bias: bool = False,
    dtype: type = np.float32,
    **changed: Any,
) -> Model:
    rng = np.random.default_rng(bits)
    blocks = -(-inputs // block)
    tensors: dict[str, np.ndarray] = {
        "q": rng.integers(0, 256, (N, blocks, block * bits // 8), dtype=np.uint8),
        "s": (rng.random(N * blocks) + 0.1).astype(dtype),
    }
    if zero == "packed":
        tensors["z"] = rng.integers(0, 256, N * -(-blocks * bits // 8), dtype=np.uint8)
    if zero == "float":
        tensors["z"] = (rng.random(N * blocks) * 3).astype(dtype)
    names = ["x", "q", "s", "z" if zero else "", "", "b" if bias else ""]
    if bias:
        tensors["b"] = rng.random(N).astype(dtype)
    if "g_idx" in changed:
        names[4] = "g"
        tensors["g"] = np.zeros(inputs, np.int32)
    tensors |= {k: v for k, v in changed.items() if isinstance(v, np.ndarray)}
    attributes: dict[str, Any] = {"K": inputs, "N": N, "bits": bits, "block_size": block}
    node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", kind, ["M", inputs])],
        [value("y", kind, ["M", N])],
        [numpy_helper.from_array(a, name) for name, a in tensors.items() if name in names],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return Model(helper.make_model(graph, opset_imports=imports, ir_version=9))


FORMS: dict[str, dict[str, Any]] = {
    "4 bits": {"bits": 4},
    "2 bits": {"bits": 2, "zero": "packed"},
    "8 bits": {"bits": 8, "bias": True},
    "zero points of half bytes": {"bits": 4, "inputs": 48, "zero": "packed"},
    "zero points in fractions": {"bits": 4, "zero": "float"},
    "a last block that is not full": {"bits": 4, "inputs": 50, "zero": "packed", "bias": True},
}


@pytest.mark.parametrize("name", FORMS)
def test_weights_are_those_that_onnx_runtime_multiplies_by(name: str) -> None:
    made = model(**FORMS[name])
    result = to_psb(made, PsbOptions(p_bits=16, x_bits=16))
    assert len(result.done.converted) == 1 and not result.refused
    shape: Any = made.inputs[0].shape
    x = np.random.default_rng(1).standard_normal((3, shape[1])).astype("f")
    wanted = open_session(made, optimisation="none").run({"x": x})[0]
    found = open_session(psb_in_floats(result.model).model, optimisation="none").run({"x": x})[0]
    difference = np.abs(wanted - found).max()
    assert difference < 2**-6 * np.abs(wanted).max()  # weights are executed in 64ths


def test_float16_scales_make_float16_weights() -> None:
    (node,) = to_psb(model(4, dtype=np.float16)).done.converted
    assert node.was == "MatMulNBits"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "g_idx": ({"g_idx": True}, "groups of any order"),
    "three bits": ({"bits": 3}, "not in a known form"),
    "whole scales": ({"s": np.ones(10, np.int32)}, "its scales are int32, not floating point"),
    "too few weights": ({"q": np.zeros((1, 1, 8), np.uint8)}, "its weights are not as many"),
    "too few zero points": (
        {"zero": "packed", "z": np.zeros(3, np.uint8)}, "its zero points are not as many"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_forms_stay_with_a_reason(name: str) -> None:
    changed, reason = REFUSED[name]
    (refused,) = to_psb(model(**{"bits": 4, **changed})).refused
    assert reason in refused.reason


def test_computed_weights_stay_with_a_reason() -> None:
    made = model(4)
    proto = made._proto
    (packed,) = [t for t in proto.graph.initializer if t.name == "q"]
    proto.graph.initializer.remove(packed)
    value = helper.make_tensor_value_info("q", TensorProto.UINT8, [N, 2, 8])
    proto.graph.input.append(value)
    assert "its weights are computed" in to_psb(Model(proto)).refused[0].reason
