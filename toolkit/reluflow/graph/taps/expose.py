"""Making tensors of the main graph outputs of a copy of the model."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto, helper

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor


def expose(model: Model, tensors: Sequence[str]) -> Rewritten[tuple[str, ...]]:
    """Return a copy of a model with more outputs.

    Args:
        model: the model, not changed.
        tensors: names of tensors of its main graph; inputs and outputs may be among them.

    Returns:
        The new model, and the names of the outputs that it did not have.

    Raises:
        OptionError: a name that no node, input or constant has.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import expose, load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { h = Neg(x) y = Relu(h) }''')
        >>> result = expose(load(proto), ["y", "h"])
        >>> result.model.outputs, result.done
        (('y', 'h'), ('h',))
    """
    editor = Editor(model)
    graph = editor.proto.graph
    known = {name for node in editor.nodes for name in node.output}
    known |= {value.name for value in (*graph.input, *graph.initializer)}
    outputs = {value.name for value in graph.output}
    added = []
    for tensor in dict.fromkeys(tensors):
        if tensor not in known:
            raise OptionError(
                f"tensors name {tensor!r}, which the main graph does not have; give names of its "
                "inputs, constants or outputs of nodes."
            )
        if tensor in outputs:
            continue
        found = editor.types.get(tensor)
        elem_type = found.elem_type if found and found.elem_type else TensorProto.FLOAT
        shape = found.shape if found else None
        graph.output.append(helper.make_tensor_value_info(tensor, elem_type, shape))
        added.append(tensor)
    return editor.finish(tuple(added))
