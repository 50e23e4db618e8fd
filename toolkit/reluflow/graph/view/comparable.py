"""What a comparison of two models must know: their defaults, precision and validity."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from reluflow.errors import ModelError
from reluflow.graph.proto.external import read_tensor, walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.skeleton import make_skeleton

_LISTED_FREELY_FROM_IR = 4
_LONGEST_REASON = 300
"""Characters of the checker's words in a sentence: its first ones say what, then it lists nodes."""
_QUANTISING = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm")


def replaceable_inputs(model: Model) -> dict[str, np.ndarray]:
    """Return the inputs that have defaults, with the defaults: a caller may leave these out.

    Below IR version 4 all initializers must be listed as inputs, and nothing can replace them.

    Args:
        model: any model; defaults in other files are read.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, replaceable_inputs, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> {name: int(value.sum()) for name, value in replaceable_inputs(converted).items()}
        {'samples': 0, 'seed': 0}
    """
    if model.ir_version < _LISTED_FREELY_FROM_IR:
        return {}
    graph = model._proto.graph
    listed = {value.name for value in graph.input}
    return {
        tensor.name: read_tensor(tensor, model.base_dir)
        for tensor in graph.initializer
        if tensor.name in listed
    }


def has_narrow_floats(model: Model) -> bool:
    """Tell whether some weights or casts of a model are float16 or bfloat16.

    Args:
        model: any model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import has_narrow_floats, load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { h = Cast<to = 10>(x) y = Cast<to = 1>(h) }''')
        >>> has_narrow_floats(load(proto))
        True
    """
    narrow = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
    for graph in walk_graphs(model._proto):
        if any(tensor.data_type in narrow for tensor in graph.initializer):
            return True
        for node in graph.node:
            for entry in node.attribute:
                if (entry.name == "to" and entry.i in narrow) or entry.t.data_type in narrow:
                    return True
    return False


def rounds_activations(model: Model) -> bool:
    """Tell whether a model rounds activations to integers, so that small differences jump.

    Args:
        model: any model.

    Example:
        >>> from reluflow.graph import load
        >>> rounds_activations(load("models/fashion_resnet8.onnx"))
        False
    """
    return any(
        node.op_type in _QUANTISING or node.op_type.startswith("QLinear")
        for graph in walk_graphs(model._proto)
        for node in graph.node
        if domain_of(node.domain) in ("", "com.microsoft")
    )


def check_fully(model: Model, label: str) -> None:
    """Run ONNX's full checker, including types and shapes, on a model made by a rewrite.

    Args:
        model: the new model.
        label: what to call it in a sentence.

    Raises:
        ModelError: it is not valid.

    Example:
        >>> from reluflow.graph import fold_batchnorm, load
        >>> folded = fold_batchnorm(load('models/fashion_resnet8.onnx')).model
        >>> check_fully(folded, 'the folded model')
    """
    skeleton = make_skeleton(model._proto, model.base_dir)
    for value in [*skeleton.proto.graph.input, *skeleton.proto.graph.output]:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and not tensor.HasField("shape"):
            tensor.shape.SetInParent()  # the checker requires a shape; runtimes do not
    try:
        onnx.checker.check_model(skeleton.proto, full_check=skeleton.exact)
    except Exception as error:  # the checker raises several types, depending on its version
        text = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ModelError(f"{label} is not valid ONNX: {text}; export it again.") from error
