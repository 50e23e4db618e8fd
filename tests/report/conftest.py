"""Builders of realistic results: small and large nets, healthy and faulty, benign and hostile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM, Browser

from reluflow.analysis.results.result import (
    ComparisonReport,
    GlobalReport,
    ModelDescription,
    PatternReport,
    PatternSummary,
    RunDescription,
    SiteComparison,
    SiteReport,
)
from reluflow.data import DataDescription
from reluflow.graph import SwitchSite

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}$\\frac$\x1b[2J\u202e"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@dataclass(frozen=True)
class Layer:
    """What a fake site is made of."""

    name: str
    units: int
    positions: int
    op: str = "Relu"
    dead: int = 0
    always_on: int = 0
    nonfinite: int = 0
    scope: str = ""
    smooth: bool = False


def make_site(layer: Layer, n_inputs: int, depth: float, rng: np.random.Generator) -> SiteReport:
    samples = n_inputs * layer.positions
    counts = rng.beta(1.6 + depth, 2.2, layer.units) * samples
    active = np.clip(counts.astype(np.int64), 1, max(1, samples - 1))
    order = rng.permutation(layer.units)
    active[order[: layer.dead]] = 0
    if layer.always_on:
        active[order[-layer.always_on :]] = samples
    limit = min(layer.units, math.log2(max(samples, 2)))
    relative = float(np.clip(0.97 - 0.5 * depth + rng.normal(0, 0.06), 0.05, 1.0))
    patterns = max(1, int(samples * relative**3))
    top = make_top(layer, active, samples, patterns, rng)
    shape = ("N", layer.units) if layer.positions == 1 else ("N", layer.units, 7, 7)
    site = SwitchSite(
        layer.name,
        layer.op,
        layer.name + "_in",
        0.0,
        1,
        layer.units,
        shape,
        layer.scope,
        layer.smooth,
    )
    return SiteReport(
        site=site,
        units=layer.units,
        positions=layer.positions,
        samples=samples,
        patterns=patterns,
        entropy_bits=relative * limit,
        relative_entropy=relative,
        most_frequent_fraction=top[0].fraction,
        dead_units=int((active == 0).sum()),
        always_on_units=int((active == samples).sum()),
        mean_active_fraction=float(active.mean() / samples),
        unit_active_counts=tuple(int(c) for c in active),
        nonfinite=layer.nonfinite,
        table_load=0.43,
        spilled_bytes=0,
        top=top,
    )


def make_top(
    layer: Layer, active: np.ndarray, samples: int, patterns: int, rng: np.random.Generator
) -> tuple[PatternSummary, ...]:
    share = float(rng.uniform(0.001, 0.12))
    summaries = []
    for rank in range(min(5, patterns)):
        bits = rng.random(layer.units) < active / max(samples, 1)
        n = max(1, int(samples * share / (rank + 1)))
        summaries.append(
            PatternSummary(
                fingerprint=rng.bytes(16).hex(),
                count=n,
                fraction=n / samples,
                first_sample=int(rng.integers(0, 500)),
                first_position=int(rng.integers(0, layer.positions)),
                bits="".join("1" if bit else "0" for bit in bits),
            )
        )
    return tuple(summaries)


def make_model(name: str) -> ModelDescription:
    return ModelDescription(
        path=f"models/{name}.onnx",
        sha256="3f" * 32,
        producer="pytorch 2.9.0",
        ir_version=10,
        opset={"": 20, "ai.onnx.ml": 4},
        n_nodes=231,
        n_parameters=1_234_567,
        size_bytes=4_912_345,
        inputs={"input": "float32 [N, 1, 28, 28]"},
    )


def make_data(n: int) -> DataDescription:
    return DataDescription(
        kind="npz",
        source="models/fashion_test.npz",
        n_samples=n,
        inputs={"input": "float32 [1, 28, 28]"},
        preprocessing={"scale": 1 / 255, "mean": [0.286], "std": [0.353], "order": "RGB"},
        fingerprint="ab" * 32,
    )


def make_run() -> RunDescription:
    return RunDescription(
        started="2026-01-02T03:04:05",
        seconds={"load": 0.21, "inference": 3.4, "hashing": 0.62, "counting": 0.48, "total": 5.2},
        batch_size=64,
        threads=2,
        versions={"reluflow": "0.1.0", "onnxruntime": "1.32.0", "numpy": "2.4.6"},
        machine="x86_64 Linux",
        peak_memory_bytes=412_000_000,
    )


def make_report(name: str, layers: list[Layer], n_inputs: int, seed: int = 1) -> PatternReport:
    rng = np.random.default_rng(seed)
    sites = tuple(
        make_site(layer, n_inputs, i / max(1, len(layers) - 1), rng)
        for i, layer in enumerate(layers)
    )
    whole = GlobalReport(True, "", n_inputs, n_inputs - n_inputs // 300, 10.9, 4 / n_inputs)
    return PatternReport(
        model=make_model(name),
        data=make_data(n_inputs),
        hash={"kind": "random-words-128", "seed": 20250101},
        n_inputs=n_inputs,
        sites=sites,
        skipped=(),
        global_pattern=whole,
        run=make_run(),
    )


def resnet8() -> PatternReport:
    layers = [Layer("/relu/Relu", 32, 784)]
    for stage, (units, side) in enumerate([(32, 28), (64, 14), (128, 7)]):
        layers.append(
            Layer(f"/stage{stage}/relu1/Relu", units, side * side, dead=12 * (stage == 1))
        )
        layers.append(Layer(f"/stage{stage}/relu2/Relu", units, side * side, dead=stage))
    layers.append(Layer("/head/HardSwish", 128, 1, op="HardSwish", always_on=3))
    layers.append(Layer("/head/relu/Relu", 64, 1, dead=5))
    return make_report("resnet8_fashion", layers, 2000)


def resnet50() -> PatternReport:
    layers = [Layer("/relu/Relu", 64, 3136)]
    for stage, (width, blocks, side) in enumerate(
        [(64, 3, 28), (128, 4, 14), (256, 6, 7), (512, 3, 4)]
    ):
        for block in range(blocks):
            at = f"/layer{stage + 1}/layer{stage + 1}.{block}"
            for k, units in enumerate([width, width, 4 * width]):
                dead = (7 * block + stage) if k == 2 else 0
                layers.append(Layer(f"{at}/relu_{k}/Relu", units, side * side, dead=dead))
    return make_report("resnet50", layers, 400, seed=2)


def one_site() -> PatternReport:
    report = make_report("toy", [Layer("Relu_1", 2, 1)], 1000)
    return replace(report, global_pattern=GlobalReport(False, "inputs vary in size"))


def deep160() -> PatternReport:
    layers = [
        Layer(f"/features/denseblock{i // 40}/denselayer{i}/relu/Relu", 64 + 6 * i, 49, dead=i % 9)
        for i in range(160)
    ]
    return make_report("dense160", layers, 300, seed=3)


def hostile() -> PatternReport:
    layers = [
        Layer(HOSTILE, 16, 49, dead=16, nonfinite=1234, op="<b>Relu</b>", scope="if_1/<i>then</i>"),
        Layer("very_long_" * 40, 300, 9, always_on=300, scope="block_3:MyFunction"),
        Layer("层/激活/ReLU", 5000, 1, smooth=True, op="Gelu"),
        Layer("", 1, 1),
    ]
    report = make_report(HOSTILE, layers, 50)
    sites = list(report.sites)
    sites[2] = replace(
        sites[2], positions=None, top=tuple(replace(t, bits="") for t in sites[2].top)
    )
    sites[3] = replace(sites[3], entropy_bits=math.nan, top=())
    odd = DataDescription("iterator", HOSTILE, None, {HOSTILE: HOSTILE}, {HOSTILE: [HOSTILE]}, "")
    skipped = (
        SwitchSite(
            "loop_relu",
            "Relu",
            "t",
            0.0,
            -1,
            None,
            None,
            "loop/body",
            False,
            "inside a Loop: " + HOSTILE,
        ),
        SwitchSite(
            HOSTILE, "Where", "t", 0.5, 1, 4, ("N", None, 4), "", False, "its tensor is a string"
        ),
    )
    notes = (f"1,234 values of {HOSTILE} were not finite.", "Counts spilled 12 MiB to disk.")
    return replace(
        report, sites=tuple(sites), data=odd, skipped=skipped, notes=notes, hash={"kind": HOSTILE}
    )


def empty() -> PatternReport:
    return make_report("no_switch", [], 10)


def comparison(source: PatternReport | None = None, still: bool = False) -> ComparisonReport:
    source = source or resnet8()
    rng = np.random.default_rng(9)
    sites = []
    for i, s in enumerate(source.sites):
        saturated = i == 3 and not still
        d = 0.0 if still else 1.0 if saturated else float(rng.uniform(0.02, 0.95))
        after = s.patterns if still else int(s.patterns * rng.uniform(0.5, 1.9)) + 1
        sites.append(
            SiteComparison(
                name=s.site.name,
                other_name=s.site.name if i % 2 else s.site.name + "_b",
                units=s.units,
                samples=s.samples,
                patterns=(s.patterns, after),
                entropy_bits=(s.entropy_bits, s.entropy_bits * 0.9),
                jaccard=1 - d * 0.9,
                net_change=(after - s.patterns) / s.patterns,
                born=0.0 if still else float(rng.uniform(0, 1.4)),
                died=d * 0.6,
                distance=d,
                temperature=math.log2(s.samples) if saturated else -math.log2(1 - d) + 0.0,
                saturated=saturated,
            )
        )
    mean = sum(s.distance for s in sites) / max(1, len(sites))
    second = replace(source.model, path="models/epoch_9.onnx", sha256="c4" * 32)
    return ComparisonReport(
        source.model,
        second,
        source.data,
        source.n_inputs,
        tuple(sites),
        mean,
        make_run(),
        source.notes,
    )


BUILDERS: dict[str, Callable[[], PatternReport | ComparisonReport]] = {
    "resnet8": resnet8,
    "resnet50": resnet50,
    "one_site": one_site,
    "deep160": deep160,
    "hostile": hostile,
    "empty": empty,
    "comparison": comparison,
    "comparison_still": lambda: comparison(still=True),
    "comparison_hostile": lambda: comparison(hostile()),
    "comparison160": lambda: comparison(deep160()),
}


@pytest.fixture(params=sorted(BUILDERS))
def any_report(request: pytest.FixtureRequest) -> PatternReport | ComparisonReport:
    return BUILDERS[request.param]()


@pytest.fixture
def build() -> dict[str, object]:
    return dict(BUILDERS)


@pytest.fixture
def small_report() -> PatternReport:
    return resnet8()


@pytest.fixture
def tables() -> list[tuple[str, Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
    return make_tables(3)


def make_tables(
    chunks: int,
) -> list[tuple[str, Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
    """The same 3000 rows of two sites, cut into any number of chunks."""
    result = []
    for k, name in enumerate(["/relu/Relu", HOSTILE]):
        rng = np.random.default_rng(k)
        keys = rng.integers(0, 2**64, (1500, 2), dtype=np.uint64)
        counts, first = rng.integers(1, 99, 1500), np.arange(1500)
        pieces = zip(
            np.array_split(keys, chunks),
            np.array_split(counts, chunks),
            np.array_split(first, chunks),
            strict=True,
        )
        result.append((name, iter(list(pieces))))
    return result


@pytest.fixture
def chunked() -> object:
    return make_tables


def snapshot(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}
