"""What a program costs, told before anything is flashed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from reluflow.edge.bands import RowGroup, row_bytes
from reluflow.edge.choose import all_weights, redrawn
from reluflow.edge.plan import HELD_BYTES, WORD_BYTES, MemoryPlan
from reluflow.edge.program import ConvStep, EdgeProgram, shift_adds
from reluflow.errors import OptionError

STACK_BYTES = 512
"""What the calls of a run take of the stack at most, compiled for any of the targets, also
with other flags than those below; a test measures it with the compiler's own figures."""
FLAGS = {
    "host": "-O2",
    "cortex-m0": "-mcpu=cortex-m0 -mthumb -Os -ffunction-sections -fdata-sections",
    "cortex-m3": "-mcpu=cortex-m3 -mthumb -O2 -ffunction-sections -fdata-sections",
    "cortex-m4": "-mcpu=cortex-m4 -mthumb -mfloat-abi=soft -O2 -ffunction-sections -fdata-sections",
}
"""Target -> flags of its compiler."""
CROSS = "arm-none-eabi-"
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one step costs.

    Attributes:
        name: of the node.
        op: its operator.
        shape: of what it makes.
        shift_adds: of one inference, 0 where there are no weights.
        alive_bytes: bytes of tensors that are in use while it runs.
        made_bytes: bytes of the buffer that holds what it makes.
        group: place of the group of steps that it belongs to; None where it makes all rows at once.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    shift_adds: int
    alive_bytes: int
    made_bytes: int
    group: int | None


@dataclass(frozen=True, slots=True)
class GroupCost:
    """What steps cost that run together, a few rows at a time.

    Attributes:
        first: name of the first step.
        last: name of the last one.
        steps: how many they are.
        rows: that the first one makes in a round.
        rounds: in an inference.
        redrawn: weights that are drawn besides those of steps that make all rows at once.
        moved_bytes: that move within buffers of rows in an inference.
        kept_bytes: of weights that are drawn once for all rounds.
    """

    first: str
    last: str
    steps: int
    rows: int
    rounds: int
    redrawn: int
    moved_bytes: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class EdgeCost:
    """What a program costs.

    Attributes:
        arena_bytes: of tensors of bytes, shared.
        words_bytes: of numbers of 32 bits, at the ends.
        drawn_bytes: of the weights of one channel.
        copy_bytes: of one channel's pixels.
        held_bytes: of notes about buffers of rows.
        ram_bytes: of all of these.
        stack_bytes: at most.
        flash: part -> bytes of constants.
        code_bytes: of all code, compiled for the target; None where its compiler is not installed.
        samples: that the shift-adds are told for; 0, nearest, counts as 64.
        shift_adds: of one inference.
        steps: in order.
        groups: of steps that run together, in order.
    """

    arena_bytes: int
    words_bytes: int
    drawn_bytes: int
    copy_bytes: int
    held_bytes: int
    ram_bytes: int
    stack_bytes: int
    flash: Mapping[str, int]
    code_bytes: int | None
    samples: int
    shift_adds: int
    steps: tuple[StepCost, ...]
    groups: tuple[GroupCost, ...]

    @property
    def constants_bytes(self) -> int:
        """Bytes of constants in flash."""
        return sum(self.flash.values())

    @property
    def flash_bytes(self) -> int | None:
        """Bytes of constants and code; None where the code was not compiled."""
        return None if self.code_bytes is None else self.constants_bytes + self.code_bytes


