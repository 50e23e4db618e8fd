"""Projects of C for Cortex-M: compiled, read as assembly, run on an emulated board."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from edge_c.compiled import WARNINGS, Run, outputs, records

from reluflow.edge import EdgeProgram
from reluflow.edge.cost import CROSS, FLAGS

BOARD = Path(__file__).parent / "board"
TOOLS = (f"{CROSS}gcc", f"{CROSS}objdump", "qemu-system-arm")


def compile_cortex(project: Path, name: str, target: str, *flags: str) -> Path:
    """Link a project with its stream program for the board."""
    out = project / "build" / f"{target}.elf"
    out.parent.mkdir(exist_ok=True)
    kernels = sorted((project / "src" / "reluflow_edge").glob("*.c"))
    sources = [project / "host" / "stream.c", project / "src" / f"{name}.c", *kernels]
    line = [f"{CROSS}gcc", *WARNINGS, *FLAGS[target].split(), *flags, f"-I{project / 'src'}"]
    line += [
        "--specs=rdimon.specs",
        "-nostartfiles",
        f"-T{BOARD / 'board.ld'}",
        "-Wl,--gc-sections",
    ]
    start = [str(BOARD / "startup.c"), "-Wno-pedantic"]
    done = subprocess.run(
        [*line, *map(str, sources), *start, "-o", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


def objects(project: Path, name: str, target: str, *flags: str) -> list[Path]:
    """Compile the sources that go to a device, each to an object beside its figures."""
    folder = project / "build" / f"{target}_objects"
    folder.mkdir(parents=True, exist_ok=True)
    kernels = sorted((project / "src" / "reluflow_edge").glob("*.c"))
    made = []
    for source in [project / "src" / f"{name}.c", *kernels]:
        out = folder / f"{source.stem}.o"
        line = [f"{CROSS}gcc", *WARNINGS, *FLAGS[target].split(), *flags, f"-I{project / 'src'}"]
        done = subprocess.run(
            [*line, "-c", str(source), "-o", str(out)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        made.append(out)
    return made


def instructions(files: Sequence[Path]) -> set[str]:
    """Return the mnemonics of all code."""
    found = set()
    for file in files:
        done = subprocess.run(
            [f"{CROSS}objdump", "-d", str(file)], capture_output=True, text=True, check=True
        )
        for line in done.stdout.splitlines():
            parts = line.split("\t")
            if len(parts) > 2:
                found.add(parts[2].split()[0].removesuffix(".w").removesuffix(".n"))
    return found


def wanted_symbols(files: Sequence[Path]) -> set[str]:
    """Return what the objects call that none of them defines."""
    done = subprocess.run(
        [f"{CROSS}nm", *map(str, files)], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    undefined = {row[1] for row in rows if len(row) == 2 and row[0] == "U"}
    return undefined - {row[2] for row in rows if len(row) == 3}


def stack_of(files: Sequence[Path]) -> int:
    """Return a bound of the stack: the frames of the deepest chain of calls, as compiled."""
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for file in files:
        for line in file.with_suffix(".su").read_text().splitlines():
            where, size, kind = line.split("\t")
            assert kind == "static", line
            frames[where.rsplit(":", 1)[1]] = int(size)
        listing = subprocess.run(
            [f"{CROSS}objdump", "-dr", str(file)], capture_output=True, text=True, check=True
        ).stdout
        at = ""
        for line in listing.splitlines():
            if begin := re.match(r"[0-9a-f]+ <(.+)>:", line):
                at = begin[1].split(".")[0]
            elif found := re.search(r"R_ARM_THM_(?:CALL|JUMP24)\s+(\w+)", line):
                calls.setdefault(at, set()).add(found[1])
            elif found := re.search(r"\tbl?\t[0-9a-f]+ <(\w+)[.>+]", line):
                calls.setdefault(at, set()).add(found[1])

    def deepest(function: str, above: tuple[str, ...] = ()) -> int:
        assert function not in above, f"{function} calls itself"
        below = [
            deepest(each, (*above, function))
            for each in calls.get(function, ())
            if each in frames and each != function
        ]
        return frames.get(function, 0) + max(below, default=0)

    return max(deepest(function) for function in frames)


def run_cortex(
    binary: Path, program: EdgeProgram, runs: Sequence[Run], seconds: int = 250
) -> list[dict[str, np.ndarray]]:
    """Run records on the emulated board."""
    folder = binary.parent
    (folder / "records.bin").write_bytes(records(program, runs))
    line = ["qemu-system-arm", "-M", "mps2-an385", "-kernel", binary.name, "-nographic"]
    line += ["-monitor", "none", "-serial", "none"]
    line += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return outputs(program, (folder / "outputs.bin").read_bytes(), len(runs))
