"""What an analysis says about nodes that could be switches but are not counted."""

from __future__ import annotations

from collections import Counter

from reluflow.data import DataDescription
from reluflow.graph import Model, Survey, survey_sites

_OF_COURSE = ("it is part of", "it cuts off at 0 what a Relu")
"""Reasons for which no switch goes uncounted."""


def left_out_notes(model: Model, smooth: bool) -> list[str]:
    """Return a sentence on what is left out, none if nothing is.

    Args:
        model: the analysed model.
        smooth: whether smooth relatives are counted.
    """
    survey = survey_sites(model, smooth=smooth)
    left = Counter(n.op for n in survey.left_out if not n.reason.startswith(_OF_COURSE))
    folds = Counter(fold.op for fold in survey.folds)
    told = [f"{_listed(left)} left out"] if left else []
    told += [f"{_listed(folds)} only folding at 0"] if folds else []
    idle = list(smooth_notes(survey, smooth))
    if not told:
        return idle
    left_out = f"not counted as switches: {' and '.join(told)}"
    return [*idle, f"{left_out}; `reluflow inspect` gives the reasons."]


def smooth_notes(survey: Survey, smooth: bool) -> tuple[str, ...]:
    """Return the sentence on smooth activations that were requested but do not occur.

    Args:
        survey: of the model.
        smooth: whether they were requested.
    """
    if not smooth or any(site.smooth for site in survey.sites):
        return ()
    return ("no Gelu, Silu or other smooth activation is in the model: no more switches count.",)


def idle_size_notes(data: DataDescription) -> tuple[str, ...]:
    """Return a sentence for each dimension of random inputs that has a size and is nowhere free.

    Args:
        data: the description of the inputs.
    """
    idle = data.preprocessing.get("ignored", ()) if data.kind == "random" else ()
    return tuple(f"no input has a free dimension {name!r}: its size does nothing." for name in idle)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {op}" for op, n in sorted(counts.items()))
