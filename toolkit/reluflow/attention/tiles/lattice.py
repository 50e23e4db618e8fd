"""By how much pictures can be moved under a graph so that every tensor moves by whole pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from reluflow.attention.tiles.refuse import difference, needed, refuse_dependent, same_reads
from reluflow.errors import DataError, ModelError
from reluflow.graph import Model, Reads, SpatialGraph, read_spatial

Shapes = Mapping[str, tuple[int, ...]]
Read = Callable[[Shapes], SpatialGraph]
"""Gives the pixels of a model for pictures of some shapes."""
Names = tuple[tuple[str, ...], tuple[str, ...]]
"""Of inputs and of outputs."""
_LESS = (1920, 960, 192, 480, 64, 128, 240, 96, 32, 48, 16, 24, 8, 12, 4, 6, 2, 3, 1)
"""Pixels by which a picture is made smaller to see what follows: multiples of usual strides."""
_MOST = Fraction(3, 4)
"""Share of a picture that is taken away at most."""


@dataclass(frozen=True)
class Lattice:
    """How the tensors of a graph move with its pictures, as returned by `find_lattice`.

    Attributes:
        graph: of the whole picture, with the steps on which the outputs depend.
        inputs: names of the pictures, the first of which gives the measure.
        outputs: names of the outputs.
        unit: pixels of the first picture along each axis: moved by a multiple of it, all tensors
            move by whole pixels.
        ratios: tensor -> its pixels for one of the first picture, along each axis.
    """

    graph: SpatialGraph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: tuple[int, ...]
    ratios: Mapping[str, tuple[Fraction, ...]]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of the first picture along each axis."""
        return self.graph.sizes[self.inputs[0]]

    def shift(self, tensor: str, axis: int, pixels: int) -> int:
        """Return by how many pixels a tensor moves with the first picture.

        Args:
            tensor: its name.
            axis: number of the axis of pixels.
            pixels: by which the first picture moves, a multiple of the unit.
        """
        moved = self.ratios[tensor][axis] * pixels
        assert moved.denominator == 1
        return int(moved)


def find_lattice(
    model: Model, given: Shapes, outputs: Sequence[str], read: Read | None = None
) -> Lattice:
    """Find out how the tensors of a model move with its pictures.

    The graph is read for the pictures as they are and for smaller ones. Where a tensor keeps
    its size it depends on the whole picture; else the difference tells how it moves.

    Args:
        model: any model.
        given: input with pixels -> shape, the batch included.
        outputs: names of outputs, all with pixels.
        read: gives its pixels, for what is more than a model; None: `read_spatial` of it.

    Raises:
        ModelError: an output depends on all pixels, or on the size of the picture.
        DataError: no input has pixels.
    """
    reads = _reading(model, read)
    whole = needed(reads(given), outputs)
    refuse_dependent(model, whole, outputs)
    inputs = tuple(name for name in given if name in whole.sizes)
    ranks = {len(whole.sizes[name]) for name in inputs}
    if len(ranks) != 1:
        raise DataError(
            f"inputs {', '.join(map(repr, inputs))} have {sorted(ranks)} axes of pixels, but tiles "
            "need the same number; give pictures of one kind."
        )
    reasons = ["the picture is too small to be cut"]
    for less in _tries(whole.sizes[inputs[0]]):
        part = _part(reads, whole, given, (inputs, tuple(outputs)), less)
        if part is None:
            continue
        found = _moves(whole, part, (inputs, tuple(outputs)), less)
        if isinstance(found, str):
            reasons.append(found)
        elif reason := check_part(found, part, less):
            reasons.append(reason)
        else:
            return found
    raise ModelError(
        f"the model cannot run in tiles, since {reasons[:2][-1]}; run it on the whole picture, or "
        "on one whose height and width are multiples of its strides."
    )


