"""What a conversion to shift-adds would convert, before anything is encoded."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.forms.spell import SpelledOut, spell_out_linear
from reluflow.graph.psb.forms.unround import Unrounded, unround
from reluflow.graph.psb.nodes import is_psb
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.read import Multiply, multiplies, read_multiply
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import Folded, fold_norms
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.graph.rewrite.reader import name_of
from reluflow.graph.rewrite.windows.fold_pads import fold_paddings


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One operator that would become a PSB operator; part of what `plan_psb` returns.

    Attributes:
        name: of the node, else its first output's.
        op: operator name.
        x: the tensor that it multiplies, by the name that `x_exponents` takes.
    """

    name: str
    op: str
    x: str


@dataclass(frozen=True, slots=True)
class PsbPlan:
    """What would be converted, and what was done to prepare it; returned by `plan_psb`.

    Attributes:
        given: the original model.
        nodes: in graph order.
        folded: batch normalisation, padding and similar nodes, folded before.
        spelled: operators that were written in terms of those that can be converted.
        unrounded: activations that were rounded to integers and back, and now are not.
    """

    given: Model
    nodes: tuple[PlannedNode, ...]
    folded: tuple[Folded, ...]
    spelled: tuple[SpelledOut, ...] = ()
    unrounded: tuple[Unrounded, ...] = ()


def plan_psb(model: Model, options: PsbOptions | None = None) -> Rewritten[PsbPlan]:
    """List what `to_psb` would convert, and fold and raise the model for it.

    Several conversions of one model can start from its plan: `to_psb` and `psb_alone` accept it
    instead of the model and do not fold again.

    Args:
        model: the float model, not changed.
        options: of the conversion; `exclude` and `norms` matter.

    Returns:
        The model in floating point that would be converted, folded, raised and spelled out, not
        pruned; the plan; and the operators with weights that would be left alone.

    Raises:
        ModelError: the model is converted already, or its opset cannot be raised.
        OptionError: `exclude` names a node that the model does not have.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { [first] h = MatMul(x, w) r = Relu(h) [last] y = MatMul(r, w) }''')
        >>> [(node.name, node.x) for node in plan_psb(load(proto)).done.nodes]
        [('first', 'x'), ('last', 'r')]

    Reference: thesis 4.2.3; docs/spec.md, section 7.
    """
    options = options or PsbOptions()
    check_source(model, options)
    editor = Editor(model)
    prepared = prepare(editor, options)
    nodes: list[PlannedNode] = []
    refused: list[Refused] = []
    for node in editor.nodes:
        if multiplies(node):
            name, op = name_of(node), node.op_type
            found = read_or_exclude(editor, node, options)
            if isinstance(found, Reason):
                refused.append(Refused(name, op, found.text))
            else:
                nodes.append(PlannedNode(name, op, found.x))
    editor.forget()
    return editor.finish(PsbPlan(model, tuple(nodes), *prepared), refused)


def prepare(
    editor: Editor, options: PsbOptions
) -> tuple[
    tuple[Folded, ...],
    tuple[SpelledOut, ...],
    tuple[Unrounded, ...],
]:
    """Fold normalisation and padding, raise the opset, spell out: what precedes encoding."""
    norms, _ = fold_norms(editor)
    editor.commit()
    pads, _ = fold_paddings(editor)
    editor.commit()
    raise_opset(editor)
    unrounded, _ = unround(editor, options.exclude)
    spelled, _ = spell_out_linear(editor, options.exclude)
    return norms + pads, spelled, unrounded


def read_or_exclude(editor: Editor, node: NodeProto, options: PsbOptions) -> Multiply | Reason:
    """Read a node that `multiplies`, or say why it is not converted."""
    if name_of(node) in options.exclude:
        return EXCLUDED
    return read_multiply(editor, node, options.norms)


def check_source(model: Model, options: PsbOptions) -> None:
    """Refuse a converted model, and names to exclude that a model does not have.

    Raises:
        ModelError: the model is converted already.
        OptionError: `exclude` names a node that the model does not have.
    """
    nodes = model._proto.graph.node
    if any(map(is_psb, nodes)):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} holds PSB operators already; "
            "give the float model that it was made from."
        )
    known = {name_of(node) for node in nodes}
    for name in options.exclude:
        if name not in known:
            raise OptionError(
                f"exclude names {name!r}, which is no node of the model's main graph; give the "
                "name of one."
            )
