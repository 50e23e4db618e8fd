"""What can be said about a model without running it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.analysis.results.describe import describe_model
from reluflow.analysis.results.result import ModelDescription, file_of
from reluflow.analysis.run.left_out import smooth_notes
from reluflow.frames import Shown, SiteTable, flat
from reluflow.graph import Fold, LeftOut, Model, SwitchSite, survey_sites


@dataclass(frozen=True, slots=True, repr=False)
class Inspection(SiteTable[SwitchSite]):
    """A model and everything in it that could be a switch, as returned by `inspect_model`.

    Each node is there once.

    Attributes:
        model: the facts of the model.
        sites: the switch sites in graph order, including those that cannot be tapped.
        left_out: nodes whose operator could be a switch but that are not one, with reasons.
        folds: other folds at 0, which are not sites.
        notes: sentences the reader should know.
    """

    model: ModelDescription
    sites: tuple[SwitchSite, ...]
    left_out: tuple[LeftOut, ...]
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()

    _shown: ClassVar[Shown] = {
        "site": ("name", "text"),
        "layer": ("layer", "text"),
        "op": ("op", "text"),
        "units": ("units", "count"),
        "threshold": ("threshold", "number"),
        "axis": ("unit_axis", "count"),
        "shape": ("shape", "text"),
        "scope": ("scope", "text"),
        "cannot be tapped": ("untappable", "text"),
    }

    def _heading(self) -> str:
        return f"{file_of(self.model)}, {len(self.sites)} sites"

    def _records(self) -> Sequence[dict[str, Any]]:
        # Ranks that are not known and symbols make a shape a text.
        return [flat(each) | {"shape": _shape(each)} for each in self.sites]

    def _sentences(self) -> Sequence[str]:
        others = [f"Left out: {each.name} ({each.op}): {each.reason}." for each in self.left_out]
        return [*self.notes, *others]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a threshold known only at run time is None."""
        return {
            "model": asdict(self.model),
            "sites": [_fields(site) for site in self.sites],
            "left_out": [asdict(node) for node in self.left_out],
            "other_folds": [asdict(fold) for fold in self.folds],
            "notes": list(self.notes),
        }


def inspect_model(model: Model, *, smooth: bool = False) -> Inspection:
    """Inspect a model without running it.

    Args:
        model: the model.
        smooth: also count Gelu, Silu, Elu, ... as switches at 0.

    Returns:
        The model's facts and its nodes.

    Example:
        >>> from reluflow.graph import load
        >>> found = inspect_model(load("models/fashion_resnet8.onnx"))
        >>> len(found.sites), found.model.n_nodes, found.to_dict()["sites"][0]["threshold"]
        (7, 31, 0.0)
    """
    survey = survey_sites(model, smooth=smooth)
    notes = smooth_notes(survey, smooth)
    return Inspection(describe_model(model), survey.sites, survey.left_out, survey.folds, notes)


def _shape(site: SwitchSite) -> str | None:
    """Return a shape as "[N, 16, 28, 28]", with "?" for a size that the file does not tell."""
    if site.shape is None:
        return None
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in site.shape) + "]"


def _fields(site: SwitchSite) -> dict[str, Any]:
    fields = asdict(site)
    return fields if math.isfinite(site.threshold) else {**fields, "threshold": None}
