"""Mutated models through the command line: each must work or be refused in a sentence.

    python tests/fuzz/fuzz.py --count 500 --seed 1       # models number 0 to 499
    python tests/fuzz/fuzz.py --seed 1 --case 123        # one of them again, and where it lies

Each model goes through inspect, `analyze --random`, cells (exact, and on a grid), psb convert and
psb inspect, in a worker with a limit of time and memory. Counted are tracebacks, errors that were
not foreseen, hangs, and deaths by a signal; where a worker dies, the command line itself, which
runs in a process of its own, must still end in a sentence.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import onnx
import tally
from command_worker import Outcome, Worker, run_alone
from mutations import finish, mutate

ROOT = Path(__file__).parents[2]
SECONDS = 20
LARGEST_SOURCE = 100_000
STEP = 500
SMALL = "models/fashion_micro.onnx"
"""A network that has exact cells."""


def sources(folder: Path) -> dict[str, bytes]:
    """Return the models to start from: exporters' files, shipped networks, converted ones."""
    from reluflow.graph import load, to_psb

    found = sorted((ROOT / "tests" / "conformance").rglob("*.onnx"))
    found += sorted((ROOT / "models").glob("*.onnx"))
    for name in ("torch-script-17-cnn", "torch-script-20-mlp", "torch-dynamo-20-convnext"):
        for original in (path for path in list(found) if path.stem == name):
            to_psb(load(original)).model.save(folder / f"psb-{name}.onnx")
            found.append(folder / f"psb-{name}.onnx")
    kept = (path for path in found if path.stat().st_size < LARGEST_SOURCE)
    return {path.stem: onnx.load(path).SerializeToString() for path in kept}


def build(seed: int, number: int, originals: dict[str, bytes], folder: Path) -> tuple[Path, str]:
    """Write model `number`; return its path and how it was made."""
    rng = random.Random(f"{seed}/{number}")
    source = rng.choice(list(originals))
    while True:
        proto = onnx.ModelProto.FromString(originals[source])
        try:
            made = mutate(proto, rng)
            return finish(proto, folder, rng), f"{source}: {', '.join(made)}"
        except (ValueError, TypeError, OverflowError, AttributeError):
            continue  # a value that protobuf itself does not take


def commands(model: Path, out: Path) -> list[list[str]]:
    run = ["--random", "2", "--threads", "1", "--batch-size", "2"]
    return [
        ["inspect", str(model)],
        ["analyze", str(model), *run],
        ["cells", str(model), "--window", "0,1e-6,0,1e-6", "--threads", "1"],
        ["cells", str(model), "--raster", "3", "--threads", "1"],
        ["psb", "convert", str(model), "-o", str(out)],
        ["psb", "inspect", str(model)],
    ]


def judge(outcome: Outcome) -> str:
    """Return what is wrong with how a command ended, "" if nothing is."""
    if outcome.seconds >= SECONDS:
        return "hang"
    if outcome.code < 0:
        return f"death by signal {-outcome.code}"
    if "Traceback" in outcome.stderr:
        return "traceback"
    if "did not foresee" in outcome.stderr:
        return "unforeseen"
    if "fault of reluflow:" in outcome.stderr:
        return "own fault"
    if outcome.code not in (0, 2):
        return f"exit code {outcome.code}"
    lines = outcome.stderr.splitlines()
    if outcome.code == 2 and (len(lines) != 1 or not lines[0].startswith("reluflow: ")):
        return "no one sentence"
    return ""


def try_model(model: Path, worker: Worker, folder: Path) -> list[tuple[str, str, str]]:
    """Run all commands on a model; return (fault, command, last line) of each failure."""
    found = []
    queue = commands(model, folder / "converted.onnx")
    for argv in queue:
        outcome = worker.run(*argv)
        fault = judge(outcome)
        if fault.startswith("death"):
            died, outcome = fault, run_alone(argv, SECONDS)
            fault = judge(outcome) or f"contained {died}"
        if fault:
            last = (outcome.stderr.strip().splitlines() or [""])[-1]
            found.append((fault, " ".join(argv[:2]), last[:300]))
        if argv[1] == "convert" and outcome.code and Path(argv[-1]).exists():
            found.append(("file left by a failure", "psb convert", outcome.stderr[:300]))
            Path(argv[-1]).unlink()
    if (folder / "converted.onnx").exists():
        outcome = worker.run("psb", "inspect", folder / "converted.onnx")
        if judge(outcome) or outcome.code:
            found.append(
                (judge(outcome) or "own file refused", "psb inspect", outcome.stderr[:300])
            )
    return found


def main() -> int:
    options = _options()
    faults: Counter[str] = Counter()
    end = time.monotonic() + options.seconds if options.seconds else float("inf")
    first = options.case if options.case is not None else options.first
    count = 1 if options.case is not None else options.count
    tried = 0
    with tempfile.TemporaryDirectory(prefix="reluflow-fuzz-", dir=options.place) as name:
        base = Path(name)
        folder = base / "model"  # the same for all, so that a line of arguments is read once
        originals = sources(base)
        run_alone(
            ["cells", str(ROOT / SMALL), "--window", "0,1e-3,0,1e-3"], 10 * SECONDS
        )  # compiles, which is no hang
        worker = Worker(base, SECONDS, keeps=True)
        told = _Told(options.record)
        for number in range(first, first + count):
            if time.monotonic() > end:
                break
            folder.mkdir()
            model, made = build(options.seed, number, originals, folder)
            found = try_model(model, worker, folder)
            tried += 1
            for fault, command, line in found:
                faults[fault] += 1
                print(f"{number} ({made}): {fault} of {command}: {line}", flush=True)
            if (found or options.case is not None) and options.keep:
                kept = options.keep / f"{options.seed}-{number}"
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print(f"  kept in {kept}", flush=True)
            shutil.rmtree(folder)
            if tried % STEP == 0:
                print(f"{tried} models tried", file=sys.stderr, flush=True)
                told.tell(tried, faults)
                worker.stop()  # so that what ONNX Runtime keeps of models does not add up
        worker.stop()
        told.tell(tried, faults)
    print(", ".join([f"models: {tried}", *(f"{name}: {n}" for name, n in sorted(faults.items()))]))
    return int(any(not _is_contained(name) for name in faults))


def _is_contained(fault: str) -> bool:
    """Tell whether the command line itself turned a death into a sentence."""
    return fault.startswith("contained")


class _Told:
    """Adds to a record what came since it was last told."""

    def __init__(self, record: Path | None) -> None:
        self._record = record
        self._since = time.monotonic()
        self._before = {"inputs": 0, "contained": 0, "finds": 0}

    def tell(self, tried: int, faults: Counter[str]) -> None:
        contained = sum(n for name, n in faults.items() if _is_contained(name))
        finds = sum(faults.values()) - contained
        now = {"inputs": tried, "contained": contained, "finds": finds}
        new = {name: n - self._before[name] for name, n in now.items()}
        if self._record is not None and any(new.values()):
            seconds = time.monotonic() - self._since
            tally.add(self._record, "mutated models", "command lines", seconds=seconds, **new)
        self._before, self._since = now, time.monotonic()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="models to try")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: never")
    parser.add_argument("--case", type=int, help="try this one alone")
    parser.add_argument("--record", type=Path, help="file that counts are added to")
    parser.add_argument("--place", type=Path, help="folder for the models, best in memory")
    parser.add_argument("--keep", type=Path, help="folder for models that show a fault")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
