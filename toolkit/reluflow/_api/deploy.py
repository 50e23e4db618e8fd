"""Conversion to shift-adds, as a function."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal, cast

from reluflow._api.outputs import keep_inputs
from reluflow.data import open_data
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import (
    ActivationBits,
    Conversion,
    calibrate,
    choose_activation_bits,
    prove,
    unproven,
)
from reluflow.graph import Model, PsbChanges, PsbOptions, PsbPlan, Rewritten, load, plan_psb, to_psb

_SHOWN = 3
"""Refused layers that the sentence on a model without any other one lists."""


def convert(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: PsbOptions | None = None,
    calibration: Any = None,
    limit: int | None = None,
    x_bits: int | Literal["auto"] | None = None,
    check: bool = True,
) -> Conversion:
    """Convert the multiplications of a model to stochastic shift-adds, and verify the conversion.

    Args:
        model: as for `analyze`.
        out: file to write; None writes nothing.
        options: bits, sampler, pruning, ...; the defaults serve most models.
        calibration: data that choose the scales of the activations, as for `analyze`.
        limit: calibrate on the first so many inputs only.
        x_bits: bits of an activation, instead of those of `options`; "auto" chooses 12 or 16 by the
            error of each on the calibration data, and `activation_bits` says why.
        check: compare the result with the model before it is written; False: `sentences()` says
            that nothing was compared.

    Returns:
        The conversion: `result.model` is the converted model, `sentences()` says how far each step
        deviates from the original model.

    Raises:
        ModelError: there is nothing to convert, or the conversion changes what is computed.
        OutputError: `out` is the model's own file, or cannot be written.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx")
        >>> len(made.result.done.converted) > 0
        True

    Reference: thesis, section 4.2.
    """
    loaded = load(model)
    keep_inputs(out, loaded, calibration)
    plan, result, found = convert_on_data(
        loaded, options or PsbOptions(), calibration, limit, x_bits
    )
    if not result.done.converted:
        raise ModelError(nothing_to_convert(loaded, result.refused))
    made = replace(prove(plan, result) if check else unproven(plan, result), activation_bits=found)
    if out is not None:
        made.result.model.save(out)
    return made


def convert_on_data(
    model: Model,
    options: PsbOptions,
    calibration: Any,
    limit: int | None,
    x_bits: int | str | None,
) -> tuple[Rewritten[PsbPlan], Rewritten[PsbChanges], ActivationBits | None]:
    """Plan a conversion, fit its activations to data, and convert once.

    Args:
        model: the float model.
        options: of the conversion.
        calibration: data, or None.
        limit: use the first so many inputs only.
        x_bits: a number, "auto", or None for that of the options.

    Returns:
        The plan, the conversion, and how the bits of activations were chosen, None where they
        were given.

    Raises:
        OptionError: "auto" without data, or no accepted number.
        DataError: the data do not calibrate the model.
    """
    if calibration is None and limit is not None:
        raise OptionError(
            f"limit is {limit!r}, but does nothing without calibration; leave it out, or give both."
        )
    if x_bits not in (None, "auto"):
        options = replace(options, x_bits=cast(int, x_bits))  # refuses what is not a number
    if calibration is None and x_bits == "auto":
        raise OptionError(
            "x_bits is 'auto', which measures on data; give calibration=DATA, or a whole "
            "number from 2 to 16."
        )
    source = None if calibration is None else open_data(calibration, model.inputs, limit=limit)
    plan = plan_psb(model, options)
    if source is None:
        return plan, to_psb(plan, options), None
    if x_bits != "auto":
        scaled = replace(options, x_exponents=calibrate(plan, source, options=options))
        return plan, to_psb(plan, scaled), None
    found = choose_activation_bits(plan, source, options=options)
    return plan, found.result, found


def nothing_to_convert(model: Model, refused: Any) -> str:
    """Return the sentence on a model without a layer that can be converted."""
    reasons = "; ".join(f"{node.node}: {node.reason}" for node in refused[:_SHOWN])
    return (
        f"model {str(model.path or '<memory>')!r} has nothing to convert "
        f"({reasons or 'no linear operator'}); "
        "give a model with Conv, Gemm or MatMul of constant weights."
    )
