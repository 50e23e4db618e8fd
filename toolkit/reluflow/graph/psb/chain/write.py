"""Writing the planned chains: bytes where steps read them, floats where others do."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.psb.chain.steps import Planned, Step, TableStep
from reluflow.graph.psb.chain.tidy import fuse_tables, live
from reluflow.graph.psb.chain.unary import Function
from reluflow.graph.rewrite.edit import copy_documentation
from reluflow.graph.rewrite.reader import reads
from reluflow.psb.fixed import FixedFormat, table_of


class ChainWriter:
    """Writes the nodes of a model again, in order.

    Attributes:
        plan: which nodes join.
        editor: of the model.
        needed: tensors that some step reads as bytes.
        floats: tensors that exist as floats in the new graph.
        nodes: the new nodes.
    """

    def __init__(self, plan: Planned, steps: Collection[Step], needed: set[str]) -> None:
        self.plan = plan
        self.editor = plan.editor
        self.needed = needed
        self.floats: set[str] = set()
        self.nodes: list[NodeProto] = []
        self._steps = {id(step.node): step for step in steps}
        self._absorbed = {id(node) for step in steps for node in step.absorbed}
        self._made = {step.output: step for step in steps}
        self._bytes: dict[tuple[str, FixedFormat], str] = {}

    def write(self) -> list[NodeProto]:
        """Return the new nodes; those that only float nodes before them needed are left out."""
        for node in self.editor.nodes:
            step = self._steps.get(id(node))
            if step is not None:
                step.write(self)
            elif id(node) not in self._absorbed:
                self._keep(node)
        for value in self.editor.proto.graph.output:
            self._give_floats(value.name)
        outputs = {value.name for value in self.editor.proto.graph.output}
        return fuse_tables(live(self.nodes, outputs), outputs)

    def format(self, letter: str, form: FixedFormat) -> dict[str, int]:
        """Return the two attributes of a format."""
        return {f"{letter}_exponent": form.exponent, f"{letter}_zero": form.zero}

    def bytes_of(
        self, tensor: str, form: FixedFormat | None = None, fills_quads: bool = False
    ) -> tuple[str, FixedFormat]:
        """Return the bytes of a tensor, written where needed, and their format.

        Args:
            tensor: in the old model.
            form: the wanted format; None: its own.
            fills_quads: whoever reads it accepts channels filled up to a multiple of 4.
        """
        step = self._made.get(tensor)
        own = self.plan.form(tensor) if step is None else step.form
        assert isinstance(own, FixedFormat)  # else the reader would not have joined
        form = form or own
        if (tensor, form) not in self._bytes:
            self._bytes[tensor, form] = self._convert(tensor, step, own, form, fills_quads)
        return self._bytes[tensor, form], form

    def _convert(
        self,
        tensor: str,
        step: Step | None,
        own: FixedFormat,
        form: FixedFormat,
        fills_quads: bool,
    ) -> str:
        if step is None:
            made = self._name(tensor)
            fills = fills_quads and self._only_filled(tensor)
            attributes = self.format("y", form) | {"fills_quads": int(fills)}
            self.emit("ToFixed", [tensor], made, made, attributes)
            if not fills:
                self._describe(tensor, made)
            return made
        if isinstance(step, TableStep):
            root, root_form = self.bytes_of(step.root)
            return self._table(tensor, root, step.function, root_form, form)
        source, _ = self.bytes_of(tensor)
        return self._table(tensor, source, lambda x: x, own, form)

    def _only_filled(self, tensor: str) -> bool:
        """Tell whether all steps that read a tensor accept filled channels."""
        readers = [self._steps.get(id(node)) for node in self.editor.readers(tensor)]
        return all(
            step is None or (tensor == step.reads[0] and getattr(step, "fills_quads", False))
            for step in readers
        )

    def _table(
        self,
        tensor: str,
        source: str,
        function: Function,
        x_form: FixedFormat,
        y_form: FixedFormat,
    ) -> str:
        table = table_of(function, x_form, y_form)
        made = self._name(tensor)
        stored = self.editor.add_initializer(tensor, "table", table)
        self.emit("FixedTable", [source, stored], made, made, {})
        self._describe(tensor, made)
        return made

    def make(
        self,
        step: Step,
        op: str,
        inputs: Sequence[str],
        attributes: dict[str, Any],
        own: bool = True,
    ) -> None:
        """Write the node of a step, which makes the bytes of its output."""
        made = self._name(step.output)
        node = self.emit(op, inputs, made, step.name, attributes, own)
        copy_documentation(step.node, node)
        self.give(step, made)

    def give(self, step: Step, made: str) -> None:
        """Say under which name the bytes of a step's output were written."""
        self._bytes[step.output, step.form] = made
        self._describe(step.output, made)

    def end(self, step: Step, op: str, inputs: Sequence[str], attributes: dict[str, Any]) -> None:
        """Write the node of a step whose output is floats, and its bounds."""
        bounds = step.bounds
        made = step.output if bounds is None else self.editor.fresh(step.output, "sums")
        copy_documentation(step.node, self.emit(op, inputs, made, step.name, attributes))
        if bounds == (0.0, math.inf):
            self.nodes.append(helper.make_node("Relu", [made], [step.output]))
        elif bounds is not None:
            ends = [self._bound(step, bound) for bound in bounds]
            self.nodes.append(helper.make_node("Clip", [made, *ends], [step.output]))
        del self._made[step.output]

    def reshape(self, source: str, tensor: str, sizes: Sequence[int]) -> str:
        """Write bytes in another shape for a tensor of the old model; return their name."""
        made = self._name(tensor)
        stored = self.editor.add_initializer(tensor, "sizes", np.array(sizes, np.int64))
        self.emit("Reshape", [source, stored], made, made, {}, own=False)
        return made

    def _bound(self, step: Step, bound: float) -> str:
        if math.isinf(bound):
            return ""
        return self.editor.add_initializer(step.name, "bound", np.array(bound, np.float32))

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        name: str,
        attributes: dict[str, Any],
        own: bool = True,
    ) -> NodeProto:
        """Write one node; `own`: of our domain."""
        domain = OWN_DOMAIN if own else ""
        node = helper.make_node(op, inputs, [output], name, domain=domain, **attributes)
        self.nodes.append(node)
        return node

    def _keep(self, node: NodeProto) -> None:
        """Write a node that works on floats."""
        if node.op_type == "Shape" and not domain_of(node.domain) and node.input[0] in self._made:
            if not node.attribute:
                self._shape(node)
                return
        for name in dict.fromkeys(reads(node)):
            self._give_floats(name)
        self.nodes.append(node)

    def _shape(self, node: NodeProto) -> None:
        self.shape_of(node.input[0], node.output[0])

    def shape_of(self, tensor: str, output: str) -> None:
        """Write the Shape of a tensor's bytes, with the sizes in the order of floats."""
        rank = self._made[tensor].rank
        source, _ = self.bytes_of(tensor)
        sizes = self.editor.fresh(output, "last")
        order = np.array([0, rank - 1, *range(1, rank - 1)], np.int64)
        stored = self.editor.add_initializer(output, "order", order)
        self.emit("Shape", [source], sizes, sizes, {}, own=False)
        self.nodes.append(helper.make_node("Gather", [sizes, stored], [output]))

    def _give_floats(self, tensor: str) -> None:
        step = self._made.get(tensor)
        if step is None or tensor in self.floats:
            return
        self.floats.add(tensor)
        source, form = self.bytes_of(tensor)
        name = self.editor.fresh(tensor, "floats")
        self.emit("FromFixed", [source], tensor, name, self.format("x", form))

    def _name(self, tensor: str) -> str:
        return self.editor.fresh(tensor, "bytes")

    def _describe(self, tensor: str, made: str) -> None:
        known = self.editor.types.get(tensor)
        if known is None or known.shape is None or len(known.shape) < 2:
            return
        shape = [known.shape[0], *known.shape[2:], known.shape[1]]
        self.editor.describe(made, TensorProto.UINT8, shape)
