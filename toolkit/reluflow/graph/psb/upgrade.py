"""Raising an old model to the version of ONNX that other tools expect."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.graph.proto.model import Model
from reluflow.graph.psb.function import MIN_IR
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.opset.raise_opset import raise_opset


@dataclass(frozen=True, slots=True)
class Raised:
    """A version that was raised; part of what `upgrade` returns.

    Attributes:
        what: "opset" or "IR version".
        old: before.
        new: now.
    """

    what: str
    old: int
    new: int


def upgrade(model: Model) -> Rewritten[tuple[Raised, ...]]:
    """Return the model in opset 13 and IR version 8 or newer.

    Each node keeps its meaning, and names, metadata, documentation and quantisation annotations
    stay. Below IR version 4 weights are also listed as inputs of the model; here they become
    constants. The model's notes say what was raised.

    Args:
        model: not changed.

    Returns:
        The new model, and which versions were raised.

    Raises:
        ModelError: its opset cannot be raised; the sentence names the node.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 3, opset_import: ["" : 9]>
        ...     g (float[N,2] x, float[2,2] w) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { y = MatMul(x, w) }''')
        >>> result = upgrade(load(proto))
        >>> [f"{each.what} {each.old} to {each.new}" for each in result.done]
        ['opset 9 to 13', 'IR version 3 to 8']
        >>> new = result.model
        >>> new.ir_version, new.opset, [spec.name for spec in new.inputs]
        (8, {'': 13}, ['x'])
    """
    editor = Editor(model)
    opset = raise_opset(editor, "newer tools")
    editor.raise_ir(MIN_IR)
    steps = {"opset": opset, "IR version": (model.ir_version, editor.proto.ir_version)}
    pairs = [(what, *pair) for what, pair in steps.items() if pair is not None]
    return editor.finish(tuple(Raised(*each) for each in pairs if each[1] != each[2]))
