"""`Refused`: a node that a rewrite left alone, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """A node that a rewrite left as it was.

    Attributes:
        node: its name, else its first output's.
        op: operator name.
        reason: why, a phrase without a full stop.
    """

    node: str
    op: str
    reason: str
