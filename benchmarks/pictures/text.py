"""Regions in real time: a text detector that looks finely only where there may be text.

    PYTHONPATH=benchmarks python benchmarks/pictures/text.py --json benchmarks/records/text.json

CRAFT on photographs with blocks of printed words on a wanted share of the picture, and on two
scanned pages of scikit-image. Pass 1 passes bytes on the picture at half the side, pass 2 int16 in
the region; both are what `psb convert --calibrate` makes. Beside it run the same int16 file on all
pixels ("dense"), the bytes alone, the float model and ONNX Runtime's int8, all in turn. The IoU is
that of the text maps above 0.4 with the dense pass's. `--page` puts table and picture into
docs/attention.md; with `--only-page` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _support import fill_page, keep
from networks.real import FOLDER, find_network
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from real import pages
from real.pictures import find_picture, views
from real.tasks import TASKS

from pictures.video import DEVIATION, MEAN, TEXT
from reluflow import convert
from reluflow.attention import AttentionSession, RegionOptions, open_pass
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model, fold_batchnorm, load
from reluflow.sessions import static_int8

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "text.json"
MARK = "text"
PAGE, PICTURE = ROOT / "docs" / "attention.md", ROOT / "docs" / "images" / "text.png"
SHARES = (0.02, 0.05, 0.15, 0.30)
"""Of the picture that lines of text cover."""
SCANS = ("text", "page")
SAMPLES = 16
UNSURE = 0.7219
"""Bits of a score of 0.2 or 0.8: unsure pixels lie between, sure text inside their halo."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """A picture and what it is called."""

    name: str
    share: float
    picture: Array


def written(share: float, height: int, width: int, seed: int) -> Scene:
    """Return a photograph with blocks of words whose lines cover a share of it."""
    rng = np.random.default_rng(seed)
    names = pages.TEST.pictures
    ground = views((names[seed % len(names)],), 1, height, width, seed)[0]
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    pen, used = ImageDraw.Draw(image), np.zeros((height, width), bool)
    while used.mean() < share:
        size = int(rng.integers(18, 36))
        font = ImageFont.truetype(pages.font_file(str(rng.choice(pages.TEST.fonts))), size)
        wide = int(rng.uniform(0.25, 0.45) * width)
        left, top = int(rng.integers(8, width - wide)), int(rng.integers(8, height - 2 * size))
        light = ground[top : top + 8 * size, left : left + wide].mean() > 128
        ink = tuple(int(v) for v in rng.integers(*((0, 70) if light else (190, 256)), 3))
        for line in range(int(rng.integers(5, 13))):
            text = ""
            while pen.textlength(text + " seven", font) < wide:
                text = f"{text} {rng.choice(pages.WORDS)}".strip()
            at = top + int(1.4 * size * line)
            box = np.s_[at : at + int(1.2 * size), left : left + int(pen.textlength(text, font))]
            if box[0].stop > height or used[box].any() or used.mean() >= share:
                break
            rim = tuple(255 - value for value in ink)  # as captions have it, to be legible
            pen.text((left, at), text, fill=ink, font=font, stroke_width=2, stroke_fill=rim)
            used[box] = True
    return Scene(f"{100 * share:.0f} % text", float(used.mean()), np.asarray(image, np.float32))


def scanned(name: str) -> Scene:
    """Return one of scikit-image's pages, its rim repeated up to a multiple of 64 pixels."""
    whole = np.asarray(Image.open(find_picture(name)).convert("RGB"), np.float32)
    rest = [(0, -n % 64) for n in whole.shape[:2]]
    return Scene(f"{name}.png", float("nan"), np.pad(whole, (*rest, (0, 0)), mode="edge"))


def feed(scene: Scene) -> dict[str, Array]:
    """Return a picture as CRAFT takes it."""
    scaled = (scene.picture - MEAN) / DEVIATION
    return {"image": np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)}


