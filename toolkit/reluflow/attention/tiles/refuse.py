"""Why a model cannot run tile by tile: what reads all pixels, or knows where a pixel lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from reluflow.errors import ModelError
from reluflow.graph import Model, Reads, SpatialEnd, SpatialGraph, find_psb


def needed(graph: SpatialGraph, outputs: Sequence[str]) -> SpatialGraph:
    """Return a graph with the steps alone on which some outputs depend.

    Args:
        graph: of a whole model.
        outputs: names of its outputs.
    """
    wanted = set(outputs)
    kept: list[Reads | SpatialEnd] = []
    for step in reversed(graph.steps):
        if isinstance(step, Reads):
            if step.target in wanted:
                wanted.add(step.source)
                kept.append(step)
        elif wanted.intersection(step.targets):
            wanted.update(step.sources)
            kept.append(step)
    return replace(
        graph,
        sizes={name: size for name, size in graph.sizes.items() if name in wanted},
        steps=tuple(reversed(kept)),
        beside=tuple(each for each in graph.beside if each.target in wanted),
    )


def refuse_dependent(model: Model, graph: SpatialGraph, outputs: Sequence[str]) -> None:
    """Refuse a model whose outputs depend on all pixels, or on where a pixel lies.

    Args:
        model: the model.
        graph: what its outputs depend on.
        outputs: their names.

    Raises:
        ModelError: they do; it names the node.
    """
    for step in graph.steps:
        if isinstance(step, SpatialEnd):
            if step.reason:
                raise _refused(step.op, step.node, f"does not keep pixels apart ({step.reason})")
        elif _reads_all(step):
            raise _refused(step.op, step.node, f"reads all pixels of {step.source!r}")
        elif _may_round_otherwise(step):
            what = (
                f"takes nearest pixels at {step.rule[0].split()[-1]} of the size, where ties occur"
            )
            raise _refused(step.op, step.node, what)
    for each in graph.beside:
        if any(size > 1 for size in each.extent):
            raise _refused(each.op, each.node, f"has a value for each pixel in {each.tensor!r}")
    for name in outputs:
        if name not in graph.sizes:
            raise ModelError(
                f"output {name!r} does not depend on any pixel; choose outputs that do."
            )
    for node in find_psb(model):
        if node.x_exponent is None:
            what = f"takes the exponent of {node.x!r} from all pixels of the run"
            raise _refused(node.op, node.name, what, "convert the model with data")
        if node.draws == "product" and node.sampler != "nearest":
            what = "draws anew for each pixel, by its number in the picture"
            raise _refused(node.op, node.name, what, "convert the model with draws for each run")


def _reads_all(step: Reads) -> bool:
    """Tell whether every pixel along some axis reads all there are."""
    return any(
        matrix.shape[1] > 1 and matrix.nnz == matrix.shape[0] * matrix.shape[1]
        for matrix in step.maps
    )


def _may_round_otherwise(step: Reads) -> bool:
    """Tell whether which pixel is nearest can depend on rounding, and so on where a part begins.

    Runtimes compute positions in float32, exactly where the scale is a power of two over a whole
    number.
    """
    for matrix, rule in zip(step.maps, step.rule, strict=bool(step.rule)):
        mode, _, scale, *_ = rule.split()
        over = Fraction(scale).numerator
        if mode == "nearest" and over & (over - 1) and (np.diff(matrix.indptr) > 1).any():
            return True
    return False


def _refused(
    op: str, node: str, what: str, instead: str = "cut the model in front of it"
) -> ModelError:
    return ModelError(
        f"the model cannot run in tiles, since {op} {node!r} {what}; {instead}, or run it on the "
        "whole picture."
    )


def difference(whole: SpatialGraph, part: SpatialGraph) -> str:
    """Return what a part of a picture changes beside the relations of pixels; "" if nothing.

    Args:
        whole: the graph for the whole picture.
        part: that for a part of it, with the same steps.
    """
    for one, other in zip(whole.steps, part.steps, strict=True):
        if isinstance(one, Reads) and isinstance(other, Reads) and one.rule != other.rule:
            return (
                f"{one.op} {one.node!r} scales by {' and '.join(one.rule)} in the whole picture "
                f"and by {' and '.join(other.rule)} in a part of it"
            )
    for a, b in zip(whole.beside, part.beside, strict=True):
        if a.value != b.value or a.value.startswith("unknown"):
            return f"{a.op} {a.node!r} reads {a.tensor!r}, which depends on the picture's size"
    return ""


def same_reads(whole: Reads, part: Reads, axis: int, target: int, source: int) -> bool:
    """Tell whether pixels of a part of a picture read what they read in the whole one.

    Only those count that read nothing outside the part in the whole picture.

    Args:
        whole: the relation in the whole picture.
        part: the same relation in a part of it.
        axis: number of the axis of pixels.
        target: where the part of the target begins.
        source: where the part of the source begins.
    """
    small, large = part.maps[axis], whole.maps[axis]
    n_out, n_in = small.shape
    if target + n_out > large.shape[0] or source + n_in > large.shape[1]:
        return False
    rows = large[target : target + n_out]
    inside = rows[:, source : source + n_in]
    complete = np.diff(rows.indptr) == np.diff(inside.indptr)
    changed = np.diff((inside != small).tocsr().indptr) > 0
    return not bool((changed & complete).any())
