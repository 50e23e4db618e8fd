"""Video: a still scene with a moving object, and a panned one, against a dense pass of each frame.

    PYTHONPATH=benchmarks python benchmarks/pictures/video.py --json benchmarks/records/video.json

CRAFT, a text detector, as a chain of int16. Frames are put together from photographs and printed
words: a sign that moves over a still page, and a window that moves over a wide picture by the
stride of the network. The session computes the changed blocks alone, or a share of the stale ones
beside them, the most unsure or some drawn at random. Each frame goes through the session and
through the same file alone, in turn; drift is the largest and the mean difference between their
maps, and the IoU of the text map above 0.4. `--page` puts table and picture into docs/attention.md;
with `--only-page` nothing is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _support import fill_page, keep
from networks.real import FOLDER
from numpy.typing import NDArray
from real import pages

from pictures.tiles import SAMPLES, forms
from reluflow.attention import RegionOptions, VideoOptions, VideoSession, open_pass
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model, load

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "video.json"
MARK = "video"
PAGE, PICTURE = ROOT / "docs" / "attention.md", ROOT / "docs" / "images" / "video.png"
HEIGHT, WIDTH = 256, 384
STRIDE = 16
"""Pixels by which the picture moves from frame to frame."""
SIGN = (32, 64)
"""Height and width of the moving sign."""
TEXT = 0.4
"""Above it a pixel of the first map is text."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
NOISE = 2.0
"""Standard deviation of a camera's noise, of 255."""
THRESHOLD = 12 / 57
"""Of a change, in deviations of the input: six times the noise."""
Array = NDArray[Any]


def still(n: int) -> Iterator[Array]:
    """Yield a page over which a sign with a word moves, 3 pixels to the right in every frame."""
    page, sign = pages.pages(pages.TEST, 2, HEIGHT, WIDTH)
    for number in range(n):
        frame = page.copy()
        at = 3 * number % (WIDTH - SIGN[1])
        frame[96 : 96 + SIGN[0], at : at + SIGN[1]] = sign[8 : 8 + SIGN[0], 8 : 8 + SIGN[1]]
        yield frame


