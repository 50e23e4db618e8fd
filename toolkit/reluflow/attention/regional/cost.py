"""Shift-adds of a pass over regions, node by node."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.result import NodeShare
from reluflow.graph import Model, PsbNode, Reads, SpatialGraph, find_psb
from reluflow.psb import MAX_SAMPLES

Mask = NDArray[np.bool_]


def dense_adds(node: PsbNode, graph: SpatialGraph, samples: int) -> int | None:
    """Return an operator's shift-adds for one input; None where shapes do not tell.

    Args:
        node: of `find_psb`.
        graph: tells its pixels where the file does not.
        samples: n of the run.
    """
    if node.output not in graph.sizes:
        return node.shift_adds(samples)
    pixels = math.prod(graph.sizes[node.output])
    return (node.samples(samples) or MAX_SAMPLES) * (node.weights - node.zeros) * pixels


def pass_adds(model: Model, graph: SpatialGraph, samples: int) -> int | None:
    """Return the shift-adds of a whole pass for one input; None where shapes do not tell.

    Args:
        model: a converted model.
        graph: of `read_spatial` of it.
        samples: n of the run.
    """
    found = [dense_adds(node, graph, samples) for node in find_psb(model)]
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def node_shares(
    model: Model,
    graph: SpatialGraph,
    samples: int,
    masks: Mapping[str, Mask],
    refined: NDArray[np.bool_],
    reasons: Mapping[str, str],
) -> tuple[NodeShare, ...]:
    """Return what pass 2 computed of every node.

    Args:
        model: of pass 2.
        graph: of `read_spatial` of it.
        samples: of pass 2.
        masks: tensor -> `(n, pixels...)`.
        refined: `(n,)` the inputs with a region.
        reasons: tensor -> why it is computed everywhere.
    """
    psb = {node.output: node for node in find_psb(model)}
    makers = {
        target: (step.node, step.op)
        for step in graph.steps
        for target in ((step.target,) if isinstance(step, Reads) else step.targets)
    }
    some = float(refined.mean())
    found = []
    for tensor, (name, op) in makers.items():
        if tensor not in graph.sizes:
            continue
        node = psb.pop(tensor, None)
        dense = None if node is None else dense_adds(node, graph, samples)
        whole = 1.0 if some else 0.0
        share = whole if tensor in reasons else float(masks[tensor].mean())
        found.append(NodeShare(name, op, tensor, share, dense, reasons.get(tensor, "")))
    for tensor, node in psb.items():
        dense = dense_adds(node, graph, samples)
        found.append(NodeShare(node.name, node.op, tensor, some, dense, "it has no pixels"))
    return tuple(found)
