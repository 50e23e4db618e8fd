"""Planning chains: which nodes pass bytes, decided node by node, then trimmed from the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import FIXED_DEFAULTS, PSB_CONV, PSB_MATMUL
from reluflow.graph.psb.chain.arithmetic import join_elementwise
from reluflow.graph.psb.chain.convolution import join_conv, join_matmul
from reluflow.graph.psb.chain.layout import join_concat, join_pad, join_shape, join_transpose
from reluflow.graph.psb.chain.pooling import GlobalPoolStep, join_global_pool, join_pool
from reluflow.graph.psb.chain.resize import join_resize
from reluflow.graph.psb.chain.steps import Planned, Step
from reluflow.graph.psb.chain.unary import is_elementwise
from reluflow.graph.psb.nodes import is_psb
from reluflow.graph.rewrite.contract import Reason, Refused
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb.fixed import FixedFormat

_Rule = Callable[[Planned, NodeProto], "Step | Reason"]
_RULES: dict[str, _Rule] = {
    "MaxPool": join_pool,
    "AveragePool": join_pool,
    "GlobalAveragePool": join_global_pool,
    "ReduceMean": join_global_pool,
    "Concat": join_concat,
    "Pad": join_pad,
    "Resize": join_resize,
    "Upsample": join_resize,
    "Flatten": join_shape,
    "Reshape": join_shape,
    "Squeeze": join_shape,
    "Unsqueeze": join_shape,
    "Transpose": join_transpose,
    "Sum": join_elementwise,
}
_MOVES = ("Pad", "Resize", "Reshape", "Transpose")
"""ONNX's own operators, which move bytes."""
_SHAPE = "Shape"
"""Bytes have a shape like floats: it costs nothing."""
_NO_READER = Reason("what reads it works in floating point")


def plan_chains(
    editor: Editor, formats: Mapping[str, FixedFormat]
) -> tuple[Planned, list[Step], set[str], list[Refused]]:
    """Decide which nodes of a converted model pass bytes.

    Every node is asked in graph order; one that fits joins. Then, from the end, those go whose
    bytes nobody takes: their last step is as good in floating point, and more exact.

    Args:
        editor: the converted model.
        formats: tensor -> format.

    Returns:
        What is known of the tensors, the steps in order, the tensors that steps read as bytes, and
        which PSB operators and neighbours of chains stay outside, with the reason.
    """
    plan = Planned(editor, formats)
    reasons: dict[int, Reason] = {}
    steps: list[Step] = []
    for node in editor.nodes:
        found = _ask(plan, node)
        if isinstance(found, Step) and not _is_known(found):
            found = Reason(f"there is no operator {found.becomes}")
        if isinstance(found, Reason):
            reasons[id(node)] = found
        elif found.output not in plan.makers:
            plan.add(found)
            if found not in steps:
                steps.append(found)
    kept, needed = _trim(steps)
    for step in steps:
        if step not in kept:
            reasons[id(step.node)] = _NO_READER
            del plan.makers[step.output]
    inside = {s.output for s in kept if s.output in needed or not isinstance(s, GlobalPoolStep)}
    return plan, kept, needed, _refused(plan, kept, inside, reasons)


def _is_known(step: Step) -> bool:
    needed = "FixedTable" if step.becomes == "Concat" else step.becomes
    return needed in FIXED_DEFAULTS or needed in _MOVES


def _ask(plan: Planned, node: NodeProto) -> Step | Reason:
    if is_psb(node):
        products = {PSB_CONV: join_conv, PSB_MATMUL: join_matmul}
        found = products.get(node.op_type)
        return found(plan, node) if found else Reason("it is in a chain already")
    rule = _RULES.get(node.op_type)
    if domain_of(node.domain) or (rule is None and not is_elementwise(node)):
        return Reason(f"there is no operator of chains for {node.op_type}")
    return (rule or join_elementwise)(plan, node)


def _trim(steps: list[Step]) -> tuple[list[Step], set[str]]:
    """Return the steps that stay, in order, and what they read."""
    needed: set[str] = set()
    kept = []
    for step in reversed(steps):
        if step.stays or step.output in needed:
            needed.update(step.reads)
            kept.append(step)
    return kept[::-1], needed


def _refused(
    plan: Planned, kept: list[Step], inside: set[str], reasons: dict[int, Reason]
) -> list[Refused]:
    """Return the PSB operators outside, and the nodes where a chain begins or ends.

    A mean over all pixels is a float by itself: what follows it costs nothing.
    """
    taken = {id(node) for step in kept for node in (step.node, *step.absorbed)}
    read = {tensor for step in kept for tensor in step.reads}
    found = []
    for node in plan.editor.nodes:
        if id(node) in taken:
            continue
        beside = not inside.isdisjoint(node.input) or not read.isdisjoint(node.output)
        if is_psb(node) or (beside and node.op_type != _SHAPE):
            reason = reasons.get(id(node), _NO_READER)
            found.append(Refused(name_of(node), node.op_type, reason.text))
    return found
