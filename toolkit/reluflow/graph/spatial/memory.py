"""How many bytes the tensors of a graph take that are needed at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterable

from onnx import helper

from reluflow.graph.rewrite.reader import Reader, reads
from reluflow.graph.spatial.known import known_shape


def live_bytes(reader: Reader, inputs: Iterable[str]) -> int:
    """Return the most bytes of tensors that are needed at a time; weights do not count.

    Args:
        reader: the index of a graph in which shapes are inferred.
        inputs: names of the inputs that count.
    """
    last = {name: at for at, node in enumerate(reader.nodes) for name in reads(node)}
    given = list(inputs)
    now = most = sum(_bytes(reader, name) for name in given)
    live = {name: _bytes(reader, name) for name in given}
    for at, node in enumerate(reader.nodes):
        for name in filter(None, node.output):
            live[name] = _bytes(reader, name)
            now += live[name]
        most = max(most, now)
        for name in {*reads(node), *node.output}:
            if name in live and last.get(name, -1) <= at and not _stays(reader, name, given):
                now -= live.pop(name)
    return most


def _stays(reader: Reader, name: str, given: list[str]) -> bool:
    """Tell whether the caller holds a tensor: inputs and outputs are not freed."""
    return name in given or reader.is_output(name)


def _bytes(reader: Reader, name: str) -> int:
    shape = known_shape(reader, name)
    kind = reader.types[name].elem_type if shape is not None else 0
    if shape is None or not kind:
        return 0
    return math.prod(shape) * helper.tensor_dtype_to_np_dtype(kind).itemsize
