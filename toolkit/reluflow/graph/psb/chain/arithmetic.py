"""Additions, products and functions of one tensor in a chain."""

from __future__ import annotations

from onnx import NodeProto

from reluflow.graph.psb.chain.steps import Planned, Step, TableStep
from reluflow.graph.psb.chain.unary import (
    F64,
    is_elementwise,
    read_clamp,
    read_function,
)
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import reads


class AddStep(Step):
    """The sum of two tensors of one shape."""

    retargets = True
    clamps = True
    becomes = "FixedAdd"

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedAdd."""
        (a, a_form), (b, b_form) = map(writer.bytes_of, self.reads)
        attributes = writer.format("a", a_form) | writer.format("b", b_form)
        attributes |= writer.format("y", self.form) | self.byte_bounds()
        writer.make(self, "FixedAdd", [a, b], attributes)


class MulStep(Step):
    """The product of a tensor and one factor per channel, or of two tensors of one shape."""

    retargets = True
    becomes = "FixedMul"

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedMul."""
        (x, x_form), (s, s_form) = map(writer.bytes_of, self.reads)
        attributes = writer.format("x", x_form) | writer.format("s", s_form)
        attributes |= writer.format("y", self.form) | self.byte_bounds()
        writer.make(self, "FixedMul", [x, s], attributes)


def join_elementwise(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of an element-wise operator, or why it cannot take and give bytes."""
    tensors = list(dict.fromkeys(n for n in reads(node) if plan.editor.constant(n) is None))
    roots = {plan.functions[t][0] if t in plan.functions else t for t in tensors}
    if len(roots) == 1:
        return _function(plan, node, tensors, roots.pop())
    if node.op_type not in ("Add", "Sum", "Mul") or len(tensors) != 2 or len(node.input) != 2:
        return Reason("it joins several tensors")
    return _two(plan, node, tensors)


def _function(plan: Planned, node: NodeProto, tensors: list[str], root: str) -> Step | Reason:
    if root not in plan.makers:
        return Reason("what it reads is not in a chain")
    rank = plan.makers[root].rank
    absorbed = _absorb(plan, node, root)
    if absorbed is not None:
        return absorbed
    known = {t: plan.functions[t][1] if t in plan.functions else _same for t in tensors}
    if not is_elementwise(node):
        return Reason(f"there is no operator of chains for {node.op_type}")
    function = read_function(plan.editor, node, known, rank)
    if isinstance(function, Reason):
        return function
    output = node.output[0]
    plan.functions[output] = (root, function)
    form = plan.form(output)
    if isinstance(form, Reason):
        return form  # what follows may still be a function of the same tensor
    return TableStep(node, root, function, form, rank)


def _same(x: F64) -> F64:
    return x


def _absorb(plan: Planned, node: NodeProto, x: str) -> Step | None:
    """Let the step before a Relu or a Clip bound its output itself, if nothing else reads it."""
    maker, bounds = plan.makers[x], read_clamp(plan.editor, node)
    if bounds is None or not maker.clamps or maker.bounds is not None or node.input[0] != x:
        return None
    form = plan.form(node.output[0])
    if plan.editor.sole_reader(x) is not node or isinstance(form, Reason):
        return None
    del plan.makers[x]
    maker.bounds, maker.form, maker.output = bounds, form, node.output[0]
    maker.absorbed.append(node)
    return maker


def _two(plan: Planned, node: NodeProto, tensors: list[str]) -> Step | Reason:
    """Return the step of a sum or a product of two computed tensors."""
    if not any(tensor in plan.makers for tensor in tensors):
        return Reason("what it reads is not in a chain")
    found = plan.forms(*tensors, node.output[0])
    if isinstance(found, Reason):
        return found
    shapes = [plan.shape(tensor) for tensor in tensors]
    rank = plan.rank(tensors[0])
    if rank is None or rank != plan.rank(tensors[1]) or None in shapes:
        return Reason("the shapes of what it joins are unknown")
    form = found[-1]
    known = all(size is not None for shape in shapes for size in shape or ())
    if known and shapes[0] == shapes[1]:
        make = MulStep if node.op_type == "Mul" else AddStep
        return make(node, (tensors[0], tensors[1]), form, rank)
    if node.op_type != "Mul":
        return Reason(f"it broadcasts {shapes[0]} and {shapes[1]}")
    for x, s in ((0, 1), (1, 0)):
        if _is_factor(shapes[x], shapes[s]):
            return MulStep(node, (tensors[x], tensors[s]), form, rank)
    return Reason(f"it broadcasts {shapes[0]} and {shapes[1]}")


def _is_factor(x: tuple[object, ...] | None, s: tuple[object, ...] | None) -> bool:
    """Tell whether s holds one number per sample and channel of x."""
    if x is None or s is None:
        return False
    return x[:2] == s[:2] and None not in s[:2] and all(size == 1 for size in s[2:])
