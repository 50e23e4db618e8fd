"""Peak memory of an analysis at 100 and at 10,000 images, each in a process of its own.

The images are random, compressed in an .npz, and few patterns repeat: the hardest case for the
counting tables, which spill to disk at the memory limit given.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _support import arguments, keep

MODEL = Path(__file__).resolve().parents[1] / "models" / "fashion_resnet8.onnx"
SCRIPT = """
import sys, time
from reluflow import AnalysisOptions, analyze
from reluflow.analysis import peak_memory_bytes
options = AnalysisOptions(batch_size=16, memory_limit_bytes=int(sys.argv[4]) * 2**20)
report = analyze(sys.argv[1], sys.argv[2], sys.argv[3], options=options)
print(report.n_inputs, peak_memory_bytes(), sum(s.spilled_bytes for s in report.sites))
"""


def measure(folder: Path, images: int, limit_mib: int) -> dict[str, int]:
    rng = np.random.default_rng(0)
    data = folder / f"{images}.npz"
    np.savez(data, image=rng.random((images, 1, 28, 28), dtype=np.float32))
    command = [sys.executable, "-c", SCRIPT, str(MODEL), str(data), str(folder / f"r{images}")]
    done = subprocess.run(
        [*command, str(limit_mib)], check=True, capture_output=True, text=True
    ).stdout.split()
    return {"images": int(done[0]), "peak_bytes": int(done[1]), "spilled_bytes": int(done[2])}


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0], rounds=1)
    with tempfile.TemporaryDirectory() as folder:
        few = measure(Path(folder), 100, 64)
        many = measure(Path(folder), 10_000, 64)
    for row in (few, many):
        print(
            f"{row['images']:6d} images: peak {row['peak_bytes'] / 2**20:.0f} MiB, "
            f"spilled {row['spilled_bytes'] / 2**20:.0f} MiB"
        )
    print(f"ratio {many['peak_bytes'] / few['peak_bytes']:.3f}")
    keep(options.json, [few, many])


if __name__ == "__main__":
    main()
