"""The layers after which no other one comes."""

from __future__ import annotations

from collections.abc import Sequence

from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.reader import read_graph, reads
from reluflow.graph.tuning.layers import Layer


def last_layers(model: Model, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers whose results no other layer reads, directly or through other operators.

    What follows them, such as a softmax or the choice of maxima, may flip at the smallest change.
    The last layers' own outputs do not: errors there are the sum of what each layer adds.

    Args:
        model: of `read_layers`.
        layers: of the same model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, read_layers
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { [first] h = MatMul(x, w) r = Relu(h) [last] m = MatMul(r, w) y = Softmax(m) }''')
        >>> model = load(proto)
        >>> [layer.name for layer in last_layers(model, read_layers(model)[0])]
        ['last']
    """
    made = {layer.output for layer in layers}
    behind: dict[str, frozenset[str]] = {}
    followed: set[str] = set()
    for node in read_graph(model).nodes:
        before = frozenset[str]().union(*(behind.get(name, frozenset()) for name in reads(node)))
        for name in node.output:
            if name in made:
                followed |= before
            behind[name] = frozenset({name}) if name in made else before
    return tuple(layer for layer in layers if layer.output not in followed)
