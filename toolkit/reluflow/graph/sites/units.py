"""Which axis enumerates the units of a pre-activation, and how many units there are.

Channels of a convolution are on axis 1, features of a dense layer or a layer normalisation on the
last axis; elementwise operators keep this axis, a Transpose moves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.graph.view.constants import constant
from reluflow.graph.view.index import Node, Scope

_ELEMENTWISE = {
    "Add", "Sub", "Mul", "Div", "Neg", "Identity", "Cast", "Clip", "Relu", "LeakyRelu", "PRelu",
    "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "Selu", "Gelu", "Softplus", "Dropout",
    "QuantizeLinear", "DequantizeLinear", "Max", "Min", "Where", "Pow", "Sqrt", "Erf", "Swish",
    "BiasGelu", "FastGelu", "QuickGelu",
}  # fmt: skip
_CONVOLUTIONS = {
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "DeformConv",
}  # fmt: skip
_CHANNEL_FIRST = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization",
    "InstanceNormalization", "LRN", "GroupNormalization", "Resize", "Upsample",
}  # fmt: skip
_DENSE = {"Gemm", "FusedGemm", "QGemm"}
_LAYER_NORM = {
    "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization",
    "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Softmax",
}  # fmt: skip
_DEPTH = 100
"""Ends a walk in a graph whose nodes are not in order; in any other a walk takes one step."""
_WEIGHT_DEPTH = 7
"""Nodes between a weight and its product: dequantisation, transposes, casts. A guard with room: of
131 models of exporters none gives other units with 1 or with 40."""
_WEIGHT = 1
_QUANTISED_OPERAND = 3
"""Place of the second operand, weights or b, in QLinearConv, QGemm, QLinearMatMul and QLinearAdd:
behind the first one's tensor, scale and zero point."""
_SLICE_AXES = 3
"""Place of `axes` in Slice: data, starts, ends, axes."""
_SPATIAL_RANK = 3
"""Batch, channels and one more axis: with fewer, a permutation only transposes a matrix."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the units of a tensor come from.

    Attributes:
        axis: their axis; negative counts from the end.
        units: how many, None where unknown.
    """

    axis: int
    units: int | None


def unit_axis(scope: Scope, tensor: str) -> tuple[int, int | None]:
    """Return the unit axis of a tensor and the number of units d.

    Args:
        scope: where the tensor is read.
        tensor: its name.

    Returns:
        The axis, -1 for rank 1 and 2 and for features on the last axis, else 1; and d, None where
        it is known only at run time.
    """
    shape = scope.type_of(tensor).shape
    _find_origins(scope)
    origin = _origin(scope, tensor, _DEPTH)
    axis = _axis(origin, None if shape is None else len(shape))
    units = origin.units if origin else None
    if shape is not None and -len(shape) <= axis < len(shape):
        size = shape[axis]
        units = size if isinstance(size, int) else units
    return axis, units


def _find_origins(scope: Scope) -> None:
    """Find the units of all tensors in graph order, so that answers do not depend on the queries.

    A walk back from one tensor would end after some depth, unless an earlier walk had covered part
    of the path.
    """
    if scope.parent is not None:
        _find_origins(scope.parent)
    if not scope.origins:
        for node in scope.nodes:
            for name in node.outputs:
                _origin(scope, name, _DEPTH)


def _axis(origin: _Origin | None, rank: int | None) -> int:
    if rank is None:
        return origin.axis if origin else 1
    if rank <= 2:
        return -1
    axis = origin.axis if origin else 1
    if axis == -1 or axis >= rank or axis < -rank:
        return -1
    axis %= rank
    return -1 if axis == rank - 1 else axis


def _origin(scope: Scope, tensor: str, depth: int) -> _Origin | None:
    """Walk back to the node that gave the tensor its units; every tensor is walked once."""
    node = scope.producer(tensor)
    home = scope.home(tensor)
    if node is None or home is None or depth == 0:
        return None
    if tensor not in home.origins:
        try:
            found = _origin_of(home, node, depth)
        except IndexError:  # one of ONNX Runtime's own operators, without inputs
            found = None
        home.origins[tensor] = None if found is None else (found.axis, found.units)
    known = home.origins[tensor]
    return None if known is None else _Origin(*known)


