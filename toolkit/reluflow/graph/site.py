"""The record of one switch site."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.data import Dim


@dataclass(frozen=True, slots=True)
class SwitchSite:
    """One place in a graph where a value is compared with a threshold (SPEC: switch sites).

    Attributes:
        name: unique in the model and stable: the node's name, else its output tensor's.
        op: the operator or exporters' idiom: "Relu", "PRelu", "LeakyRelu", "Clip",
            "ThresholdedRelu", "Max", "HardSwish", "HardSigmoid", "Where", ...
        tensor: name of the pre-activation tensor, in the scope that `scope` names.
        threshold: the unit is active when its pre-activation is greater than this.
        unit_axis: axis of the pre-activation that enumerates the units (may be negative).
        units: number of units d, None where only a run can tell.
        shape: the pre-activation's shape as far as the graph tells it; None: rank unknown.
        scope: "" in the main graph, else the path of enclosing nodes, e.g. "if_1/then_branch"
            or "block_3:MyFunction".
        smooth: True for the smooth relatives (Gelu, Silu, ...), sites on request only.
        untappable: why the pre-activation cannot be seen, "" where it can.
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