def count_cost(
    program: EdgeProgram,
    plan: MemoryPlan,
    flash: Mapping[str, int],
    samples: int,
    code_bytes: int | None,
) -> EdgeCost:
    """Return what a program costs.

    Args:
        program: of `lower`.
        plan: of its memory.
        flash: part -> bytes of constants.
        samples: of a run.
        code_bytes: of the code, where it was compiled.
    """
    steps = tuple(_step_cost(program, plan, k, samples) for k in range(len(program.steps)))
    return EdgeCost(
        plan.arena_bytes,
        WORD_BYTES * plan.words,
        plan.drawn_bytes,
        plan.copy_bytes,
        HELD_BYTES * plan.held,
        plan.ram_bytes,
        STACK_BYTES,
        dict(flash),
        code_bytes,
        samples,
        program.shift_adds(samples),
        steps,
        tuple(_group_cost(program, plan, group) for group in plan.groups),
    )


def _step_cost(program: EdgeProgram, plan: MemoryPlan, k: int, samples: int) -> StepCost:
    step = program.steps[k]
    made = program.tensors[step.makes]
    group = plan.group_of(k)
    held = None if group is None else group.held.get(made.name)
    return StepCost(
        step.name,
        step.op,
        made.shape,
        shift_adds(step, made, samples) if isinstance(step, ConvStep) else 0,
        plan.alive_bytes[k],
        made.count if held is None else held * row_bytes(program, made.name),
        None if group is None else plan.groups.index(group),
    )


def _group_cost(program: EdgeProgram, plan: MemoryPlan, group: RowGroup) -> GroupCost:
    kept = [k for k in plan.kept if group.first <= k < group.end]
    return GroupCost(
        program.steps[group.first].name,
        program.steps[group.end - 1].name,
        group.end - group.first,
        group.rows,
        group.rounds,
        redrawn(program, group, kept),
        group.moved_bytes(program),
        sum(all_weights(program.steps[k]) for k in kept),
    )


def check_ram(cost: EdgeCost, limit: int) -> None:
    """Refuse a program that needs more than a limit.

    Args:
        cost: of the program.
        limit: bytes.

    Raises:
        OptionError: the memory and the stack take more; the sentence says by how much, and at
            which layer.
    """
    needed = cost.ram_bytes + cost.stack_bytes
    if needed <= limit:
        return
    # Of steps that run together, the one whose buffer is the largest.
    most = max(cost.steps, key=lambda step: (step.alive_bytes, step.made_bytes))
    rows = "" if most.group is None else ", a few rows at a time"
    raise OptionError(
        f"ram is {limit}, but the model needs {needed} bytes, {needed - limit} more: "
        f"{cost.ram_bytes} of memory and {cost.stack_bytes} of stack; tensors take most at "
        f"{most.name!r} ({most.op}{rows}): {most.alive_bytes} bytes are alive there. Give a larger "
        "ram, or a model with fewer channels or pixels there."
    )


def measure_code(folder: Path, target: str) -> int | None:
    """Return the bytes of code that a project takes, without its constants.

    Args:
        folder: with the sources.
        target: that they are compiled for.

    Returns:
        Bytes of all functions, those included that the linker would leave out; None where the
        compiler of the target is not installed.
    """
    prefix = "" if target == "host" else CROSS
    compiler, size = shutil.which(f"{prefix}gcc"), shutil.which(f"{prefix}size")
    if target == "host" or compiler is None or size is None:
        return None
    total = 0
    with TemporaryDirectory() as made:
        for number, source in enumerate(sorted(folder.rglob("*.c"))):
            out = Path(made, f"{number}.o")
            flags = [*FLAGS[target].split(), f"-I{folder}", "-std=c99"]
            subprocess.run(
                [compiler, *flags, "-c", str(source), "-o", str(out)],
                check=True,
                timeout=_SECONDS,
                capture_output=True,
            )
            listed = subprocess.run(
                [size, "-A", str(out)], check=True, timeout=_SECONDS, capture_output=True, text=True
            )
            total += _code_of(listed.stdout)
    return total


def _code_of(listing: str) -> int:
    """Return the bytes of the sections of code in a listing of `size -A`."""
    rows = [line.split() for line in listing.splitlines() if line.startswith(".text")]
    return sum(int(row[1]) for row in rows)
