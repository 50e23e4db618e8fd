"""Which steps run together, a few rows at a time, so that a program fits a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reluflow.edge.bands import GroupBuilder, RowGroup, last_reads, row_bytes
from reluflow.edge.plan import MemoryPlan, place_tensors
from reluflow.edge.program import ConvStep, EdgeProgram, EdgeStep, ViewStep

_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Rows of a group's first output that a round may make."""
_TRIES = 8
_DRAW = 15
"""What drawing a weight costs, in bytes that move: about as many instructions."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Steps from one place to another: one by itself, or a group.

    Attributes:
        first: place of the first step.
        end: place behind the last one.
        size: bytes of tensors that live meanwhile.
        cost: weights that are drawn again, and bytes that move.
        group: None for a step by itself.
    """

    first: int
    end: int
    size: int
    cost: int
    group: RowGroup | None = None


def plan_memory(program: EdgeProgram, limit: int | None = None) -> MemoryPlan:
    """Return a plan that fits a limit with the least work besides; else the smallest found.

    Without a limit, or where whole tensors fit it, every step makes all its rows at once. Else
    some steps run in groups: of the tensors in them a few rows are kept. No product is computed
    twice, but weights are drawn again for each round, and rows move within their buffers. Of the
    groups that fit, those are taken where both cost least; then the weights of as many steps as
    fit are kept from round to round.

    Args:
        program: of `lower`.
        limit: bytes of the memory; None: any number.

    Example:
        >>> import reluflow
        >>> from reluflow.edge import lower
        >>> made = reluflow.convert(
        ...     "models/fashion_dsconv.onnx", check=False, x_bits=8, limit=8,
        ...     calibration="models/fashion_mnist_test_2000.npz")
        >>> program = lower(made.model)
        >>> plan_memory(program).ram_bytes, plan_memory(program, 16000).ram_bytes <= 16000
        (37800, True)
    """
    whole = place_tensors(program)
    if limit is None or whole.ram_bytes <= limit:
        return whole
    parts = list(_parts(program, whole))
    fixed = whole.ram_bytes - whole.arena_bytes
    most, best = limit - fixed, whole
    for _ in range(_TRIES):
        found = _plan_below(program, parts, most)
        if found is None:
            break
        best = min(best, found, key=lambda plan: plan.ram_bytes)
        if found.ram_bytes <= limit:
            return _keep_weights(program, found, limit)
        most -= max(1, found.ram_bytes - limit)
    for size in sorted({part.size for part in parts}):
        least = _plan_below(program, parts, size)
        if least is not None:
            return min(best, least, key=lambda plan: plan.ram_bytes)
    return best


def _parts(program: EdgeProgram, whole: MemoryPlan) -> Iterator[_Part]:
    """Return all steps by themselves, and all groups."""
    for k, size in enumerate(whole.alive_bytes):
        yield _Part(k, k + 1, size, 0)
    last = last_reads(program)
    lives = list(_lives(program, last))
    for first, step in enumerate(program.steps):
        shape = program.tensors[step.makes].shape
        size = shape[1] if len(shape) > 1 else 1
        for rows in (each for each in _ROWS if each < size):
            builder = GroupBuilder(program, last, first, rows)
            while builder.extend():
                group = builder.group()
                if group.end - group.first > 1:
                    alive = _alive_in(program, group, lives)
                    yield _Part(first, group.end, alive, _cost(program, group), group)


def _lives(program: EdgeProgram, last: dict[str, int]) -> Iterator[tuple[int, int, int]]:
    """Return from which step to which each tensor of bytes lives, and its bytes."""
    for given in program.inputs:
        yield -1, last.get(given.tensor, -1), program.tensors[given.tensor].count
    for k, step in enumerate(program.steps):
        made = program.tensors[step.makes]
        if made.is_bytes and not isinstance(step, ViewStep):
            yield k, last.get(made.name, k), made.count


def _alive_in(program: EdgeProgram, group: RowGroup, lives: Sequence[tuple[int, int, int]]) -> int:
    """Return the bytes of tensors that live while a group runs."""
    around = sum(
        size
        for first, last, size in lives
        if first < group.end <= last or (first < group.first <= last)
    )
    return around + sum(rows * row_bytes(program, name) for name, rows in group.held.items())


def _cost(program: EdgeProgram, group: RowGroup) -> int:
    return _DRAW * redrawn(program, group) + group.moved_bytes(program)


def redrawn(program: EdgeProgram, group: RowGroup, kept: Sequence[int] = ()) -> int:
    """Return how many weights a group draws besides those of a run that makes all rows at once.

    Args:
        program: with the steps.
        group: of them.
        kept: places of steps that draw once.
    """
    return sum(
        (group.times_drawn(k) - 1) * all_weights(program.steps[k])
        for k in range(group.first, group.end)
        if k not in kept
    )


def all_weights(step: EdgeStep) -> int:
    """Return the number of weights of a step, 0 where it has none.

    Args:
        step: of a program.
    """
    return math.prod(step.weights.code.shape) if isinstance(step, ConvStep) else 0


def _cheapest(steps: int, parts: Sequence[_Part], most: int) -> list[_Part] | None:
    """Return the parts that cost least and live in so many bytes; None where none do."""
    best: list[tuple[int, _Part | None] | None] = [(0, None)] + [None] * steps
    for part in sorted((part for part in parts if part.size <= most), key=lambda p: p.end):
        before, now = best[part.first], best[part.end]
        if before is not None and (now is None or before[0] + part.cost < now[0]):
            best[part.end] = before[0] + part.cost, part
    if best[steps] is None:
        return None
    found: list[_Part] = []
    at = steps
    while (entry := best[at]) is not None and entry[1] is not None:
        found.append(entry[1])
        at = entry[1].first
    return found[::-1]


def _plan_below(program: EdgeProgram, parts: Sequence[_Part], most: int) -> MemoryPlan | None:
    chosen = _cheapest(len(program.steps), parts, most)
    if chosen is None:
        return None
    return place_tensors(program, [part.group for part in chosen if part.group is not None])


def _keep_weights(program: EdgeProgram, plan: MemoryPlan, limit: int) -> MemoryPlan:
    """Let steps draw once for all rounds, those first that draw again most, while they fit."""
    found = [
        (group.times_drawn(k) - 1, all_weights(program.steps[k]), k)
        for group in plan.groups
        for k in range(group.first, group.end)
    ]
    for again, _, k in sorted(found, reverse=True):
        if again and isinstance(program.steps[k], ConvStep):
            tried = place_tensors(program, plan.groups, [*plan.kept, k])
            plan = tried if tried.ram_bytes <= limit else plan
    return plan
