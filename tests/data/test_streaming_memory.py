"""Peak memory does not depend on the number of samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MIB = 1 << 20
BATCH = 8
SAMPLES = (160, 640)
SHAPE = (3, 128, 171)  # 256 KiB per sample

HEAD = """
import sys
import numpy as np
from reluflow.data import InputSpec, open_data

def peak():
    # VmHWM begins anew with the process; ru_maxrss is handed down by the parent.
    status = open("/proc/self/status").read().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024

data = open_data(sys.argv[1], [InputSpec("x", np.dtype("f4"), ("N", 3, 128, 171))])
before = peak()
"""
STREAM = """
total = sum(len(batch["x"]) for batch in data.batches(8))
data.take([0, data.n_samples - 1])
print(total, peak() - before)
"""
WHOLE = """
whole = [batch["x"].copy() for batch in data.batches(8)]
print(len(whole) * 8, peak() - before)
"""


def save(kind, path, n_samples):
    array = np.empty((n_samples, *SHAPE), np.float32)
    array[:] = np.arange(SHAPE[2]) % 7
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez(path, x=array)
    else:
        np.savez_compressed(path, x=array)
    return array.nbytes


def growth(path, n_samples, code=STREAM):
    command = [sys.executable, "-c", HEAD + code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    total, grown = map(int, done.stdout.split())
    assert total == n_samples
    return grown


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"
)


@pytest.mark.parametrize(("kind", "suffix"), [("npy", "npy"), ("npz", "npz"), ("deflated", "npz")])
def test_four_times_the_samples_need_no_more_memory(kind, suffix, tmp_path):
    grown = []
    for n_samples in SAMPLES:
        path = tmp_path / f"{n_samples}.{suffix}"
        n_bytes = save(kind, path, n_samples)
        grown.append(growth(path, n_samples))
    batch_bytes = BATCH * n_bytes // SAMPLES[1]
    assert abs(grown[1] - grown[0]) < 2 * batch_bytes, grown
    assert 0 < grown[1] < 60 * MIB < n_bytes // 2, grown


def test_the_measurement_sees_what_is_held(tmp_path):
    n_bytes = save("npy", tmp_path / "whole.npy", SAMPLES[0])
    assert growth(tmp_path / "whole.npy", SAMPLES[0], WHOLE) > 0.9 * n_bytes
