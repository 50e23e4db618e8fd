"""The forms of a network that are compared: one entry for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource, open_data
from reluflow.evaluation import tune
from reluflow.graph import Model, fold_batchnorm, to_psb
from reluflow.sessions import static_int8

EVERY = (0, 1, 2, 4, 8, 16, 32, 64)
"""Numbers of samples; 0 is nearest mode."""
SOME = (0, 4, 16, 64)
PLAIN = (0,)
TIMED = (4, 16)
"""Numbers of samples that are timed."""


@dataclass(frozen=True)
class Given:
    """What a form is made from.

    Attributes:
        model: the float model.
        inputs: name of its input -> calibration data.
    """

    model: Model
    inputs: Mapping[str, NDArray[np.generic]]

    @cached_property
    def batches(self) -> list[dict[str, NDArray[np.generic]]]:
        """The calibration data one by one."""
        ((name, data),) = self.inputs.items()
        return [{name: data[i : i + 1]} for i in range(len(data))]

    @property
    def source(self) -> DataSource:
        """The calibration data as reluflow's functions take them."""
        return open_data(dict(self.inputs), self.model.inputs)


@dataclass(frozen=True)
class Variant:
    """One form.

    Attributes:
        title: for tables and the picture.
        family: of one colour in the picture: "float", "int8" or "psb".
        build: makes it.
        samples: numbers of samples to measure; `PLAIN` where nothing is drawn.
    """

    title: str
    family: str
    build: Callable[[Given], Model]
    samples: tuple[int, ...] = PLAIN

    @property
    def draws(self) -> bool:
        """Whether it has the inputs `samples` and `seed`."""
        return self.samples != PLAIN


def _int8(per_channel: bool, operators: tuple[str, ...] = ()) -> Callable[[Given], Model]:
    return lambda given: static_int8(
        fold_batchnorm(given.model).model,
        given.batches,
        per_channel=per_channel,
        operators=operators,
    )


def _psb(given: Given) -> Model:
    return to_psb(given.model).model


def _tuned(given: Given) -> Model:
    return to_psb(tune(given.model, given.source).model).model


PRODUCTS = ("Conv", "Gemm", "MatMul")
VARIANTS: dict[str, Variant] = {
    "int8_channel": Variant("int8 per channel", "int8", _int8(True)),
    "int8_tensor": Variant("int8 per tensor", "int8", _int8(False)),
    "int8_products": Variant("int8 of products alone", "int8", _int8(False, PRODUCTS)),
    "psb": Variant("PSB, 12 bits", "psb", _psb, EVERY),
    "psb_tuned": Variant("PSB tuned, 12 bits", "psb", _tuned, SOME),
}
"""Name in records -> form. Activations have as many bits as the titles of shift-adds say."""
