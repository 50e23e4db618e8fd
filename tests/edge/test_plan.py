"""Tensors that live at the same time never share bytes, and few bytes are left unused."""

from __future__ import annotations

import pytest
from edge_c.graphs import random_graph
from edge_c.rows import rows_at_random

from reluflow.edge import EdgeProgram, lower
from reluflow.edge.choose import plan_memory
from reluflow.edge.plan import MemoryPlan
from reluflow.edge.program import EdgeTensor, ViewStep


def lives(program: EdgeProgram, plan: MemoryPlan) -> dict[str, tuple[int, int]]:
    """Return from which step to which each tensor is needed, told from the steps alone."""
    first = {k: g.first for g in plan.groups for k in range(g.first, g.end)}
    end = {k: g.end - 1 for g in plan.groups for k in range(g.first, g.end)}
    found = {given.tensor: (-1, -1) for given in program.inputs}
    for k, step in enumerate(program.steps):
        found[step.makes] = (first.get(k, k), end.get(k, k))
        for name in step.reads:
            if name in found:
                found[name] = (found[name][0], end.get(k, k))
    for name in program.outputs:
        found[name] = (found[name][0], len(program.steps))
    return found


def size(plan: MemoryPlan, tensor: EdgeTensor) -> int:
    """Return the elements of a tensor that lie in memory at once."""
    for group in plan.groups:
        if tensor.name in group.held:
            return group.held[tensor.name] * tensor.count // tensor.shape[1]
    return tensor.count


def clashes(program: EdgeProgram, plan: MemoryPlan) -> list[tuple[str, str]]:
    """Return tensors that lie in each other while both are needed."""
    spans = lives(program, plan)
    views = {step.makes: step.reads[0] for step in program.steps if isinstance(step, ViewStep)}
    made_in_place = {program.steps[k].makes: program.steps[k].reads for k in plan.in_place}

    def root(name: str) -> str:
        while name in views:
            name = views[name]
        return name

    found = []
    for a in spans:
        for b in spans:
            first, second = program.tensors[a], program.tensors[b]
            if a >= b or root(a) == root(b) or first.is_bytes != second.is_bytes:
                continue
            overlap = spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]
            at, to = plan.offsets[a], plan.offsets[b]
            shared = at < to + size(plan, second) and to < at + size(plan, first)
            over = {root(n) for n in made_in_place.get(root(a), ())} | {
                root(n) for n in made_in_place.get(root(b), ())
            }
            touching = spans[a][0] == spans[b][1] or spans[b][0] == spans[a][1]
            if overlap and shared and not (touching and {root(a), root(b)} & over):
                found.append((a, b))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_overwritten_while_it_is_needed(seed: int) -> None:
    program = lower(random_graph(seed + 400, 4 + seed % 9).build())
    plan = plan_memory(program)
    assert clashes(program, plan) == []
    for name, tensor in program.tensors.items():
        if tensor.value is None:
            room = plan.arena_bytes if tensor.is_bytes else plan.words
            assert 0 <= plan.offsets[name] <= room - tensor.count
    assert max(plan.alive_bytes) <= plan.arena_bytes <= 1.5 * max(plan.alive_bytes) + 16


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_overwritten_where_rows_come_a_few_at_a_time(seed: int) -> None:
    program = lower(random_graph(seed + 400, 4 + seed % 9).build())
    plan = rows_at_random(program, seed)
    assert clashes(program, plan) == []
    for name, tensor in program.tensors.items():
        if tensor.value is None and tensor.is_bytes:
            assert 0 <= plan.offsets[name] <= plan.arena_bytes - size(plan, tensor)


def test_a_plan_with_a_clash_is_seen() -> None:
    program = lower(random_graph(404, 8).build())
    plan = plan_memory(program)
    flat = MemoryPlan(
        dict.fromkeys(plan.offsets, 0), plan.arena_bytes, plan.words, 0, 0, frozenset(), (0,)
    )
    assert clashes(program, flat)


def test_some_steps_work_in_place() -> None:
    plans = [plan_memory(lower(random_graph(seed, 9).build())) for seed in range(12)]
    assert sum(bool(plan.in_place) for plan in plans) > 4
    assert any(plan.copy_bytes for plan in plans) or len(plans) == 12
