"""Letting the PSB operators of a converted model pass bytes to each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reluflow.errors import ModelError
from reluflow.graph.proto.check import check_model
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.psb.chain.changes import ChainChanges, ChainedNode
from reluflow.graph.psb.chain.find import ENDS
from reluflow.graph.psb.chain.plan import plan_chains
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.psb.chain_functions import add_chain_functions
from reluflow.graph.psb.nodes import holds_psb, is_psb, outside_chains
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.psb.fixed import FixedFormat


def chain_psb(model: Model, formats: Mapping[str, FixedFormat]) -> Rewritten[ChainChanges]:
    """Let the PSB operators of a converted model pass bytes to each other.

    A PsbConv or a PsbMatMul of rows joins where the formats of what it reads and makes are given;
    its weights are then drawn on the 8-bit grid. Activations, additions, products, pooling, Concat,
    Pad, Resize and reshaping that keeps inputs apart join between two of them, so that a tensor is
    a float only where a chain begins or ends. What ends a chain gives its exact sums as
    floats. A node whose result nobody takes as bytes stays in floating point.

    Args:
        model: of `to_psb`, not changed.
        formats: tensor of the model -> what its bytes stand for; those of
            `reluflow.evaluation.find_formats`, all or some.

    Returns:
        The new model, what joined, and the PSB operators and neighbours of chains that did not,
        with the reason. The operators of chains are functions as well, for runs without the native
        library.

    Raises:
        ModelError: the model has no PSB operator.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, to_psb
        >>> from reluflow.psb.fixed import FixedFormat
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) r = Relu(h) [two] y = Conv(r, w) }''')
        >>> signed, unsigned = FixedFormat(5, 128), FixedFormat(7, 0)
        >>> found = chain_psb(to_psb(load(proto)).model, {"x": signed, "r": unsigned, "y": signed})
        >>> [(node.name, node.op) for node in found.done.nodes]
        [('one', 'FixedConv'), ('two', 'FromFixedConv')]
        >>> found.done.begins, found.done.ends
        (('x',), ('y',))

    Reference: docs/psb-ops.md, chains; docs/psb.md, chains.
    """
    editor = Editor(model)
    if not holds_psb(model):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator; convert it with to_psb "
            "first."
        )
    plan, steps, needed, refused = plan_chains(editor, formats)
    refused += outside_chains(editor)
    was = {id(step): step.node.op_type for step in steps}
    nodes = ChainWriter(plan, steps, needed).write()
    editor.nodes = nodes
    editor.commit()
    _drop_functions(editor)
    add_chain_functions(editor)
    chained = tuple(
        ChainedNode(step.name, was[id(step)], step.becomes, step.output, step.form)
        for step in steps
    )
    begins = tuple(n.input[0] for n in editor.nodes if n.op_type == "ToFixed")
    ends = tuple(n.output[0] for n in editor.nodes if n.op_type in ENDS)
    result = editor.finish(ChainChanges(chained, begins, ends), refused)
    check_model(result.model._proto, [model.base_dir or Path()], "the chained model")
    return result


def _drop_functions(editor: Editor) -> None:
    """Remove the functions of operators that the model no longer has."""
    nodes = [node for place in editor.everywhere() for node in place.nodes]
    used = {node.op_type for node in nodes if node.domain == OWN_DOMAIN}
    if any(map(is_psb, nodes)):
        return
    functions = editor.proto.functions
    for index in reversed(range(len(functions))):
        if functions[index].domain == OWN_DOMAIN and functions[index].name not in used:
            del functions[index]
