"""Raising an old model to the version of ONNX that other tools expect."""

from __future__ import annotations

from reluflow.graph.proto.model import Model
from reluflow.graph.psb.function import MIN_IR
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.opset.raise_opset import with_opset


def upgrade(model: Model) -> Model:
    """Return the model in opset 13 and IR version 8 or newer.

    Each node keeps its meaning, and names, metadata, documentation and quantisation annotations
    stay. Below IR version 4 weights are listed as inputs of the model too; here they are
    constants. The model's notes say what was raised.

    Args:
        model: not changed.

    Raises:
        ModelError: its opset cannot be raised; the sentence names the node.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 3, opset_import: ["" : 9]>
        ...     g (float[N,2] x, float[2,2] w) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { y = MatMul(x, w) }''')
        >>> new = upgrade(load(proto))
        >>> new.ir_version, new.opset, [spec.name for spec in new.inputs]
        (8, {'': 13}, ['x'])
    """
    editor = Editor(with_opset(model, "newer tools"))
    editor.raise_ir(MIN_IR)
    return editor.finish()
