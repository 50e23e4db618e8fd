"""A network as C by `reluflow edge`, as a program for boards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from boards.board import Code
from numpy.typing import NDArray

import reluflow
from reluflow.edge import EdgeOptions, EdgeProject
from reluflow.edge.run import input_bytes, run

SAMPLES = (1, 2, 4, 8, 16, 32, 64, 0)
"""Numbers of samples that are measured; 0: the nearest weights."""
_HEADER = """#include "net.h"
static net_memory memory;
#define NETWORK_INPUT net_input(&memory)
#define NETWORK_IN NET_INPUT_BYTES
#define NETWORK_OUTPUT net_output(&memory)
#define NETWORK_OUT (4 * NET_OUTPUT_COUNT)
static void network_run(uint32_t samples, uint32_t seed) {
  net_run(&memory, samples, (int64_t)seed);
}
"""


def make_project(
    model: Any, folder: Path, calibration: Any, *, strict: bool, core: str
) -> EdgeProject:
    """Write a network as C.

    Args:
        model: float, or with chains of bytes.
        folder: to make.
        calibration: inputs.
        strict: whether no kernel multiplies.
        core: that its code is measured for.
    """
    options = EdgeOptions(name="net", target=core, strict=strict)
    return reluflow.edge_project(model, folder, calibration=calibration, options=options)


def code_of(project: EdgeProject) -> Code:
    """Return a project as a program for boards.

    Args:
        project: with one input and one output of numbers.
    """
    source = project.folder / "src"
    kernels = sorted((source / "reluflow_edge").glob("*.c"))
    name = "strict" if project.strict else "products"
    (output,) = project.program.outputs
    outputs = project.program.tensors[output].count
    return Code(name, (source / "net.c", *kernels), source, _HEADER, "u1", "<i4", outputs)


def bytes_of(project: EdgeProject, inputs: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return inputs as the bytes that the C takes, channels last.

    Args:
        project: with one input.
        inputs: float32 `(n, ...)`.
    """
    (given,) = project.program.inputs
    rows = [input_bytes(project.program, {given.name: each[None]})[given.name] for each in inputs]
    return np.concatenate([row.reshape(1, -1) for row in rows])


def interpreted(
    project: EdgeProject,
    inputs: NDArray[np.float32],
    samples: Sequence[int],
    seeds: Sequence[int],
) -> NDArray[np.int64]:
    """Return what numpy's interpreter gives, one run for each input, `(runs, outputs)`.

    Args:
        project: with one input and one output.
        inputs: float32 `(n, ...)`.
        samples: of each run.
        seeds: of each run.
    """
    (given,), (output,) = project.program.inputs, project.program.outputs
    rows = []
    for each, n, seed in zip(inputs, samples, seeds, strict=True):
        feeds = input_bytes(project.program, {given.name: each[None]})
        rows.append(run(project.program, feeds, n, seed)[output].reshape(-1))
    return np.array(rows)
