"""Coverage-guided fuzzing of what reads files in Python; it needs the package atheris.

    python tests/fuzz/readers.py data -max_total_time=60 build/fuzz-readers/data

Targets: `data` (arrays, images, IDX, archives), `model` (ONNX files, inspected and converted),
`report` (report.json, patterns.parquet), `reference` (of drift). Every input is read or refused by
an error of reluflow; anything else ends the run and leaves the input as a file. Arguments after the
target are libFuzzer's, but `--record FILE`, which counts are added to; small valid files are put
into the first folder.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris  # type: ignore[import-untyped]
import numpy as np
import tally

import reluflow.patterns.tables  # numba cannot compile what is instrumented

with atheris.instrument_imports(include=["reluflow"]):
    from reluflow.data import InputSpec, open_data, read_labels
    from reluflow.drift import load_reference
    from reluflow.errors import ReluflowError
    from reluflow.graph import load, to_psb
    from reluflow.report import read_json

ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")
PLACE = Path(tempfile.mkdtemp(prefix="readers-", dir=_MEMORY if _MEMORY.is_dir() else None))
SUFFIXES = (".npy", ".npz", ".png", ".gz", "", ".bin")
STEP = 1000
"""Inputs after which a record is written."""
IMAGE = InputSpec("x", np.dtype(np.float32), ("N", 1, 4, 4))


def data(raw: bytes) -> None:
    """Opens bytes as data of a model with an input of images; the first names the kind of file."""
    path = PLACE / f"data{SUFFIXES[raw[0] % len(SUFFIXES)] if raw else ''}"
    path.write_bytes(raw[1:])
    try:
        source = open_data(path, [IMAGE])
        for _, batch in zip(range(3), source.batches(7), strict=False):
            next(iter(batch.values())).sum()
    except ReluflowError:
        pass
    try:
        read_labels(path)
    except ReluflowError:
        pass


def model(raw: bytes) -> None:
    """Loads bytes as a model, lists its sites and converts it."""
    path = PLACE / "model.onnx"
    path.write_bytes(raw)
    try:
        found = load(path)
        reluflow.inspect(found)
        to_psb(found)
    except ReluflowError:
        pass


def report(raw: bytes) -> None:
    """Reads bytes as a report, or as the patterns of one."""
    name = "patterns.parquet" if raw[:4] == b"PAR1" else "report.json"
    (PLACE / name).write_bytes(raw)
    try:
        if name == "report.json":
            read_json(PLACE / name)
        else:
            reluflow.read_patterns(PLACE / name)
    except ReluflowError:
        pass


def reference(raw: bytes) -> None:
    """Reads bytes as a reference of drift."""
    path = PLACE / "reference.npz"
    path.write_bytes(raw)
    try:
        load_reference(path)
    except ReluflowError:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "data": data,
    "model": model,
    "report": report,
    "reference": reference,
}


def seeds(target: str) -> Iterator[bytes]:
    """Yields small valid inputs of a target."""
    images = np.arange(48, dtype=np.float32).reshape(3, 1, 4, 4)
    if target == "data":
        held = io.BytesIO()
        np.save(held, images)
        yield b"\0" + held.getvalue()
        held = io.BytesIO()
        np.savez(held, x=images)
        yield b"\1" + held.getvalue()
        yield b"\4\0\0\x08\x03" + b"\0\0\0\2" + b"\0\0\0\4" * 2 + bytes(32)
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("x.npy", b"\x93NUMPY\1\0")
        yield b"\1" + held.getvalue()
    elif target == "model":
        for path in sorted((ROOT / "tests" / "conformance").rglob("*.onnx")):
            if path.stat().st_size < 20_000:
                yield path.read_bytes()
    else:
        yield from _of_a_run(target)


def _of_a_run(target: str) -> Iterator[bytes]:
    import onnx.parser

    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }'
    )
    inputs = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    if target == "report":
        folder = PLACE / "run"
        reluflow.analyze(proto, inputs, out=folder)
        yield (folder / "report.json").read_bytes()
        yield from (path.read_bytes() for path in folder.rglob("*.parquet"))
    else:
        path = PLACE / "seed.npz"
        reluflow.fit_drift(proto, inputs).save(path)
        yield path.read_bytes()


def counted(name: str, record: Path) -> Callable[[bytes], None]:
    """Returns a target that adds its runs to a record; one that ends it is not counted."""
    run, begun = 0, time.monotonic()

    def target(raw: bytes) -> None:
        nonlocal run, begun
        TARGETS[name](raw)
        run += 1
        if run % STEP == 0:
            seconds = time.monotonic() - begun
            tally.add(record, "readers, in Python", name, inputs=STEP, seconds=seconds, finds=0)
            begun = time.monotonic()

    return target


def main() -> None:
    """Fuzzes a target with libFuzzer's arguments."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"give one of {', '.join(TARGETS)}, then arguments of libFuzzer")
    name = sys.argv.pop(1)
    target = TARGETS[name]
    if "--record" in sys.argv:
        at = sys.argv.index("--record")
        target = counted(name, Path(sys.argv[at + 1]))
        del sys.argv[at : at + 2]
    folders = [Path(each) for each in sys.argv[1:] if not each.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (folder / f"seed-{number}").write_bytes(seed)
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
