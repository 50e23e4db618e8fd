"""Where tensors lie in one arena: tensors that never live at the same time share bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reluflow.edge.bands import RowGroup, last_reads, row_bytes
from reluflow.edge.program import (
    AddStep,
    ConvStep,
    EdgeProgram,
    EdgeStep,
    EdgeTensor,
    MulStep,
    PixelStep,
    PoolStep,
    SigmoidStep,
    SoftmaxStep,
    TableStep,
    ViewStep,
    WindowSpec,
)

_TRIES = 200
"""Orders that are tried where the first ones leave gaps."""
WORD_BYTES = 4
HELD_BYTES = 4
"""Of what a run notes about a buffer of rows."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a program needs of the RAM, and where its tensors lie.

    Attributes:
        offsets: tensor -> where it begins: bytes in the arena, or numbers among the words.
        arena_bytes: of all tensors of bytes.
        words: whole numbers of 32 bits, at the ends.
        drawn_bytes: the weights of one output channel.
        copy_bytes: pixels of one channel, for depthwise convolutions in place.
        in_place: steps whose output lies where one of their inputs lay, by their places.
        alive_bytes: of tensors of bytes in use at each step: no plan needs fewer than the most.
        groups: steps that run together, a few rows at a time.
        kept: place of a step -> where the weights of all its channels stay while its group runs.
    """

    offsets: dict[str, int]
    arena_bytes: int
    words: int
    drawn_bytes: int
    copy_bytes: int
    in_place: frozenset[int]
    alive_bytes: tuple[int, ...]
    groups: tuple[RowGroup, ...] = ()
    kept: Mapping[int, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Number of buffers of rows that a run notes something about."""
        return max((group.end - group.first for group in self.groups), default=0)

    @property
    def ram_bytes(self) -> int:
        """Bytes of the memory that a run is given; its stack comes to that."""
        fixed = WORD_BYTES * self.words + self.arena_bytes + self.drawn_bytes + self.copy_bytes
        fixed += HELD_BYTES * self.held
        return -(-fixed // WORD_BYTES) * WORD_BYTES

    def group_of(self, k: int) -> RowGroup | None:
        """Return the group of a step, None where it makes all rows at once.

        Args:
            k: place of the step.
        """
        return next((group for group in self.groups if group.first <= k < group.end), None)


def place_tensors(
    program: EdgeProgram, groups: Sequence[RowGroup] = (), kept: Iterable[int] = ()
) -> MemoryPlan:
    """Return a plan of little memory: with depthwise convolutions in place, or without.

    Args:
        program: of `lower`.
        groups: steps that run together, a few rows at a time.
        kept: places of steps in them whose weights are drawn once for all rounds.
    """
    kept = frozenset(kept)
    plans = [_plan(program, depthwise, tuple(groups), kept) for depthwise in (False, True)]
    return min(plans, key=lambda plan: plan.ram_bytes)


@dataclass
class _Block:
    """Tensors that lie in the same place.

    Attributes:
        size: of the largest, bytes or words.
        first: place of the step that makes it; -1: an input.
        last: place of the last step that reads it.
        is_bytes: whether it lies in the arena.
    """

    size: int
    first: int
    last: int
    is_bytes: bool
    offset: int = 0


def _plan(
    program: EdgeProgram, depthwise: bool, groups: tuple[RowGroup, ...], kept: frozenset[int]
) -> MemoryPlan:
    blocks, places = _blocks(program, depthwise, groups)
    unique = list({id(block): block for block in blocks.values()}.values())
    weights = {k: _kept_block(program, k, groups) for k in sorted(kept)}
    in_arena = [block for block in unique if block.is_bytes] + list(weights.values())
    arena = _place(in_arena)
    words = _place([block for block in unique if not block.is_bytes])
    drawn = max((channel_weights(s) for s in program.steps if isinstance(s, ConvStep)), default=0)
    copies = [
        _pixels(program, step)
        for k, step in enumerate(program.steps)
        if k in places and is_depthwise(step)
    ]
    return MemoryPlan(
        {name: block.offset for name, block in blocks.items()},
        arena,
        words,
        drawn,
        max(copies, default=0),
        frozenset(places),
        tuple(_alive(in_arena, len(program.steps))),
        groups,
        {k: block.offset for k, block in weights.items()},
    )


def channel_weights(step: ConvStep) -> int:
    """Return how many weights an output channel of a step has."""
    return math.prod(step.weights.code.shape[1:])


def _kept_block(program: EdgeProgram, k: int, groups: Sequence[RowGroup]) -> _Block:
    step = program.steps[k]
    assert isinstance(step, ConvStep)
    (group,) = (group for group in groups if group.first <= k < group.end)
    return _Block(math.prod(step.weights.code.shape), group.first, group.end - 1, True)


def is_depthwise(step: EdgeStep) -> bool:
    """Tell whether each output channel of a step depends on that input channel alone."""
    if not isinstance(step, ConvStep) or step.adds:
        return False
    shape = step.weights.code.shape
    return step.group == shape[0] and shape[1] == 1


def _pixels(program: EdgeProgram, step: EdgeStep) -> int:
    return math.prod(program.tensors[step.reads[0]].shape[1:-1])


def _blocks(
    program: EdgeProgram, depthwise: bool, groups: Sequence[RowGroup]
) -> tuple[dict[str, _Block], set[int]]:
    """Return the block of each tensor, and the steps that work in place."""
    group_at = {k: group for group in groups for k in range(group.first, group.end)}
    last = last_reads(program)
    for k, group in group_at.items():
        for name in program.steps[k].reads:
            last[name] = max(last[name], group.end - 1)  # read until the last round
    blocks: dict[str, _Block] = {}
    places: set[int] = set()
    for given in program.inputs:
        tensor = program.tensors[given.tensor]
        blocks[tensor.name] = _Block(tensor.count, -1, last.get(tensor.name, -1), True)
    for k, step in enumerate(program.steps):
        made = program.tensors[step.makes]
        end = last.get(made.name, k)
        if isinstance(step, ViewStep) and step.reads[0] in blocks:
            blocks[made.name] = blocks[step.reads[0]]
        elif k in group_at:
            blocks[made.name] = _rows_block(program, group_at[k], made, end)
        elif (under := _under(program, k, blocks, depthwise)) is not None:
            under.last = max(under.last, end)
            blocks[made.name] = under
            places.add(k)
        else:
            blocks[made.name] = _Block(made.count, k, end, made.is_bytes)
    return blocks, places


def _rows_block(program: EdgeProgram, group: RowGroup, made: EdgeTensor, last: int) -> _Block:
    """Return the block of a tensor that a group makes: some of its rows, or all of them."""
    rows = group.held.get(made.name, made.shape[1])
    size = rows * row_bytes(program, made.name)
    return _Block(size, group.first, max(last, group.end - 1), True)


def _under(
    program: EdgeProgram, k: int, blocks: dict[str, _Block], depthwise: bool
) -> _Block | None:
    """Return the block of an input that the output of a step may overwrite."""
    step = program.steps[k]
    made = program.tensors[step.makes]
    for name in _candidates(program, step, depthwise):
        block = blocks.get(name)
        # A view of it may be read later than the tensor itself: the block knows.
        if block is not None and block.last == k and made.count <= block.size:
            if sum(blocks.get(other) is block for other in step.reads) == 1:
                return block
    return None


def _candidates(program: EdgeProgram, step: EdgeStep, depthwise: bool) -> Iterable[str]:
    """Return the inputs that a step's kernel may overwrite as it goes."""
    if isinstance(step, ConvStep):
        if step.adds:
            return step.reads[1:]
        fits = depthwise and is_depthwise(step) and program.tensors[step.makes].is_bytes
        return step.reads if fits else ()
    if isinstance(step, AddStep):
        return step.reads
    if isinstance(step, MulStep):
        return step.reads[:1]
    if isinstance(step, TableStep | PixelStep | SoftmaxStep | SigmoidStep):
        return step.reads
    if isinstance(step, PoolStep) and step.kind != "sum":
        shape = program.tensors[step.reads[0]].shape
        return step.reads if _pools_forward(shape, step.window) else ()
    return ()


def _pools_forward(shape: Sequence[int], window: WindowSpec) -> bool:
    """Tell whether no window reads a pixel after an earlier one wrote there."""
    sizes = shape[1:-1] if len(shape[1:-1]) == len(window.kernel) else (math.prod(shape[1:-1]),)
    first = np.zeros(1, np.int64)
    for axis, size in enumerate(sizes):
        at = np.arange(window.output[axis]) * window.strides[axis] - window.begin[axis]
        gap = window.dilations[axis]
        steps = np.arange(window.kernel[axis]) * gap
        taps = at[:, None] + steps[None]
        inside = np.where((taps >= 0) & (taps < size), taps, size - 1).min(axis=1)
        first = (first[:, None] * size + inside[None]).reshape(-1)
    later = np.minimum.accumulate(first[::-1])[::-1]
    written = np.arange(len(first))
    return bool((first >= written).all() and (later[1:] > written[:-1]).all())


def _place(blocks: Sequence[_Block]) -> int:
    """Give all blocks their offsets; return the size of what holds them."""
    if not blocks:
        return 0
    lower = max(_alive(blocks, max(block.last for block in blocks) + 1), default=0)
    orders = [
        sorted(blocks, key=lambda b: -b.size),
        sorted(blocks, key=lambda b: (-(b.last - b.first) * b.size, -b.size)),
        sorted(blocks, key=lambda b: (b.first, -b.size)),
    ]
    best = min(orders, key=_total)
    size = _total(best)
    rng = np.random.default_rng(0)
    for _ in range(_TRIES if size > lower else 0):
        tried = list(best)
        i, j = rng.integers(0, len(tried), 2).tolist()
        tried[i], tried[j] = tried[j], tried[i]
        found = _total(tried)
        if found <= size:
            best, size = tried, found
        if size == lower:
            break
    return _total(best)  # leaves the offsets of the best order


def _total(order: Sequence[_Block]) -> int:
    """Place blocks one after the other, each as low as it fits."""
    placed: list[_Block] = []
    for block in order:
        beside = [p for p in placed if p.first <= block.last and block.first <= p.last]
        at = 0
        for other in sorted(beside, key=lambda p: p.offset):
            if at + block.size <= other.offset:
                break
            at = max(at, other.offset + other.size)
        block.offset = at
        placed.append(block)
    return max(block.offset + block.size for block in placed)


def _alive(blocks: Sequence[_Block], steps: int) -> list[int]:
    """Return how many bytes are alive at each step."""
    return [sum(b.size for b in blocks if b.first <= k <= b.last) for k in range(steps)]
