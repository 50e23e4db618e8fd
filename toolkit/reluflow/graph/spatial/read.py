"""The pixels of a whole graph: what each tensor reads of those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.errors import DataError
from reluflow.graph.proto import own_domain
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.reader import Reader, attribute, name_of, read_graph, reads
from reluflow.graph.spatial import own, steps
from reluflow.graph.spatial.beside import Beside, read_beside
from reluflow.graph.spatial.known import read_with_shapes
from reluflow.graph.spatial.memory import live_bytes
from reluflow.graph.spatial.steps import Frame, Reads

_RANKS = (3, 4, 5)
"""Axes of a tensor with one to three axes of pixels."""
_UNARY = (
    *("Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu", "Celu"),
    *(
        "Softplus",
        "Softsign",
        "Mish",
        "Gelu",
        "ThresholdedRelu",
        "Clip",
        "Abs",
        "Neg",
        "Exp",
        "Log",
    ),
    *("Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Erf", "Identity", "Cast", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear", "Not", "LRN", "IsNaN", "Sin", "Cos"),
)
_NARY = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "PRelu", "Where", "Equal"),
    *("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "Mod"),
)
HANDLERS: dict[str, steps.Handler] = {
    **dict.fromkeys(_UNARY, steps.first_only),
    **dict.fromkeys(_NARY, steps.elementwise),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), steps.over_channels),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), steps.pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), steps.global_pooling),
    **dict.fromkeys(
        (
            *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"),
            *("ReduceProd", "ReduceSumSquare", "ReduceLogSumExp"),
        ),
        steps.reduction,
    ),
    "BatchNormalization": steps.normalisation,
    "Conv": steps.convolution,
    "ConvTranspose": steps.transposed_convolution,
    "Concat": steps.concatenation,
    "Split": steps.split,
    "Slice": steps.slicing,
    "Pad": steps.padding,
    "Resize": steps.resize,
    "Upsample": steps.resize,
    "DepthToSpace": steps.shuffle,
    "SpaceToDepth": steps.shuffle,
    "Transpose": steps.transposition,
}
_BEFORE_LAYOUT = {*_UNARY, *_NARY, "Slice", "Concat", "Split", "Pad", "Resize", "Upsample"}
"""Operators that may stand between an input with channels last and the Transpose that says so."""
_WITH_OPERANDS = {*_NARY, "Clip", "Concat", own_domain.FIXED_ADD, own_domain.FIXED_MUL}
"""Operators whose operands may have a value for each pixel, or one that comes from sizes."""
_NO_VALUES = ("Shape", "Size")
"""Operators that read no values, only how many there are."""


@dataclass(frozen=True, slots=True)
class SpatialEnd:
    """A node all of whose results depend on all of what it reads.

    `read_spatial` returns one for each node at which pixels end, and for those behind it.

    Attributes:
        node: its name.
        op: its operator.
        sources: tensors that it reads, with pixels or behind another end.
        targets: what it makes.
        reason: why its pixels cannot be told apart, in words; "" where it reads no pixels.
    """

    node: str
    op: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    reason: str

    def sentence(self) -> str:
        """Return where the pixels end and why.

        Example:
            >>> SpatialEnd("flat", "Flatten", ("x",), ("y",), "it has no pixels").sentence()
            "Pixels end at 'flat' (Flatten), since it has no pixels: it reads all of 'x'."
        """
        read = " and ".join(map(repr, self.sources))
        return (
            f"Pixels end at {self.node!r} ({self.op}), since {self.reason}: it reads all of {read}."
        )


@dataclass(frozen=True, slots=True)
class SpatialGraph:
    """The pixels of a graph for inputs of one size, as returned by `read_spatial`.

    Attributes:
        sizes: tensor with pixels -> their number along each axis, in graph order.
        axes: tensor -> its axes of pixels.
        shapes: tensor with pixels -> all of its sizes.
        dtypes: tensor with pixels -> its type.
        steps: what each tensor reads of another, and where pixels end, in graph order.
        beside: operands without pixels of operators that have some.
        live_bytes: of all tensors that are needed at a time, at most, if nodes run in their order;
            tensors whose shapes the graph does not tell are left out.
    """

    sizes: dict[str, tuple[int, ...]]
    axes: dict[str, tuple[int, ...]]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]
    steps: tuple[Reads | SpatialEnd, ...]
    beside: tuple[Beside, ...] = ()
    live_bytes: int = 0

    @property
    def ends(self) -> tuple[SpatialEnd, ...]:
        """Nodes that read pixels and do not keep them apart."""
        return tuple(s for s in self.steps if isinstance(s, SpatialEnd) and s.reason)

    def check(self, tensor: str) -> tuple[int, ...]:
        """Return the pixels of a tensor along each axis.

        Args:
            tensor: its name.

        Raises:
            DataError: it is no tensor of the graph, or has no pixels.
        """
        if tensor in self.sizes:
            return self.sizes[tensor]
        last = list(self.sizes)[-1:]
        instead = f"; the last that has some is {last[0]!r}" if last else ""
        raise DataError(
            f"tensor is {tensor!r}, which has no pixels or is not there{instead}; name a tensor "
            "with pixels, such as the input of the global pooling."
        )


def read_spatial(model: Model, inputs: Mapping[str, tuple[int, ...]]) -> SpatialGraph:
    """Read which pixels of its inputs each node's output pixels depend on, exactly.

    Pixels lie on the axes from the third on, `(n, c, h, w)`, or, behind and in front of a Transpose
    to channels last, on the axes in the middle. A tap of weight 0 counts as read; where a
    Resize falls on the border between two pixels both count, as runtimes differ there.

    Args:
        model: any model; weights are not read.
        inputs: input -> shape, the batch included.

    Returns:
        The sizes, the relations, and the nodes at which pixels end with the reason.

    Raises:
        DataError: no input has pixels.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2,H,W] x) => (float[N,2] y) { p = MaxPool <kernel_shape = [2,2]> (x)
        ...     r = Relu(p) f = GlobalAveragePool(r) y = Flatten(f) }''')
        >>> found = read_spatial(load(proto), {"x": (1, 2, 9, 8)})
        >>> found.sizes, found.check("p")
        ({'x': (9, 8), 'p': (8, 7), 'r': (8, 7), 'f': (1, 1)}, (8, 7))
        >>> found.steps[0].target, found.steps[0].maps[0].toarray()[0].tolist()
        ('p', [1, 1, 0, 0, 0, 0, 0, 0, 0])
        >>> [end.op for end in found.ends]
        ['Flatten']

    Reference: docs/attention.md, regions.
    """
    flat = read_graph(model)
    reader = read_with_shapes(Model(flat.proto, base_dir=model.base_dir), inputs)
    frame = Frame(reader, {})
    for name in inputs:
        shape = frame.shape(name)
        if shape is not None and len(shape) in _RANKS:
            frame.axes[name] = _axes_of_input(reader, name, len(shape))
    if not frame.axes:
        shapes = ", ".join(f"{name!r} {list(shape)}" for name, shape in inputs.items())
        raise DataError(
            f"inputs are {shapes or 'missing'}, of which none has pixels; give a model of pictures "
            "and the shape of its input."
        )
    found: list[Reads | SpatialEnd] = []
    beside: list[Beside] = []
    mixed: set[str] = set()  # what depends on pixels and has none
    computed = _names(reader) - _names(flat)  # what comes from sizes
    for node in reader.nodes:
        read_here = dict.fromkeys(reads(node))
        pixels = tuple(name for name in read_here if frame.has_pixels(name))
        others = tuple(name for name in read_here if name in mixed)
        if not (pixels or others) or node.op_type in _NO_VALUES:
            if node.op_type in _NO_VALUES or computed.intersection(read_here):
                computed.update(node.output)
            continue
        made = _read(frame, node) if pixels else Reason("")
        targets = tuple(filter(None, node.output))
        if isinstance(made, Reason):
            for name in targets:
                frame.axes.pop(name, None)
            mixed.update(targets)
            found.append(
                SpatialEnd(name_of(node), node.op_type, pixels + others, targets, made.text)
            )
            continue
        found += [replace(each, node=name_of(node), op=node.op_type) for each in made]
        if node.op_type in _WITH_OPERANDS:
            beside += read_beside(frame, node, computed, mixed)
        without = tuple(name for name in targets if not frame.has_pixels(name))
        mixed.update(without)
        if without:
            found.append(SpatialEnd(name_of(node), node.op_type, pixels + others, without, ""))
        if others:
            found.append(SpatialEnd(name_of(node), node.op_type, others, targets, ""))
    sizes = {name: frame.sizes(name) for name in frame.axes}
    all_sizes = {name: frame.shape(name) or () for name in frame.axes}
    dtypes = {name: _dtype(reader, name) for name in frame.axes}
    return SpatialGraph(
        sizes,
        dict(frame.axes),
        all_sizes,
        dtypes,
        tuple(found),
        tuple(beside),
        live_bytes(reader, inputs),
    )


def _dtype(reader: Reader, tensor: str) -> np.dtype[Any]:
    """Return a tensor's type; float32 where the graph does not tell."""
    known = reader.types.get(tensor)
    kind = known.elem_type if known is not None and known.elem_type else TensorProto.FLOAT
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind))


def _names(reader: Reader) -> set[str]:
    return {tensor.name for tensor in reader.graph.initializer}


def _read(frame: Frame, node: NodeProto) -> list[Reads] | Reason:
    domain = domain_of(node.domain)
    known = HANDLERS if not domain else own.HANDLERS if domain == OWN_DOMAIN else {}
    handler = known.get(node.op_type)
    if handler is None:
        return Reason(f"{node.op_type} does not keep pixels apart")
    if not frame.has_pixels(node.input[0]) and handler not in (
        steps.elementwise,
        steps.concatenation,
    ):
        return Reason("its first input has no pixels")
    return handler(frame, node)


def _axes_of_input(reader: Reader, name: str, rank: int) -> tuple[int, ...]:
    """Return the axes of pixels of an input: in the middle where the first Transpose says so."""
    last_first = [0, rank - 1, *range(1, rank - 1)]
    waiting, seen = [name], {name}
    while waiting:
        for node in reader.readers(waiting.pop(0)):
            if node.op_type == "Transpose":
                if attribute(node, "perm") == last_first:
                    return tuple(range(1, rank - 1))
            elif node.op_type in _BEFORE_LAYOUT:
                new = [each for each in node.output if each not in seen]
                seen.update(new)
                waiting += new
    return tuple(range(2, rank))
