"""What a program takes on a board is counted exactly, and docs/edge.md holds the kept record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from boards import table
from boards.board import (
    CORES,
    EMPTY,
    MICROBIT,
    Code,
    emulate,
    link,
    missing_tools,
    run_here,
    size_of,
)
from boards.compare import NETS, keep_with_others
from boards.ours import bytes_of, code_of, interpreted, make_project

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "edge.md"
KEPT = json.loads((ROOT / "benchmarks" / "records" / "edge.json").read_text("utf-8"))
NETWORK = ROOT / "models" / "fashion_micro.onnx"
IMAGES = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"]
needs_tools = pytest.mark.skipif(bool(missing_tools()), reason="tools for boards are not installed")


def with_body(name: str, body: str, above: str = "") -> Code:
    header = EMPTY.header.replace("nothing += samples + seed;", body)
    return replace(
        EMPTY,
        name=name,
        header=header.replace("static void network", f"{above}static void network"),
    )


def run(code: Code, folder: Path, core: str) -> tuple[Any, tuple[int, int]]:
    program = link(code, folder / f"{code.name}{core}", core, "-Os")
    given = np.zeros((2, 1), np.uint32)
    found = emulate(code, program, given, [1, 1], [0, 1], count=True)
    return found, size_of(program, core, "-Os")


@needs_tools
@pytest.mark.parametrize("core", CORES)
def test_instructions_stack_and_bytes_are_counted(core: str, tmp_path: Path) -> None:
    lines = {n: "nop; " * n for n in (50, 150)}
    nops = {n: with_body(f"nops{n}", f'__asm__ volatile("{lines[n]}");') for n in lines}
    few, (few_flash, _) = run(nops[50], tmp_path, core)
    many, (many_flash, _) = run(nops[150], tmp_path, core)
    assert (many.instructions - few.instructions == 100).all()
    assert 200 <= many_flash - few_flash <= 204
    frame = "volatile uint32_t held[64]; held[0] = samples; held[63] = held[0] + seed;"
    deep, (_, ram) = run(with_body("deep", frame), tmp_path, core)
    assert few.stack_bytes == 64 and 256 <= deep.stack_bytes <= 288  # 64 at least
    still, (_, more) = run(
        with_body("still", "kept[samples] = seed;", "static volatile uint8_t kept[1000];\n"),
        tmp_path,
        core,
    )
    assert 992 <= more - ram <= 1008
    assert still.stack_bytes < deep.stack_bytes


@needs_tools
def test_a_program_that_stops_is_said(tmp_path: Path) -> None:
    code = with_body("stops", "*(volatile uint32_t *)0xF0000000U = samples + seed;")
    program = link(code, tmp_path / "stops", "cortex-m3", "-Os")
    with pytest.raises(SystemExit, match="stopped in QEMU"):
        emulate(code, program, np.zeros((1, 1), np.uint32), [1], [0], count=False)


@needs_tools
def test_the_network_runs_in_the_memory_of_a_microbit(tmp_path: Path) -> None:
    project = make_project(NETWORK, tmp_path / "net", IMAGES[-32:], strict=False, core="cortex-m0")
    code, given = code_of(project), bytes_of(project, IMAGES[:3])
    samples, seeds = [1, 16, 0], [5, 6, 7]
    program = link(code, tmp_path / "microbit", "cortex-m0", "-Os", MICROBIT)
    found = emulate(code, program, given, samples, seeds, count=False, machine="microbit")
    here = run_here(code, tmp_path / "here", given, samples, seeds)
    assert np.array_equal(found.outputs, here)
    assert np.array_equal(here, interpreted(project, IMAGES[:3], samples, seeds))
    flash, ram = size_of(program, "cortex-m0", "-Os")
    assert 0 <= project.cost.ram_bytes - ram <= 16  # but for the little that the harness is without
    assert abs((project.cost.flash_bytes or 0) - flash) < 2000
    assert found.stack_bytes <= project.cost.stack_bytes


@pytest.mark.timeout(600)
def test_other_tools_compute_the_network(tmp_path: Path) -> None:
    pytest.importorskip("emx_onnx_cgen")
    from boards.peers import make_all, to_input

    session = onnxruntime.InferenceSession(NETWORK, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"image": IMAGES[:20]})[0]
    names = set()
    for code, facts in make_all(NETWORK, IMAGES[-32:], tmp_path, None):
        found = run_here(
            code, tmp_path / code.name, to_input(IMAGES[:20], facts), [0] * 20, [0] * 20
        )
        names.add(facts["numbers"])
        assert (found.argmax(1) == wanted.argmax(1)).mean() >= 0.9
        if facts["numbers"] == "float":
            assert np.allclose(found, wanted, atol=1e-4)
    assert names == {"float", "int8"}


def test_the_page_is_what_the_record_gives() -> None:
    text = PAGE.read_text("utf-8")
    filled = table.fill_page(text, KEPT)
    assert filled == text, (
        "run PYTHONPATH=benchmarks python benchmarks/boards/compare.py --only-page"
    )
    assert KEPT["command"] in text and table.beside(KEPT["results"]) in text


def test_the_record_has_what_was_promised() -> None:
    assert [net["network"] for net in KEPT["results"]] == list(NETS)
    fashion = KEPT["results"][0]
    assert fashion["inputs"] == 10_000 and fashion["interpreter_runs"] >= 2000
    best = {each["n"]: each["accuracy"] for each in fashion["samples"]}
    assert best[16] >= 0.88
    for form in fashion["told"].values():
        assert form["ram"] + form["stack"] <= 16 << 10
        assert form["flash"] <= 64 << 10
    for net in KEPT["results"]:
        runs = {(board["core"], board["code"]): board["runs"] for board in net["boards"]}
        assert runs == {(core, "products"): 500 for core in CORES} | {("cortex-m0", "strict"): 50}
        for form in net["forms"][:2]:
            assert all(
                build["ram"] <= net["told"][form["numbers"]]["ram"] + 512
                for build in form["builds"]
            )


def test_what_is_not_measured_again_stays(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    form = {"tool": "onnx2c", "numbers": "float"}
    keep_with_others(path, [{"network": NETS[1], "forms": [{**form, "accuracy": 0.5}]}])
    keep_with_others(path, [{"network": NETS[0], "inputs": 3, "forms": []}])
    ours = {"tool": "reluflow edge", "numbers": "strict", "builds": [2]}
    keep_with_others(path, [{"network": NETS[1], "forms": [{**form, "builds": [1]}, ours]}])
    first, second = json.loads(path.read_text())["results"]
    assert first == {"network": NETS[0], "inputs": 3, "forms": []}
    assert second["forms"] == [ours, {**form, "accuracy": 0.5, "builds": [1]}]
