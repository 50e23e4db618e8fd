"""Conversion to shift-adds, as a function."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from reluflow._api.outputs import keep_inputs
from reluflow.data import DataSource, open_data
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import (
    USUAL,
    USUAL_FOR_BYTES,
    ActivationBits,
    Allocation,
    Chains,
    ChosenBits,
    Conversion,
    Tuned,
    TuningOptions,
    calibrate,
    choose_activation_bits,
    choose_bits,
    choose_chains,
    convert_for_budget,
    convert_to_chains,
    convert_to_chains16,
    options_of,
    prove,
    tune_for_bytes,
    unproven,
)
from reluflow.evaluation import tune as run_tune
from reluflow.evaluation.widths.chains16 import chain_chosen
from reluflow.evaluation.widths.mixed import BYTES_LOSS_DB
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import Model, PsbChanges, PsbOptions, PsbPlan, Rewritten, load, plan_psb, to_psb
from reluflow.progress import Progress

BYTE_BITS = 8
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
            allows, and chooses 12 or 16 bits for the others; `activation_bits` and `chains` say
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
    on_data = convert_on_data(
        loaded,
        options or PsbOptions(),
        calibration,
        limit,
        x_bits,
        tune,
        progress,
        x_loss,
        chains=chains,
        budget=budget,
        p_bits=p_bits,
    )
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


@dataclass(frozen=True, slots=True)
class OnData:
    """A conversion that was fitted to data; returned by `convert_on_data`.

    Attributes:
        plan: of the given model.
        result: the conversion.
        activation_bits: how the bits of activations were chosen, None where they were given.
        tuned: how weights were chosen, None where they are the nearest.
        chains: the conversion with operators that pass integers, None where they pass floats.
        allocation: how a budget of samples was divided, None where there was none.
        weight_bits: how the bits of probabilities were chosen, None where they were given.
    """

    plan: Rewritten[PsbPlan]
    result: Rewritten[PsbChanges]
    activation_bits: ActivationBits | None = None
    tuned: Tuned | None = None
    chains: Chains | None = None
    allocation: Allocation | None = None
    weight_bits: ChosenBits | None = None


def convert_on_data(
    model: Model,
    options: PsbOptions,
    calibration: Any,
    limit: int | None,
    x_bits: int | str | None,
    tune: Sequence[str] = (),
    progress: Progress | None = None,
    x_loss: float | None = None,
    chains: bool = True,
    budget: float | None = None,
    p_bits: int | str | None = None,
) -> OnData:
    """Plan a conversion, fit its weights and activations to data, and convert once.

    Args:
        model: the float model.
        options: of the conversion.
        calibration: data, or None.
        limit: use the first so many inputs only.
        x_bits: a number, "auto", or None for that of the options.
        tune: steps of tuning.
        progress: of measuring and tuning.
        x_loss: accepted loss in dB of "auto"; None: 3.
        chains: whether operators pass integers to each other where data tell the scales.
        budget: mean number of samples that weights are chosen for, or None.
        p_bits: a number, "auto", or None for that of the options.

    Raises:
        OptionError: "auto", 8, steps or no chains without data, a budget without steps, or no
            accepted number or step.
        DataError: the data do not calibrate the model.
    """
    if calibration is None and limit is not None:
        raise OptionError(
            f"limit is {limit!r}, but does nothing without calibration; leave it out, or give both."
        )
    if x_loss is not None and x_bits != "auto":
        raise OptionError(
            f"x_loss is {x_loss!r}, but does nothing without x_bits='auto'; leave it out, or give "
            "both."
        )
    if not chains and calibration is None:
        raise OptionError(
            "chains is False, but there are none without calibration; leave it out, or give both."
        )
    if not chains and x_loss is not None:
        raise OptionError(
            f"x_loss is {x_loss!r}, the loss that bytes may cost, but chains is False; leave one "
            "of them out."
        )
    if x_bits not in (None, "auto"):
        options = replace(options, x_bits=cast(int, x_bits))  # refuses what is not a number
    if calibration is None and x_bits == "auto":
        raise OptionError(
            "x_bits is 'auto', which measures on data; give calibration=DATA, or a whole "
            "number from 2 to 16."
        )
    if calibration is None and x_bits == BYTE_BITS:
        raise OptionError(
            "x_bits is 8, whose scales are found on data; give calibration=DATA, or 9 to 16 bits, "
            "whose scales each run can find."
        )
    if p_bits not in (None, "auto"):
        options = replace(options, p_bits=cast(int, p_bits))
    if p_bits == "auto":
        check_own_bits(options, calibration is not None, budget)
    in_bytes = x_bits == BYTE_BITS and chains and budget is None
    usual = USUAL_FOR_BYTES if in_bytes else USUAL
    steps = options_for(tune, options, calibration is not None, usual) if tune else None
    if budget is not None and not tune:
        raise OptionError(
            f"budget is {budget!r}, but weights are chosen for it only where they are tuned; add "
            "tune=['usual'], or give a converted model to reluflow.allocate_samples."
        )
    source = None if calibration is None else open_data(calibration, model.inputs, limit=limit)
    plan = plan_psb(model, options)
    if source is None:
        return OnData(plan, to_psb(plan, options))
    bits = None
    if p_bits == "auto":
        bits = choose_bits(plan, source, steps or plain_rounding(options), progress=progress)
        options = replace(options, node_bits=bits.node_bits)
        steps = None if steps is None else replace(steps, node_bits=bits.node_bits)
    if steps is not None and in_bytes:
        return replace(_tuned_bytes(plan, source, options, steps, progress), weight_bits=bits)
    fitted, tuned, allocation = plan, None, None
    if steps is not None and budget is not None:
        chosen = convert_for_budget(
            plan,
            source,
            budget,
            options=options,
            tuning=replace(steps, damping=None),
            progress=progress,
        )
        made, allocation = chosen.tuned, chosen.allocation
    elif steps is not None:
        made = run_tune(plan, source, steps, progress=progress)
    if steps is not None:
        fitted, tuned = replace(plan, model=made.model), made.done
    done = _on_source(model, fitted, source, options, x_bits, x_loss, chains=chains)
    done = replace(done, plan=plan, tuned=tuned, weight_bits=bits)
    return done if allocation is None else _divided(done, allocation)


def _on_source(
    model: Model,
    fitted: Rewritten[PsbPlan],
    source: DataSource,
    options: PsbOptions,
    x_bits: int | str | None,
    x_loss: float | None,
    *,
    chains: bool,
) -> OnData:
    """Convert a plan whose weights are final, with activations in formats found on the data."""
    if x_bits != "auto":
        if not chains:
            scaled = replace(options, x_exponents=calibrate(fitted, source, options=options))
            return OnData(fitted, to_psb(fitted, scaled))
        join = convert_to_chains if x_bits == BYTE_BITS else convert_to_chains16
        found = join(fitted, source, options=options)
        return OnData(fitted, found.operators, chains=found)
    loss = BYTES_LOSS_DB if x_loss is None else x_loss
    floats = FloatOutputs(model, source)
    chosen = choose_activation_bits(fitted, source, options=options, floats=floats)
    if not chains:
        return OnData(fitted, chosen.result, chosen)
    joined = choose_chains(chosen, model, source, loss_db=loss, floats=floats)
    joined = joined or chain_chosen(chosen, source, floats)
    return OnData(fitted, chosen.result, chosen, chains=joined)


def _divided(made: OnData, allocation: Allocation) -> OnData:
    """Return a conversion whose operators have the samples of a division."""
    result = replace(made.result, model=allocation.apply(made.result.model))
    if made.chains is None:
        return replace(made, result=result, allocation=allocation)
    joined = made.chains.rewritten
    joined = replace(joined, model=allocation.apply(joined.model))
    chains = replace(made.chains, rewritten=joined, operators=result)
    return replace(made, result=result, chains=chains, allocation=allocation)


def check_own_bits(options: PsbOptions, with_data: bool, budget: float | None) -> None:
    """Refuse to choose bits of probabilities where that cannot be measured.

    Args:
        options: of the conversion.
        with_data: whether there are data.
        budget: of samples.

    Raises:
        OptionError: there are no data, a budget chooses bits too, or the weights that are stored
            are not those measured.
    """
    if not with_data:
        raise OptionError(
            "p_bits is 'auto', which measures on data; give calibration=DATA, or a number of bits."
        )
    if budget is not None:
        raise OptionError(
            f"p_bits is 'auto', but budget={budget} chooses the bits of each layer too; leave one "
            "of them out."
        )
    if options.prune or options.per_tensor:
        other = f"prune={options.prune}" if options.prune else "per_tensor=True"
        raise OptionError(
            f"p_bits is 'auto', but {other} would change the weights that it measures; leave one "
            "of them out."
        )


def plain_rounding(options: PsbOptions) -> TuningOptions:
    """Return the options that round as a conversion does which is not tuned."""
    return TuningOptions(
        p_bits=options.p_bits,
        exclude=options.exclude,
        feedback=False,
        follow=False,
        correct_bias=False,
    )


def _tuned_bytes(
    plan: Rewritten[PsbPlan],
    source: DataSource,
    options: PsbOptions,
    steps: TuningOptions,
    progress: Progress | None,
) -> OnData:
    """Return chains of bytes whose formats and weights were chosen together."""
    found = tune_for_bytes(plan, source, options=options, tuning=steps, progress=progress)
    fitted = replace(plan, model=found.tuned.model)
    chains = convert_to_chains(fitted, source, options=options, formats=found.formats)
    return OnData(plan, chains.operators, None, found.tuned.done, chains)


def options_for(
    steps: Sequence[str], options: PsbOptions, with_data: bool, usual: Sequence[str]
) -> TuningOptions:
    """Return the options of tuning before a conversion.

    Args:
        steps: their names.
        options: of the conversion.
        with_data: whether there are data.
        usual: the steps that "usual" stands for.

    Raises:
        OptionError: there are no data, no such step, or the conversion would change the weights
            again.
    """
    found = options_of(steps, options.p_bits, options.exclude, usual)
    if not with_data:
        raise OptionError(
            f"tune is {', '.join(steps)}, which works on data; give calibration=DATA, or leave it "
            "out."
        )
    if options.prune or options.per_tensor:
        other = f"prune={options.prune}" if options.prune else "per_tensor=True"
        raise OptionError(
            f"tune is {', '.join(steps)}, but {other} would change the weights that it chooses; "
            "leave one of them out."
        )
    return found


def nothing_to_convert(model: Model, refused: Any) -> str:
    """Return the sentence on a model without a layer that can be converted."""
    reasons = "; ".join(f"{node.node}: {node.reason}" for node in refused[:_SHOWN])
    return (
        f"model {str(model.path or '<memory>')!r} has nothing to convert "
        f"({reasons or 'no linear operator'}); "
        "give a model with Conv, Gemm or MatMul of constant weights."
    )
