"""Nodes that do nothing, which a rewrite may look through."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.versions import NO_IS_TEST
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute

_FAR = 16
"""Nodes looked through: a guard against long chains."""
_TRAINING_MODE = 2
"""Place of that input in Dropout: data, ratio, training_mode."""


def skip_back(editor: Editor, node: NodeProto, position: int, makers: Collection[str]) -> str:
    """Let a node read the tensor before nodes that do nothing; return that tensor.

    Only chains that nothing else reads are removed.

    Args:
        editor: the model.
        node: the reader.
        position: number of the input to follow.
        makers: operators that the chain must start at; else it stays.
    """
    tensor: str = node.input[position]
    if _quiet_reader(editor, tensor) is not node:
        return tensor
    chain: list[NodeProto] = []
    source = tensor
    for _ in range(_FAR):
        found = _one_step(editor, source)
        if found is None:
            break
        source, nodes = found
        chain += nodes
    maker = editor.producer(source)
    if maker is None or domain_of(maker.domain) or maker.op_type not in makers:
        return tensor
    if chain:
        editor.set_input(node, position, source)
        for each in chain:
            editor.remove(each)
    return source


def skip_ahead(editor: Editor, tensor: str) -> None:
    """Remove nodes after a tensor that do nothing; their readers read the tensor itself."""
    for _ in range(_FAR):
        found = next((n for n in editor.readers(tensor) if _can_bypass(editor, n, tensor)), None)
        if found is None:
            return
        _bypass(editor, found, tensor)


def _one_step(editor: Editor, tensor: str) -> tuple[str, list[NodeProto]] | None:
    """Return what one node that does nothing, or a pair of them, reads."""
    node = editor.producer(tensor)
    if node is None or domain_of(node.domain) or not node.input:
        return None
    x: str = node.input[0]
    if _does_nothing(editor, node):
        return (x, [node]) if _quiet_reader(editor, x) is node else None
    between: list[NodeProto] = []
    while (first := editor.producer(x)) is not None and _quiet_reader(editor, x) is not None:
        if _are_inverse(first, node) and _quiet_reader(editor, first.input[0]) is first:
            return first.input[0], [node, *between, first]
        if domain_of(first.domain) or not first.input or not _does_nothing(editor, first):
            return None
        between.append(first)
        x = first.input[0]
    return None


def _can_bypass(editor: Editor, node: NodeProto, tensor: str) -> bool:
    if not node.input or node.input[0] != tensor or domain_of(node.domain):
        return False
    if _does_nothing(editor, node):
        return not editor.is_output(node.output[0]) and _read_directly(editor, node.output[0])
    second = editor.sole_reader(node.output[0]) if node.op_type == "Transpose" else None
    return (
        second is not None
        and _are_inverse(node, second)
        and not editor.is_output(second.output[0])
        and _read_directly(editor, second.output[0])
    )


def _bypass(editor: Editor, node: NodeProto, tensor: str) -> None:
    nodes = [node]
    if not _does_nothing(editor, node):
        second = editor.sole_reader(node.output[0])
        assert second is not None
        nodes.insert(0, second)
    made: str = nodes[0].output[0]
    for reader in list(editor.readers(made)):
        for position, name in enumerate(reader.input):
            if name == made:
                editor.set_input(reader, position, tensor)
    for each in nodes:
        editor.remove(each)


def _read_directly(editor: Editor, tensor: str) -> bool:
    """Tell whether all readers list a tensor as an input, none in a subgraph alone."""
    return all(tensor in reader.input for reader in editor.readers(tensor)) and not any(
        _captures(reader) for reader in editor.readers(tensor)
    )


def _captures(node: NodeProto) -> bool:
    return any(entry.HasField("g") or entry.graphs for entry in node.attribute)


def _quiet_reader(editor: Editor, tensor: str) -> NodeProto | None:
    reader = editor.sole_reader(tensor)
    return reader if reader is not None and tensor in reader.input else None


def _does_nothing(editor: Editor, node: NodeProto) -> bool:
    """Tell whether the first output is the first input, of the same type and shape."""
    if any(name for name in node.output[1:] if editor.readers(name) or editor.is_output(name)):
        return False
    op = node.op_type
    if op == "Identity" or (op in ("Concat", "Sum", "Max", "Min", "Mean") and len(node.input) == 1):
        return True
    if op == "Dropout":
        return _rests(editor, node)
    if op == "Cast":
        known = editor.types.get(node.input[0])
        return known is not None and known.elem_type == attribute(node, "to")
    if op == "Reshape":
        return _keeps_shape(editor, node)
    if op == "Transpose":
        perm = attribute(node, "perm")
        return perm is not None and list(perm) == sorted(perm)  # type: ignore[call-overload]
    if op == "Pad":
        return _pads_nothing(editor, node)
    return False


def _rests(editor: Editor, node: NodeProto) -> bool:
    """Tell whether a Dropout is in inference mode."""
    if editor.opset < NO_IS_TEST:
        return bool(attribute(node, "is_test", 0))
    if len(node.input) <= _TRAINING_MODE or not node.input[_TRAINING_MODE]:
        return True
    trains = editor.constant(node.input[_TRAINING_MODE])
    return trains is not None and not trains.any()


def _keeps_shape(editor: Editor, node: NodeProto) -> bool:
    known = editor.types.get(node.input[0])
    if known is None or known.shape is None or len(node.input) < 2:
        return False
    wanted = editor.constant(node.input[1])
    if wanted is None or wanted.size != len(known.shape):
        return False
    copied = not attribute(node, "allowzero", 0)
    pairs = list(zip(wanted.ravel().tolist(), known.shape, strict=True))
    same = [(size == 0 and copied) or size == dim for size, dim in pairs]
    left = [size for (size, _), kept in zip(pairs, same, strict=True) if not kept]
    return not left or (left == [-1] and all(dim != 0 for _, dim in pairs))


def _pads_nothing(editor: Editor, node: NodeProto) -> bool:
    pads = attribute(node, "pads")
    if pads is None and len(node.input) > 1:
        pads = editor.constant(node.input[1])
    return pads is not None and not np.asarray(pads).any()


def _are_inverse(first: NodeProto, second: NodeProto) -> bool:
    """Tell whether two successive transpositions give back the tensor."""
    if first.op_type != "Transpose" or second.op_type != "Transpose" or domain_of(first.domain):
        return False
    one, two = attribute(first, "perm"), attribute(second, "perm")
    if one is None or two is None:
        return one is None and two is None
    axes = list(one)  # type: ignore[call-overload]
    return [axes[axis] for axis in two] == list(range(len(axes)))  # type: ignore[attr-defined]
