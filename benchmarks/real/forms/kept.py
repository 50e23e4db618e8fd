"""A folder of made forms: NAME.FORM.onnx, and beside it what the form was made from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real.variants import Given, Variant

from reluflow.graph import Model, load

PACKAGES = ("reluflow", "onnxruntime", "numpy")
"""A form made with another version of one of these is made anew."""


@dataclass(frozen=True)
class Made:
    """A form.

    Attributes:
        model: the form.
        build_s: seconds that making it took, when it was made.
        kept: whether it comes from the folder.
    """

    model: Model
    build_s: float
    kept: bool = False


@dataclass(frozen=True)
class Forms:
    """The forms of one network.

    Attributes:
        network: its name.
        folder: where they are kept; None: they are not.
    """

    network: str
    folder: Path | None = None

    def path(self, label: str) -> Path:
        """Return the file of a form."""
        return (self.folder or Path()) / f"{self.network}.{label}.onnx"

    def make(self, label: str, variant: Variant, given: Given) -> Made:
        """Take a form from the folder where it was made from the same, else make and keep it."""
        if self.folder is None:
            return _built(variant, given)
        path, note, wanted = self.path(label), self._note(label), origin(variant, given)
        if path.is_file() and note.is_file():
            held = json.loads(note.read_text("utf-8"))
            if held["made_from"] == wanted:
                return Made(load(path), held["build_s"], kept=True)
        made = _built(variant, given)
        note.unlink(
            missing_ok=True
        )  # a new form beside an old note would pass for that of the note
        self.folder.mkdir(parents=True, exist_ok=True)
        made.model.save(path)
        text = json.dumps({"made_from": wanted, "build_s": made.build_s}, indent=1)
        note.write_text(text + "\n", "utf-8")
        return made

    def of_record(self, label: str, row: Mapping[str, Any]) -> Model:
        """Return the form that a record measured.

        Raises:
            FileNotFoundError: the folder lacks it, or holds another one.
        """
        path = self.path(label)
        model = load(path) if path.is_file() else None
        if model is None or model.sha256 != row.get("sha256"):
            raise FileNotFoundError(
                f"{path} is not the form that the record measured; measure it again with --forms."
            )
        return model

    def _note(self, label: str) -> Path:
        return self.path(label).with_suffix(".json")


def origin(variant: Variant, given: Given) -> dict[str, Any]:
    """Return what a form is made from: the float file, the data, the settings, the packages.

    The settings are the code of the module that defines the form, and the values that its function
    was given there.
    """
    data = hashlib.sha256()
    for name, values in sorted(given.inputs.items()):
        data.update(f"{name} {values.dtype} {values.shape}".encode())
        data.update(values.tobytes())
    module = Path(str(sys.modules[variant.build.__module__].__file__))
    return {
        "float": given.model.sha256,
        "calibration": data.hexdigest(),
        "module": hashlib.sha256(module.read_bytes()).hexdigest(),
        "settings": {
            name: repr(value)
            for name, value in inspect.getclosurevars(variant.build).nonlocals.items()
        },
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _built(variant: Variant, given: Given) -> Made:
    start = time.perf_counter()
    return Made(variant.build(given), time.perf_counter() - start)