def panned(n: int) -> Iterator[Array]:
    """Yield a window that moves over pages side by side."""
    columns = -(-(WIDTH + STRIDE * n) // WIDTH)
    wide = np.concatenate(list(pages.pages(pages.TEST, columns, HEIGHT, WIDTH)), axis=1)
    for number in range(n):
        yield wide[:, STRIDE * number : STRIDE * number + WIDTH]


SCENES = {"still": still, "panned": panned}
WAYS = ("changed", "unsure", "random")
"""Blocks that are computed: the changed ones, and beside them unsure or random ones."""


def unsure_of(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the options on unsure blocks."""
    if way == "changed":
        return {}
    seed = 0 if way == "random" else None
    chosen = RegionOptions("coverage", options.unsure, random=seed)
    return {"unsure": chosen, "patience": options.patience}


def frames(scene: str, n: int) -> Iterator[Array]:
    """Yield frames with a camera's noise, as CRAFT takes them."""
    rng = np.random.default_rng(0)
    for frame in SCENES[scene](n):
        # noise that stays with the picture where it moves would be no noise
        noisy = frame + rng.normal(0, NOISE, frame.shape).clip(-2 * NOISE, 2 * NOISE)
        scaled = (noisy - MEAN) / DEVIATION
        yield np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)


def measure(
    model: Model, scene: str, way: str, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield what each frame gave."""
    chosen = VideoOptions(
        samples=SAMPLES,
        threshold=THRESHOLD,
        margin=options.margin,
        refresh=options.refresh,
        **unsure_of(way, options),
    )
    session = VideoSession(model, chosen, threads=options.threads)
    ((alone, extra),) = open_pass(model, SAMPLES, threads=options.threads).draws
    warm = next(frames(scene, 1))
    run_arrays(alone, {"image": warm, **extra})
    VideoSession.run(session, {"image": warm[:, :, ::-1].copy()})
    session = VideoSession(model, chosen, threads=options.threads)
    for number, frame in enumerate(frames(scene, options.frames)):
        start = time.perf_counter()
        dense = run_arrays(alone, {"image": frame, **extra})["maps"]
        dense_ms = 1e3 * (time.perf_counter() - start)
        found = session.run({"image": frame})
        maps = found.answers["maps"]
        text, wanted = maps[..., 0] > TEXT, dense[..., 0] > TEXT
        either = (text | wanted).sum()
        yield {
            "scene": scene,
            "way": way,
            "frame": number,
            "kind": found.kind,
            "reason": found.reason,
            "moved": list(found.moved),
            "changed": found.changed,
            "unsure": found.unsure,
            "share": found.share,
            "milliseconds": found.milliseconds,
            "dense_milliseconds": dense_ms,
            "largest_difference": float(np.abs(maps - dense).max()),
            "mean_difference": float(np.abs(maps - dense).mean()),
            "iou": float((text & wanted).sum() / either) if either else 1.0,
        }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a scene gave on the whole, the first frame apart."""
    later = rows[1:]
    parts = [row for row in later if row["kind"] == "part"]
    return {
        "scene": rows[0]["scene"],
        "way": rows[0]["way"],
        "frames": len(rows),
        "dense_frames": sum(row["kind"] == "all" for row in rows),
        "changed_percent": 100 * _mean(parts, "changed"),
        "unsure_percent": 100 * _mean(parts, "unsure"),
        "share_percent": 100 * _mean(parts, "share"),
        "speed": sum(r["dense_milliseconds"] for r in later)
        / sum(r["milliseconds"] for r in later),
        "speed_of_parts": _mean(parts, "dense_milliseconds") / _mean(parts, "milliseconds"),
        "largest_drift": max(row["largest_difference"] for row in rows),
        "mean_drift": _mean(later, "mean_difference"),
        "lowest_iou": min(row["iou"] for row in rows),
        "mean_iou": _mean(later, "iou"),
        "drift_after_refresh": max(r["largest_difference"] for r in rows if r["kind"] == "all"),
    }


def _mean(rows: list[dict[str, Any]], what: str) -> float:
    return float(np.mean([row[what] for row in rows])) if rows else float("nan")


def table(results: dict[str, Any]) -> str:
    """Return the table of the page."""
    titles = (
        *("scene", "computed beside changes", "frames", "computed wholly"),
        *(
            "blocks changed, %",
            "beside them, %",
            "computed, %",
            "times as fast",
            "between refreshes",
        ),
        *("mean drift", "IoU, mean", "IoU, lowest", "drift after a refresh"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results["scenes"]:
        cells = (
            *(row["scene"], "" if row["way"] == "changed" else row["way"]),
            *(str(row["frames"]), str(row["dense_frames"])),
            *(f"{row['changed_percent']:.1f}", f"{row['unsure_percent']:.1f}"),
            f"{row['share_percent']:.1f}",
            *(f"{row['speed']:.2f}", f"{row['speed_of_parts']:.2f}", f"{row['mean_drift']:.4f}"),
            *(f"{row['mean_iou']:.3f}", f"{row['lowest_iou']:.3f}"),
            f"{row['drift_after_refresh']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: dict[str, Any]) -> None:
    """Draw time and drift from frame to frame."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scenes = list(dict.fromkeys(row["scene"] for row in results["scenes"]))
    figure, axes = plt.subplots(2, len(scenes), figsize=(4.5 * len(scenes), 5), squeeze=False)
    for column, scene in enumerate(scenes):
        times, drift = axes[0][column], axes[1][column]
        for way in WAYS:
            rows = [row for row in results["frames"] if (row["scene"], row["way"]) == (scene, way)]
            if way == WAYS[0]:
                dense = [row["dense_milliseconds"] for row in rows]
                times.plot(dense, label="dense", lw=1, color="grey")
            label = "changed blocks" if way == WAYS[0] else f"and {way} ones"
            times.plot([row["milliseconds"] for row in rows], label=label, lw=1)
            drift.plot([row["mean_difference"] for row in rows], lw=1)
        later = [
            max(row["milliseconds"], row["dense_milliseconds"])
            for row in results["frames"]
            if row["scene"] == scene and row["frame"]
        ]  # the first frame opens the session
        times.set(title=f"{scene} scene", ylabel="milliseconds", ylim=(0, 1.1 * max(later)))
        drift.set(ylabel="mean drift of the maps", xlabel="frame", ylim=0)
        for at, row in enumerate(rows):
            if row["kind"] == "all":
                times.axvline(at, color="grey", lw=0.6, ls=":")
                drift.axvline(at, color="grey", lw=0.6, ls=":")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--frames", type=int, default=60, help="of each scene")
    parser.add_argument("--margin", type=int, default=2, help="pixels of each tensor")
    parser.add_argument("--refresh", type=int, default=20, help="frames")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--unsure", type=float, default=0.02, help="share of blocks beside changes")
    parser.add_argument("--patience", type=int, default=4, help="frames between them")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--file", type=Path, help="the chain, if it is made already")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        results: dict[str, Any] = {"scenes": [], "frames": []}
        with tempfile.TemporaryDirectory() as folder:
            file = options.file or forms(options.models, Path(folder))["int16"][0]
            model = load(file)
            for scene, way in itertools.product(SCENES, options.ways):
                rows = []
                for row in measure(model, scene, way, options):
                    rows.append(row)
                    print(json.dumps(row), flush=True)
                results["frames"] += rows
                results["scenes"].append(summary(rows))
                print(json.dumps(results["scenes"][-1]), flush=True)
                keep(options.json, results)
    if options.page or options.only_page:
        record = json.loads(RECORD.read_text("utf-8"))
        fill_page(PAGE, MARK, RECORD, table)
        draw(record["results"])


if __name__ == "__main__":
    main()
