"""Converting a model to shift-adds, and verifying that the result computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from reluflow.errors import EquivalenceError
from reluflow.evaluation.budget.allocate import Allocation
from reluflow.evaluation.proof.equivalence import Equivalence, compare_models
from reluflow.evaluation.tuning.bits import ChosenBits
from reluflow.evaluation.tuning.tune import Tuned
from reluflow.evaluation.widths.activation_bits import ActivationBits
from reluflow.evaluation.widths.chains import Chains
from reluflow.frames import Shown, Tabular
from reluflow.graph import (
    Model,
    PsbChanges,
    PsbOptions,
    PsbPlan,
    Rewritten,
    plan_psb,
    psb_in_floats,
    to_psb,
    unround_activations,
    with_input_defaults,
    with_wide_activations,
)

SAME_WEIGHTS = 0.1
"""Accepted share of an output's largest value between converted operators with activations of 16
bits and floating point with the same weights: many layers deep, roundings of 2^-16 add up."""


@dataclass(frozen=True, slots=True, repr=False)
class Conversion(Tabular):
    """A converted model and how far it deviates from the original; returned by `convert`.

    Attributes:
        result: of `to_psb`.
        plan: of `plan_psb`; its model is the folded and raised one in floating point.
        rewrites: the given model against the folded and raised one, both in floating point and
            without the rounding that was removed.
        operators: PSB operators with activations of 16 bits against floating point with the
            same weights: that the operators mean what they should.
        precision: the folded model against the converted one as it is stored, at the default of
            64 samples, nearest: the error of the chosen bits, for which there is no bound.
        activation_bits: how the bits of activations were chosen; None: they were given.
        tuned: how weights and biases were chosen; None: they are the nearest to the model's.
        unrounded: the given model against itself without the rounding of activations to integers,
            for which there is no bound; None: there was none to remove.
        chains: the operators pass bytes; None: they pass floats.
        allocation: how a budget of samples was divided; None: all operators draw alike.
        weight_bits: how the bits of probabilities were chosen; None: they were given.
    """

    result: Rewritten[PsbChanges]
    plan: Rewritten[PsbPlan]
    rewrites: Equivalence
    operators: Equivalence
    precision: Equivalence
    activation_bits: ActivationBits | None = None
    tuned: Tuned | None = None
    unrounded: Equivalence | None = None
    chains: Chains | None = None
    allocation: Allocation | None = None
    weight_bits: ChosenBits | None = None

    _shown: ClassVar[Shown] = {
        "layer": ("name", "text"),
        "operator": ("op", "text"),
        "was": ("was", "text"),
        "took over": ("merged", "text"),
        "left alone": ("reason", "text"),
    }

    def _heading(self) -> str:
        done, left = len(self.result.done.converted), len(self.result.refused)
        return f"{done} operators converted to shift-adds, {left} left alone"

    def _records(self) -> Sequence[dict[str, Any]]:
        done = [
            {
                "name": each.psb.name,
                "op": each.psb.op,
                "was": each.was,
                "merged": list(each.merged),
                "reason": None,
            }
            for each in self.result.done.converted
        ]
        left: list[dict[str, Any]] = [
            {"name": each.node, "op": None, "was": each.op, "merged": [], "reason": each.reason}
            for each in self.result.refused
        ]
        return [*done, *left]

    def _sentences(self) -> Sequence[str]:
        return self.sentences()

    @property
    def model(self) -> Model:
        """The converted model, with chains where there are any."""
        return self.result.model if self.chains is None else self.chains.rewritten.model

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        `weight_bits` and `activation_bits` are among them where they were chosen, `unrounded`
        where a rounding was removed, `chains` where operators pass bytes.
        """
        found: dict[str, ActivationBits | Chains | ChosenBits | Equivalence | None] = {
            "weight_bits": self.weight_bits,
            "activation_bits": self.activation_bits,
            "unrounded": self.unrounded,
            "rewrites": self.rewrites,
            "operators": self.operators,
            "precision": self.precision,
            "chains": self.chains,
        }
        return {name: each.to_dict() for name, each in found.items() if each is not None}

    def choices(self) -> tuple[str, ...]:
        """Return the findings on what data have chosen, and on what bytes cost."""
        found = (self.weight_bits, self.tuned, self.allocation, self.activation_bits, self.chains)
        return tuple(
            each.sentence() if isinstance(each, Allocation) else str(each)
            for each in found
            if each is not None
        )

    def sentences(self) -> tuple[str, ...]:
        """Return the findings: sentences on what data have chosen, then one per comparison."""
        bare = self.unrounded
        without = "" if self.chains is None else ", without chains"
        return (
            *self.choices(),
            *([] if bare is None else [f"Activations without their rounding to integers: {bare}."]),
            f"Folding and raising: {self.rewrites}.",
            f"Operators with 16-bit activations, same weights: {self.operators}.",
            f"What the chosen precision costs{without}: {self.precision}.",
        )


