"""Recurrent operators: their weights are stored as PSB, and decoded to the numbers of the code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from rewriting import N, build, close, run, weights

from reluflow import psb
from reluflow.graph import Model, PsbOptions, find_psb, load, psb_in_floats, to_psb
from reluflow.sessions import open_session

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
UNITS, INPUTS = 24, 16


def network(op: str, directions: int = 1, **changed: np.ndarray) -> Model:
    """Return a recurrent operator and a dense layer behind its state."""
    rows = GATES[op] * UNITS
    constants = {
        "W": weights(directions, rows, INPUTS),
        "R": weights(directions, rows, UNITS, scale=0.2),
        "B": weights(directions, 2 * rows),
        "last": weights(UNITS, 5),
    }
    if op != "RNN":
        constants["W"][0, 0, 0] = 0.0
        constants["W"][0, 1, 0] *= np.float32(1e-3)
    way = "forward" if directions == 1 else "bidirectional"
    nodes = [
        N(op, ["x", "W", "R", "B"], ["", "h"], name="cell", hidden_size=UNITS, direction=way),
        N("MatMul", ["h", "last"], ["y"], name="dense"),
    ]
    return build(nodes, constants | changed, (7, "N", INPUTS), 3)


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("p_bits", [1, 4, 8, 16])
@pytest.mark.parametrize(("op", "directions"), [("LSTM", 1), ("GRU", 2), ("RNN", 1)])
def test_the_decoded_weights_are_those_of_the_code(
    op: str, directions: int, p_bits: int, library: bool
) -> None:
    model = network(op, directions)
    result = to_psb(model, PsbOptions(p_bits=p_bits))
    held = {t.name: t for t in model._proto.graph.initializer}
    decoded = {}
    for name in ("W", "R"):
        array = np.frombuffer(held[name].raw_data, np.float32).reshape(held[name].dims)
        rows = array.reshape(-1, array.shape[-1])
        decoded[name] = psb.decode(psb.encode(rows, p_bits=p_bits)).reshape(array.shape)
    assert np.any(decoded["W"] == 0) or op == "RNN"
    wanted = network_like(model, decoded)
    x = weights(7, 3, INPUTS)
    # The dense layer in floats: only the recurrent one is looked at.
    bare = psb_in_floats(result.model).model
    session = open_session(bare, threads=1, library=library)
    dense = next(iter(find_psb(result.model)))
    assert dense.name == "dense"
    found = session.run({"x": x})[0]
    again = psb_in_floats(to_psb(wanted, PsbOptions(p_bits=p_bits, exclude=("cell",))).model).model
    assert close(run(again, x)[0], found, 1e-5)


def network_like(model: Model, decoded: dict[str, np.ndarray]) -> Model:
    """Return a model with other weights of the recurrent operator."""
    made = load(model.serialize())
    for tensor in made._proto.graph.initializer:
        if tensor.name in decoded:
            tensor.raw_data = decoded[tensor.name].tobytes()
    return made


def test_the_native_library_runs_beside_the_function() -> None:
    model = network("LSTM")
    result = to_psb(model, PsbOptions(p_bits=16, x_bits=16))
    x = weights(7, 3, INPUTS)
    native = open_session(result.model, threads=1, library=True).run({"x": x})[0]
    assert close(run(model, x)[0], native, 0.02) and close(native, run(result.model, x)[0], 1e-4)


def test_the_file_is_smaller_and_the_report_says_what_was_done() -> None:
    model = network("LSTM")
    result = to_psb(model)
    [stored] = result.done.decoded
    count = 4 * UNITS * (INPUTS + UNITS)
    assert (stored.node, stored.op, stored.weights) == ("cell", "LSTM", count)
    assert stored.stored_bytes == 9 * count // 8 + 2 * 4 * UNITS
    [left] = result.refused
    assert left.reason == "its weights are stored as PSB, and decoded for products of floats"
    names = {tensor.name for tensor in result.model._proto.graph.initializer}
    assert not {"W", "R"} & names and "B" in names
    again = load(result.model.serialize())  # which checks it
    x = weights(7, 3, INPUTS)
    runner: Any = ReferenceEvaluator(again._proto)
    reference = runner.run(None, {"x": x})[0]
    assert close(run(result.model, x)[0], reference, 1e-4)
    kept = to_psb(model, PsbOptions(exclude=("cell",)))
    assert kept.done.decoded == () and kept.refused[0].reason == "it is excluded"


REASONS: dict[str, dict[str, Any]] = {
    "hold NaN or infinite": {"W": np.full((1, 96, INPUTS), np.nan, np.float32)},
}


@pytest.mark.parametrize("reason", REASONS)
def test_weights_that_stay_tell_why(reason: str) -> None:
    result = to_psb(network("LSTM", **REASONS[reason]))
    assert reason in result.refused[0].reason and result.done.decoded == ()


def test_computed_and_narrow_weights_stay() -> None:
    computed = network("LSTM")
    twice = N("Add", ["W", "x0"], ["W2"])
    proto = computed._proto
    proto.graph.node.insert(0, twice)
    proto.graph.node.insert(0, N("ReduceSum", ["x"], ["x0"], keepdims=0))
    proto.graph.node[2].input[1] = "W2"
    result = to_psb(load(proto))
    assert [each.reason for each in result.refused] == ["weights 'W2' are computed"]
    half = build(
        [
            N("RNN", ["x", "W", "R"], ["", "h"], name="cell", hidden_size=4),
            N("MatMul", ["h", "v"], ["y"], name="dense"),
        ],
        {"W": weights(1, 4, 3), "R": weights(1, 4, 4), "v": weights(4, 2)},
        (5, 2, 3),
        dtype=np.float16,
    )
    assert "weights 'W' are float16 [1, 4, 3]; float32" in to_psb(half).refused[0].reason
