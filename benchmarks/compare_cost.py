"""Comparing two checkpoints against two plain forward passes of the same inputs.

ResNet-50 (49 ReLUs) with two sets of random weights. `compare` shows the pre-activations, hashes
them by numba and counts the flips of every unit over all samples; `compare_checkpoints` counts no
flips and hashes inside the graph where the native library is available.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _support import arguments, keep, paired_medians
from networks.light import paths, random_input, with_random_weights

from reluflow.analysis import AnalysisOptions, Pipeline
from reluflow.data import open_data
from reluflow.graph import load
from reluflow.patterns import count_different, count_flips
from reluflow.sessions import has_library, open_session


def measure(batch: int, flips: bool, runs: int, rounds: int) -> dict[str, float]:
    protos = [with_random_weights(paths()["resnet50"], batch=batch, seed=seed) for seed in (0, 1)]
    models = [load(proto) for proto in protos]
    feeds = random_input(protos[0], 0)
    plain = [open_session(model) for model in models]
    options = AnalysisOptions(native=not flips and has_library())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        lines = [
            Pipeline(
                model, open_data(feeds, model.inputs), options, Path(folder, str(i)), sampled=0
            )
            for i, model in enumerate(models)
        ]
        for line in lines:
            line.keeps_outputs = flips
        rng = np.random.default_rng(0)
        name, x = next(iter(feeds.items()))
        inputs = [{name: x + rng.standard_normal(x.shape).astype(np.float32)} for _ in range(runs)]

        def infer() -> None:
            for each in inputs:
                for session in plain:
                    session.run(each)

        def flips_of(index: int) -> int:
            tap = lines[0].sites[index].tap
            before, after = (line.outputs[tap.output] for line in lines)
            axis, threshold = tap.unit_axis, tap.site.threshold
            return int(count_flips(before, after, unit_axis=axis, threshold=threshold).sum())

        def compare() -> None:
            for each in inputs:
                pairs = zip(*(line.step(each, pool) for line in lines), strict=True)
                for before, after in pairs:
                    assert before is not None and after is not None
                    count_different(before, after)
                if flips:
                    list(pool.map(flips_of, range(len(lines[0].sites))))

        infer()
        compare()
        base, whole, ratio = paired_medians(infer, compare, rounds)
    return {
        "batch": batch,
        "flips": flips,
        "native": bool(options.native),
        "plain_ms": 1e3 * base / runs,
        "compare_ms": 1e3 * whole / runs,
        "ratio": ratio,
    }


def main() -> None:
    options = arguments(str(__doc__).splitlines()[0], rounds=9)
    results = [measure(4, flips, 1, options.rounds) for flips in (True, False)]
    for row in results:
        print(
            f"{'compare' if row['flips'] else 'compare_checkpoints'}, batch {row['batch']}, hashed "
            f"{'in the graph' if row['native'] else 'by numba'}: two passes "
            f"{row['plain_ms']:.1f} ms, comparison {row['compare_ms']:.1f} ms, "
            f"ratio {row['ratio']:.2f}"
        )
    keep(options.json, results)


if __name__ == "__main__":
    main()
