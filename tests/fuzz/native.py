"""Coverage-guided fuzzers of the C++ library: built, run from the kept corpora, counted.

    python tests/fuzz/native.py --seconds 60

builds the fuzzers with clang under the address and undefined-behaviour sanitizers and gives each
its share of the time. A find ends with exit code 1; its input stays in build/fuzz-native/finds and
`build/fuzz-native/fuzz/fuzz_NAME FILE` repeats it. `--keep` writes small inputs of the
same coverage back to runtime/fuzz/corpus, which ordinary test runs go through.

`--build fast` is optimised and ends at undefined behaviour, and where a check of the fuzzer does
not hold, but does not watch addresses: many times as many runs, in build/fuzz-native-fast.
`--record` adds the counts to a file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tally

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "runtime" / "fuzz" / "corpus"
NAMES = ("weight_code", "hash", "conv", "operators")
MOST_KEPT = 200
"""Inputs of one corpus that are kept."""


@dataclass(frozen=True)
class Build:
    """How the fuzzers are built and run.

    Attributes:
        kind: what a record calls it.
        folder: of the build.
        settings: of cmake.
        options: of libFuzzer.
    """

    kind: str
    folder: Path
    settings: tuple[str, ...]
    options: tuple[str, ...]


# What traps needs no run-time library; `vptr` and `function` would.
_TRAPS = "-fsanitize=undefined -fno-sanitize=vptr,function -fsanitize-trap=undefined"
BUILDS = {
    "checked": Build(
        "native, address and undefined behaviour",
        ROOT / "build" / "fuzz-native",
        ("-DRELUFLOW_SANITIZE=address,undefined",),
        ("-max_len=600", "-use_value_profile=1"),
    ),
    "fast": Build(
        "native, optimised, undefined behaviour",
        ROOT / "build" / "fuzz-native-fast",
        (f"-DCMAKE_CXX_FLAGS={_TRAPS}", "-DRELUFLOW_FUZZ_COMPARES=OFF"),
        ("-max_len=128", "-reload=0", "-entropic=0"),
    ),
}


def make(build: Build) -> None:
    """Builds the fuzzers."""
    compilers = {"CC": "clang", "CXX": "clang++"}
    settings = ("-DRELUFLOW_FUZZ=ON", *build.settings)
    subprocess.run(
        ["cmake", "-S", str(ROOT / "runtime"), "-B", str(build.folder), *settings],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **compilers},
    )
    targets = [f"fuzz_{name}" for name in NAMES]
    made = ["cmake", "--build", str(build.folder), "-j", str(os.cpu_count()), "--target", *targets]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)


def unpacked(build: Build, name: str) -> Path:
    """Returns the folder of a corpus, one file per line of the kept text."""
    folder = build.folder / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{name}.hex"
    for line in kept.read_text("ascii").split() if kept.exists() else ():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def fuzz(build: Build, name: str, seconds: int) -> tuple[int, bool]:
    """Returns how often a fuzzer ran, and whether it found nothing."""
    finds = build.folder / "finds"
    finds.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            build.folder / "fuzz" / f"fuzz_{name}",
            f"-max_total_time={seconds}",
            *build.options,
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            f"-artifact_prefix={finds}/{name}-",
            str(unpacked(build, name)),
        ],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    ran = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    return int(ran[1]) if ran else 0, done.returncode == 0


def keep(build: Build, name: str) -> int:
    """Keeps some of the smallest inputs with the coverage of a corpus; returns their number."""
    least = build.folder / "least" / name
    least.mkdir(parents=True, exist_ok=True)
    for old in least.iterdir():
        old.unlink()
    subprocess.run(
        [
            build.folder / "fuzz" / f"fuzz_{name}",
            "-merge=1",
            str(least),
            str(unpacked(build, name)),
        ],
        check=True,
        capture_output=True,
    )
    inputs = sorted((path.read_bytes() for path in least.iterdir()), key=lambda data: len(data))
    step = max(1, -(-len(inputs) // MOST_KEPT))  # of all lengths
    lines = sorted(data.hex() for data in inputs[::step] if data)
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.hex").write_text("\n".join(lines) + "\n", "ascii")
    return len(lines)


def main() -> int:
    """Builds, runs, reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for all fuzzers together")
    parser.add_argument("--build", choices=BUILDS, default="checked")
    parser.add_argument("--record", type=Path, help="file that counts are added to")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--keep", action="store_true", help="renew the kept corpora afterwards")
    given = parser.parse_args()
    build = BUILDS[given.build]
    make(build)
    share = max(1, given.seconds // len(given.only))
    is_good = True
    for name in given.only:
        start = time.monotonic()
        ran, found_nothing = fuzz(build, name, share)
        took = time.monotonic() - start
        is_good = is_good and found_nothing
        print(f"{name}: {ran:,} runs, {'no find' if found_nothing else 'a FIND'}", flush=True)
        if given.record:
            finds = int(not found_nothing)
            tally.add(given.record, build.kind, name, inputs=ran, seconds=took, finds=finds)
        if given.keep:
            print(f"{name}: {keep(build, name)} inputs kept", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