def _origin_of(home: Scope, node: Node, depth: int) -> _Origin | None:
    """Judge the node that produced a tensor."""
    if node.op in _CONVOLUTIONS:
        return _Origin(1, _weight_size(home, node, _place_of_weight(node)))
    if node.op == "ReorderOutput":  # ONNX Runtime's blocked channels, padded before this node
        return _Origin(1, int(node.number("channels", 0)) or None)
    if node.op in _CHANNEL_FIRST:
        return _Origin(1, None)
    if node.op in _DENSE:
        axis = 0 if node.number("transB", 0) else -1
        return _Origin(-1, _size(home, node.inputs[_place_of_weight(node)], axis))
    if node.op in ("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul"):
        return _product(home, node)
    if node.op in _LAYER_NORM or _is_spelled_layer_norm(home, node):
        return _Origin(-1, None)
    if node.op == "Transpose":
        return _transposed(home, node, depth)
    if node.op in ("Squeeze", "Unsqueeze"):
        return _squeezed(home, node, depth)
    if node.op in ("Slice", "Concat"):
        return _cut_or_joined(home, node, depth)
    if node.op == "Reshape":
        return _reshaped(home, node, depth)
    if node.op == "QLinearAdd":
        second = node.inputs[_QUANTISED_OPERAND]
        return _origin(home, node.inputs[0], depth - 1) or _origin(home, second, depth - 1)
    if node.op in _ELEMENTWISE:
        return _first_origin(home, node, depth)
    return None


def _place_of_weight(node: Node) -> int:
    return _QUANTISED_OPERAND if node.op.startswith("Q") else _WEIGHT


def _size(scope: Scope, tensor: str, axis: int) -> int | None:
    shape = scope.type_of(tensor).shape
    if not shape or not -len(shape) <= axis < len(shape):
        return None
    size = shape[axis]
    return size if isinstance(size, int) else None


def _weight_size(scope: Scope, node: Node, position: int) -> int | None:
    if node.op != "ConvTranspose":
        return _size(scope, node.inputs[position], 0)
    size = _size(scope, node.inputs[position], 1)
    return None if size is None else size * int(node.number("group", 1))


def _is_weight(scope: Scope, tensor: str) -> bool:
    """Tell whether a tensor does not depend on inputs; initializers of any size count."""
    level, seen = {tensor}, set[str]()
    for _ in range(_WEIGHT_DEPTH):
        made: list[Node] = []
        for name in level:
            home = scope.home(name)
            if home is None:
                return False
            if name in home.initializers or constant(home, name) is not None:
                continue
            node = home.producers.get(name)
            if node is None:
                return False
            made.append(node)
        seen |= level
        level = {name for node in made for name in node.inputs if name} - seen
    return not level


def _product(scope: Scope, node: Node) -> _Origin:
    """A weight on the left makes its rows the units: W x; otherwise the last axis."""
    left, right = node.inputs[0], node.inputs[_place_of_weight(node)]
    # Both or neither may be weights (attention multiplies two activations): then features are last.
    if _is_weight(scope, left) and not _is_weight(scope, right):
        return _Origin(-2, _size(scope, left, -2))
    return _Origin(-1, _size(scope, right, -1))


def _transposed(scope: Scope, node: Node, depth: int) -> _Origin | None:
    """Follow the units through a Transpose; without perm the axes are reversed."""
    source = _origin(scope, node.inputs[0], depth - 1)
    perm = node.integers("perm")
    shape = scope.type_of(node.inputs[0]).shape
    rank = len(perm) if perm else len(shape) if shape else None
    if rank is None or rank < _SPATIAL_RANK:
        return None
    perm = perm or tuple(reversed(range(rank)))
    if sorted(perm) != list(range(rank)):
        return None  # not valid; ONNX Runtime reports it
    if source is None:
        return _channels_last(perm)
    axis = perm.index(source.axis % rank)
    return _Origin(-1 if axis == rank - 1 else axis, source.units)


