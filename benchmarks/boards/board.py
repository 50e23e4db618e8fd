"""Code for Cortex-M: its bytes, and in QEMU its stack and its instructions.

A program is a network, its header `network.h` and the harness. What the harness takes by itself is
subtracted, so that flash is what the network adds: code, constants, and what it calls of the
libraries of the compiler and of C, soft floating point above all.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HARNESS = Path(__file__).resolve().parent / "harness"
COUNTER = Path(__file__).resolve().parents[1] / "arm" / "count.c"
PREFIX = "arm-none-eabi-"
TOOLS = (f"{PREFIX}gcc", f"{PREFIX}size", f"{PREFIX}nm", "qemu-system-arm", "cc")
CORES = ("cortex-m0", "cortex-m3")
LEVELS = ("-Os", "-O2")
BIG = 4 << 20
"""Bytes of flash and of RAM of the board that all programs fit on, QEMU's mps2-an385."""
MICROBIT = (256 << 10, 16 << 10)
"""Bytes of flash and of RAM of a board with a Cortex-M0, QEMU's microbit."""
WORKERS = 8
"""Programs that run at the same time; nothing here is timed."""
_SECONDS = 3600


@dataclass(frozen=True)
class Code:
    """A network as C.

    Attributes:
        name: of the files that are made of it.
        sources: C files.
        include: folder of headers; None: there are none.
        header: `network.h`: `network_run`, and where the input and the output lie.
        input_type: of the input's numbers, as numpy calls it.
        output_type: of the output's numbers.
        outputs: how many there are.
    """

    name: str
    sources: tuple[Path, ...]
    include: Path | None
    header: str
    input_type: str
    output_type: str
    outputs: int


EMPTY = Code(
    "empty",
    (),
    None,
    """#include <stdint.h>
static uint32_t nothing;
#define NETWORK_INPUT (&nothing)
#define NETWORK_IN 4
#define NETWORK_OUTPUT (&nothing)
#define NETWORK_OUT 4
static void network_run(uint32_t samples, uint32_t seed) { nothing += samples + seed; }
""",
    "<u4",
    "<u4",
    1,
)


@dataclass(frozen=True)
class Run:
    """What a run in QEMU gave.

    Attributes:
        outputs: `(runs, outputs)`.
        stack_bytes: the deepest stack of the runs, from the call of the network on.
        instructions: of each run, `(runs,)`; empty if they were not counted.
    """

    outputs: NDArray[np.generic]
    stack_bytes: int
    instructions: NDArray[np.int64]


def missing_tools() -> list[str]:
    """Return the programs that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def link(
    code: Code, folder: Path, core: str, level: str, board: tuple[int, int] = (BIG, BIG)
) -> Path:
    """Compile a network with the harness; return the program.

    Args:
        code: the network.
        folder: to make; header, linker script and program lie there.
        core: that it is compiled for, one of `CORES`.
        level: of optimisation.
        board: bytes of flash and of RAM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.h").write_text(code.header)
    script = (HARNESS / "board.ld").read_text()
    script = script.replace("FLASH_BYTES", str(board[0])).replace("RAM_BYTES", str(board[1]))
    (folder / "board.ld").write_text(script)
    out = folder / "program.elf"
    line = [f"{PREFIX}gcc", f"-mcpu={core}", "-mthumb", level, "-std=c11", "-w"]
    line += ["-ffunction-sections", "-fdata-sections", f"-I{folder}"]
    line += [] if code.include is None else [f"-I{code.include}"]
    line += ["-nostartfiles", "--specs=nano.specs", f"-T{folder / 'board.ld'}", "-Wl,--gc-sections"]
    line += [str(HARNESS / "harness.c"), *map(str, code.sources), "-lm", "-o", str(out)]
    _call(line)
    return out


@cache
def _of_harness(core: str, level: str, folder: Path) -> tuple[int, int]:
    return _sizes(link(EMPTY, folder / f"empty{core}{level}", core, level))


def size_of(program: Path, core: str, level: str) -> tuple[int, int]:
    """Return what a network adds to the harness: bytes of flash, and of static RAM.

    Args:
        program: that `link` made.
        core: that it was compiled for.
        level: of optimisation.
    """
    flash, ram = _sizes(program)
    less_flash, less_ram = _of_harness(core, level, program.parents[1])
    return flash - less_flash, ram - less_ram


