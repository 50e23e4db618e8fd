"""Conversion to shift-adds, and to C for microcontrollers, as functions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from reluflow._api.on_data import Wanted, check_wanted, convert_on_data
from reluflow._api.outputs import keep_inputs
from reluflow.data import DataSource, open_data
from reluflow.edge import (
    EdgeCascade,
    EdgeOptions,
    EdgeProgram,
    EdgeProject,
    choose_cascade,
    lower,
    write_project,
)
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import Conversion, InlinedModel, inline, prove, unproven
from reluflow.evaluation import convert as convert_model
from reluflow.evaluation.widths.chains import BYTE_BITS
from reluflow.graph import Model, PsbOptions, find_psb, load, psb_inputs
from reluflow.progress import Progress

_SHOWN = 3
"""Refused layers that the sentence on a model without any other one lists."""
_VECTORS = 4
"""Inputs of the self-test of a project."""
_BYTES = 256


def convert(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    options: PsbOptions | None = None,
    calibration: Any = None,
    limit: int | None = None,
    x_bits: int | Literal["auto"] | None = None,
    x_loss: float | None = None,
    tune: Sequence[str] = (),
    chains: bool = True,
    budget: float | None = None,
    p_bits: int | Literal["auto"] | None = None,
    check: bool = True,
    progress: Progress | None = None,
) -> Conversion:
    """Convert the multiplications of a model to stochastic shift-adds, and verify the conversion.

    Args:
        model: as for `analyze`.
        out: file to write; None writes nothing.
        options: bits, sampler, pruning, ...; the defaults serve most models.
        calibration: data that choose the scales of the activations, as for `analyze`.
        limit: calibrate on the first so many inputs only.
        x_bits: bits of an activation, instead of those of `options`. With calibration data,
            operators pass integers of so many bits to each other, in scales found on these data:
            bytes with 8, else int16. "auto" lets as many pass bytes as the error on the data
            allows, and chooses 12 to 16 bits for the others; `activation_bits` and `chains` say
            why.
        x_loss: accepted loss in dB of the outputs' SQNR where "auto" lets operators pass bytes;
            None: 3.
        tune: choose weights and biases by the model's behaviour on the calibration data, without
            labels: some of "equalise", "follow", "feedback" and "bias", or "usual", which stands
            for the last three, and for the last two with bytes.
            `reluflow.evaluation.TuningOptions` says what each does.
        chains: whether operators pass integers to each other where calibration data tell the
            scales; False: floats.
        budget: with `tune`: mean number of samples over all multiplications, 2 to 64. Each
            operator gets its own number, and weights that it draws exactly; `allocation` says
            which. None: all draw alike.
        p_bits: stored bits of a probability, instead of those of `options`. "auto" gives each
            layer its own by what its rounding costs on the calibration data; the file is no larger
            than with those of `options`. `weight_bits` says which.
        check: compare the result with the model before it is written; False: `sentences()` says
            that nothing was compared.
        progress: called after each layer that was measured or tuned.

    Returns:
        The conversion: `model` is the converted model, `sentences()` says how far each step
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
        >>> bytes = reluflow.convert(
        ...     "models/fashion_resnet8.onnx",
        ...     calibration="models/fashion_mnist_test_2000.npz", limit=8, x_bits=8)
        >>> bytes.choices()[0].split(";")[0]
        'Chains of bytes: 10 of 10 operators'

    Reference: thesis, section 4.2.
    """
    loaded = load(model)
    keep_inputs(out, loaded, calibration)
    wanted = Wanted(options or PsbOptions(), x_bits, x_loss, tune, chains, budget, p_bits)
    if calibration is None and limit is not None:
        raise OptionError(
            f"limit is {limit!r}, but does nothing without calibration; leave it out, or give both."
        )
    check_wanted(wanted, calibration is not None)
    source = None if calibration is None else open_data(calibration, loaded.inputs, limit=limit)
    on_data = convert_on_data(loaded, source, wanted, progress)
    plan, result = on_data.plan, on_data.result
    if not result.done.converted:
        raise ModelError(nothing_to_convert(loaded, result.refused))
    made = prove(plan, result) if check else unproven(plan, result)
    made = replace(
        made,
        activation_bits=on_data.activation_bits,
        tuned=on_data.tuned,
        chains=on_data.chains,
        allocation=on_data.allocation,
        weight_bits=on_data.weight_bits,
    )
    if out is not None:
        made.model.save(out)
    return made


def inline_psb(
    model: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    nearest: bool = False,
    input_defaults: bool = False,
    check: bool = True,
) -> InlinedModel:
    """Write a converted model in ONNX's own operators alone, for runtimes without functions.

    Number of samples and seed stay inputs; the file draws the bits of the native library.

    Args:
        model: a converted model, as for `analyze`.
        out: file to write; None writes nothing.
        nearest: leave the draws out: a smaller file, in which the seed has no effect.
        input_defaults: keep the defaults of the inputs for samples and seed.
        check: run the new model beside the given one before it is written.

    Returns:
        The new model: `sentences()` says what was inlined, and what the comparisons found.

    Raises:
        ModelError: the model is not converted, or has operators that need the native library.
        OutputError: `out` is the model's own file, or cannot be written.
        ReluflowError: the model cannot be read, in one sentence.

    Example:
        >>> import reluflow
        >>> psb = reluflow.convert("models/fashion_dsconv.onnx").model
        >>> made = reluflow.inline_psb(psb)
        >>> made.sentences()[0], made.nearest.largest
        ('Inlined: 11 PsbConv, 1 PsbMatMul.', 0.0)

    Reference: docs/web.md.
    """
    loaded = load(model)
    keep_inputs(out, loaded)
    made = inline(loaded, nearest=nearest, input_defaults=input_defaults, check=check)
    if out is not None:
        made.model.save(out)
    return made


def nothing_to_convert(model: Model, refused: Any) -> str:
    """Return the sentence on a model without a layer that can be converted."""
    reasons = "; ".join(f"{node.node}: {node.reason}" for node in refused[:_SHOWN])
    return (
        f"model {str(model.path or '<memory>')!r} has nothing to convert "
        f"({reasons or 'no linear operator'}); "
        "give a model with Conv, Gemm or MatMul of constant weights."
    )


def as_converted(model: Model, psb: PsbOptions | None) -> Model:
    """Return a converted model as it is, and another converted.

    Args:
        model: converted or not.
        psb: how it is converted.

    Raises:
        ModelError: there is nothing to convert.
    """
    if find_psb(model):
        return model
    made = convert_model(model, psb).result
    if not made.done.converted:
        raise ModelError(nothing_to_convert(model, made.refused))
    return made.model


def edge_project(
    model: Any,
    out: str | os.PathLike[str],
    *,
    calibration: Any = None,
    limit: int | None = None,
    options: EdgeOptions | None = None,
    psb: PsbOptions | None = None,
    progress: Progress | None = None,
) -> EdgeProject:
    """Write a model as C99 for microcontrollers: whole numbers alone, shift-adds, no library.

    Args:
        model: as for `analyze`; a float one is converted with 8 bits per activation first.
        out: folder to make; a project that lies there is replaced.
        calibration: data that choose the scales of the activations of a float model, as for
            `analyze`; the self-test takes its inputs from them where they can be read twice, and
            else draws bytes.
        limit: calibrate on the first so many inputs only, and choose the margin of a cascade on
            them.
        options: name, target, limit of the RAM, ...; the defaults serve most models.
        psb: how a float model is converted.
        progress: called after each layer that was measured.

    Returns:
        The project with its RAM, flash and shift-adds.

    Raises:
        ModelError: an operator has no kernel, or the model's sizes are not fixed; all are named.
        OptionError: calibration is missing, or the model needs more RAM than is allowed.
        OutputError: `out` holds something else, or cannot be written.
        ReluflowError: bad model, data or options, in one sentence.

    Example:
        >>> import tempfile
        >>> import reluflow
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = reluflow.edge_project(
        ...         "models/fashion_convnet8.onnx", f"{folder}/net", limit=8,
        ...         calibration="models/fashion_mnist_test_2000.npz")
        ...     (made.folder / "src" / "fashion_convnet8.h").is_file(), made.cost.arena_bytes
        (True, 25088)

    Reference: docs/edge.md.
    """
    loaded = load(model)
    wanted = options or EdgeOptions()
    if limit is not None and calibration is None:
        raise OptionError(
            f"limit is {limit!r}, but does nothing without calibration; leave it out, or give both."
        )
    if psb is not None and find_psb(loaded):
        raise OptionError(
            "psb is given, but does nothing with a converted model; leave it out, or give the "
            "float model."
        )
    stem = loaded.path.stem if loaded.path is not None else "model"
    chained, reasons = _chained(loaded, calibration, limit, psb, progress)
    program = lower(chained, reasons, wanted.pixels)
    counts = psb_inputs(loaded) if find_psb(loaded) else ()
    specs = [spec for spec in loaded.inputs if spec.name not in counts]
    source = None if calibration is None else open_data(calibration, specs, limit=limit)
    given = _first_inputs(program, source)
    return write_project(program, out, wanted, given, stem, _cascade(program, wanted, source))


def _cascade(
    program: EdgeProgram, options: EdgeOptions, source: DataSource | None
) -> EdgeCascade | None:
    """Return the cascade that is wished for, its margin chosen on the data."""
    if options.cascade is None:
        return None
    if source is None or not source.rereadable:
        raise OptionError(
            f"cascade is {options.cascade}, but its margin is chosen on data that can be read "
            "twice; give calibration=DATA, an array or a file."
        )
    return choose_cascade(
        program, _laid_out(source), options.cascade, options.loss, confidence=options.confidence
    )


def _chained(
    model: Model,
    calibration: Any,
    limit: int | None,
    psb: PsbOptions | None,
    progress: Progress | None,
) -> tuple[Model, dict[str, str]]:
    """Return a model with chains of bytes, and why operators are in none."""
    if find_psb(model):
        outside = "it is in no chain of bytes: convert the float model with 8 bits per activation"
        return model, {node.name: outside for node in find_psb(model)}
    if calibration is None:
        raise OptionError(
            f"calibration is missing, and model {str(model.path or '<memory>')!r} is not converted "
            "yet; give calibration=DATA, which choose the scales of its bytes."
        )
    made = convert(
        model,
        options=psb,
        calibration=calibration,
        limit=limit,
        x_bits=BYTE_BITS,
        check=False,
        progress=progress,
    )
    refused = made.chains.rewritten.refused if made.chains is not None else made.result.refused
    return made.model, {node.node: node.reason for node in (*made.result.refused, *refused)}


def _laid_out(source: DataSource) -> Iterator[dict[str, Any]]:
    """Return inputs one by one; pixels of uint8 with the channels last, as programs take bytes."""
    for batch in source.batches(1):
        yield {
            name: np.moveaxis(value, 1, -1) if value.dtype == np.uint8 else value.copy()
            for name, value in batch.items()
        }


def _first_inputs(program: EdgeProgram, source: DataSource | None) -> list[dict[str, Any]]:
    """Return some inputs of a self-test: the first of the data, else random bytes."""
    if source is not None and source.rereadable:
        return list(islice(_laid_out(source), _VECTORS))
    rng = np.random.default_rng(0)
    shapes = {given.name: program.tensors[given.tensor].shape for given in program.inputs}
    return [
        {name: rng.integers(0, _BYTES, shape).astype(np.uint8) for name, shape in shapes.items()}
        for _ in range(_VECTORS)
    ]
