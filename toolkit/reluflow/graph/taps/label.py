"""Names by which the nodes of a model are found again in what ONNX Runtime makes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of, reads

_LABEL = re.compile(r"reluflow@(\d+)@")
_ADDED = re.compile(r"(_nchwc|_token_\d+)+$")
"""What ONNX Runtime appends to the name of a tensor to name the node that makes it in its own
layout, or to make a name unique."""


@dataclass(frozen=True, slots=True)
class LabelledNode:
    """One node of a labelled model; part of what `label_nodes` returns.

    Attributes:
        name: the node's own name, else its first output's.
        op: operator name.
        domain: operator domain, "" for ONNX's own.
        inputs: the tensors that it reads, those that its subgraphs capture among them; without
            constants.
        outputs: the tensors that it makes.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def label_nodes(model: Model) -> Rewritten[tuple[LabelledNode, ...]]:
    """Give each node of the main graph a name that tells its number.

    ONNX Runtime derives the names of the nodes that it makes from those that they replace, or from
    the tensors that they make; `find_label` reads both.

    Args:
        model: any model, not changed; its local functions are inlined, those of PSB operators not.

    Returns:
        The new model, and its nodes in order.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { [first] h = Neg(x) y = Relu(h) }''')
        >>> [(node.name, node.op) for node in label_nodes(load(proto)).done]
        [('first', 'Neg'), ('y', 'Relu')]
    """
    editor = Editor(model)
    nodes = []
    constants = {tensor.name for tensor in editor.proto.graph.initializer}
    for number, node in enumerate(editor.nodes):
        read = tuple(tensor for tensor in reads(node) if tensor not in constants)
        made = tuple(filter(None, node.output))
        given = LabelledNode(name_of(node), node.op_type, domain_of(node.domain), read, made)
        if not read:
            constants.update(made)
        nodes.append(given)
        node.name = f"reluflow@{number}@"
    return editor.finish(tuple(nodes))


def find_label(nodes: Sequence[LabelledNode], name: str) -> int | None:
    """Return the number of the node that a name of ONNX Runtime's comes from.

    Args:
        nodes: of `label_nodes`.
        name: of a node that ONNX Runtime has run.

    Returns:
        The number; None where ONNX Runtime made the node on its own.

    Example:
        >>> node = LabelledNode("first", "Conv", "", ("x", "w"), ("y",))
        >>> find_label([node], "fused reluflow@0@"), find_label([node], "y_nchwc")
        (0, 0)
        >>> find_label([node], "ReorderOutput") is None
        True
    """
    found = _LABEL.search(name)
    if found is not None and int(found[1]) < len(nodes):
        return int(found[1])
    tensor = _ADDED.sub("", name)
    return next((n for n, node in enumerate(nodes) if tensor in node.outputs), None)
