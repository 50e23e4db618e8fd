"""The batch size is chosen by the sizes of the data: memory does not grow with image size."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from onnx import helper, parser

import reluflow
from reluflow import AnalysisOptions
from reluflow.analysis.run.batching import fitting
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.data import IteratorSource
from reluflow.graph import bound_shapes, load

MIB = 1 << 20
SCRIPT = """
import sys
import reluflow
from reluflow.analysis import peak_memory_bytes
from reluflow.data import RandomData
dims = {"S": int(sys.argv[2])}
reluflow.analyze(sys.argv[1], RandomData(2, dims={"S": 8}))
before = peak_memory_bytes()
report = reluflow.analyze(sys.argv[1], RandomData(24, dims=dims))
print(report.run.batch_size, peak_memory_bytes() - before)
"""


def peak(path: Path, side: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(side)],
        capture_output=True,
        text=True,
        check=True,
    )
    size, grown = map(int, done.stdout.split())
    return size, grown


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_larger_images_go_in_smaller_batches(tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    onnx.save(small_models.convolutional(size="S"), path)
    small, large = peak(path, 128), peak(path, 1024)
    inputs, pre_activations = 2 * 1024**2, 5 * 1024**2 + 7 * 511**2
    fingerprints = 4 * (1024**2 + 511**2)  # as many bytes as four floats each
    per_input = 4 * (inputs + pre_activations + fingerprints)
    assert small[0] == 64
    assert large[0] == 2**28 // per_input == 4
    assert large[1] < 1800 * MIB, (small, large)  # 3,400 in one batch


FLAT = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,T,8] x) => (float[M,8] y) <int64[2] to = {-1, 8}>
    { f = Reshape(x, to) y = Relu(f) }""")
CHOSEN = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,T,8] x) => (float[M,3] y)
    { p = NonZero(x) t = Transpose(p) f = Cast <to = 1> (t) y = Relu(f) }""")
POOLED = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,H,W] x) => (float[N,2,A,B] y) { p = MaxPool <kernel_shape = [2,2]> (x)
    y = Relu(p) }""")


@pytest.mark.parametrize(
    ("proto", "shape", "tapped"),
    [(FLAT, (300_000, 8), (8 + 4) * 300_000), (POOLED, (2, 2001, 1001), (2 + 4) * 2000 * 1000),
     (CHOSEN, (200_000, 8), 3 * 1_600_000)],
    ids=["tokens on the first axis", "images", "only a run can tell"],
)  # fmt: skip
def test_the_batch_fits(proto: onnx.ModelProto, shape: tuple[int, ...], tapped: int) -> None:
    x = np.ones((2, *shape), np.float32)
    report = reluflow.analyze(proto, x)
    assert report.run.batch_size == 2**28 // (4 * (tapped + x[0].size))


def test_sizes_are_bound_in_branches_and_functions() -> None:
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17, "l" : 1]>
        g (float[N,2,H,W] x, bool c) => (float[N,2,H,W] y) {
          q = If (c) <then_branch = t () => (float[A,B,C,D] a) { a = Relu(x) },
                      else_branch = e () => (float[A,B,C,D] b) { b = Neg(x) }>
          y = l.f(q) }
        <domain: "l", opset_import: ["" : 17]> f (v) => (w) { w = Relu(v) }""")
    proto.graph.value_info.append(helper.make_tensor_value_info("q", 1, ["N", 2, "H", "W"]))
    found = bound_shapes(load(proto), {"x": (1, 2, 30, 40)})
    assert set(found.values()) == {(1, 2, 30, 40)}


def test_inputs_larger_than_the_first_run_fewer_at_once() -> None:
    model = small_models.convolutional(size="S")
    sides = [16] * 40 + [512] * 6 + [16] * 3
    items = [np.random.default_rng(i).normal(size=(1, 2, s, s)).astype("f4")
             for i, s in enumerate(sides)]  # fmt: skip
    seen: list[int] = []

    class Recorder(Pipeline):
        def step(self, feeds: Any, pool: Any) -> Any:
            seen.append(len(feeds["x"]))
            return super().step(feeds, pool)

    alike = np.concatenate([i for i, s in zip(items, sides, strict=True) if s == 16])
    source = IteratorSource(items, load(model).inputs)
    recorder = Recorder(load(model), source, AnalysisOptions(), Path())
    recorder.run()
    assert seen == [40, 1, 1, 1, 1, 1, 1, 3]
    report = reluflow.analyze(model, items)
    one = reluflow.analyze(model, items, options=AnalysisOptions(batch_size=1))
    assert [s.patterns for s in report.sites] == [s.patterns for s in one.sites]
    assert reluflow.analyze(model, alike).n_inputs == 43


def test_fitting_counts_bytes() -> None:
    feeds = {"x": np.zeros((8, 100), np.float32)}
    assert fitting(feeds, 400, 64) == 8
    assert fitting(feeds, 100, 8) == 2
    assert fitting(feeds, 1, 4) == 1
    assert fitting(feeds, 0, 4) == 8


def test_the_first_item_of_an_iterator_is_not_lost() -> None:
    rows = small_models.integers((7, 4))
    report = reluflow.analyze(small_models.dense(), (row[None] for row in rows))
    assert report.n_inputs == 7
    source = IteratorSource((row[None] for row in rows), load(small_models.dense()).inputs)
    assert source.first()["x"].shape == (1, 4)  # type: ignore[index]
    assert np.array_equal(np.concatenate([b["x"] for b in source.batches(2)]), rows)
    assert IteratorSource([], load(small_models.dense()).inputs).first() is None
