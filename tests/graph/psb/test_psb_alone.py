"""One operator of a converted model in its float model: its weights, exponent and draws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rewriting import N, build, close, norm, ops, weights

from reluflow import psb
from reluflow.errors import ModelError
from reluflow.graph import Model, PsbOptions, bake_samples, find_psb, psb_alone, to_psb
from reluflow.sessions import open_session

RNG = np.random.default_rng(4)
OPTIONS = PsbOptions(p_bits=3, sampler="binomial", prune=0.5, x_bits=10, x_exponents={"r": 6})


def network() -> Model:
    bn, constants = norm("h", "b", 6)
    nodes = [
        N("MatMul", ["x", "w"], ["p"], name="one"),
        N("Relu", ["p"], ["r"]),
        N("MatMul", ["r", "v"], ["q"], name="two"),
        N("Add", ["q", "x"], ["h"]),
        bn,
        N("MatMul", ["b", "u"], ["y"], name="three"),
    ]
    tensors = {"w": weights(6, 5), "v": weights(5, 6), "u": weights(6, 3)}
    return build(nodes, tensors | constants, ("N", 6))


def tensors(model: Model) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    return {t.name: numpy_helper.to_array(t) for t in model._proto.graph.initializer}


def test_the_operator_keeps_code_exponent_and_draws() -> None:
    model = network()
    converted = to_psb(model, OPTIONS).model
    for wanted in find_psb(converted):
        (found,) = find_psb(psb_alone(model, converted, wanted.name).model)
        same: dict[str, Any] = {"x": found.x, "output": found.output, "adds": found.adds}
        assert found == replace(wanted, **same)
    assert find_psb(converted)[1].zeros >= 15 and find_psb(converted)[1].x_exponent == 6


def test_outputs_are_those_of_one_drawn_operator_among_float_ones() -> None:
    model = network()
    converted = to_psb(model, OPTIONS).model
    alone = psb_alone(model, converted, "two").model
    assert ops(alone).count("PsbMatMul") == 1
    x = RNG.standard_normal((3, 6)).astype(np.float32)
    y = open_session(bake_samples(alone, 4, 8).model, threads=1, library=False).run({"x": x})[0]
    t = tensors(model)
    code = psb.encode((t["v"] * _kept(t["v"])).T, p_bits=3)
    r = np.maximum(x @ t["w"], 0)
    how: dict[str, Any] = {"samples": 4, "sampler": "binomial", "seed": 8, "stream": 1}
    h = psb.matmul(r, code, x_bits=10, x_exponent=6, **how) + x
    scale = t["bn.s"] / np.sqrt(t["bn.v"] + np.float32(1e-5))
    b = (h - t["bn.m"]) * scale + t["bn.b"]
    assert close(y, (b @ t["u"]).astype(np.float32), 1e-5)


def _kept(w: np.ndarray) -> np.ndarray:
    return np.abs(w) > np.sort(np.abs(w), axis=None)[w.size // 2 - 1]


def test_models_that_do_not_belong_together_are_refused() -> None:
    converted = to_psb(network(), OPTIONS).model
    with pytest.raises(ModelError, match=r"there is no PSB operator 'four' in the model; give a"):
        psb_alone(network(), converted, "four")
    nodes = [N("MatMul", ["x", "w"], ["y"], name="one")]
    other = build(nodes, {"w": weights(6, 4)}, ("N", 6))
    with pytest.raises(ModelError, match=r"weights \[4, 6\] in the float model and \[5, 6\] in t"):
        psb_alone(other, converted, "one")
    with pytest.raises(ModelError, match=r"there is no PSB operator 'two'"):
        psb_alone(other, converted, "two")
