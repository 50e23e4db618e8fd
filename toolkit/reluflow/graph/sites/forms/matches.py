"""What a matcher says about a node: the comparison it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reluflow.graph.view.index import Node, Scope


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison found at a node.

    Attributes:
        op: the name used in the report.
        tensor: flat name of the pre-activation.
        threshold: active above it.
        smooth: a smooth relative.
        untappable: why it cannot be seen, "" where it can.
        absorbs: nodes that are part of this form and not sites of their own.
        units: number of units where the tensor does not show it, None where it does.
    """

    op: str
    tensor: str
    threshold: float = 0.0
    smooth: bool = False
    untappable: str = ""
    absorbs: tuple[Node, ...] = ()
    units: int | None = None


Matcher = Callable[[Node, Scope], Match | None]