def check_part(lattice: Lattice, part: SpatialGraph, starts: Sequence[int]) -> str:
    """Return why a part of the picture computes something else than the whole; "" if nothing.

    Args:
        lattice: of the whole picture.
        part: the graph of the part, what its outputs depend on alone.
        starts: where the part begins in the first picture along each axis, multiples of the unit.
    """
    if reason := difference(lattice.graph, part):
        return reason
    for whole, small in zip(lattice.graph.steps, part.steps, strict=True):
        if not (isinstance(whole, Reads) and isinstance(small, Reads)):
            continue
        for axis, start in enumerate(starts):
            moved = [lattice.shift(name, axis, start) for name in (whole.target, whole.source)]
            if not same_reads(whole, small, axis, *moved):
                return (
                    f"the pixels of {whole.target!r} ({whole.op} {whole.node!r}) read others where "
                    "the picture has another size"
                )
    return ""


def _reading(model: Model, read: Read | None) -> Read:
    return (lambda shapes: read_spatial(model, shapes)) if read is None else read


def part_of(
    model: Model,
    lattice: Lattice,
    given: Shapes,
    sizes: Sequence[int],
    read: Read | None = None,
) -> SpatialGraph:
    """Return the graph of a part of the picture.

    Args:
        model: the model.
        lattice: of the whole picture.
        given: input with pixels -> shape of the whole.
        sizes: pixels of the part of the first picture along each axis.
        read: as for `find_lattice`.

    Raises:
        ModelError: the model makes something else of it.
    """
    less = tuple(n - size for n, size in zip(lattice.sizes, sizes, strict=True))
    names = lattice.inputs, lattice.outputs
    part = _part(_reading(model, read), lattice.graph, given, names, less)
    if part is None:
        raise ModelError(
            f"the model cannot run in tiles, since a part of {list(sizes)} pixels has other "
            "operators than the whole picture; run it on the whole picture."
        )
    return part


def _tries(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield by how many pixels a picture is made smaller; an axis of one pixel stays."""
    possible = [[by for by in _LESS if by <= _MOST * n] or [0] for n in sizes]
    for at in range(max(map(len, possible))):
        yield tuple(each[min(at, len(each) - 1)] for each in possible)


def _part(
    reads: Read, whole: SpatialGraph, given: Shapes, names: Names, less: Sequence[int]
) -> SpatialGraph | None:
    """Return the graph of a smaller picture; None where it has other steps or cannot be."""
    inputs, outputs = names
    first, shapes = whole.sizes[inputs[0]], {}
    for name in inputs:
        by = [Fraction(whole.sizes[name][i], n) * less[i] for i, n in enumerate(first)]
        if any(each.denominator > 1 for each in by):
            return None
        shapes[name] = list(given[name])
        for at, each in zip(whole.axes[name], by, strict=True):
            shapes[name][at] -= int(each)
    found = reads({name: tuple(shape) for name, shape in shapes.items()})
    part = needed(found, outputs)
    return part if _ways(part) == _ways(whole) else None


def _ways(graph: SpatialGraph) -> list[tuple[str, ...]]:
    """Return what reads what."""
    return [
        (step.source, step.target, step.node) if isinstance(step, Reads) else step.targets
        for step in graph.steps
    ]


def _moves(
    whole: SpatialGraph, part: SpatialGraph, names: Names, less: tuple[int, ...]
) -> Lattice | str:
    """Return how tensors move, by their sizes in two pictures; else why not."""
    ratios = {}
    for name, sizes in whole.sizes.items():
        pairs = zip(sizes, part.sizes[name], less, strict=True)
        ratios[name] = tuple(Fraction(n - m, by) if by else Fraction(1) for n, m, by in pairs)
        if not all(ratios[name]):
            made = next((s for s in whole.steps if isinstance(s, Reads) and s.target == name), None)
            what = repr(name) if made is None else f"{made.op} {made.node!r}"
            return f"the size of what {what} makes does not follow the picture's"
    unit = tuple(
        math.lcm(*(ratio[axis].denominator for ratio in ratios.values())) if by else n
        for axis, (by, n) in enumerate(zip(less, whole.sizes[names[0][0]], strict=True))
    )
    if any(by % each for by, each in zip(less, unit, strict=True)):
        return "its tensors do not move together with the picture"
    return Lattice(whole, *names, unit, ratios)
