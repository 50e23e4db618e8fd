"""What a conversion to shift-adds would convert, before anything is encoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from onnx import NodeProto

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.external import graphs_of, walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.forms.spell import SpelledOut, spell_out_linear
from reluflow.graph.psb.forms.unround import Unrounded, unround
from reluflow.graph.psb.nodes import holds_psb
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.read import Multiply, multiplies, read_multiply
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import Folded, fold_norms
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.graph.rewrite.reader import WITH_BODIES, name_of
from reluflow.graph.rewrite.windows.fold_pads import fold_paddings

_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One operator that would become a PSB operator; part of what `plan_psb` returns.

    Attributes:
        name: of the node, else its first output's.
        op: operator name.
        x: the tensor that it multiplies, by the name that `x_exponents` takes.
        inside: the node that holds the subgraph in which it stands, "": the main graph.
        local: whether `x` exists in a subgraph only, so that no run of the model shows it.
    """

    name: str
    op: str
    x: str
    inside: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True)
class PsbPlan:
    """What would be converted, and what was done to prepare it; returned by `plan_psb`.

    Attributes:
        given: the original model.
        nodes: of the main graph, then of the subgraphs in it, in graph order.
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
    for place in editor.everywhere():
        inside = "" if place.owner is None else name_of(place.owner)
        for node in filter(multiplies, place.nodes):
            name, op = name_of(node), node.op_type
            found = read_or_exclude(place, node, options)
            if isinstance(found, Reason):
                refused.append(Refused(name, op, found.text))
            else:
                local = place.home(found.x) is not editor
                nodes.append(PlannedNode(name, op, found.x, inside, local))
    refused += elsewhere(editor)
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
    norms = [done for place in editor.everywhere() for done in fold_norms(place)[0]]
    editor.commit()
    pads = [done for place in editor.everywhere() for done in fold_paddings(place)[0]]
    editor.commit()
    raise_opset(editor)
    unrounded = _committed(editor, lambda place: unround(place, options.exclude)[0])
    spelled = _committed(editor, lambda place: spell_out_linear(place, options.exclude)[0])
    if tell_apart(editor, options.exclude):
        editor.commit()
    return (*norms, *pads), spelled, unrounded


def _committed(editor: Editor, step: Callable[[Editor], tuple[_Done, ...]]) -> tuple[_Done, ...]:
    """Return what a step that commits its editor does in all graphs, the outer ones first."""
    found: tuple[_Done, ...] = ()
    for place in reversed(editor.everywhere()):  # a commit makes the editors inside it stale
        found = step(place) + found
    return found


def tell_apart(editor: Editor, exclude: Collection[str] = ()) -> int:
    """Give operators in subgraphs names of their own, by which options and results name them.

    Args:
        editor: the model.
        exclude: names that keep their meaning.

    Returns:
        How many were renamed.
    """
    taken = {name_of(node) for node in filter(multiplies, editor.nodes)}
    renamed = 0
    for place in editor.everywhere()[1:]:
        for node in filter(multiplies, place.nodes):
            name, number = name_of(node), 1
            while name in taken and name not in exclude:
                number += 1
                name = f"{name_of(node)}_{number}"
            if name != name_of(node):
                node.name, renamed = name, renamed + 1
            taken.add(name)
    return renamed


def elsewhere(editor: Editor) -> list[Refused]:
    """Return the operators in subgraphs other than those of If, Loop and Scan, with the reason."""
    found: list[Refused] = []

    def look(nodes: Iterable[NodeProto]) -> None:
        for node in nodes:
            for graph in (graph for entry in node.attribute for graph in graphs_of(entry)):
                if node.op_type not in WITH_BODIES or domain_of(node.domain):
                    reason = f"it stands in a subgraph of {node.op_type}"
                    found.extend(
                        Refused(name_of(inner), inner.op_type, reason)
                        for inner in filter(multiplies, graph.node)
                    )
                look(graph.node)

    look(editor.nodes)
    return found


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
    if holds_psb(model):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} holds PSB operators already; "
            "give the float model that it was made from."
        )
    known = {name_of(node) for graph in walk_graphs(model._proto) for node in graph.node}
    for name in options.exclude:
        if name not in known:
            raise OptionError(
                f"exclude names {name!r}, which is no node of the model; give the name of one."
            )
