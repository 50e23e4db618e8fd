"""Trained classifiers with their forms, and the data that cascades of them are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from networks.real import find_network
from numpy.typing import NDArray
from real.pictures import TEST
from real.tasks import TASKS

from reluflow import convert
from reluflow.data import open_data, read_labels
from reluflow.graph import Model, load

MODELS = Path(__file__).resolve().parents[2] / "models"
LITE0 = "efficientnet_lite0"
KEPT = {"wide": "psb_recommended", "bytes": "psb_x8_tuned"}
"""Forms of EfficientNet-Lite0 -> their names in the folder of `real_models.py --forms`."""


@dataclass(frozen=True)
class Network:
    """A classifier, its forms, and the data it is judged on.

    Attributes:
        forms: name -> model; "float", "wide" (12 bits) and "bytes".
        images: `(n, ...)`.
        labels: `(n,)`; None: the float model's answers count as correct.
        half: `(n,)` of which half each image is; thresholds for one are chosen on the other.
        batch: images of a run.
    """

    forms: dict[str, Model]
    images: NDArray[Any]
    labels: NDArray[Any] | None
    half: NDArray[np.bool_]
    batch: int


def shipped(name: str, folder: Path, n: int) -> Network:
    """Return a network of models/ with test images; calibrated on training images."""
    model = load(MODELS / f"{name}.onnx")
    test, train = (folder / f"{each}-images-idx3-ubyte.gz" for each in ("t10k", "train"))
    if train.is_file():
        labels = read_labels(folder / "t10k-labels-idx1-ubyte.gz", limit=n)
        images, calibration = _read(model, test, n), _read(model, train, 60)
    else:
        file = MODELS / "fashion_mnist_test_2000.npz"
        images, labels = _read(model, file, 2000), read_labels(file)
        images, calibration, labels = images[60:n], images[:60], labels[60:n]
    half = np.arange(len(images)) % 2 == 0
    return Network(_forms(model, calibration), images, labels, half, 50)


def lite0(folder: Path, n: int, forms: Path | None) -> Network:
    """Return EfficientNet-Lite0 with views of photographs, judged by float's answers.

    The halves are of different photographs, and so are the views of the calibration.
    """
    model = load(find_network(LITE0, folder))
    task = TASKS[LITE0]
    images = np.asarray(task.inputs(False, n))
    half = np.arange(n) % len(TEST) % 2 == 0  # a view of each photograph, then the next
    if forms is not None:
        files = {form: forms / f"{LITE0}.{name}.onnx" for form, name in KEPT.items()}
        made = {"float": model, **{form: load(file) for form, file in files.items()}}
    else:
        made = _forms(model, np.asarray(task.inputs(True, task.n_calibration)))
    return Network(made, images, None, half, 8)


def _forms(model: Model, calibration: NDArray[Any]) -> dict[str, Model]:
    """Return the float model, and what `psb convert --calibration --tune usual` makes of it."""
    given = {model.inputs[0].name: calibration}
    wide = convert(model, calibration=given, tune=["usual"], p_bits="auto", x_bits=12, check=False)
    narrow = convert(model, calibration=given, tune=["usual"], x_bits=8, check=False)
    return {"float": model, "wide": wide.model, "bytes": narrow.model}


def _read(model: Model, file: Path, n: int) -> NDArray[Any]:
    batches = open_data(file, model.inputs, limit=n).batches(500)
    return np.concatenate([next(iter(batch.values())).copy() for batch in batches])
