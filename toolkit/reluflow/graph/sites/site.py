"""The record of one switch site."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.data import Dim


@dataclass(frozen=True, slots=True)
class SwitchSite:
    """One place in a graph where a value is compared with a threshold (docs/spec.md, section 1).

    `find_sites` returns one per switch.

    Attributes:
        name: unique in the model and stable: the node's name, else its output tensor's.
        op: the operator or exporters' idiom: "Relu", "PRelu", "LeakyRelu", "Clip",
            "ThresholdedRelu", "Max", "HardSwish", "HardSigmoid", "Where", ...
        tensor: name of the pre-activation tensor, in the scope that `scope` names.
        threshold: the unit is active when its pre-activation is greater than this; NaN where it is
            known only at run time.
        unit_axis: axis of the pre-activation that enumerates the units (may be negative).
        units: number of units d, None where it is known only at run time.
        shape: the pre-activation's shape as far as the graph gives it; None: rank unknown.
        scope: "" in the main graph, else the path of enclosing nodes, e.g. "if_1/then_branch"
            or "block_3:MyFunction".
        smooth: True for the smooth relatives (Gelu, Silu, ...), which are sites only on request.
        untappable: why the pre-activation cannot be seen, "" where it can.
        layer: the layer that feeds it, by the name that the model's author gave it, such as
            "fc1" or "layer1.0.conv1"; "" where the file does not tell.
    """

    name: str
    op: str
    tensor: str
    threshold: float
    unit_axis: int
    units: int | None
    shape: tuple[Dim, ...] | None
    scope: str = ""
    smooth: bool = False
    untappable: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A node that could be a switch by its operator, and why it is not a site.

    `survey_sites` lists it.

    Attributes:
        name: the node's name, else its output tensor's.
        op: its operator.
        scope: as in `SwitchSite`.
        reason: why it is left out, a clause.
    """

    name: str
    op: str
    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fold:
    """A place that folds at 0 but is not a switch: |x|, min(x, 0), sign(x).

    `survey_sites` lists it.

    Attributes:
        name: the node's name, else its output tensor's.
        op: its operator.
        tensor: the tensor that is folded at 0.
        scope: as in `SwitchSite`.
    """

    name: str
    op: str
    tensor: str
    scope: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything in a model that could be a switch, as returned by `survey_sites`: each node once.

    Attributes:
        sites: the switch sites, as `find_sites` gives them.
        left_out: nodes whose operator could be a switch but that are not one, with reasons.
        folds: other folds at 0, which are not sites.
    """

    sites: tuple[SwitchSite, ...]
    left_out: tuple[LeftOut, ...]
    folds: tuple[Fold, ...]
