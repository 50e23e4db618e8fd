"""An emulated Cortex-M3 and code for a Cortex-M0: the same numbers, and what is in the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_c.compiled import LONG, Run, has
from edge_c.cortex import (
    TOOLS,
    compile_cortex,
    instructions,
    objects,
    run_cortex,
    stack_of,
    wanted_symbols,
)
from edge_c.graphs import random_graph

import reluflow
from reluflow.edge import EdgeOptions, EdgeProject, lower, run, write_project
from reluflow.edge.cost import STACK_BYTES

IMAGES = np.load(Path(__file__).parents[2] / "models" / "fashion_mnist_test_2000.npz")["image"]
MODELS = Path(__file__).parents[2] / "models"
TARGETS = ("cortex-m0", "cortex-m3")
SAMPLES = (0, 1, 2, 4, 8, 16, 32, 64)
PRODUCTS = ("mul", "mla", "mls", "div")
pytestmark = pytest.mark.skipif(
    not has(*TOOLS), reason="gcc-arm-none-eabi or qemu-system-arm is not installed"
)


@pytest.fixture(scope="module", params=[(t, s) for t in TARGETS for s in (False, True)],
                ids=lambda p: f"{p[0]}{'-strict' if p[1] else ''}")  # fmt: skip
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EdgeProject:
    target, strict = request.param
    return reluflow.edge_project(
        MODELS / "fashion_dsconv.onnx",
        tmp_path_factory.mktemp("cortex") / "net",
        calibration=IMAGES[:64],
        # With so little memory some layers run a few rows at a time.
        options=EdgeOptions(
            name="net", target=target, strict=strict, ram=16_384 if strict else None
        ),
    )


def test_the_board_gives_the_numbers_of_the_interpreter(project: EdgeProject) -> None:
    runs: list[Run] = [({"image": IMAGES[k : k + 1]}, SAMPLES[k], k - 3) for k in range(8)]
    binary = compile_cortex(project.folder, "net", project.target)
    found = run_cortex(binary, project.program, runs)
    for one, values in zip(runs, found, strict=True):
        assert (values["logits"] == run(project.program, *one)["logits"]).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_board_classifies_many_images(project: EdgeProject) -> None:
    if project.strict:
        pytest.skip("as many images take long without products; eight of them are compared")
    n = 500 if LONG else 40
    runs: list[Run] = [({"image": IMAGES[k : k + 1]}, SAMPLES[k % 8], k) for k in range(n)]
    binary = compile_cortex(project.folder, "net", project.target)
    found = run_cortex(binary, project.program, runs, seconds=1500)
    wanted = [run(project.program, *one)["logits"] for one in runs]
    assert sum((f["logits"] != w).any() for f, w in zip(found, wanted, strict=True)) == 0


def test_no_routine_of_a_library_is_called(project: EdgeProject) -> None:
    files = objects(project.folder, "net", project.target)
    assert wanted_symbols(files) == set()  # no soft-float, no division, no malloc, no memset


def test_no_instruction_divides_and_strict_ones_do_not_multiply(project: EdgeProject) -> None:
    used = instructions(objects(project.folder, "net", project.target))
    assert len(used) > 20
    products = {each for each in used if any(part in each for part in PRODUCTS)}
    assert not {each for each in used if each.startswith(("v", "sdiv", "udiv"))}
    assert not products if project.strict else products


def test_the_stack_is_as_small_as_is_told(project: EdgeProject) -> None:
    found = stack_of(objects(project.folder, "net", project.target, "-fstack-usage"))
    assert 100 < found <= STACK_BYTES - 128  # an interrupt and the caller have room
    most = stack_of(objects(project.folder, "net", project.target, "-O3", "-fstack-usage"))
    assert found <= most <= STACK_BYTES - 64  # Arduino and CMake choose other flags


def test_the_code_is_measured_with_what_it_needs(project: EdgeProject) -> None:
    assert project.cost.code_bytes is not None and 2000 < project.cost.code_bytes < 8000
    assert project.cost.flash_bytes == project.cost.constants_bytes + project.cost.code_bytes


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", [3, 5, 11])
def test_random_graphs_run_on_the_board(target: str, seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed, 8)
    program = lower(graph.build())
    x = np.random.default_rng(seed).normal(size=(1, *graph.input_shape)).astype(np.float32) * 4
    options = EdgeOptions(name="net", target=target, strict=seed == 5)
    made = write_project(program, tmp_path / "net", options, [{"x": x}])
    runs: list[Run] = [({"x": x}, samples, seed) for samples in SAMPLES]
    binary = compile_cortex(made.folder, "net", target)
    for one, values in zip(runs, run_cortex(binary, program, runs), strict=True):
        for name, wanted in run(program, *one).items():
            assert (values[name] == wanted).all(), name
