"""Random chains: C equals the interpreter in numpy, and that equals ONNX Runtime's run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_c.compiled import LONG, SANITISERS, Run, compile_host, has, run_host
from edge_c.graphs import Graph, random_graph
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reluflow.edge import EdgeOptions, EdgeProgram, lower, run, write_project
from reluflow.graph import Model
from reluflow.sessions import open_session

RUNS = ((0, 0), (1, 5), (8, -3), (64, 1 << 40))
MOST_SOFTMAX_ERROR = 0.01
GRAPHS = 50 if LONG else 20
needs_gcc = pytest.mark.skipif(not has("gcc"), reason="gcc is not installed")


def runs_of(graph: Graph, seed: int) -> list[Run]:
    rng = np.random.default_rng(seed)
    shape = (1, *graph.input_shape)
    return [
        ({"x": rng.normal(size=shape).astype(np.float32) * 4}, samples, number)
        for samples, number in RUNS
    ]


def check_against_onnx(model: Model, program: EdgeProgram, runs: list[Run]) -> None:
    session = open_session(model, threads=1)
    for feeds, samples, seed in runs:
        given = {"x": feeds["x"], "samples": np.array(samples), "seed": np.array(seed)}
        wanted = dict(zip(session.outputs, session.run(given), strict=True))
        for name, found in run(program, feeds, samples, seed).items():
            tensor = program.tensors[name]
            value = (found.astype(np.float64) - tensor.zero) * 2.0**-tensor.exponent
            float_value = np.asarray(wanted[name], np.float64)
            assert found.shape == float_value.shape
            off = np.abs(value / tensor.divisor - float_value).max()
            most = 2.0**-tensor.exponent + float(np.abs(float_value).max()) * 2e-7
            if tensor.is_bytes or name.startswith("best"):
                most = 0.0
            elif name.startswith("soft"):
                most = MOST_SOFTMAX_ERROR
            assert off <= most, (name, off, most)


@needs_gcc
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(4))
def test_random_graphs_are_equal(part: int, tmp_path: Path) -> None:
    seen: set[str] = set()
    tried: list[int] = []

    @settings(
        max_examples=GRAPHS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**31 - 1), st.integers(0, 9), st.booleans())
    def check(seed: int, steps: int, strict: bool) -> None:
        graph = random_graph(seed + part, steps)
        seen.update(graph.ops)
        model = graph.build()
        program = lower(model)
        runs = runs_of(graph, seed)
        check_against_onnx(model, program, runs)
        options = EdgeOptions(name="net", strict=strict)
        folder = tmp_path / f"graph{len(tried)}"
        tried.append(seed)
        made = write_project(program, folder, options, [runs[0][0]])
        binary = compile_host(made.folder, "net", "-O0", *SANITISERS)
        for one, found in zip(runs, run_host(binary, program, runs), strict=True):
            for name, wanted in run(program, *one).items():
                assert (found[name] == wanted).all(), (name, one[1:])

    check()
    assert len(tried) >= GRAPHS
    assert len(seen) > 12


@needs_gcc
@pytest.mark.parametrize("seed", range(6))
def test_a_few_random_graphs(seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed + 1000, 3 + seed)
    program = lower(graph.build())
    runs = runs_of(graph, seed)
    made = write_project(program, tmp_path / "net", EdgeOptions(name="net"), [runs[0][0]])
    binary = compile_host(made.folder, "net", "-O1", *SANITISERS)
    for one, found in zip(runs, run_host(binary, program, runs), strict=True):
        for name, wanted in run(program, *one).items():
            assert (found[name] == wanted).all(), (name, one[1:])
