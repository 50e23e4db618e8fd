"""Wide scenes: a second pass over what a cheap first pass is unsure of, against a dense one.

    python benchmarks/cascade.py --scenes --json benchmarks/records/attention_scenes.json --page

Scenes of FashionMNIST objects on 1 to 10 % of a textured ground, and the classifier that is shipped
for them, as int16 and as bytes (`psb convert --calibrate`, on training objects and grounds without
labels). Threshold and margin of each pass 1 are chosen on scenes of their own, by the least share
that is computed at the wanted accuracy; what is reported comes from five other sets.
Times are CPU seconds of one thread, dense and attention in turn on each scene, so that other work
of the machine counts little. `--page` puts tables and picture into docs/attention.md; with
`--only-page` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep
from scenes import page
from scenes.data import FOR_CALIBRATION, calibration, compose_set, forms, judge
from scenes.runs import PASSES, Attention, seconds_of

from reluflow.attention import RegionOptions

SETS = (1, 2, 3, 4, 5)
"""Seeds of the reported sets; that of the set on which settings are chosen is another."""
CHOOSING, MANY = 100, 6
"""The set for choosing has so many times the scenes of the others."""
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2)
"""Bits of entropy above which a pixel of the map is computed again."""
MARGINS = (0, 1)
COVERAGES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.49)
CAREFUL = 0.3
"""Points that the chosen setting may lose on the set for choosing; 0.5 are wanted on the others."""
ROUNDS = 5
TIMED = (5, (512, 2048))
"""Scenes of the first reported seed that are timed, and their size."""
SET_OF_EXAMPLE, OF_EXAMPLE, SIZE_OF_EXAMPLE = 10, 3, (256, 1024)
"""Scenes of a small set, and which of them the picture shows."""


def measured(attention: Attention, scenes: list[Any], options: RegionOptions) -> dict[str, float]:
    """Return accuracy before and after, and what was computed, as means over scenes."""
    runs = [attention.run(scene.image, options) for scene in scenes]
    before = judge((run.before for run in runs), scenes)
    after = judge((run.after for run in runs), scenes)
    return {
        "coverage": float(np.mean([run.coverage for run in runs])),
        "share": float(np.mean([run.share for run in runs])),
        "before": before.objects,
        "objects": after.objects,
        "scenes": after.scenes,
        "false_ground": after.false_ground,
    }


def choose(attention: Attention, scenes: list[Any], margin: int, dense: float) -> dict[str, Any]:
    """Return the threshold with the least share that keeps the accuracy, and what all gave."""
    tried = []
    for threshold in THRESHOLDS:
        options = RegionOptions("absolute", threshold, margin)
        tried.append({"threshold": threshold, **measured(attention, scenes, options)})
    lost = [100 * (dense - each["objects"]) for each in tried]
    good = [each for each, by in zip(tried, lost, strict=True) if by <= CAREFUL + 1e-9]
    least = min(good, key=lambda each: each["share"]) if good else None
    return {"threshold": least["threshold"] if least else None, "tried": tried}


def timed(attention: Attention, scenes: list[Any], options: RegionOptions) -> dict[str, float]:
    """Return milliseconds of the dense pass, of pass 1 and of all, the fastest of each scene."""
    times, shares = [], []
    for scene in scenes:
        rounds = []
        shares.append(attention.run(scene.image, options).share)
        for _ in range(ROUNDS):
            dense = seconds_of(lambda: attention.dense(scene.image))  # noqa: B023
            first = seconds_of(lambda: attention.first(scene.image))  # noqa: B023
            whole = seconds_of(lambda: attention.alone(scene.image, options))  # noqa: B023
            rounds.append((dense, first, whole))
        times.append(np.min(rounds, axis=0))
    dense, first, whole = 1e3 * np.mean(times, axis=0)
    return {
        "share": float(np.mean(shares)),
        "dense_ms": float(dense),
        "first_ms": float(first),
        "ms": float(whole),
        "first_of_dense": float(first / dense),
        "of_dense": float(whole / dense),
    }


def attention_rows(
    made: dict[str, Any], size: tuple[int, int], n: int, spare: int
) -> Iterator[dict[str, Any]]:
    """Yield each pass 1 at each margin: what was chosen, and what it gives on the other sets."""
    chosen_on = compose_set(MANY * n, CHOOSING, size, spare=spare)
    to_time = compose_set(TIMED[0], SETS[0], TIMED[1], spare=spare)
    sets = {seed: compose_set(n, seed, size, spare=spare) for seed in SETS}
    for name in PASSES:
        attention = Attention(made, name)
        judged = {
            seed: judge((attention.dense(scene.image) for scene in scenes), scenes)
            for seed, scenes in [(CHOOSING, chosen_on), *sets.items()]
        }
        for margin in MARGINS if PASSES[name][2] else MARGINS[:1]:
            found = choose(attention, chosen_on, margin, judged[CHOOSING].objects)
            row = {"pass 1": name, "margin": margin, **found, "sets": []}
            row |= {"chosen_seed": CHOOSING, "careful_points": CAREFUL}
            row["chosen_on"] = judged[CHOOSING].objects
            options = RegionOptions("absolute", found["threshold"] or THRESHOLDS[0], margin)
            for seed, scenes in sets.items():
                gave = measured(attention, scenes, options)
                dense = judged[seed]
                row["sets"].append(
                    {
                        "seed": seed,
                        "n_objects": dense.n_objects,
                        "dense": dense.objects,
                        "dense_scenes": dense.scenes,
                        "dense_false_ground": dense.false_ground,
                        "lost_points": 100 * (dense.objects - gave["objects"]),
                        **gave,
                    }
                )
            row["time"] = timed(attention, to_time, options)
            row["mean"] = {
                key: float(np.mean([each[key] for each in row["sets"]]))
                for key in row["sets"][0]
                if key not in ("seed", "n_objects")
            }
            print(
                f"{name}, margin {margin}, above {found['threshold']} bits: "
                f"{row['mean']['share']:.1%} computed, {row['mean']['lost_points']:.2f} points "
                f"lost, {row['time']['of_dense']:.2f} of the time",
                flush=True,
            )
            yield row


def random_rows(
    made: dict[str, Any], size: tuple[int, int], n: int, spare: int
) -> Iterator[dict[str, Any]]:
    """Yield the most unsure pixels beside as many random ones, for each pass 1, coverage, set."""
    for name in PASSES:
        attention = Attention(made, name)
        for seed in SETS:
            scenes = compose_set(n, seed, size, spare=spare)
            dense = judge((attention.dense(scene.image) for scene in scenes), scenes).objects
            for coverage in COVERAGES:
                unsure = measured(attention, scenes, RegionOptions("coverage", coverage))
                options = RegionOptions("coverage", coverage, random=seed)
                random = measured(attention, scenes, options)
                yield {
                    "pass 1": name,
                    "seed": seed,
                    "coverage": coverage,
                    "dense": dense,
                    "before": unsure["before"],
                    "entropy": unsure["objects"],
                    "random": random["objects"],
                }
            print(f"{name}, set {seed}: random regions done", flush=True)


def example(made: dict[str, Any], rows: list[dict[str, Any]], spare: int) -> dict[str, Any]:
    """Return a scene of the picture, and the region of the fastest setting that kept accuracy."""
    best = min(
        (row for row in rows if row["threshold"] is not None),
        key=lambda row: row["time"]["of_dense"],
        default=rows[-1],
    )
    threshold = best["threshold"] or THRESHOLDS[0]
    scene = compose_set(SET_OF_EXAMPLE, SETS[0], SIZE_OF_EXAMPLE, spare=spare)[OF_EXAMPLE]
    region = (
        Attention(made, best["pass 1"])
        .run(scene.image, RegionOptions("absolute", threshold, best["margin"]))
        .computed
    )
    return {
        "pass 1": best["pass 1"],
        "margin": best["margin"],
        "threshold": threshold,
        "seed": SETS[0],
        "n": SET_OF_EXAMPLE,
        "number": OF_EXAMPLE,
        "spare": spare,
        "size": SIZE_OF_EXAMPLE,
        "shape": region.shape,
        "region": np.packbits(region).tobytes().hex(),
    }


def results_of(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the record as it grows."""
    size = (options.size[0], options.size[1])
    spare = 0 if options.data_dir.is_dir() else FOR_CALIBRATION
    made = forms(calibration(options.data_dir, size))
    record: dict[str, Any] = {
        "size": size,
        "each": options.each,
        "timed": TIMED,
        "attention": [],
        "random": [],
    }
    for row in attention_rows(made, size, options.each, spare):
        record["attention"].append(row)
        yield record
    for row in random_rows(made, size, max(options.each // 2, 1), spare):
        record["random"].append(row)
    record["example"] = example(made, record["attention"], spare)
    record["random_means"] = page.random_means(record["random"])
    yield record


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--size", type=int, nargs=2, default=(256, 1024))
    parser.add_argument("--each", type=int, default=10, help="scenes of a set")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    if not options.only_page:
        for record in results_of(options):
            keep(options.json, record)
    if options.page or options.only_page:
        kept = json.loads(page.RECORD.read_text("utf-8"))
        page.PAGE.write_text(page.fill(page.PAGE.read_text("utf-8"), kept), encoding="utf-8")
        page.draw(kept["results"])
