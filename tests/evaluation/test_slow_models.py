"""The comparison of a rewritten model is given up where one run does not end in time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from reluflow.evaluation import compare_models, convert
from reluflow.evaluation.proof import equivalence
from reluflow.evaluation.proof.within import TooSlow, run_within
from reluflow.graph import Model, load
from reluflow.sessions import open_session

F = TensorProto.FLOAT
ROUNDS = "<int64 n = {1073741824}, bool yes = {1}, float[2,2] w = {1,2,3,4}>"
LOOP = (
    "Loop(n, yes, h) <body = b (int64 i, bool c, float[N,2] a) => (bool d, float[N,2] e)"
    " { d = Identity(c) e = Neg(a) }>"
)


def text(body: str) -> Model:
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    return load(
        parser.parse_model(f"{head} g (float[N,2] x) => (float[N,2] y) {ROUNDS} {{ {body} }}")
    )


def scan(length: int) -> Model:
    """A Scan over many rows that the model itself makes."""
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "r"], ["t"])],
        "body",
        [helper.make_tensor_value_info(n, F, [1]) for n in "sr"],
        [helper.make_tensor_value_info("t", F, [1])],
    )
    rows = numpy_helper.from_array(np.array([length, 1], "i8"), "rows")
    w = numpy_helper.from_array(np.ones((1, 1), "f"), "w")
    zero = numpy_helper.from_array(np.zeros(1, "f"), "zero")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Expand", ["a", "rows"], ["many"]),
        helper.make_node("Scan", ["zero", "many"], ["y"], body=body, num_scan_inputs=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", F, [1, 1])],
        [helper.make_tensor_value_info("y", F, [1])],
        [rows, w, zero],
    )
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


SLOW = {
    "a loop behind the switch": lambda: text(f"m = MatMul(x, w) h = Relu(m) y = {LOOP}"),
    "a loop inside an If": lambda: text(
        "m = MatMul(x, w) h = Relu(m) y = If(yes) <then_branch = t () => (float[N,2] z)"
        f" {{ z = {LOOP} }}, else_branch = o () => (float[N,2] q) {{ q = Neg(h) }}>"
    ),
    "a scan of many rows": lambda: scan(2**26),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_model_that_runs_for_ever_is_not_compared(name, monkeypatch) -> None:
    monkeypatch.setattr(equivalence, "_SECONDS", 0.5)
    start = time.monotonic()
    done = convert(SLOW[name]())
    assert time.monotonic() - start < 30  # detects a hang, not speed
    assert done.result.done.converted
    for found in (done.rewrites, done.operators, done.precision):
        assert str(found) == "not compared: one run takes more than 0.5 seconds"
        assert found.too_slow and found.largest is None


def test_a_new_model_that_runs_for_ever_is_not_compared(monkeypatch) -> None:
    monkeypatch.setattr(equivalence, "_SECONDS_NEW", 0.5)
    found = compare_models(text("m = MatMul(x, w) y = Relu(m)"), SLOW["a loop behind the switch"]())
    assert str(found) == "not compared: one run takes more than 0.5 seconds"


def test_a_run_in_time_gives_what_the_session_gives() -> None:
    session = open_session(text("m = MatMul(x, w) y = Relu(m)"))
    x = np.ones((1, 2), "f")
    assert np.array_equal(run_within(session, {"x": x}, 60)[0], session.run({"x": x})[0])


def test_a_run_that_was_ended_says_how_long_it_had() -> None:
    session = open_session(SLOW["a loop behind the switch"](), optimisation="none")
    with pytest.raises(TooSlow, match=r"more than 0\.3 seconds"):
        run_within(session, {"x": np.ones((1, 2), "f")}, 0.3)
    with pytest.raises(TooSlow, match=r"more than 0\.2 seconds"):  # and it can run again
        run_within(session, {"x": np.ones((1, 2), "f")}, 0.2)