def forms(folder: Path) -> dict[str, Model]:
    """Return the float model, both conversions, and int8 in its fast form."""
    model = load(find_network("craft", folder))
    task = TASKS["craft"]
    calibration = np.asarray(task.inputs(True, task.n_calibration))
    given = {model.inputs[0].name: calibration}
    batches = [{model.inputs[0].name: calibration[i : i + 1]} for i in range(len(calibration))]
    return {
        "float": model,
        "int8": static_int8(fold_batchnorm(model).model, batches, per_channel=False),
        "bytes": convert(model, calibration=given, x_bits=8, check=False).model,
        "int16": convert(model, calibration=given, x_bits=12, check=False).model,
    }


def alone(model: Model, samples: int | None, threads: int) -> Callable[[dict[str, Array]], Array]:
    """Return what runs a form on all pixels."""
    ((session, extra),) = open_pass(model, samples, threads=threads).draws
    return lambda feeds: run_arrays(session, {**feeds, **extra})["maps"]


def overlap(some: Array, others: Array) -> float:
    """Return the IoU of two maps of text."""
    a, b = some[..., 0] > TEXT, others[..., 0] > TEXT
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


class Bench:
    """Every form, opened for pictures of one size."""

    def __init__(self, made: dict[str, Model], options: argparse.Namespace) -> None:
        self.options = options
        self.alone = {
            name: alone(model, None if name in ("float", "int8") else SAMPLES, options.threads)
            for name, model in made.items()
        }
        self.session = AttentionSession(
            made["int16"], made["bytes"], half=True, threads=options.threads
        )

    def measure(self, scene: Scene) -> dict[str, Any]:
        """Return times, overlaps and what was computed of one picture."""
        feeds, halos = feed(scene), self.options.halos
        times: dict[str, list[float]] = {}
        found: dict[int, Any] = {}
        for turn in range(self.options.rounds + 1):
            maps = {}
            for name, run in self.alone.items():
                start = time.perf_counter()
                maps[name] = run(feeds)
                times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
            for halo in halos:
                region = RegionOptions("absolute", UNSURE, halo=halo)
                found[halo] = self.session.run(feeds, (SAMPLES, SAMPLES), region)
                times.setdefault(f"halo {halo}", []).append(found[halo].milliseconds["total"])
            if turn == 0:
                times = {}  # the first round warms up
        median = {name: statistics.median(values) for name, values in times.items()}
        rows = [self._row(found[halo], halo, maps["int16"], median, times) for halo in halos]
        return {
            "scene": scene.name,
            "text_share": None if np.isnan(scene.share) else scene.share,
            "size": list(scene.picture.shape[:2]),
            "milliseconds": median,
            "bytes_iou": overlap(maps["bytes"], maps["int16"]),
            "int8_iou": overlap(maps["int8"], maps["int16"]),
            "halos": rows,
        }

    @staticmethod
    def _row(
        run: Any, halo: int, dense: Array, median: dict[str, float], times: dict[str, list[float]]
    ) -> dict[str, Any]:
        mine = times[f"halo {halo}"]
        return {
            "halo": halo,
            "coverage": run.coverage,
            "products_share": run.second_shift_adds / run.dense_shift_adds,
            "shift_adds": None if run.shift_adds is None else run.shift_adds / run.dense_shift_adds,
            "milliseconds": dict(run.milliseconds),
            "first_iou": overlap(run.first["maps"], dense),
            "iou": overlap(run.answers["maps"], dense),
            "speed": statistics.median(d / a for d, a in zip(times["int16"], mine, strict=True)),
            "speed_over_float": median["float"] / statistics.median(mine),
            "speed_over_int8": median["int8"] / statistics.median(mine),
            "everywhere": [node.node for node in run.nodes if node.reason],
        }


def scenes(options: argparse.Namespace) -> Iterator[Scene]:
    """Yield the pictures, by size."""
    for share in options.shares:
        for seed in options.seeds:
            yield written(share, options.height, options.width, seed)
    if not options.no_scans:
        yield from map(scanned, SCANS)


MEANS = {
    "coverage": ("region, %", 1, 100),
    "products_share": ("products of pass 2, %", 1, 100),
    "first_iou": ("IoU of pass 1", 3, 1),
    "iou": ("IoU", 3, 1),
    "speed": ("times as fast as dense int16", 2, 1),
    "speed_over_float": ("as float", 2, 1),
    "speed_over_int8": ("as int8", 2, 1),
    "bytes_iou": ("IoU of bytes", 3, 1),
    "int8_iou": ("of int8", 3, 1),
}
"""What the table shows: title, digits, factor."""