def convert(model: Model, options: PsbOptions | None = None) -> Conversion:
    """Convert a model and compare the result with it on random inputs.

    Args:
        model: the float model, not changed.
        options: settings of the conversion.

    Returns:
        The converted model and three comparisons; one that could not be made says why.

    Raises:
        ModelError: the model cannot be converted.
        EquivalenceError: the result does not compute what the model does.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> done = convert(load(proto))
        >>> done.rewrites.largest, done.operators.holds, len(done.sentences())
        (0.0, True, 3)
        >>> done.choices()
        ()
    """
    plan = plan_psb(model, options)
    return prove(plan, to_psb(plan, options))


def prove(plan: Rewritten[PsbPlan], result: Rewritten[PsbChanges]) -> Conversion:
    """Compare a conversion with the original model on random inputs.

    Args:
        plan: of the model.
        result: what `to_psb` made of the plan.

    Returns:
        The conversion with the result of each comparison.

    Raises:
        EquivalenceError: the result does not compute what the model does.

    Example:
        >>> from reluflow.graph import load, plan_psb, to_psb
        >>> plan = plan_psb(load("models/fashion_resnet8.onnx"))
        >>> prove(plan, to_psb(plan)).operators.holds
        True
    """
    model, floats = plan.done.given, plan.model
    if not result.done.converted:  # the model is unchanged: nothing needs to run
        return unproven(plan, result, "nothing was converted")
    unrounded = None
    if plan.done.unrounded:
        bare = unround_activations(model, [pair.node for pair in plan.done.unrounded]).model
        unrounded, model = compare_models(model, bare, accepted=np.inf), bare
    rewrites = proven("folding batch normalisation or raising the opset", model, floats)
    if rewrites.too_slow:  # so would the others be
        return Conversion(result, plan, rewrites, rewrites, rewrites, unrounded=unrounded)
    made = with_input_defaults(result.model).model
    wide = with_wide_activations(made).model
    operators = proven(
        "the conversion to shift-adds", psb_in_floats(wide).model, wide, accepted=SAME_WEIGHTS
    )
    precision = compare_models(floats, made, accepted=np.inf)
    return Conversion(result, plan, rewrites, operators, precision, unrounded=unrounded)


def unproven(
    plan: Rewritten[PsbPlan], result: Rewritten[PsbChanges], why: str = "it was not asked for"
) -> Conversion:
    """Return a conversion that was not compared.

    Args:
        plan: of the model.
        result: what `to_psb` made of the plan.
        why: the reason, for the report.

    Example:
        >>> from reluflow.graph import load, plan_psb, to_psb
        >>> plan = plan_psb(load("models/fashion_resnet8.onnx"))
        >>> unproven(plan, to_psb(plan)).sentences()[0]
        'Folding and raising: not compared: it was not asked for.'
    """
    nothing = Equivalence((), 0.0, (), why)
    return Conversion(result, plan, nothing, nothing, nothing)


def proven(step: str, old: Model, new: Model, accepted: float | None = None) -> Equivalence:
    """Compare two models and refuse a difference beyond what is accepted.

    Args:
        step: what was done, for the message.
        old: before.
        new: after.
        accepted: as of `compare_models`.

    Returns:
        The differences, if they are accepted.

    Raises:
        EquivalenceError: they differ by more than is accepted.

    Example:
        >>> from reluflow.graph import fold_batchnorm, load
        >>> model = load('models/fashion_resnet8.onnx')
        >>> proven('folding', model, fold_batchnorm(model).model).holds
        True
    """
    found = compare_models(old, new, accepted=accepted)
    if not found.holds:
        worst = max(found.outputs, key=lambda output: output.relative)
        raise EquivalenceError(
            f"{step} changed what the model computes: output {worst.output!r} differs by "
            f"{worst.largest:.2g}, {worst.relative:.2g} of its largest value on random inputs, "
            f"{found.accepted:.2g} is accepted; the result was not kept; this is a fault of "
            "reluflow unless the model's numbers are too far apart to be rounded: report it with "
            "the model, or go on without the comparison."
        )
    return found
