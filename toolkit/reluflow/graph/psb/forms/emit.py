"""Nodes that together do the work of one, written in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.rewrite.edit import Editor, copy_documentation

TO_THE_END = np.iinfo(np.int64).max
"""End of a Slice that cuts nothing off."""
_SWITCHES = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an axis that is known only in a run.

    Attributes:
        tensor: any tensor of the graph.
        axis: its axis.
        times: what to multiply the size by.
    """

    tensor: str
    axis: int
    times: int = 1

    def __mul__(self, times: int) -> Size:
        return Size(self.tensor, self.axis, self.times * times)


class Emitter:
    """Collects the nodes that replace one node; `finish` writes them into the model.

    Attributes:
        editor: the model.
        node: the node to replace.
    """

    def __init__(self, editor: Editor, node: NodeProto) -> None:
        self.editor = editor
        self.node = node
        self._made: list[NodeProto] = []
        self._switch = self._behind(node.output[0])

    def _behind(self, tensor: str) -> NodeProto | None:
        """Return the activation that is the only reader of a tensor."""
        reader = self.editor.sole_reader(tensor)
        if reader is None or domain_of(reader.domain) or reader.op_type not in _SWITCHES:
            return None
        return reader if reader.input[0] == tensor else None

    def add(self, op: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """Append a node, called as its output unless it has a name; return the output."""
        what = op.lower()
        output = self.editor.fresh(self.node.output[0], what)
        node = helper.make_node(op, inputs, [output], name=name or output, **attributes)
        self._made.append(node)
        return output

    def constant(self, array: np.ndarray, what: str) -> str:
        """Return the name of a constant."""
        return self.editor.add_initializer(self.node.output[0], what, array)

    def integers(self, values: Sequence[int], what: str) -> str:
        """Return the name of a constant list of whole numbers."""
        return self.constant(np.array(values, np.int64), what)

    def switched(self, tensor: str) -> str:
        """Apply the activation that is the only reader of the node, and moves in front of the rest.

        Element by element it is the same, and a PSB operator can take it over.
        """
        if self._switch is None:
            return tensor
        again = NodeProto()
        again.CopyFrom(self._switch)
        output = self.editor.fresh(tensor, self._switch.op_type.lower())
        again.input[0], again.output[0] = tensor, output
        if any(made.name == again.name for made in self._made):
            again.name = output
        self._made.append(again)
        return output

    def sliced(self, tensor: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Cut an axis, as numpy's `[start:end:step]` does."""
        if (start, step) == (0, 1) and end == TO_THE_END:
            return tensor
        bounds = [self.integers([value], "bound") for value in (start, end, axis, step)]
        return self.add("Slice", [tensor, *bounds])

    def reshaped(self, tensor: str, sizes: Sequence[int | Size]) -> str:
        """Reshape a tensor; sizes that only a run knows are computed where there are several."""
        open_ones = [size for size in sizes if isinstance(size, Size)]
        if len(open_ones) <= 1 and -1 not in sizes:
            shape = self.integers(
                [-1 if isinstance(size, Size) else size for size in sizes], "shape"
            )
        else:
            shape = self.add("Concat", [self._one(size) for size in sizes], axis=0)
        return self.add("Reshape", [tensor, shape])

    def _one(self, size: int | Size) -> str:
        if not isinstance(size, Size):
            return self.integers([size], "size")
        shape = self.add("Shape", [size.tensor])
        one = self.sliced(shape, 0, size.axis, size.axis + 1)
        if size.times == 1:
            return one
        return self.add("Mul", [one, self.integers([size.times], "times")])

    def size(self, tensor: str, axis: int) -> int | Size:
        """Return the size of an axis: a number where the graph tells it."""
        known = self.editor.types.get(tensor)
        found = None if known is None or known.shape is None else known.shape[axis]
        return found if isinstance(found, int) else Size(tensor, axis)

    def finish(self, output: str) -> None:
        """Replace the node, and the activation that moved, by the nodes that were added.

        Args:
            output: the tensor among them that becomes the node's.
        """
        last = self.node if self._switch is None else self._switch
        assert output == self._made[-1].output[0], "the last node makes the output"
        self._made[-1].output[0] = last.output[0]
        copy_documentation(self.node, self._made[0])
        # Behind the activation, as its bounds may be made between the two; and before the old nodes
        # go, or constants that both read would go with them.
        before = last
        for made in self._made:
            before = self.editor.insert(made, after=before)
        for gone in [self._switch, self.node] if self._switch is not None else [self.node]:
            self.editor.remove(gone)
