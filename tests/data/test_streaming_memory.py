"""Peak memory does not depend on the number of samples."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

MIB = 1 << 20
SAMPLES = (64, 256)
SHAPE = (3, 128, 171)  # 256 KiB a sample

STREAM = """
import resource, sys
import numpy as np
from reluflow.data import InputSpec, open_data
spec = InputSpec("x", np.dtype("f4"), ("N", 3, 128, 171))
data = open_data(sys.argv[1], [spec])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = sum(float(batch["x"][0, 0, 0, 0]) * 0 + len(batch["x"]) for batch in data.batches(8))
data.take([0, data.n_samples - 1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(int(total), before * 1024, peak * 1024)
"""


def save(kind, path, n_samples):
    array = np.random.default_rng(0).standard_normal((n_samples, *SHAPE), np.float32)
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez(path, x=array)
    else:
        np.savez_compressed(path, x=np.round(array))
    return array.nbytes


@pytest.mark.parametrize(("kind", "suffix"), [("npy", "npy"), ("npz", "npz"), ("deflated", "npz")])
def test_four_times_the_samples_need_no_more_memory(kind, suffix, tmp_path):
    growth = []
    for n_samples in SAMPLES:
        path = tmp_path / f"{n_samples}.{suffix}"
        n_bytes = save(kind, path, n_samples)
        command = [sys.executable, "-c", STREAM, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        total, before, peak = map(int, done.stdout.split())
        assert total == n_samples
        growth.append(peak - before)
    batch = 8 * n_bytes // SAMPLES[1]
    assert growth[1] < growth[0] + batch, growth
    assert growth[1] < 8 * batch < n_bytes, growth
