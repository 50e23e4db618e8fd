"""Instructions of one inference on 64-bit ARM, counted in QEMU, beside those of ONNX Runtime.

The shipped ResNet-8 as floats, as ONNX Runtime's static int8, and converted three times (sums of
floats, chains of bytes, chains of 16 bits), each by every table of kernels. The
runs of each are counted alone, after two others, on one thread. Every converted output is
compared with that of this machine, bit by bit: one difference ends the program.
Run it with PYTHONPATH=benchmarks.

`--root` is a folder with an ARM Python and its libraries, and `proc/cpuinfo` of an ARM processor;
`--site` one with the wheels of numpy and onnxruntime for aarch64; `--library` is the native
library, built with runtime/cmake/aarch64-linux-gnu.cmake: docs/arm.md. Models that `--models` has
are not made again. Instructions are not time.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from _support import keep
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from reluflow.sessions import get_library_path

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
NETWORK = MODELS / "fashion_resnet8.onnx"
DATA = MODELS / "fashion_mnist_test_2000.npz"
TABLES = ("portable", "neon", "dotprod", "i8mm")
CONVERSIONS = {"sums": "16", "bytes": "8", "shorts": "12"}
"""Bits of the activations; fewer than 16 make chains."""
RUNS, SAMPLES, CALIBRATION = 5, 4, 64


class Images(CalibrationDataReader):
    """The first images, one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self._left = iter(images[:CALIBRATION, None])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input, or None at the end."""
        image = next(self._left, None)
        return None if image is None else {"image": image}


def write_models(folder: Path) -> None:
    """Write the network in its five forms, those that are missing."""
    made = {name: folder / f"{name}.onnx" for name in ("float", "int8", *CONVERSIONS)}
    with np.load(DATA) as arrays:
        images = arrays["image"]
    images[:1].tofile(folder / "input.f32")
    chosen = folder / "calibration.npz"
    np.savez(chosen, image=images[:CALIBRATION])
    if not made["float"].exists():
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(made["float"])  # without batch normalisations
        ort.InferenceSession(NETWORK, options, providers=["CPUExecutionProvider"])
    if not made["int8"].exists():
        layout = QuantFormat.QDQ
        files = (made["float"], made["int8"])
        quantize_static(*files, Images(images), quant_format=layout, per_channel=True)
    for name, bits in CONVERSIONS.items():
        command = [sys.executable, "-m", "reluflow", "psb", "convert", str(NETWORK)]
        if bits != "16":
            command += ["--x-bits", bits, "--calibrate", str(chosen)]
        if not made[name].exists():
            subprocess.run([*command, "-o", str(made[name])], check=True, capture_output=True)


def arguments(library: Path, models: Path, tasks: list[str]) -> list[str]:
    """Return what follows the interpreter in a command line."""
    words = [HERE / "guest.py", library, models, RUNS, SAMPLES, *tasks]
    return [str(word) for word in words]


def outputs_of(text: str) -> list[str]:
    """Return the bits of the outputs that a guest printed."""
    return [line.split()[-1] for line in text.splitlines()]


def measure(args: argparse.Namespace, plugin: Path) -> list[dict[str, object]]:
    """Count every form of the network by every table of kernels."""
    tasks = [f"{name}:" for name in ("float", "int8")]
    tasks += [f"{name}:{table}" for name in CONVERSIONS for table in TABLES]
    start = ["qemu-aarch64", "-cpu", args.cpu, "-plugin", str(plugin), "-L", str(args.root)]
    start += ["-E", f"PYTHONPATH={args.site}", str(args.root / "usr/bin/python3.11")]
    command = [*start, *arguments(args.library, args.models, tasks)]
    guest = subprocess.run(command, capture_output=True, text=True, check=True)
    counts = [int(number) for number in re.findall(r"^instructions (\d+)", guest.stderr, re.M)]
    here = [sys.executable, *arguments(Path(get_library_path()), args.models, list(CONVERSIONS))]
    host = subprocess.run(here, capture_output=True, text=True, check=True)
    want = dict(zip(CONVERSIONS, outputs_of(host.stdout), strict=True))
    rows: list[dict[str, object]] = []
    for i, (task, bits) in enumerate(zip(tasks, outputs_of(guest.stdout), strict=True)):
        name, _, table = task.partition(":")
        if name in want and bits != want[name]:
            raise SystemExit(f"{task} gives other bits than this machine.")
        count = round((counts[2 * i + 1] - counts[2 * i]) / RUNS)
        rows.append({"model": name, "kernels": table or "ONNX Runtime", "instructions": count})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Count and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("root", "site", "library", "models"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.models.mkdir(parents=True, exist_ok=True)
    write_models(args.models)
    plugin = args.models.resolve() / "count.so"
    source = str(HERE / "count.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", str(plugin)], check=True)
    rows = measure(args, plugin)
    keep(args.json, {"cpu": args.cpu, "samples": SAMPLES, "same_bits_as_x86": True, "rows": rows})


if __name__ == "__main__":
    main()
