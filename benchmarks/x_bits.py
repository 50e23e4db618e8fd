"""What 8, 12 and 16 bits for activations give: answers, SQNR, and sums that int32 holds.

Networks: the shipped ones on the shipped FashionMNIST images, and the real ones that are at hand
(`python benchmarks/networks/real.py`) on scikit-image's photographs, chords made of sines and this
repository's own sources. Scales are calibrated on the same inputs, weights have 4 bits of
probability. Nothing is timed. `--real` needs scikit-image.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _support import keep
from networks.real import real_networks
from numpy.typing import NDArray
from onnx import numpy_helper

from reluflow.data import open_data, read_labels
from reluflow.evaluation import (
    EvaluationOptions,
    calibrate,
    choose_activation_bits,
    evaluate,
)
from reluflow.graph import Model, PsbOptions, load, to_psb
from reluflow.psb import PsbCode, unpack

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "models" / "fashion_mnist_test_2000.npz"
WIDTHS = (8, 12, 16)
SAMPLES = 16
BLOCK = 64  # pairs of weights, whose products are summed at once
PHOTOGRAPHS = (
    *("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "page", "text"),
    *("motorcycle_left", "motorcycle_right", "hubble_deep_field", "ihc", "retina", "moon"),
)
Array = NDArray[Any]


def photographs(height: int, width: int) -> Array:
    """Return scikit-image's pictures, `(n, height, width, 3)` from 0 to 255."""
    import skimage.data
    from PIL import Image

    folder = Path(skimage.data.__file__).parent
    found = []
    for name in PHOTOGRAPHS:
        (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in (".png", ".jpg"))
        picture = Image.open(path).convert("RGB").resize((width, height))
        found.append(np.asarray(picture, np.float32))
    return np.stack(found)


def chords(length: int, rate: int = 22050) -> Array:
    """Return chords of three notes that fade, `(n, length, 1)` from -1 to 1."""
    time = np.arange(length) / rate
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        notes = 220 * 2 ** (rng.choice(36, 3, replace=False) / 12)
        tones = sum(np.sin(2 * np.pi * k * f * time) / k for f in notes for k in (1, 2, 3))
        found.append(0.2 * tones * np.exp(-time))
    return np.stack(found).astype(np.float32)[..., None]


def sources(length: int) -> Array:
    """Return begin and end of this repository's files as numbers of bytes, `(n, length)`."""
    paths = [
        p for kind in ("*.md", "*.toml", "*.cpp", "*.h") for p in sorted(ROOT.glob(f"*/{kind}"))
    ]
    paths += sorted((ROOT / "toolkit").glob("*/*/*.py")) + sorted((ROOT / "runtime").glob("*/*"))
    half, rows = length // 2, []
    for path in filter(Path.is_file, paths):
        content = np.frombuffer(path.read_bytes().strip(), np.uint8).astype(np.int32)
        row = np.full(length, 256, np.int32)  # 256 stands for no byte
        head, tail = content[:half], content[-half:]
        row[: len(head)] = head
        row[length - len(tail) :] = tail
        rows.append(row)
    return np.stack(rows[:128])


