"""What a program costs, told before anything is flashed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from reluflow.edge.plan import WORD_BYTES, MemoryPlan
from reluflow.edge.program import ConvStep, EdgeProgram, shift_adds
from reluflow.errors import OptionError

STACK_BYTES = 512
"""What the calls of a run take of the stack at most, compiled for any of the targets; a test
measures it with the compiler's own figures."""
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
    """

    name: str
    op: str
    shape: tuple[int, ...]
    shift_adds: int
    alive_bytes: int


@dataclass(frozen=True, slots=True)
class EdgeCost:
    """What a program costs.

    Attributes:
        arena_bytes: of tensors of bytes, shared.
        words_bytes: of numbers of 32 bits, at the ends.
        drawn_bytes: of the weights of one channel.
        copy_bytes: of one channel's pixels.
        ram_bytes: of all of these.
        stack_bytes: at most.
        flash: part -> bytes of constants.
        code_bytes: of all code, compiled for the target; None where its compiler is not installed.
        samples: that the shift-adds are told for; 0, nearest, counts as 64.
        shift_adds: of one inference.
        steps: in order.
    """

    arena_bytes: int
    words_bytes: int
    drawn_bytes: int
    copy_bytes: int
    ram_bytes: int
    stack_bytes: int
    flash: Mapping[str, int]
    code_bytes: int | None
    samples: int
    shift_adds: int
    steps: tuple[StepCost, ...]

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
    steps = tuple(
        StepCost(
            step.name,
            step.op,
            program.tensors[step.makes].shape,
            shift_adds(step, program.tensors[step.makes], samples)
            if isinstance(step, ConvStep)
            else 0,
            plan.alive_bytes[k],
        )
        for k, step in enumerate(program.steps)
    )
    return EdgeCost(
        plan.arena_bytes,
        WORD_BYTES * plan.words,
        plan.drawn_bytes,
        plan.copy_bytes,
        plan.ram_bytes,
        STACK_BYTES,
        dict(flash),
        code_bytes,
        samples,
        program.shift_adds(samples),
        steps,
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
    most = max(cost.steps, key=lambda step: step.alive_bytes)
    raise OptionError(
        f"ram is {limit}, but the model needs {needed} bytes, {needed - limit} more: "
        f"{cost.ram_bytes} of memory and {cost.stack_bytes} of stack; most tensors live at "
        f"{most.name!r} ({most.op}), {most.alive_bytes} bytes. Give a larger ram, or a model with "
        "fewer channels or pixels there."
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
