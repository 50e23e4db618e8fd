"""Run models with plain ONNX Runtime, on one thread; print the bits of each first output.

    python guest.py LIBRELUFLOW FOLDER RUNS SAMPLES MODEL:KERNELS ...

It runs inside QEMU too, where neither reluflow nor onnx are. `os.getppid` tells the plugin of
count.c where the runs of each model begin and end.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import onnxruntime as ort


def run(library: str, folder: str, runs: int, samples: int, model: str) -> np.ndarray:
    """Open a model, run it twice, and then so many times."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.register_custom_ops_library(library)
    path = f"{folder}/{model}.onnx"
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    first, *others = session.get_inputs()
    shape = [d if isinstance(d, int) else 1 for d in first.shape]
    feeds = {first.name: np.fromfile(f"{folder}/input.f32", np.float32).reshape(shape)}
    if others:
        feeds |= {"samples": np.array(samples, np.int64), "seed": np.array(7, np.int64)}
    for _ in range(2):
        session.run(None, feeds)
    os.getppid()
    for _ in range(runs):
        outputs = session.run(None, feeds)
    os.getppid()
    return outputs[0]


def main(library: str, folder: str, runs: str, samples: str, *tasks: str) -> None:
    """Run each model by each table of kernels."""
    for task in tasks:
        model, _, kernels = task.partition(":")
        os.environ["RELUFLOW_KERNEL"] = kernels
        y = run(library, folder, int(runs), int(samples), model)
        print(model, kernels, y.tobytes().hex(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
