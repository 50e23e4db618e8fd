"""Heads that pool all pixels: what is pooled, and the layers behind the pooling on each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from reluflow.errors import DataError
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_AVERAGE_POOL,
    FIXED_GLOBAL_AVERAGE_POOL,
    FIXED_GLOBAL_POOL,
    FIXED_GLOBAL_POOL_16,
    FROM_FIXED,
    FROM_FIXED_16,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    OWN_DOMAIN,
    PSB_CONV,
    PSB_MATMUL,
)
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import Reader, attribute, name_of, read_graph, reads
from reluflow.graph.spatial.known import known_shape, read_with_shapes

_CHANNELS_FIRST = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
_CHANNELS_LAST = (FIXED_GLOBAL_POOL, FIXED_GLOBAL_POOL_16, FIXED_GLOBAL_AVERAGE_POOL)
_REDUCTIONS = ("ReduceMean", "ReduceMax")
_WINDOWS = {"AveragePool": 1, "MaxPool": 1, FIXED_AVERAGE_POOL: -1}
"""Poolings that may cover all pixels -> the axis of their channels."""
_MEANS = ("GlobalAveragePool", "ReduceMean", "AveragePool", *_CHANNELS_LAST, FIXED_AVERAGE_POOL)
_AFFINE = (
    *("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Transpose", "Cast"),
    *("Gemm", "MatMul", "Conv", "Add", "Sub", "BatchNormalization", "Concat", "Constant", "Shape"),
    *("Gather", "Slice"),
    *(PSB_CONV, PSB_MATMUL, FROM_FIXED, FROM_FIXED_16, FROM_FIXED_CONV, FROM_FIXED_MATMUL),
)
_SCALINGS = ("Mul", "Div")
_LAST = ("Softmax", "LogSoftmax")
"""What a classifier may end in, and the scores of its classes are found in front of."""
_PICTURE = 4
"""Axes of a tensor of pictures, where the graph does not tell."""


@dataclass(frozen=True, slots=True)
class PooledHead:
    """A global pooling and the layers between it and the scores; found by `find_pooled_head`.

    Attributes:
        node: name of the pooling.
        op: its operator.
        tensor: what it pools.
        channel: that tensor's axis of channels, 1 or -1; the first axis is the batch, others are
            pixels.
        window: pixels that the pooling is made for along each axis; None: any number.
        scores: the tensor with a score per class, in front of a final Softmax.
        output: the output of the model that it leads to.
        bent_by: layers between that are not linear, or the pooling where it takes no mean, by name.
        batch: the only number of inputs that the layers accept; None: any.

    Example:
        >>> from reluflow.graph import load
        >>> head = find_pooled_head(load("models/fashion_resnet8.onnx"))
        >>> head.pixels(np.zeros((2, 64, 7, 7))).shape
        (98, 64, 1, 1)
    """

    node: str
    op: str
    tensor: str
    channel: int
    window: tuple[int, ...] | None
    scores: str
    output: str
    bent_by: tuple[str, ...]
    batch: int | None

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Return the pixels of `tensor` as pictures of one pixel, or of the window filled with it.

        Args:
            values: of `tensor`, `(n, ...)`.

        Returns:
            `(n * pixels, ...)`, row-major.

        Raises:
            DataError: the values have no axis of pixels.
        """
        if values.ndim < len(("batch", "channels", "pixels")):
            raise DataError(
                f"tensor {self.tensor!r} is {list(values.shape)}, without an axis of pixels; give "
                "the values of that tensor in a run of the model."
            )
        rows = np.moveaxis(values, self.channel, -1)
        rows = rows.reshape(-1, rows.shape[-1])
        n_axes = values.ndim - 2
        ones = (1,) * n_axes
        shape = (len(rows), *ones, rows.shape[1]) if self.channel == -1 else (*rows.shape, *ones)
        found = rows.reshape(shape)
        if self.window is None:
            return found
        full = list(shape)
        first = 1 if self.channel == -1 else 2
        full[first : first + n_axes] = self.window
        return np.ascontiguousarray(np.broadcast_to(found, full))


