"""Scales of activations do not depend on raising the opset, which the plan does before."""

from __future__ import annotations

import numpy as np
import pytest
from rewriting import N, build, weights

from reluflow.data import open_data
from reluflow.evaluation import calibrate
from reluflow.graph import Model, PsbOptions, expose, fold_batchnorm, plan_psb
from reluflow.psb import activation_exponent
from reluflow.sessions import open_session

NORM = {name: abs(weights(4)) + 0.5 for name in ("scale", "shift", "mean", "variance")}
CONV = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1)}
DENSE = {"w": weights(4, 6), "v": weights(6, 3)}


def upsampled() -> tuple[Model, np.ndarray]:
    """Opset 8: Upsample with its scales as an attribute, and batch normalisation."""
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="first"),
        N("BatchNormalization", ["h", *NORM], ["n"], name="norm"),
        N("Upsample", ["n"], ["u"], name="up", mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
        N("Conv", ["u", "v"], ["y"], name="last"),
    ]
    return build(nodes, {**CONV, **NORM}, ("N", 4, 3, 3), opset=8), weights(5, 4, 3, 3)


def flattened_softmax() -> tuple[Model, np.ndarray]:
    """Opset 9: Softmax over all axes from the first on, between two layers."""
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="first"),
        N("Softmax", ["h"], ["s"], name="soft"),
        N("Conv", ["s", "v"], ["y"], name="last"),
    ]
    return build(nodes, CONV, ("N", 4, 3, 3), opset=9), weights(5, 4, 3, 3)


def dropped() -> tuple[Model, np.ndarray]:
    """Opset 10: Dropout with its ratio as an attribute."""
    nodes = [
        N("MatMul", ["x", "w"], ["h"], name="first"),
        N("Relu", ["h"], ["r"]),
        N("Dropout", ["r"], ["d"], name="drop", ratio=0.5),
        N("MatMul", ["d", "v"], ["y"], name="last"),
    ]
    return build(nodes, DENSE, ("N", 4), opset=10), weights(9, 4)


def summed() -> tuple[Model, np.ndarray]:
    """Opset 12: ReduceSum and Squeeze with their axes as attributes."""
    nodes = [
        N("MatMul", ["x", "w"], ["h"], name="first"),
        N("Unsqueeze", ["h"], ["t"], axes=[1]),
        N("ReduceSum", ["t"], ["s"], axes=[1], keepdims=1),
        N("Squeeze", ["s"], ["q"], axes=[1]),
        N("MatMul", ["q", "v"], ["y"], name="last"),
    ]
    return build(nodes, DENSE, ("N", 4), opset=12), weights(9, 4)


@pytest.mark.parametrize("make", [upsampled, flattened_softmax, dropped, summed])
@pytest.mark.parametrize("x_bits", [8, 16])
def test_exponents_are_those_of_the_model_at_its_own_opset(make, x_bits: int) -> None:
    model, x = make()
    plan = plan_psb(model)
    assert plan.model.opset[""] > model.opset[""]
    tensors = [node.x for node in plan.done.nodes]
    assert tensors[0] == "x" and len(tensors) == 2
    options = PsbOptions(x_bits=x_bits)
    found = calibrate(model, open_data(x, model.inputs), options=options)
    inner = expose(fold_batchnorm(model).model, tensors[1:]).model
    [shown] = open_session(inner, outputs=tensors[1:]).run({"x": x})
    largest = {"x": float(np.abs(x).max()), tensors[1]: float(np.abs(shown).max())}
    assert found == {
        name: activation_exponent(np.array([size], np.float32), x_bits)
        for name, size in largest.items()
    }
