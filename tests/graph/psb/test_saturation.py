"""Saturated activations: the graph counts the same as quantising does."""

from typing import Any

import numpy as np
import onnx
import pytest
from rewriting import N, build, weights

from reluflow import psb
from reluflow.graph import Model, PsbOptions, count_saturation, to_psb
from reluflow.sessions import open_session

HUGE = np.float32(3e38)
ROWS = {
    "usual": np.array([[0.5, -1.0, 3.99, 4.0]], np.float32),
    "ties": np.array([[2047.5, -2047.5, 2047.49, 2048.5]], np.float32),
    "infinite": np.array([[np.inf, -np.inf, np.nan, 1.0]], np.float32),
    "huge": np.array([[HUGE, -HUGE, HUGE / 2, 1.0]], np.float32),
    "tiny": np.array([[1e-45, -1e-40, 0.0, -0.0]], np.float32),
    "none": np.zeros((0, 4), np.float32),
}


def dense(**options: Any) -> Model:
    nodes = [N("MatMul", ["x", "w"], ["h"], name="one"), N("MatMul", ["h", "v"], ["y"], name="two")]
    model = build(nodes, {"w": weights(4, 4), "v": weights(4, 3)}, ("N", 4))
    return to_psb(model, PsbOptions(**options)).model


def counted(model: Model, x: np.ndarray) -> tuple[list[int], list[int]]:
    result = count_saturation(model)
    onnx.checker.check_model(result.model._proto, full_check=True)
    names = [result.done.saturated, result.done.activations]
    session = open_session(result.model, outputs=names, threads=1, library=False)
    saturated, activations = session.run({"x": x})
    assert [node.name for node in result.done.nodes] == ["one", "two"]
    return saturated.tolist(), activations.tolist()


@pytest.mark.parametrize("x_bits", [4, 12, 16])
@pytest.mark.parametrize("f", [None, -100, -1, 0, 9, 100])
@pytest.mark.parametrize("row", ROWS)
def test_counts_are_those_of_the_quantised_numbers(row: str, f: int | None, x_bits: int) -> None:
    exponents = {} if f is None else {"x": f}
    saturated, activations = counted(dense(x_bits=x_bits, x_exponents=exponents), ROWS[row])
    _, _, wanted = psb.quantise_activation(ROWS[row], x_bits, f)
    assert (saturated[0], activations[0]) == (wanted, ROWS[row].size)
    assert activations[1] == ROWS[row].size


def test_operators_that_share_a_tensor_share_the_count() -> None:
    nodes = [N("MatMul", ["x", w], [y], name=w) for w, y in (("one", "a"), ("two", "b"))]
    nodes.append(N("Concat", ["a", "b"], ["y"], axis=1))
    model = build(nodes, {"one": weights(4, 4), "two": weights(4, 3)}, ("N", 4))
    converted = to_psb(model, PsbOptions(x_exponents={"x": 0})).model
    x = np.full((2, 4), 5000, np.float32)
    assert counted(converted, x) == ([8, 8], [8, 8])
    result = count_saturation(converted)
    assert sum(node.op_type == "ReduceSum" for node in result.model._proto.graph.node) == 3


BELOW = ROWS | {
    "halves": np.array([[2047.0, 0.5, -0.5, 0.500001]], np.float32),
    "above a power": np.array([[2048.0, 0.75, 1.0, -1.5]], np.float32),
    "below a power": np.array([[np.nextafter(np.float32(2048), np.float32(0)), 1, 0.25, 3]]),
    "one loud": np.array([[1e6, 0.1, -0.2, 3e-3], [1.0, np.nan, 200.0, 250.0]], np.float32),
    "quiet": np.array([[1e-30, 3e-34, 1e-40, -1e-36]], np.float32),
    "random": np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32) ** 9,
}


@pytest.mark.parametrize("x_bits", [2, 4, 12, 16])
@pytest.mark.parametrize("f", [None, -1, 0, 9])
@pytest.mark.parametrize("row", BELOW)
def test_what_falls_below_the_step_is_what_quantising_makes_zero(
    row: str, f: int | None, x_bits: int
) -> None:
    x = BELOW[row].astype(np.float32)
    result = count_saturation(dense(x_bits=x_bits, x_exponents={} if f is None else {"x": f}))
    session = open_session(
        result.model, outputs=[result.done.nonzero, result.done.below], threads=1, library=False
    )
    nonzero, below = session.run({"x": x})
    numbers, _, _ = psb.quantise_activation(x, x_bits, f)
    counted = (x != 0) & ~np.isnan(x)
    assert nonzero[0] == np.count_nonzero(counted)
    assert below[0] == np.count_nonzero(counted & (numbers == 0))
