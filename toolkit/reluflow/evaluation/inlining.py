"""Inlining a converted model, and verifying that it gives the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.errors import EquivalenceError
from reluflow.evaluation.proof.equivalence import Equivalence, compare_models
from reluflow.frames import Shown, Tabular
from reluflow.graph import (
    Inlined,
    Model,
    Rewritten,
    inline_psb,
    with_input_defaults,
    without_input_defaults,
)
from reluflow.sessions import has_library

SAME_DRAWS = 0.02
"""Accepted share of an output's largest value between the same draws in two kernels: sums of floats
in another order may round an activation to its neighbour. Other draws of 1 sample differ by far
more, tenths of the largest value."""
_SAMPLES, _SEED = 1, 3
"""Of the run that compares draws: the fewest samples, which differ the most from others."""


@dataclass(frozen=True, slots=True, repr=False)
class InlinedModel(Tabular):
    """An inlined model and how it compares with the given one; returned by `inline`.

    Attributes:
        result: of `reluflow.graph.inline_psb`.
        size_bytes: of the file before and after.
        nearest: the functions of the given model against the new one in nearest mode, both in ONNX
            Runtime without the native library: not a bit may differ. None: not asked for.
        draws: the native library against the new model, 1 sample. None: not asked for, not all
            operators that draw there draw here, or there is no native library.
    """

    result: Rewritten[Inlined]
    size_bytes: tuple[int, int]
    nearest: Equivalence | None
    draws: Equivalence | None

    _shown: ClassVar[Shown] = {
        "operator": ("operator", "text"),
        "nodes written out": ("nodes", "count"),
    }

    def _heading(self) -> str:
        before, after = self.size_bytes
        return f"inlined: {before:,} bytes before, {after:,} after"

    def _records(self) -> Sequence[dict[str, Any]]:
        return [{"operator": op, "nodes": n} for op, n in self.result.done.operators.items()]

    def _sentences(self) -> Sequence[str]:
        compared = (("nearest mode", self.nearest), ("draws", self.draws))
        left = [f"Left alone: {each.node}: {each.reason}." for each in self.result.refused]
        return [*(f"In {name}: {each}." for name, each in compared if each is not None), *left]

    @property
    def model(self) -> Model:
        """The new model."""
        return self.result.model

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self.result.done),
            "size_bytes": self.size_bytes,
            "refused": [asdict(each) for each in self.result.refused],
            "nearest": None if self.nearest is None else self.nearest.to_dict(),
            "draws": None if self.draws is None else self.draws.to_dict(),
        }

    def sentences(self) -> tuple[str, ...]:
        """Return what was inlined, what it costs, and what the comparisons found."""
        done, (before, after) = self.result.done, self.size_bytes
        counts = ", ".join(f"{number} {op}" for op, number in done.operators.items())
        more = f" and {done.functions} calls of other functions" if done.functions else ""
        dropped = " and ".join(done.dropped)
        return (
            f"Inlined: {counts}{more}.",
            f"Nodes: {done.nodes[0]:,} before, {done.nodes[1]:,} after; bytes: {before:,} before, "
            f"{after:,} after.",
            f"Operators that draw by the seed: {len(done.drawn)}; the others round to nearest.",
            *([f"Every run has to give {dropped}: they have no default."] if dropped else []),
            *(f"{each.node} ({each.op}): {each.reason}." for each in self.result.refused),
            f"Against the functions, nearest mode: {_told(self.nearest)}.",
            f"Against the native library, 1 sample: {self._told_draws()}.",
        )

    def _told_draws(self) -> str:
        if self.nearest is None or self.draws is not None:
            return _told(self.draws)
        if not self.result.done.drawn:
            return "not compared: nothing draws"
        if self.result.refused:
            return "not compared: some operators round to nearest here, but draw there"
        return "not compared: there is no native library here"


def inline(
    model: Model, *, nearest: bool = False, input_defaults: bool = False, check: bool = True
) -> InlinedModel:
    """Inline a converted model and compare the result with it on random inputs.

    Args:
        model: a converted model, not changed.
        nearest: leave the draws out.
        input_defaults: keep the defaults of `samples` and `seed`.
        check: run both models and compare.

    Returns:
        The new model, with the comparisons; one that could not be made says why.

    Raises:
        ModelError: as of `reluflow.graph.inline_psb`.
        EquivalenceError: the new model gives other numbers: a fault of reluflow.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_dsconv.onnx")).model
        >>> made = inline(psb, nearest=True)
        >>> made.nearest.largest, made.result.done.drawn
        (0.0, ())

    Reference: docs/web.md.
    """
    result = inline_psb(model, nearest=nearest, input_defaults=input_defaults)
    sizes = model.size_bytes, result.model.size_bytes
    if not check:
        return InlinedModel(result, sizes, None, None)
    alike = same(_compared(model, nearest, 0, 0, 0.0, False), "in nearest mode")
    draws = None
    if result.done.drawn and not result.refused and has_library():
        found = _compared(model, nearest, _SAMPLES, _SEED, SAME_DRAWS, None)
        draws = same(found, "with 1 sample")
    return InlinedModel(result, sizes, alike, draws)


def same(found: Equivalence, where: str) -> Equivalence:
    """Return a comparison of an inlined model that holds.

    Args:
        found: the comparison.
        where: how both were run, for the sentence.

    Raises:
        EquivalenceError: it does not hold.
    """
    if not found.holds:
        raise EquivalenceError(
            f"inlining went wrong, its result was not kept: {where} {found}; this is a fault of "
            "reluflow: report it with the model."
        )
    return found


def _compared(
    model: Model, nearest: bool, samples: int, seed: int, accepted: float, library: bool | None
) -> Equivalence:
    """Compare a model with the inlined one at given samples and seed, which become defaults."""
    fixed = with_input_defaults(without_input_defaults(model).model, samples, seed).model
    inlined = inline_psb(fixed, nearest=nearest, input_defaults=True).model
    return compare_models(fixed, inlined, accepted=accepted, library=library)


def _told(found: Equivalence | None) -> str:
    if found is None:
        return "not compared: it was not asked for"
    return "no number differs" if found.largest == 0 else str(found)
