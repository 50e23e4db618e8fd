"""Projects of C, compiled and run: on this machine, or on an emulated microcontroller."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.edge import EdgeProgram
from reluflow.edge.run import input_bytes

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITISERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
"""Of any compiler, also where its libraries of sanitisers are not installed."""
LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
"""Whether as many runs are compared as docs/edge.md states: minutes for each network."""
Run = tuple[Mapping[str, np.ndarray], int, int]
"""Inputs, samples, seed."""


def has(*tools: str) -> bool:
    return all(shutil.which(tool) for tool in tools)


def compile_host(
    project: Path, name: str, *flags: str, compiler: str = "gcc", main: str = "host/stream.c"
) -> Path:
    """Compile a project with a main; warnings are errors."""
    out = project / "build" / f"{compiler}_{abs(hash((flags, main))) % 10**6}"
    out.parent.mkdir(exist_ok=True)
    kernels = sorted((project / "src" / "reluflow_edge").glob("*.c"))
    sources = [project / main, project / "src" / f"{name}.c", *kernels]
    line = [compiler, *WARNINGS, *flags, f"-I{project / 'src'}", f"-I{project / 'selftest'}"]
    done = subprocess.run(
        [*line, *map(str, sources), "-o", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


def records(program: EdgeProgram, runs: Sequence[Run]) -> bytes:
    """Return what the stream program reads."""
    found = []
    for feeds, samples, seed in runs:
        given = input_bytes(program, feeds)
        found.append(struct.pack("<Bq", samples, seed))
        found += [given[each.name].tobytes() for each in program.inputs]
    return b"".join(found)


def outputs(program: EdgeProgram, data: bytes, runs: int) -> list[dict[str, np.ndarray]]:
    """Return what the stream program wrote, run by run."""
    found, at = [], 0
    for _ in range(runs):
        values = {}
        for name in program.outputs:
            tensor = program.tensors[name]
            kind: Any = np.dtype(np.uint8) if tensor.is_bytes else np.dtype("<i4")
            values[name] = np.frombuffer(data, kind, tensor.count, at).reshape(tensor.shape)
            at += tensor.count * kind.itemsize
        found.append(values)
    assert at == len(data)
    return found


def run_host(
    binary: Path, program: EdgeProgram, runs: Sequence[Run]
) -> list[dict[str, np.ndarray]]:
    """Run records through a compiled project."""
    given, made = binary.with_suffix(".in"), binary.with_suffix(".out")
    given.write_bytes(records(program, runs))
    done = subprocess.run([str(binary), str(given), str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return outputs(program, made.read_bytes(), len(runs))
