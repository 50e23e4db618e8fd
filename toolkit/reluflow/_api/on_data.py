"""A conversion fitted to data: what is asked for, what excludes each other, and the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from reluflow.data import DataSource
from reluflow.errors import OptionError
from reluflow.evaluation import (
    USUAL,
    USUAL_FOR_BYTES,
    ActivationBits,
    Allocation,
    Chains,
    ChosenBits,
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
    tune_for_bytes,
)
from reluflow.evaluation import tune as run_tune
from reluflow.evaluation.widths.chains import BYTE_BITS
from reluflow.evaluation.widths.chains16 import chain_chosen
from reluflow.evaluation.widths.mixed import BYTES_LOSS_DB
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import Model, PsbChanges, PsbOptions, PsbPlan, Rewritten, plan_psb, to_psb
from reluflow.progress import Progress


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a conversion shall be like; the arguments of `reluflow.convert`.

    Attributes:
        options: of the conversion; of the nodes, where they are the same for all.
        x_bits: bits of activations, "auto", or None for those of the options.
        x_loss: accepted loss in dB of "auto"; None: 3.
        tune: steps of tuning.
        chains: whether operators pass integers to each other where data tell the scales.
        budget: mean number of samples that weights are chosen for, or None.
        p_bits: stored bits of probabilities, "auto", or None for those of the options.
    """

    options: PsbOptions
    x_bits: int | str | None = None
    x_loss: float | None = None
    tune: Sequence[str] = ()
    chains: bool = True
    budget: float | None = None
    p_bits: int | str | None = None

    @property
    def tunes_bytes(self) -> bool:
        """Whether weights are chosen together with the formats of bytes."""
        in_bytes = self.x_bits == BYTE_BITS and self.chains
        return bool(self.tune) and in_bytes and self.budget is None

    @property
    def changed(self) -> str | None:
        """An option by which the conversion changes weights again that data chose."""
        if self.options.prune:
            return f"prune={self.options.prune}"
        return "per_tensor=True" if self.options.per_tensor else None

    def numbers(self) -> PsbOptions:
        """Return the options with the bits that are given as numbers; refuses others."""
        found = self.options
        if self.x_bits not in (None, "auto"):
            found = replace(found, x_bits=cast(int, self.x_bits))
        if self.p_bits not in (None, "auto"):
            found = replace(found, p_bits=cast(int, self.p_bits))
        return found


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
    model: Model, source: DataSource | None, wanted: Wanted, progress: Progress | None = None
) -> OnData:
    """Plan a conversion, fit its weights and activations to data, and convert once.

    Args:
        model: the float model.
        source: the data, or None.
        wanted: of the conversion, which `check_wanted` accepts.
        progress: of measuring and tuning.

    Raises:
        OptionError: a number or a step is none that is accepted.
        DataError: the data do not calibrate the model.
    """
    options = wanted.numbers()
    plan = plan_psb(model, options)
    if source is None:
        return OnData(plan, to_psb(plan, options))
    steps = _steps(wanted, options)
    bits = None
    if wanted.p_bits == "auto":
        bits = choose_bits(plan, source, steps or plain_rounding(options), progress=progress)
        options = replace(options, node_bits=bits.node_bits)
        steps = None if steps is None else replace(steps, node_bits=bits.node_bits)
    if steps is not None and wanted.tunes_bytes:
        return replace(_tuned_bytes(plan, source, options, steps, progress), weight_bits=bits)
    if steps is None:
        return replace(_on_source(model, plan, source, options, wanted), weight_bits=bits)
    if wanted.budget is None:
        made, allocation = run_tune(plan, source, steps, progress=progress), None
    else:
        held_out = replace(steps, damping=None)
        chosen = convert_for_budget(
            plan, source, wanted.budget, options=options, tuning=held_out, progress=progress
        )
        made, allocation = chosen.tuned, chosen.allocation
    done = _on_source(model, replace(plan, model=made.model), source, options, wanted)
    done = replace(done, plan=plan, tuned=made.done, weight_bits=bits)
    return done if allocation is None else _divided(done, allocation)