def means(pictures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the means over the pictures of a kind, for each halo."""
    found = []
    for name in dict.fromkeys(row["scene"] for row in pictures):
        rows = [row for row in pictures if row["scene"] == name]
        for at, halo in enumerate(rows[0]["halos"]):
            each = [{**row, **row["halos"][at]} for row in rows]
            values = {
                what: factor * statistics.fmean(one[what] for one in each)
                for what, (_, _, factor) in MEANS.items()
            }
            found.append({"scene": name, "halo": halo["halo"], **values})
    return found


def table(results: dict[str, Any]) -> str:
    """Return the table of the page."""
    titles = ("picture", "halo", *(title for title, _, _ in MEANS.values()))
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in results["means"]:
        if row["scene"].endswith(".png"):  # scans.py shows them, with both sides of pass 1
            continue
        cells = (f"{row[what]:.{digits}f}" for what, (_, digits, _) in MEANS.items())
        lines.append(f"| {row['scene']} | {row['halo']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: list[dict[str, Any]]) -> None:
    """Draw speed and overlap against the region, of the pictures with a known share of text."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    known = [row for row in results if row["text_share"] is not None]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
    for at, halo in enumerate(known[0]["halos"]):
        each = [row["halos"][at] for row in known]
        label = f"halo of {halo['halo']} pixels"
        share = [100 * row["products_share"] for row in each]
        axes[0].plot(share, [row["speed"] for row in each], "o", ms=4, label=label)
        axes[1].plot(share, [row["iou"] for row in each], "o", ms=4, label=label)
    axes[0].axhline(1, color="grey", lw=0.8, ls="--")
    axes[0].set(ylabel="times as fast as dense", ylim=0)
    axes[1].axhline(0.98, color="grey", lw=0.8, ls="--")
    axes[1].set(ylabel="IoU with the dense map of text")
    for axis in axes:
        axis.set_xlabel("products of pass 2, % of dense")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, or remake the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of NAME.onnx")
    parser.add_argument("--forms", type=Path, help="folder of FORM.onnx, kept from run to run")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of text")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="a picture each")
    parser.add_argument("--halos", type=int, nargs="+", default=[12, 24, 40], help="pixels")
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=1408)
    parser.add_argument("--no-scans", action="store_true", help="leave scikit-image's pages out")
    parser.add_argument("--rounds", type=int, default=3, help="timed, in turn")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--page", action="store_true", help="remake docs/attention.md")
    parser.add_argument("--only-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.only_page:
        with tempfile.TemporaryDirectory() as scratch:
            made = kept_forms(options.models, options.forms or Path(scratch))
        bench, results = Bench(made, options), []
        for scene in scenes(options):
            results.append(bench.measure(scene))
            for row in results[-1]["halos"]:
                print(
                    f"{scene.name} ({100 * scene.share:.1f} %), halo {row['halo']}: "
                    f"{100 * row['products_share']:.1f} % of products, IoU "
                    f"{row['first_iou']:.3f} -> {row['iou']:.4f}, {row['speed']:.2f} x dense, "
                    f"{row['speed_over_float']:.2f} x float, {row['speed_over_int8']:.2f} x int8",
                    flush=True,
                )
            keep(options.json, {"pictures": results, "means": means(results)})
    if options.page or options.only_page:
        record = json.loads(RECORD.read_text("utf-8"))
        fill_page(PAGE, MARK, RECORD, table)
        draw(record["results"]["pictures"])


def kept_forms(models: Path, folder: Path) -> dict[str, Model]:
    """Return the forms of a folder; make and keep them where they are missing."""
    names = ("float", "int8", "bytes", "int16")
    folder.mkdir(parents=True, exist_ok=True)
    if not all((folder / f"{name}.onnx").is_file() for name in names):
        for name, model in forms(models).items():
            model.save(folder / f"{name}.onnx")
    return {name: load(folder / f"{name}.onnx") for name in names}


if __name__ == "__main__":
    main()
