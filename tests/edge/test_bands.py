"""Steps that run a few rows at a time: what they need is there, and the numbers stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_c.compiled import LONG, SANITISERS, TRAPS, Run, compile_host, has, run_host
from edge_c.graphs import random_graph
from edge_c.rows import rows_at_random

import reluflow
from reluflow.edge import EdgeOptions, EdgeProgram, lower, project, run, write_project
from reluflow.edge.bands import RowGroup, row_reaches
from reluflow.edge.choose import plan_memory
from reluflow.edge.cost import STACK_BYTES
from reluflow.edge.plan import MemoryPlan

MODELS = Path(__file__).parents[2] / "models"
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"]
COMPILERS = [c for c in ("gcc", "clang") if has(c)]
CORTEX_RAM = 16_384


def missing(program: EdgeProgram, group: RowGroup) -> list[tuple[int, int, str]]:
    """Run the rounds of a group row by row; return rows that are read, but are not there."""
    steps = range(group.first, group.end)
    there = {program.steps[k].makes: (0, 0) for k in steps}
    found = []
    for r in range(group.rounds):
        for k in steps:
            step = program.steps[k]
            low, high = there[step.makes]
            low += int(group.dropped[k][r])
            new = range(high, high + int(group.made[k][r]))
            reaches = row_reaches(program, step)
            assert reaches is not None and low <= high
            for name, reach in zip(step.reads, reaches, strict=True):
                rows = range(program.tensors[name].shape[1])
                begins = [row * reach.stride - reach.begin for row in new]
                wanted = {row for b in begins for row in range(b, b + reach.reach) if row in rows}
                if name in there:
                    found += [(r, k, name) for row in wanted if row not in range(*there[name])]
            there[step.makes] = low, high + len(new)
            assert high + len(new) - low <= group.held.get(step.makes, 1 << 30)
    for name, (low, high) in there.items():
        whole = program.tensors[name].shape[1]
        assert high == whole or name in group.held, (name, high, whole)
        assert low == 0 or name in group.held
    return found


@pytest.mark.parametrize("seed", range(80))
def test_rows_are_there_when_they_are_read(seed: int) -> None:
    program = lower(random_graph(seed + 900, 4 + seed % 9).build())
    plan = rows_at_random(program, seed)
    assert [missing(program, group) for group in plan.groups] == [[]] * len(plan.groups)


def test_a_row_that_is_dropped_too_early_is_seen() -> None:
    program, plan = dsconv_plan()
    assert plan.ram_bytes == 15_320  # as docs/edge.md says
    (group,) = plan.groups
    late = {k: np.minimum(np.cumsum(d), 1) + d for k, d in group.dropped.items()}
    wrong = RowGroup(group.first, group.end, group.rows, group.made, late, {})
    with pytest.raises(AssertionError):
        assert missing(program, wrong) == []


@pytest.mark.skipif(not COMPILERS, reason="no C compiler is installed")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("part", range(40 if LONG else 4))
def test_random_groups_give_the_same_numbers(
    part: int, compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = part + 30
    graph = random_graph(seed, 3 + seed % 8)
    program = lower(graph.build())
    plan = rows_at_random(program, seed)
    monkeypatch.setattr(project, "plan_memory", lambda *given: plan)
    rng = np.random.default_rng(seed)
    shape = (1, *graph.input_shape)
    runs: list[Run] = [
        ({"x": rng.normal(size=shape).astype(np.float32) * 4}, n, s)
        for n, s in ((0, 0), (1, 5), (8, -3), (64, 1 << 40))
    ]
    options = EdgeOptions(name="net", strict=bool(seed % 2))
    made = write_project(program, tmp_path / "net", options, [runs[0][0]])
    flags = SANITISERS if compiler == "gcc" else TRAPS
    binary = compile_host(made.folder, "net", "-O1", *flags, compiler=compiler)
    for one, found in zip(runs, run_host(binary, program, runs), strict=True):
        for name, wanted in run(program, *one).items():
            assert (found[name] == wanted).all(), (name, one[1:])


def dsconv() -> EdgeProgram:
    source = MODELS / "fashion_dsconv.onnx"
    made = reluflow.convert(source, calibration=IMAGES[:32], x_bits=8, check=False)
    return lower(made.model)


def dsconv_plan() -> tuple[EdgeProgram, MemoryPlan]:
    program = dsconv()
    return program, plan_memory(program, 1)


def test_more_memory_means_less_to_draw_again(tmp_path: Path) -> None:
    program = dsconv()
    given = {"image": IMAGES[:1]}
    costs = [
        write_project(program, tmp_path / str(ram), EdgeOptions(ram=ram), [given]).cost
        for ram in (CORTEX_RAM, 20_480, 32_768, 65_536)
    ]
    for ram, cost in zip((CORTEX_RAM, 20_480, 32_768, 65_536), costs, strict=True):
        assert cost.ram_bytes + cost.stack_bytes <= ram
        assert cost.shift_adds == program.shift_adds(16)  # no product is computed twice
    again = [sum(group.redrawn for group in cost.groups) for cost in costs]
    assert again == sorted(again, reverse=True) and again[0] > 0
    assert not costs[-1].groups and costs[0].held_bytes > 0
    assert any(group.kept_bytes for cost in costs for group in cost.groups)


@pytest.mark.skipif("gcc" not in COMPILERS, reason="gcc is not installed")
@pytest.mark.parametrize("name", ["fashion_dsconv", "fashion_resnet8"])
def test_networks_fit_16_kilobytes_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    made = reluflow.edge_project(
        MODELS / f"{name}.onnx",
        tmp_path / "net",
        calibration=IMAGES[:32],
        options=EdgeOptions(name="net", ram=CORTEX_RAM),
    )
    assert made.cost.ram_bytes + STACK_BYTES <= CORTEX_RAM < 25_000
    runs: list[Run] = [
        ({"image": IMAGES[k : k + 1]}, n, k - 1) for k, n in enumerate((0, 1, 4, 16, 64))
    ]
    binary = compile_host(made.folder, "net", "-O1", *SANITISERS)
    for one, found in zip(runs, run_host(binary, made.program, runs), strict=True):
        assert (found["logits"] == run(made.program, *one)["logits"]).all()
