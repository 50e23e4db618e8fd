"""Transformers that optimum exported: smooth sites, and one pattern for each token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from networks.exporters import PAGE, fill

from reluflow import AnalysisOptions, activation_bits, analyze, convert
from reluflow.errors import ModelError

FILES = Path(__file__).with_name("files")
RNG = np.random.default_rng(0)
N, TOKENS = 6, 7
WORDS = {
    "input_ids": RNG.integers(0, 24, (N, TOKENS)),
    "attention_mask": np.ones((N, TOKENS), np.int64),
    "token_type_ids": np.zeros((N, TOKENS), np.int64),
}
CASES: dict[str, tuple[dict[str, np.ndarray], list[tuple[int, int]]]] = {
    "bert": (WORDS, [(12, N * TOKENS)]),
    "bert-relu": (WORDS, [(12, N * TOKENS)]),
    # 16 patches and a class token
    "vit": ({"pixel_values": RNG.normal(size=(N, 3, 16, 16))}, [(12, N * 17)]),
    # 20 frames, halved by the second convolution
    "whisper-encoder": (
        {"input_features": RNG.normal(size=(N, 6, 20))},
        [(8, N * 20), (8, N * 10), (12, N * 10)],
    ),
    "whisper-decoder": (
        {"input_ids": WORDS["input_ids"], "encoder_hidden_states": RNG.normal(size=(N, 10, 8))},
        [(14, N * TOKENS)],
    ),
}
"""File -> inputs, and units and samples of each site."""


def opened(name: str) -> tuple[Path, dict[str, Any]]:
    feeds = CASES[name][0]
    floats = {key: a.astype(np.float32) if a.dtype.kind == "f" else a for key, a in feeds.items()}
    return FILES / f"optimum-18-{name}.onnx", floats


@pytest.mark.parametrize("name", CASES)
def test_each_token_is_a_sample(name: str) -> None:
    path, feeds = opened(name)
    smooth = AnalysisOptions(smooth=True)
    report = analyze(path, feeds, options=smooth)
    assert [(site.site.units, site.samples) for site in report] == CASES[name][1]
    assert all(1 < site.patterns <= site.samples for site in report)
    bits = activation_bits(path, feeds, [0, 2], options=smooth)
    assert [each.shape for each in bits.values()] == [
        (2, samples // N, units) for units, samples in CASES[name][1]
    ]


@pytest.mark.parametrize("name", ["bert", "vit"])
def test_a_fused_gelu_is_the_same_sites(name: str, tmp_path: Path) -> None:
    path, feeds = opened(name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    smooth = AnalysisOptions(smooth=True)
    given, fused = (
        analyze(each, feeds, options=smooth) for each in (path, tmp_path / "fused.onnx")
    )
    assert any("1 BiasGelu" in note for note in fused.notes)
    (one,), (other,) = given.sites, fused.sites
    assert (one.site.units, one.samples) == (other.site.units, other.samples)
    assert one.patterns == pytest.approx(other.patterns, abs=1)


def test_gelu_counts_where_it_is_asked_for_alone() -> None:
    path, feeds = opened("vit")
    with pytest.raises(ModelError, match=r"count smooth ones \(Gelu, Silu, \.\.\.\) with smooth"):
        analyze(path, feeds)


@pytest.mark.parametrize("name", ["bert", "vit"])
def test_its_layers_are_converted_and_its_attention_is_told(name: str, tmp_path: Path) -> None:
    path, _ = opened(name)
    found = convert(path, tmp_path / "psb.onnx")
    assert len(found.result.done.converted) == 8
    assert [refused.op for refused in found.result.refused] == ["MatMul", "MatMul"]


def test_the_table_of_exporters_is_that_of_the_files() -> None:
    page = PAGE.read_text("utf-8")
    assert fill(page) == page, "run PYTHONPATH=benchmarks python -m networks.exporters"
