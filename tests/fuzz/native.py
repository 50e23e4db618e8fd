"""Coverage-guided fuzzers of the C++ library: built, run from the kept corpora, counted.

    python tests/fuzz/native.py --seconds 60

builds the fuzzers with clang under the address and undefined-behaviour sanitizers and gives each
its share of the time. A find ends with exit code 1; its input stays in build/fuzz-native/finds and
`build/fuzz-native/fuzz/fuzz_NAME FILE` repeats it. `--keep` writes small inputs of the
same coverage back to runtime/fuzz/corpus, which ordinary test runs go through.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "runtime" / "fuzz" / "corpus"
BUILD = ROOT / "build" / "fuzz-native"
NAMES = ("weight_code", "hash", "conv", "operators")
LONGEST = 600
"""Bytes of an input."""
MOST_KEPT = 200
"""Inputs of one corpus that are kept."""


def build() -> None:
    """Builds the fuzzers."""
    settings = ("-DRELUFLOW_FUZZ=ON", "-DRELUFLOW_SANITIZE=address,undefined")
    compilers = {"CC": "clang", "CXX": "clang++"}
    subprocess.run(
        ["cmake", "-S", str(ROOT / "runtime"), "-B", str(BUILD), *settings],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **compilers},
    )
    targets = [f"fuzz_{name}" for name in NAMES]
    made = ["cmake", "--build", str(BUILD), "-j", str(os.cpu_count()), "--target", *targets]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)


def unpacked(name: str) -> Path:
    """Returns the folder of a corpus, one file per line of the kept text."""
    folder = BUILD / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{name}.hex"
    for line in kept.read_text("ascii").split() if kept.exists() else ():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def fuzz(name: str, seconds: int) -> tuple[int, bool]:
    """Returns how often a fuzzer ran, and whether it found nothing."""
    finds = BUILD / "finds"
    finds.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            BUILD / "fuzz" / f"fuzz_{name}",
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            "-use_value_profile=1",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            f"-artifact_prefix={finds}/{name}-",
            str(unpacked(name)),
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


def keep(name: str) -> int:
    """Keeps some of the smallest inputs with the coverage of a corpus; returns their number."""
    least = BUILD / "least" / name
    least.mkdir(parents=True, exist_ok=True)
    for old in least.iterdir():
        old.unlink()
    subprocess.run(
        [BUILD / "fuzz" / f"fuzz_{name}", "-merge=1", str(least), str(unpacked(name))],
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
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--keep", action="store_true", help="renew the kept corpora afterwards")
    given = parser.parse_args()
    build()
    share = max(1, given.seconds // len(given.only))
    is_good = True
    for name in given.only:
        ran, found_nothing = fuzz(name, share)
        is_good = is_good and found_nothing
        print(f"{name}: {ran:,} runs, {'no find' if found_nothing else 'a FIND'}", flush=True)
        if given.keep:
            print(f"{name}: {keep(name)} inputs kept", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
