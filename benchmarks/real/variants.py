"""The forms of a network that are compared: one entry for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import reluflow
from reluflow.data import DataSource, open_data
from reluflow.evaluation import (
    choose_activation_bits,
    choose_chains,
    convert_to_chains16,
    find_formats,
    tune,
    tune_for_budget,
    tune_for_bytes,
)
from reluflow.evaluation.widths.chains16 import chain_chosen
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import Model, PsbOptions, chain_psb, fold_batchnorm, plan_psb, to_psb
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

    @cached_property
    def source(self) -> DataSource:
        """The calibration data as reluflow's functions take them."""
        return open_data(dict(self.inputs), self.model.inputs)

    @cached_property
    def few(self) -> DataSource:
        """A third of them, where each is run hundreds of times."""
        third = {name: data[: -(-len(data) // 3)] for name, data in self.inputs.items()}
        return open_data(third, self.model.inputs)

    @cached_property
    def tuned(self) -> Model:
        """The float model with weights and biases that a conversion stores as they are."""
        return tune(self.model, self.source).model


@dataclass(frozen=True)
class Variant:
    """One form.

    Attributes:
        title: for tables and the picture.
        family: of one colour in the picture: "float", "int8" or "psb".
        build: makes it.
        samples: numbers of samples to measure; `PLAIN` where nothing is drawn.
        what: sets it apart, for those who do not know it by its title.
    """

    title: str
    family: str
    build: Callable[[Given], Model]
    samples: tuple[int, ...] = PLAIN
    what: str = ""

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


def _wide(given: Given, tuned: Model, options: PsbOptions | None = None) -> Model:
    """Return a conversion whose operators pass int16 wherever they can."""
    plan = plan_psb(tuned, options or PsbOptions())
    return convert_to_chains16(plan, given.few, options=options).rewritten.model


def _bytes(given: Given, made: Model) -> Model:
    """Return a conversion whose operators pass bytes wherever they can."""
    return chain_psb(made, find_formats(made, given.few)).model


def _bytes_tuned(given: Given) -> Model:
    """Return a conversion whose weights and formats of bytes were chosen together."""
    found = tune_for_bytes(given.model, given.source)
    return chain_psb(to_psb(found.tuned.model).model, found.formats).model


def _auto(given: Given) -> Model:
    """Return the tuned conversion whose operators pass bytes where the error allows it."""
    floats = FloatOutputs(given.model, given.few)
    width = choose_activation_bits(given.tuned, given.few, floats=floats)
    joined = choose_chains(width, given.model, given.few, floats=floats)
    return (joined or chain_chosen(width, given.few, floats)).rewritten.model


def _recommended(given: Given) -> Model:
    """Return what the library makes when it chooses everything on the calibration data."""
    return reluflow.convert(
        given.model, calibration=dict(given.inputs), tune=["usual"], p_bits="auto", x_bits="auto"
    ).model


def _budget(given: Given) -> Model:
    """Return the conversion with 4 samples on average where 4 are asked for, tuned for them."""
    return tune_for_budget(given.model, given.source, TIMED[0]).model


PRODUCTS = ("Conv", "Gemm", "MatMul")
VARIANTS: dict[str, Variant] = {
    "int8_channel": Variant("int8 per channel", "int8", _int8(True)),
    "int8_tensor": Variant("int8 per tensor", "int8", _int8(False)),
    "int8_products": Variant(
        "int8 of products alone",
        "int8",
        _int8(False, PRODUCTS),
        what="per tensor, and only convolutions and matrix products are quantised",
    ),
    "psb": Variant(
        "PSB, 12 bits", "psb", _psb, EVERY, "what `psb convert` makes by default, without data"
    ),
    "psb_tuned": Variant(
        "PSB tuned, 12 bits",
        "psb",
        lambda given: _wide(given, given.tuned),
        SOME,
        "weights and biases are chosen on the calibration inputs; operators pass int16",
    ),
    "psb_recommended": Variant(
        "PSB recommended",
        "psb",
        _recommended,
        SOME,
        "`psb convert --calibration --tune usual --p-bits auto --x-bits auto`",
    ),
    "psb_budget": Variant(
        "PSB tuned, 12 bits, budget",
        "psb",
        _budget,
        SOME,
        "as many samples on average, each operator its own number and weights made for it",
    ),
    "psb_x8": Variant(
        "PSB, 8 bits",
        "psb",
        lambda given: _bytes(given, _psb(given)),
        SOME,
        "operators pass bytes wherever they can",
    ),
    "psb_x8_tuned": Variant(
        "PSB tuned, 8 bits",
        "psb",
        _bytes_tuned,
        SOME,
        "tuned for bytes, which are passed wherever they can be",
    ),
    "psb_auto": Variant(
        "PSB tuned, bits chosen",
        "psb",
        _auto,
        SOME,
        "tuned, and bytes where the error of the outputs allows them, else int16",
    ),
}
"""Name in records -> form. Activations have as many bits as the titles of shift-adds say."""
