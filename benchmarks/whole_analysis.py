"""Whole analysis of ResNet-50 (49 ReLUs, random weights) against plain inference.

Both run the same inputs in ONNX Runtime with the same session options and threads; the analysis
adds taps, hashing, counting and global patterns. Prints the ratio at batch 1 and batch 8, with
hashing beside the graph and, where the native library is there, inside it; and at batch 8 with all
inputs sampled for the graded measures, as small data are.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _support import arguments, keep, paired_medians
from networks.light import paths, random_input, with_random_weights

from reluflow.analysis import AnalysisOptions, Pipeline
from reluflow.analysis.run.input_sample import SAMPLE_INPUTS
from reluflow.data import open_data
from reluflow.graph import load
from reluflow.sessions import has_library, open_session


def measure(batch: int, native: bool, sampled: int, runs: int, rounds: int) -> dict[str, float]:
    proto = with_random_weights(paths()["resnet50"], batch=batch)
    model = load(proto)
    feeds = random_input(proto, 0)
    plain = open_session(model)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        source = open_data(feeds, model.inputs)
        options = AnalysisOptions(native=native)
        pipeline = Pipeline(model, source, options, Path(folder), sampled=sampled)
        rng = np.random.default_rng(0)
        name, x = next(iter(feeds.items()))
        inputs = [{name: x + rng.standard_normal(x.shape).astype(np.float32)} for _ in range(runs)]

        def infer() -> None:
            for each in inputs:
                plain.run(each)

        def analyse() -> None:
            for each in inputs:
                pipeline.step(each, pool)

        infer()
        analyse()
        for site in pipeline.sites:
            site.seconds = {"hashing": 0.0, "counting": 0.0}
        pipeline.seconds["inference"] = 0.0
        base, whole, ratio = paired_medians(infer, analyse, rounds)
        hashing = sum(site.seconds["hashing"] for site in pipeline.sites)
        counting = sum(site.seconds["counting"] for site in pipeline.sites)
        calls = runs * rounds
        result = {
            "batch": batch,
            "native": native,
            "sampled": sampled,
            "sites": len(pipeline.sites),
            "plain_ms": 1e3 * base / runs,
            "analysis_ms": 1e3 * whole / runs,
            "ratio": ratio,
            "tapped_inference_ms": 1e3 * pipeline.seconds["inference"] / calls,
            "hashing_thread_ms": 1e3 * hashing / calls,
            "counting_thread_ms": 1e3 * counting / calls,
        }
    return result


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0], rounds=9)
    results = [
        measure(batch, native, sampled, runs, options.rounds)
        for native in ([False, True] if has_library() else [False])
        for batch, sampled, runs in ((1, 0, 8), (8, 0, 2), (8, SAMPLE_INPUTS, 2))
    ]
    for row in results:
        print(
            f"ResNet-50, {'hashed in the graph' if row['native'] else 'hashed beside the graph'}, "
            f"batch {row['batch']}, {row['sites']} sites, "
            f"{'all' if row['sampled'] else 'no'} inputs sampled: "
            f"plain {row['plain_ms']:.1f} ms, analysis {row['analysis_ms']:.1f} ms, "
            f"ratio {row['ratio']:.3f} (tapped inference {row['tapped_inference_ms']:.1f} ms, "
            f"hashing {row['hashing_thread_ms']:.1f} and counting "
            f"{row['counting_thread_ms']:.1f} thread-ms)"
        )
    keep(options.json, results)


if __name__ == "__main__":
    main()