def find_pooled_head(
    model: Model, inputs: Mapping[str, tuple[int, ...]] | None = None, output: str | None = None
) -> PooledHead | Reason:
    """Find the global pooling through which everything reaches a model's scores.

    Recognised are ONNX's global poolings, ReduceMean and ReduceMax over all pixels, an AveragePool
    or MaxPool whose window covers all pixels, and the poolings of chains. Gates of squeeze and
    excite are passed over, since pixels reach the scores beside them.

    Args:
        model: any model.
        inputs: input -> shape, by which windows that cover all pixels are recognised.
        output: the output with the scores; None: the first behind such a pooling.

    Returns:
        The head, or why there is none.

    Example:
        >>> from reluflow.graph import load
        >>> head = find_pooled_head(load("models/fashion_resnet8.onnx"))
        >>> head.op, head.channel, head.scores, head.bent_by
        ('GlobalAveragePool', 1, 'logits', ())

    Reference: thesis 4.2.5, logits in front of the average pooling; docs/attention.md.
    """
    reader = read_graph(model)
    flat = Model(reader.proto, base_dir=model.base_dir)
    graph = _Graph(
        reader,
        read_with_shapes(flat, inputs) if inputs else reader,
        {spec.name for spec in model.inputs if spec.shape != ()},
    )
    names = model.outputs if output is None else (output,)
    found: list[PooledHead | Reason] = [_head(graph, name) for name in names]
    good = (each for each in found if isinstance(each, PooledHead))
    return next(good, found[0] if found else Reason("the model has no output"))


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph, the same with its shapes, and the names of the inputs that are data."""

    reader: Reader
    shaped: Reader
    data: set[str]


def _head(graph: _Graph, output: str) -> PooledHead | Reason:
    reader = graph.reader
    scores, producer = output, reader.producer(output)
    while producer is not None and producer.op_type in (*_LAST, "Identity"):
        scores = producer.input[0]
        producer = reader.producer(scores)
    behind, _ = _between(reader.nodes, (), scores)
    for node in reversed(behind):
        pool = _as_pool(graph, node)
        if pool is None:
            continue
        nodes, needed = _between(reader.nodes, node.output, scores)
        if needed & graph.data:
            continue
        channel, window = pool
        bent: tuple[str, ...] = () if node.op_type in _MEANS else (name_of(node),)
        bent += tuple(name_of(each) for each in nodes if not _is_affine(reader, each))
        batch = _only_batch(reader, nodes)
        return PooledHead(
            *(name_of(node), node.op_type, node.input[0], channel, window, scores, output),
            *(bent, batch),
        )
    return Reason(f"output {output!r} has no global pooling through which all reaches it")


def _between(
    nodes: Sequence[NodeProto], known: Sequence[str], wanted: str
) -> tuple[list[NodeProto], set[str]]:
    """Return the nodes that lead to a tensor from known ones, and all that they read."""
    open_, needed, taken = {wanted}, set[str](), []
    for node in reversed(nodes):
        if open_.intersection(node.output):
            taken.append(node)
            read = set(reads(node))
            needed |= read
            open_ |= read - set(known)
    return taken[::-1], needed - set(known)


def _as_pool(graph: _Graph, node: NodeProto) -> tuple[int, tuple[int, ...] | None] | None:
    """Return the axis of channels and the window of a pooling of all pixels, None for others."""
    own = domain_of(node.domain) == OWN_DOMAIN
    if domain_of(node.domain) and not own:
        return None
    if node.op_type in _CHANNELS_FIRST:
        return 1, None
    if own and node.op_type in _CHANNELS_LAST:
        return -1, None
    if node.op_type in _REDUCTIONS:
        return _of_reduction(graph, node)
    if node.op_type in _WINDOWS:
        return _of_window(graph.shaped, node)
    return None


def _of_reduction(graph: _Graph, node: NodeProto) -> tuple[int, None] | None:
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        axes = graph.reader.constant(node.input[1])
    if axes is None:
        return None
    given = [int(axis) for axis in np.asarray(axes).reshape(-1)]
    rank = graph.reader.rank(node.input[0]) or graph.shaped.rank(node.input[0]) or _PICTURE
    reduced = {axis % rank for axis in given}
    for channel in (1, rank - 1):
        if rank > 2 and reduced == set(range(1, rank)) - {channel}:
            return (1 if channel == 1 else -1), None
    return None


def _of_window(reader: Reader, node: NodeProto) -> tuple[int, tuple[int, ...]] | None:
    """Return how a pooling by windows reads its input, where one window covers all of it."""
    window = tuple(_ints(attribute(node, "kernel_shape")))
    before, after = (known_shape(reader, name) for name in (node.input[0], node.output[0]))
    channel = _WINDOWS[node.op_type]
    if before is None or after is None or any(_ints(attribute(node, "pads"))):
        return None
    pixels = slice(2, None) if channel == 1 else slice(1, -1)
    covers = before[pixels] == window and all(size == 1 for size in after[pixels])
    return (channel, window) if covers else None


def _is_affine(reader: Reader, node: NodeProto) -> bool:
    """Tell whether a layer acts on a mean as the mean of its results."""
    if node.op_type in _SCALINGS:
        constants = [reader.constant(name) is not None for name in node.input]
        return constants[1] if node.op_type == "Div" else any(constants)
    if node.op_type in (PSB_CONV, PSB_MATMUL):
        return attribute(node, "activation", "none") in ("", "none")
    if node.op_type == "MatMul":
        return any(reader.constant(name) is not None for name in node.input)
    return node.op_type in _AFFINE or not any(reader.constant(n) is None for n in reads(node))


def _only_batch(reader: Reader, nodes: Sequence[NodeProto]) -> int | None:
    """Return the number of inputs that the layers behind a pooling are made for."""
    for node in nodes:
        if node.op_type == "Reshape":
            wanted = reader.constant(node.input[1])
            if wanted is not None and wanted.size and wanted.reshape(-1)[0] > 0:
                return int(wanted.reshape(-1)[0])
    return None


def _ints(value: object) -> Iterator[int]:
    for each in np.asarray([] if value is None else value).reshape(-1):
        yield int(each)
