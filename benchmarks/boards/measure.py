"""All figures of a network: accuracy on this machine, bytes and instructions on the boards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from boards.board import (
    CORES,
    LEVELS,
    MICROBIT,
    WORKERS,
    Code,
    emulate,
    link,
    make_plugin,
    run_here,
    size_of,
)
from boards.ours import SAMPLES, bytes_of, code_of, interpreted, make_project
from boards.peers import make_all, to_input
from numpy.typing import NDArray

from reluflow.edge import EdgeProject

COUNTED = 1
"""Inputs whose instructions are counted; the mean is told. Others differ by less than 0.1 %."""


@dataclass(frozen=True)
class Net:
    """A network and its data.

    Attributes:
        name: of the file.
        model: the file.
        inputs: float32 `(n, ...)`, of the test.
        labels: `(n,)`.
        calibration: float32 `(m, ...)`, other inputs.
    """

    name: str
    model: Path
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: NDArray[np.float32]


def measure_accuracy(net: Net, folder: Path, onnx2c: str | None, interpret: int) -> dict[str, Any]:
    """Run the C of all tools here, over all inputs.

    Args:
        net: the network.
        folder: for what is made.
        onnx2c: the tool; None: it is left out.
        interpret: inputs that numpy's interpreter runs too.

    Raises:
        SystemExit: a run differs from the interpreter's.
    """
    project = make_project(
        net.model, folder / "accuracy", net.calibration, strict=False, core="cortex-m3"
    )
    outputs, _ = _outputs(project, net.inputs, folder)
    return {
        "network": net.name,
        "inputs": len(net.inputs),
        "samples": [
            {
                "n": n,
                "accuracy": float((outputs[n].argmax(1) == net.labels).mean()),
                "shift_adds": project.program.shift_adds(n),
            }
            for n in SAMPLES
        ],
        "interpreter_runs": _compare(project, net, outputs, interpret),
        "forms": [*_peers_right(net, folder, onnx2c)],
    }


def _peers_right(net: Net, folder: Path, onnx2c: str | None) -> Iterator[dict[str, Any]]:
    peers = folder / "accuracy_peers"
    peers.mkdir()
    for code, facts in make_all(net.model, net.calibration, peers, onnx2c):
        inputs = to_input(net.inputs, facts)
        zeros = [0] * len(inputs)
        found = run_here(code, folder / f"here_{code.name}", inputs, zeros, zeros)
        accuracy = float((found.argmax(1) == net.labels).mean())
        print(f"{net.name}, {code.name}: {accuracy:.4f} right", flush=True)
        yield {"tool": facts["tool"], "numbers": facts["numbers"], "accuracy": accuracy}


def measure_boards(net: Net, folder: Path, onnx2c: str | None, emulated: int) -> dict[str, Any]:
    """Count the bytes and instructions of the C of all tools, and compare boards with this machine.

    Args:
        net: the network.
        folder: for what is made.
        onnx2c: the tool; None: it is left out.
        emulated: inputs that are run on a board and compared; strict code: a tenth.

    Raises:
        SystemExit: a run on a board differs from one here.
    """
    made = {
        strict: make_project(
            net.model, folder / f"strict{strict}", net.calibration, strict=strict, core=core
        )
        for strict, core in ((False, "cortex-m3"), (True, "cortex-m0"))
    }
    outputs, given = _outputs(made[False], net.inputs[:emulated], folder)
    found: dict[str, Any] = {
        "network": net.name,
        "boards": _on_boards(made, given, outputs, folder, emulated),
        "told": {"strict" if s else "products": _told(p) for s, p in made.items()},
        "forms": [],
    }
    for row in _forms(made, given, net, folder, onnx2c):
        _say(net.name, row)
        found["forms"].append(row)
    return found


def _outputs(
    project: EdgeProject, inputs: NDArray[np.float32], folder: Path
) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint8]]:
    """Run the C here over all inputs at each number of samples; the seed is the input's number."""
    given, code = bytes_of(project, inputs), code_of(project)
    seeds = range(len(given))
    outputs = {n: run_here(code, folder / "ours", given, [n] * len(given), seeds) for n in SAMPLES}
    return outputs, given


def _compare(
    project: EdgeProject, net: Net, outputs: dict[int, NDArray[Any]], interpret: int
) -> int:
    """Compare the C with numpy's interpreter, each input at one number of samples."""
    count = min(interpret, len(net.inputs))
    samples = [SAMPLES[k % len(SAMPLES)] for k in range(count)]
    parts = [range(first, min(first + 50, count)) for first in range(0, count, 50)]
    with ProcessPoolExecutor(WORKERS) as pool:
        done = [
            pool.submit(
                interpreted, project, net.inputs[p.start : p.stop], samples[p.start : p.stop], p
            )
            for p in parts
        ]
        wanted = np.concatenate([each.result() for each in done])
    ours = np.array([outputs[n][k] for k, n in enumerate(samples)])
    if wrong := int((ours != wanted).any(1).sum()):
        raise SystemExit(f"{net.name}: {wrong} of {count} runs differ from the interpreter's.")
    print(f"{net.name}: {count} runs equal the interpreter's", flush=True)
    return count