def _sizes(program: Path) -> tuple[int, int]:
    listing = _call([f"{PREFIX}size", "-A", str(program)])
    rows = (line.split() for line in listing.splitlines() if line.startswith("."))
    parts = {row[0]: int(row[1]) for row in rows}
    ram = parts.get(".data", 0) + parts.get(".bss", 0)
    flash = sum(parts.get(name, 0) for name in (".text", ".ARM.exidx", ".data"))
    return flash, ram


@cache
def make_plugin(folder: Path) -> Path:
    """Compile the plugin that counts; return its file.

    Args:
        folder: to write to.
    """
    out = folder / "count.so"
    _call(["cc", "-O2", "-shared", "-fPIC", str(COUNTER), "-o", str(out)])
    return out


def emulate(
    code: Code,
    program: Path,
    inputs: NDArray[np.generic],
    samples: Sequence[int],
    seeds: Sequence[int],
    *,
    count: bool,
    machine: str = "mps2-an385",
) -> Run:
    """Run a program in QEMU, once for each input.

    Args:
        code: the network in it.
        program: that `link` made.
        inputs: `(runs, ...)`, of the type that the network takes.
        samples: of each run.
        seeds: of each run.
        count: whether instructions are counted, which takes longer.
        machine: QEMU's name of the board.

    Raises:
        SystemExit: the program stopped.
    """
    folder = program.parent
    given = inputs.astype(code.input_type).reshape(len(inputs), -1)
    head = np.array([samples, seeds], "<u4").T
    rows = [h.tobytes() + row.tobytes() for h, row in zip(head, given, strict=True)]
    (folder / "input.bin").write_bytes(b"".join(rows))
    line = ["qemu-system-arm", "-M", machine, "-kernel", program.name, "-nographic"]
    line += ["-monitor", "none", "-serial", "none"]
    line += ["-semihosting-config", "enable=on,target=native"]
    if count:
        names = _call([f"{PREFIX}nm", str(program)])
        at = dict(re.findall(r"^([0-9a-f]+) \w (before_run|after_run)$", names, re.M))
        places = {name: int(where, 16) & ~1 for where, name in at.items()}
        option = f"first={places['before_run']:#x},second={places['after_run']:#x}"
        line += ["-plugin", f"{make_plugin(folder.parent)},{option}"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"{program} stopped in QEMU: {done.stderr[-500:]}")
    told = [int(number) for number in re.findall(r"^instructions (\d+)", done.stderr, re.M)]
    kind = np.dtype([("stack", "<u4"), ("output", code.output_type, (code.outputs,))])
    found = np.fromfile(folder / "output.bin", kind)
    if len(found) != len(inputs):
        raise SystemExit(f"{program} gave {len(found)} outputs for {len(inputs)} inputs.")
    counts = np.array(told[1::2], np.int64) - np.array(told[::2], np.int64)
    return Run(found["output"], int(found["stack"].max()), counts)


def run_here(
    code: Code,
    folder: Path,
    inputs: NDArray[np.generic],
    samples: Sequence[int],
    seeds: Sequence[int],
) -> NDArray[np.generic]:
    """Compile the same C for this machine and run it; return the outputs `(runs, outputs)`.

    Args:
        code: the network.
        folder: to make; a program that lies there is run again.
        inputs: `(runs, ...)`, of the type that the network takes.
        samples: of each run.
        seeds: of each run.
    """
    out = folder / "here"
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "network.h").write_text(code.header)
        line = [
            "clang" if shutil.which("clang") else "cc",
            "-O3",
            "-march=native",
            "-std=c11",
            "-w",
            f"-I{folder}",
        ]
        line += [] if code.include is None else [f"-I{code.include}"]
        _call([*line, str(HARNESS / "here.c"), *map(str, code.sources), "-lm", "-o", str(out)])
    given = inputs.astype(code.input_type).reshape(len(inputs), -1)
    head = np.array([samples, seeds], "<u4").T
    rows = [h.tobytes() + row.tobytes() for h, row in zip(head, given, strict=True)]

    def part(k: int) -> bytes:
        share = b"".join(rows[k * len(rows) // WORKERS : (k + 1) * len(rows) // WORKERS])
        return subprocess.run([str(out)], input=share, check=True, capture_output=True).stdout

    with ThreadPoolExecutor(WORKERS) as pool:
        found = b"".join(pool.map(part, range(WORKERS)))
    return np.frombuffer(found, code.output_type).reshape(len(inputs), code.outputs)


def _call(line: Sequence[str]) -> str:
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{line[0]} failed: {done.stderr[-800:]}")
    return done.stdout
