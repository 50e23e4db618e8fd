"""Which nodes of converted networks are slower than the float model's for the same work.

Each network passes integers between its operators, once bytes and once int16 of 12 bits, and runs
in turn with the float model under ONNX Runtime's profiler (`reluflow psb inspect --profile`). A
node counts with all that it took over, the float model's with all that ONNX Runtime fused: what
stands in one row does the same work. The fastest of the runs counts, in nearest mode, which draws
nothing. MobileNetV2 and ResNet-18 have random weights; the others are left out where
`python benchmarks/networks/real.py` has not fetched them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from networks.random_weights import images, network
from networks.real import real_networks
from real.tasks import TASKS

from reluflow.data import DataSource, open_data
from reluflow.evaluation import ProfileOptions, calibrate, find_formats, profile
from reluflow.evaluation.calibrate import exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.graph import (
    Model,
    PsbNode,
    PsbOptions,
    chain_psb,
    chain_psb16,
    find_psb,
    fold_batchnorm,
    load,
    to_psb,
)

NAMES = ("resnet18", "mobilenet_v2", "efficientnet_lite0", "mlsd_tiny", "blazeface", "opennsfw")
RANDOM = NAMES[:2]
X_BITS = 12
CALIBRATION = 4
FASTER = 0.97
"""A ratio from here on counts as equal: the profiler rounds to microseconds."""
LEAST_US = 5.0
"""Nodes that take less are not told apart from the profiler's own time."""


def given(wanted: Sequence[str]) -> dict[str, tuple[Model, DataSource]]:
    """Return networks with calibration inputs."""
    found = {}
    paths = real_networks() if set(wanted) - set(RANDOM) else {}
    for name in wanted:
        if name in RANDOM:
            proto = network(name)
            assert proto is not None
            model = load(proto)
            data = np.concatenate(
                [next(iter(images(proto, i).values())) for i in range(CALIBRATION)]
            )
        elif name in paths:
            model, data = load(paths[name]), TASKS[name].inputs(True, CALIBRATION)
        else:
            continue
        found[name] = model, open_data({model.inputs[0].name: data}, model.inputs)
    return found


def chained(model: Model, source: DataSource) -> dict[str, Model]:
    """Return a conversion whose operators pass bytes, and one that passes int16."""
    psb = to_psb(model, PsbOptions(x_exponents=calibrate(model, source, size=1))).model
    largest = largest_activations(psb, source, size=1)
    return {
        "bytes": chain_psb(psb, find_formats(psb, source, size=1)).model,
        "int16": chain_psb16(psb, exponents(largest, X_BITS)).model,
    }


def kind(node: PsbNode) -> str:
    """Return what sort of product an operator is, in words."""
    _, inputs, *window = (*node.weight_shape, 1)
    if len(node.weight_shape) == 2:
        return "product of matrices"
    size = " x ".join(map(str, window[:-1]))
    return f"depthwise {size}" if inputs == 1 else f"convolution {size}"


def measure(
    model: Model, psb: Model, source: DataSource, threads: int, runs: int
) -> dict[str, Any]:
    """Return the nodes that are slower than float, and how many are compared."""
    options = ProfileOptions(runs=runs, threads=threads, fastest=True)
    found = profile(psb, source, float_model=model, options=options)
    both = [row for row in found.nodes if row.ratio is not None and row.ms is not None]
    kinds = {node.name: kind(node) for node in find_psb(psb)}
    slow = [
        {
            "node": row.name,
            "op": row.op,
            "kind": kinds.get(row.name, row.op),
            "ms": row.ms,
            "ratio": row.ratio,
        }
        for row in both
        if row.psb and 1e3 * (row.ms or 0) >= LEAST_US and (row.ratio or 0) < FASTER
    ]
    alone = [
        {"node": row.name, "op": row.op, "ms": row.ms}
        for row in found.nodes
        if row.ratio is None and row.ms is not None and 1e3 * row.ms >= LEAST_US
    ]
    return {
        "compared": len(both),
        "ms": found.ms,
        "float_ms": found.float_ms,
        "slow": sorted(slow, key=lambda row: float(str(row["ratio"]))),
        "alone": alone,
    }


def results(names: Sequence[str], threads: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """Print and return the slow nodes of each network, form and number of threads."""
    kept = []
    for name, (model, source) in given(names).items():
        floats = fold_batchnorm(model).model
        for form, psb in chained(model, source).items():
            for n in threads:
                found = measure(floats, psb, source, n, runs)
                kept.append({"network": name, "form": form, "threads": n} | found)
                print(
                    f"{name}, {form}, {n} threads: {len(found['slow'])} of {found['compared']} "
                    f"nodes slower; float / this of all {found['float_ms'] / found['ms']:.2f}",
                    flush=True,
                )
                for row in found["slow"]:
                    print(f"  {row['ratio']:5.2f}  {row['ms']:8.3f} ms  {row['op']} {row['node']}")
                for row in found["alone"]:
                    print(f"   only here  {row['ms']:8.3f} ms  {row['op']} {row['node']}")
    return kept