def _channels_first(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


REAL: dict[str, Callable[[], Array]] = {
    "efficientnet_lite0": lambda: _channels_first((photographs(224, 224) - 127) / 128),
    "opennsfw": lambda: photographs(224, 224)[..., ::-1] - np.array([104, 117, 123], np.float32),
    "craft": lambda: _channels_first((photographs(192, 192)[:6] - 120) / 58),
    "magika": lambda: sources(2048),
    "basic_pitch": lambda: chords(43844),
    "mlsd_tiny": lambda: np.pad(
        photographs(512, 512), ((0, 0),) * 3 + ((0, 1),), constant_values=1
    ),
    "mlsd_large": lambda: REAL["mlsd_tiny"](),
    "blazeface": lambda: photographs(128, 128) / 127.5 - 1,
}


def networks(real: bool) -> Iterator[tuple[str, Model, Array | Path, Array | None]]:
    """Yield name, model, inputs, and the right answers where there are any."""
    for path in sorted((ROOT / "models").glob("*.onnx")):
        yield path.stem, load(path), IMAGES, read_labels(IMAGES)
    for name, path in (real_networks() if real else {}).items():
        yield name, load(path), np.ascontiguousarray(REAL[name]()), None


def int32_share(model: Model, x_bits: int) -> float:
    """Return the share of output channels whose sums of 128 products int32 holds for sure.

    |w'| is at most 2^(14 - j) and |x| at most L = 2^(x_bits - 1) - 1.
    """
    safe = channels = 0
    for code in stored_codes(model):
        bounds = pair_bounds(code)
        blocks = np.add.reduceat(bounds, np.arange(0, bounds.shape[1], BLOCK), axis=1)
        safe += int((blocks.max(axis=1) * ((1 << (x_bits - 1)) - 1) < 2**31).sum())
        channels += len(bounds)
    return safe / channels


def stored_codes(model: Model) -> Iterator[PsbCode]:
    """Yield the stored weights of every operator of a converted model."""
    proto = model._proto
    stored = {each.name: each for each in proto.graph.initializer}
    for node in proto.graph.node:
        if node.domain == "ai.reluflow":
            planes, emax = (numpy_helper.to_array(stored[name]) for name in node.input[1:3])
            (shape,) = (tuple(a.ints) for a in node.attribute if a.name == "weight_shape")
            yield unpack(planes, shape, emax, len(planes) - 5)


def pair_bounds(code: PsbCode) -> Array:
    """Return bounds of |w'|, added over each pair of input channels, `(channels, pairs)`."""
    nibble = ((code.words >> code.p_bits) & 15).astype(np.int64)
    bounds = np.where(nibble == 0, 0, np.int64(1) << np.maximum(nibble - 1, 0))
    bounds = bounds.reshape(*bounds.shape[:2], -1)
    bounds = np.pad(bounds, ((0, 0), (0, bounds.shape[1] % 2), (0, 0)))
    return (bounds[:, ::2] + bounds[:, 1::2]).reshape(len(bounds), -1)


def row(
    name: str, model: Model, data: Array | Path, labels: Array | None, x_bits: int
) -> dict[str, Any]:
    """Measure one network at one width."""
    source = open_data(data, model.inputs)
    scales = calibrate(model, source, options=PsbOptions(x_bits=x_bits))
    psb = to_psb(model, PsbOptions(x_bits=x_bits, x_exponents=scales)).model
    options = EvaluationOptions(samples=(SAMPLES,), seeds=3, sampler="systematic")
    found = evaluate(psb, source, labels, float_model=model, options=options)
    nearest = next(each for each in found.neighbours if each.name == "nearest")
    drawn = found.points[0]
    return {
        "network": name,
        "x_bits": x_bits,
        "n_inputs": found.n_inputs,
        "metric": found.metric,
        "output": found.output,
        "float_value": found.float_value,
        "nearest_value": nearest.value,
        "drawn_value": drawn.mean,
        "nearest_db": _lowest(nearest.outputs),
        "drawn_db": _lowest(drawn.outputs),
        "below_share": max(each.below_share for each in found.saturation),
        "int32_share": int32_share(psb, x_bits),
    }


def _lowest(outputs: Any) -> float | None:
    """Return the least SQNR of an output as a whole."""
    known = [each.sqnr_db for each in outputs if each.sqnr_db is not None]
    return min((each for each in known if math.isfinite(each)), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--real", action="store_true", help="also the real networks at hand")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--resume", action="store_true", help="what it holds is kept as it is")
    options = parser.parse_args()
    rows, chosen = known(options.json if options.resume else None)
    for name, model, data, labels in networks(options.real):
        if options.only and name not in options.only:
            continue
        for x_bits in WIDTHS:
            if (name, x_bits) not in rows:
                rows[name, x_bits] = row(name, model, data, labels, x_bits)
                print(rows[name, x_bits], flush=True)
        if name not in chosen:
            found = choose_activation_bits(model, open_data(data, model.inputs))
            chosen[name] = found.to_dict()
            print(found, flush=True)
        keep(options.json, {"samples": SAMPLES, "rows": list(rows.values()), "chosen": chosen})


def known(path: Path | None) -> tuple[dict[tuple[str, int], dict[str, Any]], dict[str, Any]]:
    """Return what a file holds already, which is not measured again."""
    if path is None or not path.is_file():
        return {}, {}
    results = json.loads(path.read_text("utf-8"))["results"]
    return {(each["network"], each["x_bits"]): each for each in results["rows"]}, results["chosen"]


if __name__ == "__main__":
    main()
