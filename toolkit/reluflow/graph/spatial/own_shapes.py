"""Shapes of what the operators of PSB and of its chains make, where inference stops at them."""

from __future__ import annotations

from collections.abc import Callable

from onnx import NodeProto, TensorProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.own_domain import (
    FIXED_ADD,
    FIXED_AVERAGE_POOL,
    FIXED_CONV,
    FIXED_CONV_16,
    FIXED_GLOBAL_AVERAGE_POOL,
    FIXED_GLOBAL_POOL,
    FIXED_GLOBAL_POOL_16,
    FIXED_MAX_POOL,
    FIXED_MAX_POOL_16,
    FIXED_MUL,
    FIXED_RESIZE,
    FIXED_RESIZE_16,
    FIXED_TABLE,
    FROM_FIXED_CONV,
    OWN_DOMAIN,
    PSB_CONV,
    TO_FIXED,
    TO_FIXED_16,
)
from reluflow.graph.rewrite.reader import Reader, attribute

Sizes = tuple[int, ...]
_QUAD = 4
"""Channels that ToFixed fills up to a multiple of, if it does."""


def own_shape(reader: Reader, node: NodeProto, source: Sizes) -> tuple[int, Sizes] | None:
    """Return the type and shape of what an operator of ours makes; None where not known.

    Args:
        reader: the index of the graph.
        node: of any domain.
        source: the shape of its first input.
    """
    rule = _RULES.get(node.op_type) if domain_of(node.domain) == OWN_DOMAIN else None
    if rule is None:
        return None
    kind, shape_of = rule
    shape = shape_of(reader, node, source)
    return None if shape is None else (kind, shape)


def has_rule(op: str) -> bool:
    """Tell whether the shape of what an operator of ours makes is known without its function.

    Args:
        op: its name.
    """
    return op in _RULES


def _same(reader: Reader, node: NodeProto, source: Sizes) -> Sizes:
    return source


def _quantised(reader: Reader, node: NodeProto, source: Sizes) -> Sizes:
    fills = -source[1] % _QUAD if attribute(node, "fills_quads", 0) else 0
    return (source[0], *source[2:], source[1] + fills)


def _first_convolved(reader: Reader, node: NodeProto, source: Sizes) -> Sizes | None:
    weights = _numbers(node, "weight_shape", 0)
    windows = _windowed(node, source[2:], tuple(weights[2:]))
    return None if windows is None else (source[0], weights[0], *windows)


def _convolved(reader: Reader, node: NodeProto, source: Sizes) -> Sizes | None:
    weights = _numbers(node, "weight_shape", 0)
    windows = _windowed(node, source[1:-1], tuple(weights[2:]))
    return None if windows is None else (source[0], *windows, weights[0])


def _last_convolved(reader: Reader, node: NodeProto, source: Sizes) -> Sizes | None:
    made = _convolved(reader, node, source)
    return None if made is None else (made[0], made[-1], *made[1:-1])


def _pooled(reader: Reader, node: NodeProto, source: Sizes) -> Sizes | None:
    windows = _windowed(node, source[1:-1], tuple(_numbers(node, "kernel_shape", 0)))
    return None if windows is None else (source[0], *windows, source[-1])


def _single_floats(reader: Reader, node: NodeProto, source: Sizes) -> Sizes:
    return (source[0], source[-1], *[1] * (len(source) - 2))


def _single_bytes(reader: Reader, node: NodeProto, source: Sizes) -> Sizes:
    return (source[0], *[1] * (len(source) - 2), source[-1])


def _resized(reader: Reader, node: NodeProto, source: Sizes) -> Sizes | None:
    sizes = reader.constant(node.input[1])
    return None if sizes is None else (source[0], *map(int, sizes[2:]), source[-1])


_RULES: dict[str, tuple[int, Callable[[Reader, NodeProto, Sizes], Sizes | None]]] = {
    PSB_CONV: (TensorProto.FLOAT, _first_convolved),
    FIXED_CONV: (TensorProto.UINT8, _convolved),
    FIXED_CONV_16: (TensorProto.INT16, _convolved),
    FROM_FIXED_CONV: (TensorProto.FLOAT, _last_convolved),
    TO_FIXED: (TensorProto.UINT8, _quantised),
    TO_FIXED_16: (TensorProto.INT16, _quantised),
    FIXED_MAX_POOL: (TensorProto.UINT8, _pooled),
    FIXED_AVERAGE_POOL: (TensorProto.UINT8, _pooled),
    FIXED_MAX_POOL_16: (TensorProto.INT16, _pooled),
    FIXED_ADD: (TensorProto.UINT8, _same),
    FIXED_MUL: (TensorProto.UINT8, _same),
    FIXED_TABLE: (TensorProto.UINT8, _same),
    FIXED_RESIZE: (TensorProto.UINT8, _resized),
    FIXED_RESIZE_16: (TensorProto.INT16, _resized),
    FIXED_GLOBAL_POOL: (TensorProto.FLOAT, _single_floats),
    FIXED_GLOBAL_POOL_16: (TensorProto.FLOAT, _single_floats),
    FIXED_GLOBAL_AVERAGE_POOL: (TensorProto.UINT8, _single_bytes),
}
"""Operator -> the type of what it makes, and its shape."""


def _windowed(node: NodeProto, sizes: Sizes, kernel: Sizes) -> Sizes | None:
    rank, mode = len(sizes), str(attribute(node, "auto_pad", "NOTSET"))
    if len(kernel) != rank:
        return None
    strides, dilations = _numbers(node, "strides", rank), _numbers(node, "dilations", rank)
    if mode.startswith("SAME"):
        return tuple(-(-size // by) for size, by in zip(sizes, strides, strict=True))
    pads = _numbers(node, "pads", 2 * rank, 0) if mode == "NOTSET" else [0] * 2 * rank
    spans = [(size - 1) * by + 1 for size, by in zip(kernel, dilations, strict=True)]
    found = (
        (size + pads[i] + pads[rank + i] - spans[i]) // strides[i] + 1
        for i, size in enumerate(sizes)
    )
    return tuple(max(0, size) for size in found)


def _numbers(node: NodeProto, name: str, length: int, default: int = 1) -> list[int]:
    given = attribute(node, name)
    return [default] * length if not given else list(given)  # type: ignore[call-overload]