def _on_boards(
    made: dict[bool, EdgeProject],
    given: NDArray[np.uint8],
    outputs: dict[int, NDArray[Any]],
    folder: Path,
    emulated: int,
) -> list[dict[str, Any]]:
    def one(strict: bool, core: str, count: int) -> dict[str, Any]:
        return _on_board(made[strict], given, outputs, folder, core, count)

    products = [(False, core, emulated) for core in reversed(CORES)]
    with ThreadPoolExecutor(WORKERS) as pool:
        done = [
            pool.submit(one, *each) for each in (*products, (True, "cortex-m0", emulated // 10))
        ]
        return [each.result() for each in done]


def _on_board(
    project: EdgeProject,
    given: NDArray[np.uint8],
    outputs: dict[int, NDArray[Any]],
    folder: Path,
    core: str,
    count: int,
) -> dict[str, Any]:
    """Compare runs on an emulated board with those here; the micro:bit where the memory fits."""
    fits = core == "cortex-m0" and project.cost.ram_bytes + project.cost.stack_bytes < MICROBIT[1]
    code, level = code_of(project), "-Os" if core == "cortex-m0" else "-O2"
    program = link(
        code, folder / f"board_{core}{project.strict}", core, level, *([MICROBIT] if fits else [])
    )
    machine = "microbit" if fits else "mps2-an385"
    count = min(count, len(given))
    samples = [SAMPLES[k % len(SAMPLES)] for k in range(count)]
    run = emulate(
        code, program, given[:count], samples, list(range(count)), count=False, machine=machine
    )
    ours = np.array([outputs[n][k] for k, n in enumerate(samples)])
    if wrong := int((run.outputs != ours).any(1).sum()):
        raise SystemExit(f"{core}: {wrong} of {count} runs on {machine} differ from those here.")
    print(f"{count} runs on {machine} ({core}, {code.name}) equal those here", flush=True)
    return {"board": machine, "core": core, "code": code.name, "runs": count}


def _told(project: EdgeProject) -> dict[str, Any]:
    cost = project.cost
    return {"ram": cost.ram_bytes, "stack": cost.stack_bytes, "flash": cost.flash_bytes}


def _forms(
    made: dict[bool, EdgeProject],
    given: NDArray[np.uint8],
    net: Net,
    folder: Path,
    onnx2c: str | None,
) -> Iterator[dict[str, Any]]:
    for project in made.values():
        facts = {"tool": "reluflow edge", "numbers": code_of(project).name}
        yield _builds(facts, code_of(project), given[:COUNTED], SAMPLES, folder)
    peers = folder / "peers"
    peers.mkdir()
    for code, facts in make_all(net.model, net.calibration, peers, onnx2c):
        inputs = to_input(net.inputs[:COUNTED], facts)
        told = {"tool": facts["tool"], "numbers": facts["numbers"]}
        yield _builds(told, code, inputs, (0,), folder)


def _builds(
    facts: dict[str, Any],
    code: Code,
    inputs: NDArray[Any],
    samples: tuple[int, ...],
    folder: Path,
) -> dict[str, Any]:
    """Link a network for each core at each level; count its bytes and instructions."""
    make_plugin(folder)

    def build(core: str, level: str) -> dict[str, Any]:
        program = link(code, folder / f"{code.name}{core}{level}", core, level)
        flash, static = size_of(program, core, level)
        seeds = range(len(inputs))
        runs = {
            n: emulate(code, program, inputs, [n] * len(inputs), seeds, count=True) for n in samples
        }
        stack = max(run.stack_bytes for run in runs.values())
        return {
            "core": core,
            "level": level,
            "flash": flash,
            "static": static,
            "stack": stack,
            "ram": static + stack,
            "instructions": {str(n): float(run.instructions.mean()) for n, run in runs.items()},
        }

    with ThreadPoolExecutor(WORKERS) as pool:
        done = [pool.submit(build, core, level) for core in CORES for level in LEVELS]
        return {**facts, "builds": [each.result() for each in done]}


def _say(name: str, row: dict[str, Any]) -> None:
    for build in row["builds"]:
        counts = build["instructions"].values()
        print(
            f"{name}, {row['tool']} ({row['numbers']}), {build['core']} {build['level']}: "
            f"{build['ram']} bytes of RAM, {build['flash']} of flash, "
            f"{min(counts) / 1e6:.1f} to {max(counts) / 1e6:.1f} million instructions",
            flush=True,
        )
