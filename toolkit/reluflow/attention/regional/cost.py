"""Shift-adds of a pass over regions, node by node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.result import NodeShare
from reluflow.graph import PsbNode, Reads, SpatialGraph
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


def pass_adds(nodes: Sequence[PsbNode], graph: SpatialGraph, samples: int) -> int | None:
    """Return the shift-adds of a whole pass for one input; None where shapes do not tell.

    Args:
        nodes: of `find_psb`.
        graph: of `read_spatial` of the model.
        samples: n of the run.
    """
    found = [dense_adds(node, graph, samples) for node in nodes]
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def node_shares(
    nodes: Sequence[PsbNode],
    graph: SpatialGraph,
    samples: int,
    masks: Mapping[str, Mask],
    refined: NDArray[np.bool_],
    reasons: Mapping[str, str],
) -> tuple[NodeShare, ...]:
    """Return what pass 2 computed of every node.

    Args:
        nodes: of `find_psb`.
        graph: of `read_spatial` of the model of pass 2.
        samples: of pass 2.
        masks: tensor -> `(n, pixels...)`.
        refined: `(n,)` the inputs with a region.
        reasons: tensor -> why it is computed everywhere.
    """
    psb = {node.output: node for node in nodes}
    makers = {
        target: (step.node, step.op)
        for step in graph.steps
        for target in ((step.target,) if isinstance(step, Reads) else step.targets)
    }
    some = float(refined.mean())
    shares: dict[int, float] = {}  # of masks, which tensors share
    found = []
    for tensor, (name, op) in makers.items():
        if tensor not in graph.sizes:
            continue
        node = psb.pop(tensor, None)
        dense = None if node is None else dense_adds(node, graph, samples)
        whole = 1.0 if some else 0.0
        share = whole if tensor in reasons else _share(masks[tensor], shares)
        found.append(NodeShare(name, op, tensor, share, dense, reasons.get(tensor, "")))
    for tensor, node in psb.items():
        dense = dense_adds(node, graph, samples)
        found.append(NodeShare(node.name, node.op, tensor, some, dense, "it has no pixels"))
    return tuple(found)


def _share(mask: Mask, known: dict[int, float]) -> float:
    if id(mask) not in known:
        known[id(mask)] = float(np.count_nonzero(mask) / max(1, mask.size))
    return known[id(mask)]
