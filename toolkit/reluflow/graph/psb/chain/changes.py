"""The records of what joined a chain."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.psb.fixed import FixedFormat


@dataclass(frozen=True, slots=True)
class ChainedNode:
    """One node that takes or gives bytes or int16; part of what `chain_psb` returns.

    Attributes:
        name: of the node, before and after.
        was: its operator before.
        op: its operator now.
        tensor: the tensor that it makes, by its name before.
        form: of the values of that tensor; of its readers, where it is made as floats.
    """

    name: str
    was: str
    op: str
    tensor: str
    form: FixedFormat


@dataclass(frozen=True, slots=True)
class ChainChanges:
    """What passes bytes, or int16, now; returned by `chain_psb` and `chain_both`.

    Attributes:
        nodes: that joined, in graph order.
        begins: tensors that become integers, in graph order.
        ends: tensors that become floats again, in graph order.
    """

    nodes: tuple[ChainedNode, ...]
    begins: tuple[str, ...]
    ends: tuple[str, ...]
