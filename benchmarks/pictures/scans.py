"""Regions in real time on two scanned pages, whose pass 1 sees them at full side or at half.

    PYTHONPATH=benchmarks python benchmarks/pictures/scans.py \
        --forms benchmarks/scratch/craft --json benchmarks/records/text_scans.json

scikit-image's `text.png` and `page.png` through CRAFT: pass 1 passes bytes, pass 2 int16 in the
region; beside them run the same int16 file on all pixels ("dense"), the bytes alone, the float
model and ONNX Runtime's int8, all in turn. How much of a picture is text tells the dense pass: map
pixels within `NEAR` of a score above the threshold. A region can save at most what it leaves out,
less pass 1. `--page` puts the table into docs/attention.md; with `--only-page` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from _support import fill_page, keep
from networks.real import FOLDER
from numpy.typing import NDArray

from pictures.text import (
    PAGE,
    SAMPLES,
    SCANS,
    UNSURE,
    Scene,
    alone,
    feed,
    kept_forms,
    overlap,
    scanned,
)
from pictures.video import TEXT
from reluflow.attention import AttentionSession, RegionOptions, with_margin
from reluflow.graph import Model

RECORD = Path(__file__).resolve().parents[1] / "records" / "text_scans.json"
MARK = "scans"
NEAR = 4
"""Map pixels around a score of text that its letters fill: 8 of the picture."""
WANTED = 0.98
"""IoU with the dense map from which on times are compared."""
SIDES = {"full": False, "half": True}
Array = NDArray[Any]


def measure(scene: Scene, made: dict[str, Model], options: argparse.Namespace) -> dict[str, Any]:
    """Return times, overlaps and what was computed of one picture."""
    feeds, threads = feed(scene), options.threads
    forms = {
        name: alone(model, None if name in ("float", "int8") else SAMPLES, threads)
        for name, model in made.items()
    }
    passes = {
        side: AttentionSession(made["int16"], made["bytes"], half=half, threads=threads)
        for side, half in SIDES.items()
    }
    chosen = [(side, halo) for side in SIDES for halo in options.halos]
    times: dict[Any, list[float]] = {name: [] for name in (*forms, *chosen)}
    maps, found = {}, {}
    for turn in range(options.rounds + 1):
        for name, run in forms.items():
            start = time.perf_counter()
            maps[name] = run(feeds)
            times[name].append(1e3 * (time.perf_counter() - start))
        for side, halo in chosen:
            region = RegionOptions("absolute", UNSURE, halo=halo)
            found[side, halo] = passes[side].run(feeds, (SAMPLES, SAMPLES), region)
            times[side, halo].append(found[side, halo].milliseconds["total"])
        if turn == 0:  # the first round warms up
            times = {name: [] for name in times}
    text = with_margin(maps["int16"][0, ..., 0] > TEXT, NEAR)
    return {
        "scene": scene.name,
        "size": list(scene.picture.shape[:2]),
        "text_share": float(text.mean()),
        "milliseconds": {name: statistics.median(times[name]) for name in forms},
        "bytes_iou": overlap(maps["bytes"], maps["int16"]),
        "int8_iou": overlap(maps["int8"], maps["int16"]),
        "passes": [_row(found[key], key, maps["int16"], times) for key in chosen],
    }


def _row(
    run: Any, key: tuple[str, int], dense: Array, times: dict[Any, list[float]]
) -> dict[str, Any]:
    """Return one way of running both passes beside the dense pass of the same round."""
    mine = times[key]

    def faster(name: str) -> float:
        return statistics.median(a / b for a, b in zip(times[name], mine, strict=True))

    return {
        "side": key[0],
        "halo": key[1],
        "coverage": run.coverage,
        "products_share": run.second_shift_adds / run.dense_shift_adds,
        "milliseconds": dict(run.milliseconds),
        "first_iou": overlap(run.first["maps"], dense),
        "iou": overlap(run.answers["maps"], dense),
        "speed": faster("int16"),
        "speed_over_float": faster("float"),
        "speed_over_int8": faster("int8"),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    titles = (
        *("picture", "text, %", "side of pass 1", "halo", "region, %", "products of pass 2, %"),
        *("IoU of pass 1", f"IoU (wanted: {WANTED})", "times as fast as dense int16"),
        *("as float", "as int8"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for scene in results:
        for row in scene["passes"]:
            cells = (
                scene["scene"],
                f"{100 * scene['text_share']:.0f}",
                row["side"],
                str(row["halo"]),
                f"{100 * row['coverage']:.1f}",
                f"{100 * row['products_share']:.1f}",
                f"{row['first_iou']:.3f}",
                f"{row['iou']:.3f}",
                f"{row['speed']:.2f}",
                f"{row['speed_over_float']:.2f}",
                f"{row['speed_over_int8']:.2f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--forms", type=Path, help="folder of FORM.onnx, kept from run to run")
    parser.add_argument("--halos", type=int, nargs="+", default=[4, 12, 24], help="pixels")
    parser.add_argument("--rounds", type=int, default=5, help="timed, in turn")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        with tempfile.TemporaryDirectory() as scratch:
            made = kept_forms(options.models, options.forms or Path(scratch))
        results = []
        for scene in map(scanned, SCANS):
            results.append(measure(scene, made, options))
            print(json.dumps(results[-1]), flush=True)
            keep(options.json, results)
    if options.page or options.only_page:
        fill_page(PAGE, MARK, RECORD, table)


if __name__ == "__main__":
    main()
