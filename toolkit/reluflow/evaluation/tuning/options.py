"""`TuningOptions`: how stored numbers are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reluflow.errors import OptionError
from reluflow.psb import P_BITS
from reluflow.psb.feedback import DAMPING

STEPS = ("equalise", "follow", "feedback", "bias")
"""Names of the steps, in the order in which they are done."""
USUAL = ("follow", "feedback", "bias")
"""The steps that "usual" stands for."""
USUAL_FOR_BYTES = ("feedback", "bias")
"""The same where activations are bytes, whose rounding a fit of the weights would follow."""


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """Options of `tune`.

    Attributes:
        p_bits: stored bits of a probability: 1, 2, 3, 4, 6, 8 or 16.
        equalise: first scale channels between layers, as `reluflow.graph.equalise` does.
        feedback: round weights so that a layer's outputs change least, not the weights themselves.
        follow: before rounding, fit each layer to the outputs of the float model, so that it makes
            up for what the layers before it have changed; a skip connection's error counts too.
        correct_bias: move the mean of each output channel to that of the float model.
        grid: count as error what nearest mode on the 8-bit grid multiplies by.
        damping: share of the mean second moment that is added to each, in (0, 1]. None: chosen
            for each layer, and for its fit and its rounding, on a third of the inputs, from which
            neither was made; this keeps few inputs from being fitted too closely.
        exclude: names of nodes that stay as they are.
        node_bits: name of a node -> its own bits instead of `p_bits`, where some nodes shall do
            with fewer samples than others: n samples draw a code of log2 n bits exactly.
        seed: of the choice of places that second moments are made of.

    Example:
        >>> TuningOptions(feedback=False).correct_bias
        True
    """

    p_bits: int = 4
    equalise: bool = False
    feedback: bool = True
    follow: bool = True
    correct_bias: bool = True
    grid: bool = False
    damping: float | None = DAMPING
    exclude: tuple[str, ...] = ()
    node_bits: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        listed = ", ".join(map(str, P_BITS))
        given = {"p_bits": self.p_bits}
        given |= {f"node_bits[{name!r}]": bits for name, bits in self.node_bits.items()}
        for name, bits in given.items():
            if bits not in P_BITS:
                raise OptionError(f"{name} is {bits!r}; accepted are {listed}.")
        if self.damping is not None and not 0 < self.damping <= 1:
            raise OptionError(
                f"damping is {self.damping!r}; give a share above 0, up to 1, or None."
            )
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed!r}; give a whole number of at least 0.")

    @property
    def needs_products(self) -> bool:
        """Whether second moments of the inputs are needed, which take memory and time."""
        return self.feedback or self.follow


def options_of(
    steps: Sequence[str],
    p_bits: int,
    exclude: Sequence[str] = (),
    usual: Sequence[str] = USUAL,
) -> TuningOptions:
    """Return options with only the named steps.

    Args:
        steps: some of "equalise", "follow", "feedback" and "bias", or "usual".
        p_bits: stored bits of a probability.
        exclude: names of nodes that stay as they are.
        usual: the steps that "usual" stands for.

    Raises:
        OptionError: a name is not that of a step.

    Example:
        >>> options_of(["feedback"], 4).correct_bias, options_of(["usual"], 4).correct_bias
        (False, True)
    """
    named = {step for name in steps for step in (usual if name == "usual" else (name,))}
    unknown = sorted(named.difference(STEPS))
    if unknown or not named:
        wrong = unknown[0] if unknown else ""
        raise OptionError(f"tune names {wrong!r}; accepted are {', '.join(STEPS)} and usual.")
    return TuningOptions(
        p_bits=p_bits,
        exclude=tuple(exclude),
        equalise="equalise" in named,
        follow="follow" in named,
        feedback="feedback" in named,
        correct_bias="bias" in named,
    )