def _channels_last(perm: tuple[int, ...]) -> _Origin | None:
    """NCHW to NHWC is recognised by its permutation even where the source is unknown."""
    rank = len(perm)
    return _Origin(-1, None) if rank > _SPATIAL_RANK and perm == (0, *range(2, rank), 1) else None


def _axes(scope: Scope, node: Node) -> tuple[int, ...] | None:
    axes = node.integers("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        value = constant(scope, node.inputs[1])
        axes = None if value is None else tuple(int(axis) for axis in value.ravel())
    return axes


def _squeezed(scope: Scope, node: Node, depth: int) -> _Origin | None:
    """Follow the units where axes of size 1 are removed or inserted."""
    source = _origin(scope, node.inputs[0], depth - 1)
    axes = _axes(scope, node)
    wide = node.inputs[0] if node.op == "Squeeze" else node.outputs[0]
    shape = scope.type_of(wide).shape
    if source is None or axes is None or not shape:
        return None
    rank = len(shape)
    removed = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in removed]
    if node.op == "Squeeze":
        wanted = source.axis % rank
        axis = kept.index(wanted) if wanted in kept else None
        last = len(kept) - 1
    else:
        axis = kept[source.axis] if -len(kept) <= source.axis < len(kept) else None
        last = rank - 1
    return None if axis is None else _Origin(-1 if axis == last else axis, source.units)


def _cut_or_joined(scope: Scope, node: Node, depth: int) -> _Origin | None:
    """Slice and Concat keep the axis of the units; along another axis also their number."""
    source = _origin(scope, node.inputs[0], depth - 1)
    if source is None:
        return None
    if node.op == "Concat":
        axes: tuple[int, ...] | None = (int(node.number("axis", 0)),)
    elif len(node.inputs) > _SLICE_AXES:
        value = constant(scope, node.inputs[_SLICE_AXES])
        axes = None if value is None else tuple(int(axis) for axis in value.ravel())
    else:
        axes = node.integers("axes")
    # Joining or cutting along the axis of the units changes their number; whether a negative axis
    # is this axis depends on the rank, so the number is given up rather than guessed.
    same_axis = axes is None or any(axis < 0 or axis == source.axis for axis in axes)
    return _Origin(source.axis, None if same_axis or source.axis < 0 else source.units)


def _reshaped(scope: Scope, node: Node, depth: int) -> _Origin | None:
    """A Reshape keeps features on the last axis when that axis keeps its size."""
    source = _origin(scope, node.inputs[0], depth - 1)
    if source is None or source.axis != -1:
        return None
    before = source.units or _size(scope, node.inputs[0], -1)
    after = _size(scope, node.outputs[0], -1)
    if after is None and len(node.inputs) > 1:
        target = constant(scope, node.inputs[1])
        after = int(target.ravel()[-1]) if target is not None and target.size else None
    return source if before is not None and before == after else None


def _first_origin(scope: Scope, node: Node, depth: int) -> _Origin | None:
    """Return the units of the first operand that is not constant and as large as the result."""
    rank = len(scope.type_of(node.outputs[0]).shape or ())
    count = 1 if node.op in ("QuantizeLinear", "DequantizeLinear", "Clip", "PRelu") else None
    for name in node.inputs[:count]:
        if not name or _is_weight(scope, name):
            continue
        shape = scope.type_of(name).shape
        if rank and shape is not None and len(shape) < rank:
            continue  # broadcast: one number per channel says nothing about the axes of the result
        found = _origin(scope, name, depth - 1)
        if found is not None:
            return found
    return None


def _is_spelled_layer_norm(scope: Scope, node: Node) -> bool:
    """`(x - mean(x)) / sqrt(...)` with the mean over the last axis."""
    if node.op != "Div" or len(node.inputs) != 2:
        return False
    centred, root = scope.producer(node.inputs[0]), scope.producer(node.inputs[1])
    if centred is None or root is None or centred.op != "Sub" or root.op != "Sqrt":
        return False
    mean = scope.producer(centred.inputs[1])
    if mean is None or mean.op != "ReduceMean":
        return False
    axes = _axes(scope, mean)
    rank = len(scope.type_of(node.outputs[0]).shape or ())
    return axes == (-1,) or (rank > 0 and axes == (rank - 1,))
