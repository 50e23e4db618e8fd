"""The networks of the benchmark: what each is given, and how its answers are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from real import faces, pages, pictures, sounds
from real.boxes import faces as find_faces
from real.contents import contents, installed_files
from real.lines import SURE
from real.metrics import (
    Measure,
    agreement,
    box_overlap,
    correlation,
    line_overlap,
    log_odds_correlation,
    overlap,
    sqnr_db,
)

Array = NDArray[np.float32] | NDArray[np.int32]


@dataclass(frozen=True)
class Task:
    """One network.

    Attributes:
        title: for tables.
        inputs: called with True for calibration and with the number of inputs.
        n: inputs of the test, and with `--quick`.
        n_calibration: inputs of the calibration.
        measures: name -> measure; the first one is the table's.
        what: of the first measure, in words.
    """

    title: str
    inputs: Callable[[bool, int], Array]
    n: tuple[int, int]
    n_calibration: int
    measures: Mapping[str, Measure]
    what: str


def _views(n: int, names: tuple[str, ...], side: int, seed: int) -> pictures.Array:
    each = -(-n // len(names))
    found = pictures.views(names, each, side, side, seed)
    # one view of each picture, then the next: a few inputs show many pictures
    order = np.arange(len(found)).reshape(len(names), each).T.reshape(-1)
    return found[order[:n]]


def photographs(calibration: bool, n: int, side: int) -> pictures.Array:
    """Return views, `(n, side, side, 3)` from 0 to 255."""
    return _views(n, pictures.CALIBRATION if calibration else pictures.TEST, side, int(calibration))


def _channels_first(x: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)


def _lite0(calibration: bool, n: int) -> Array:
    return _channels_first((photographs(calibration, n, 224) - 127) / 128)


def _opennsfw(calibration: bool, n: int) -> Array:
    means = np.array([104, 117, 123], np.float32)  # blue, green, red
    return np.ascontiguousarray(photographs(calibration, n, 224)[..., ::-1] - means)


def _craft(calibration: bool, n: int) -> Array:
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    deviation = np.array([58.395, 57.12, 57.375], np.float32)
    press = pages.CALIBRATION if calibration else pages.TEST
    return _channels_first((pages.pages(press, n, 256, 384) - mean) / deviation)


def _mlsd(side: int) -> Callable[[bool, int], Array]:
    def inputs(calibration: bool, n: int) -> Array:
        names = pictures.CALIBRATION if calibration else pictures.WITH_LINES
        found = _views(n, names, side, int(calibration))
        return np.pad(found, ((0, 0),) * 3 + ((0, 1),), constant_values=1)

    return inputs


def _blazeface(calibration: bool, n: int) -> Array:
    names = pictures.CALIBRATION if calibration else pictures.TEST
    half = faces.N_FACES // 2
    known = range(half) if calibration else range(half, faces.N_FACES)
    each = -(-n // len(names))
    return faces.face_pictures(names, each, 128, int(calibration), known)[:n] / 127.5 - 1


def _magika(calibration: bool, n: int) -> Array:
    paths = installed_files(6)
    for_calibration = paths[::8]
    rest = [path for path in paths if path not in set(for_calibration)]
    chosen = for_calibration if calibration else rest
    at = np.linspace(0, len(chosen) - 1, min(n, len(chosen))).astype(int)
    return contents(chosen[i] for i in at)


TASKS: dict[str, Task] = {
    "efficientnet_lite0": Task(
        "EfficientNet-Lite0",
        _lite0,
        (240, 48),
        30,
        {"agreement": agreement, "sqnr_db": sqnr_db()},
        "agreement",
    ),
    "opennsfw": Task(
        "ResNet-50-thin",
        _opennsfw,
        (96, 24),
        24,
        {
            "correlation": correlation,
            "log_odds_correlation": log_odds_correlation,
            "sqnr_db": sqnr_db(),
        },
        "correlation",
    ),
    "craft": Task(
        "CRAFT",
        _craft,
        (6, 2),
        3,
        {"text_iou": overlap(0, 0.4), "sqnr_db": sqnr_db()},
        "IoU of the text map",
    ),
    "mlsd_tiny": Task(
        "M-LSD tiny",
        _mlsd(512),
        (24, 6),
        6,
        {"lines_iou": line_overlap, "middles_iou": overlap(1, SURE), "sqnr_db": sqnr_db(1)},
        "IoU of the line map",
    ),
    "mlsd_large": Task(
        "M-LSD large",
        _mlsd(320),
        (12, 4),
        6,
        {"lines_iou": line_overlap, "middles_iou": overlap(1, SURE), "sqnr_db": sqnr_db(1)},
        "IoU of the line map",
    ),
    "blazeface": Task(
        "BlazeFace",
        _blazeface,
        (240, 48),
        30,
        {"boxes_iou": box_overlap(find_faces), "sqnr_db": sqnr_db()},
        "IoU of the boxes",
    ),
    "magika": Task(
        "magika",
        _magika,
        (240, 80),
        40,
        {"agreement": agreement, "sqnr_db": sqnr_db()},
        "agreement",
    ),
    "basic_pitch": Task(
        "basic_pitch",
        lambda calibration, n: sounds.melodies(n, 43_844, int(calibration)),
        (24, 6),
        6,
        {"notes_iou": overlap(1, 0.3), "onsets_iou": overlap(0, 0.5), "sqnr_db": sqnr_db(1)},
        "IoU of the notes",
    ),
}
