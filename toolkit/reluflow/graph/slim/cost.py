"""How many multiply-adds a model's layers take for one input."""

from __future__ import annotations

import math

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.linear import LINEAR_OPS
from reluflow.graph.rewrite.reader import Reader, read_graph


def count_multiply_adds(model: Model) -> int | None:
    """Return the multiply-adds of Conv, ConvTranspose, Gemm and MatMul for one input.

    Products of two computed tensors and layers in subgraphs are not counted.

    Args:
        model: any model.

    Returns:
        Their number; None where the file does not give the size of a layer's result.

    Example:
        >>> from reluflow.graph import load
        >>> count_multiply_adds(load("models/fashion_resnet8.onnx"))
        9345920
    """
    reader = read_graph(model)
    total = 0
    for node in reader.nodes:
        if node.op_type not in LINEAR_OPS or domain_of(node.domain):
            continue
        weight = reader.constant(node.input[1])
        if weight is None:
            continue
        # each weight is used once for each position: those of the image, or of the sequence
        turned = node.op_type == "ConvTranspose"
        positions = _positions(reader, node.input[0] if turned else node.output[0], node.op_type)
        if positions is None:
            return None
        total += weight.size * positions
    return total


def _positions(reader: Reader, tensor: str, op: str) -> int | None:
    known = reader.types.get(tensor)
    if known is None or known.shape is None:
        return None
    sizes = known.shape[2:] if op.startswith("Conv") else known.shape[1:-1]
    numbers = [size for size in sizes if isinstance(size, int)]
    return math.prod(numbers) if len(numbers) == len(sizes) else None