def check_wanted(wanted: Wanted, with_data: bool) -> None:
    """Refuse options that do nothing, or that exclude each other.

    Args:
        wanted: of the conversion.
        with_data: whether there are data.

    Raises:
        OptionError: "auto", 8, steps or no chains without data, a budget without steps, a loss
            without "auto", or weights that would be changed again after data chose them.
    """
    x_bits, x_loss, chains = wanted.x_bits, wanted.x_loss, wanted.chains
    if x_loss is not None and x_bits != "auto":
        raise OptionError(
            f"x_loss is {x_loss!r}, but does nothing without x_bits='auto'; leave it out, or give "
            "both."
        )
    if not chains and not with_data:
        raise OptionError(
            "chains is False, but there are none without calibration; leave it out, or give both."
        )
    if not chains and x_loss is not None:
        raise OptionError(
            f"x_loss is {x_loss!r}, the loss that bytes may cost, but chains is False; leave one "
            "of them out."
        )
    wanted.numbers()
    if not with_data and x_bits == "auto":
        raise OptionError(
            "x_bits is 'auto', which measures on data; give calibration=DATA, or a whole "
            "number from 2 to 16."
        )
    if not with_data and x_bits == BYTE_BITS:
        raise OptionError(
            "x_bits is 8, whose scales are found on data; give calibration=DATA, or 9 to 16 bits, "
            "whose scales each run can find."
        )
    if wanted.p_bits == "auto":
        _check_own_bits(wanted, with_data)
    if wanted.tune:
        _check_tuning(wanted, with_data)
    elif wanted.budget is not None:
        raise OptionError(
            f"budget is {wanted.budget!r}, but weights are chosen for it only where they are "
            "tuned; add tune=['usual'], or give a converted model to reluflow.allocate_samples."
        )


def _check_own_bits(wanted: Wanted, with_data: bool) -> None:
    if not with_data:
        raise OptionError(
            "p_bits is 'auto', which measures on data; give calibration=DATA, or a number of bits."
        )
    if wanted.budget is not None:
        raise OptionError(
            f"p_bits is 'auto', but budget={wanted.budget} chooses the bits of each layer too; "
            "leave one of them out."
        )
    if wanted.changed:
        raise OptionError(
            f"p_bits is 'auto', but {wanted.changed} would change the weights that it measures; "
            "leave one of them out."
        )


def _check_tuning(wanted: Wanted, with_data: bool) -> None:
    _steps(wanted, wanted.numbers())  # refuses unknown steps
    if not with_data:
        raise OptionError(
            f"tune is {', '.join(wanted.tune)}, which works on data; give calibration=DATA, or "
            "leave it out."
        )
    if wanted.changed:
        raise OptionError(
            f"tune is {', '.join(wanted.tune)}, but {wanted.changed} would change the weights that "
            "it chooses; leave one of them out."
        )


def _steps(wanted: Wanted, options: PsbOptions) -> TuningOptions | None:
    """Return the options of tuning, None where there is none."""
    if not wanted.tune:
        return None
    usual = USUAL_FOR_BYTES if wanted.tunes_bytes else USUAL
    return options_of(wanted.tune, options.p_bits, options.exclude, usual)


def plain_rounding(options: PsbOptions) -> TuningOptions:
    """Return the options that round as a conversion does which is not tuned."""
    return TuningOptions(
        p_bits=options.p_bits,
        exclude=options.exclude,
        feedback=False,
        follow=False,
        correct_bias=False,
    )


def _on_source(
    model: Model,
    fitted: Rewritten[PsbPlan],
    source: DataSource,
    options: PsbOptions,
    wanted: Wanted,
) -> OnData:
    """Convert a plan whose weights are final, with activations in formats found on the data."""
    if wanted.x_bits != "auto":
        if not wanted.chains:
            scaled = replace(options, x_exponents=calibrate(fitted, source, options=options))
            return OnData(fitted, to_psb(fitted, scaled))
        join = convert_to_chains if wanted.x_bits == BYTE_BITS else convert_to_chains16
        found = join(fitted, source, options=options)
        return OnData(fitted, found.operators, chains=found)
    loss = BYTES_LOSS_DB if wanted.x_loss is None else wanted.x_loss
    floats = FloatOutputs(model, source)
    chosen = choose_activation_bits(fitted, source, options=options, floats=floats)
    if not wanted.chains:
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
