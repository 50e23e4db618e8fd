"""The PSB operators of a converted model, and successive ones without a switch in between."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto

from reluflow.errors import ModelError
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    ADDEND_PLACE,
    FIXED_CONV,
    FIXED_CONV_16,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    FROM_THE_RUN,
    OWN_DOMAIN,
    PSB_CONV,
    PSB_MATMUL,
    USUAL_P_BITS,
    USUAL_X_BITS,
    FixedPlace,
    PsbPlace,
)
from reluflow.graph.psb.factors import own_samples, read_count
from reluflow.graph.rewrite.contract import Refused
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import Reader, attribute, name_of, read_graph
from reluflow.graph.view.index import TensorType
from reluflow.psb import (
    LARGEST_NIBBLE,
    MAX_SAMPLES,
    N_PLANES_BESIDE_P,
    NIBBLE_BITS,
    PsbCode,
    unpack,
)
from reluflow.psb.fixed.chain16 import MOST_VALUE

_THROUGH = {
    *("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    *("Add", "Sub", "Sum", "Mean", "Neg", "Concat", "Split", "Slice", "Gather", "Pad", "Expand"),
    *("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "MaxPool", "GlobalMaxPool"),
    *("Resize", "Upsample", "DepthToSpace", "SpaceToDepth", "Tile", "BatchNormalization", "Conv"),
    *("ConvTranspose", "Gemm"),
}
"""Operators that pass noise on: linear ones, and maxima, which compare noise with noise."""
_FACTORS = ("Mul", "Div", "MatMul")
_LAST_BYTE = 255
_BOUNDS = (("y_min", 0), ("y_max", _LAST_BYTE))
_BOUNDS_16 = (("y_min", -MOST_VALUE), ("y_max", MOST_VALUE))
_BYTE_BITS = 8


@dataclass(frozen=True, slots=True)
class PsbNode:
    """One PSB operator of a model, as returned by `find_psb`.

    Attributes:
        name: the node's name, else its output's.
        op: "PsbConv", "PsbMatMul"; in a chain "FixedConv", "FromFixedConv" or "FromFixedMatMul"
            (bytes), or "FixedConv16" (int16).
        x: the tensor that it multiplies.
        output: the tensor that it makes.
        weight_shape: as stored, output channels first.
        p_bits: bits of a probability.
        sampler: "systematic", "binomial" or "nearest".
        draws: "run" or "product".
        rounding: of bits that a run shifts out: "carried", or "half" in older files.
        smallest: j of the smallest weight that is not 0, in octaves below the largest of its
            channel.
        stream: number of the node in the model, part of the key of its random bits.
        x_bits: bits of a fixed-point activation.
        x_exponent: the calibrated f, None: taken from each run.
        adds: the tensor that it adds to its sum before the activation, None: nothing.
        activation: "none", "relu", "clip", or "table" in a chain.
        zeros: weights that are 0.
        stored_bytes: bytes of bit planes and exponents.
        positions: outputs per channel for one input of the model; None where shapes do not tell.
        factor: its number of samples over that of the run, a power of two.
        inside: the node that holds the subgraph in which it stands, "": the main graph.
    """

    name: str
    op: str
    x: str
    output: str
    weight_shape: tuple[int, ...]
    p_bits: int
    sampler: str
    draws: str
    rounding: str
    smallest: int
    stream: int
    x_bits: int
    x_exponent: int | None
    adds: str | None
    activation: str
    zeros: int
    stored_bytes: int
    positions: int | None
    factor: float = 1.0
    inside: str = ""

    @property
    def weights(self) -> int:
        """Number of weights, zeros included."""
        return math.prod(self.weight_shape)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, exponents and padding included."""
        return 8 * self.stored_bytes / self.weights

    @property
    def products(self) -> int | None:
        """Multiplications for one input of the model, by weights that are not 0."""
        if self.positions is None:
            return None
        return (self.weights - self.zeros) * self.positions

    def samples(self, samples: int) -> int:
        """Return the number of samples that it draws in a run; 0 stays 0.

        Args:
            samples: n of the run.

        Example:
            >>> from reluflow.graph import load, to_psb, with_sample_factors
            >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
            >>> name = find_psb(psb)[0].name
            >>> find_psb(with_sample_factors(psb, {name: 4}).model)[0].samples(8)
            32
        """
        return own_samples(samples, self.factor)

    def shift_adds(self, samples: int) -> int | None:
        """Return the shift-adds for one input of the model; None where shapes do not tell.

        Args:
            samples: n of the run; 0 counts as 64.
        """
        if self.products is None:
            return None
        return (self.samples(samples) or MAX_SAMPLES) * self.products


@dataclass(frozen=True, slots=True)
class Succession:
    """Two stochastic multiplications without a switch in between; see `find_successions`.

    Attributes:
        first: name of the PSB operator in front.
        second: name of the one after it.
        through: operators on the shortest path from one to the other, in order.
    """

    first: str
    second: str
    through: tuple[str, ...]


def find_psb(model: Model) -> tuple[PsbNode, ...]:
    """Return the PSB operators of a model: of its main graph, then of the subgraphs in it.

    Args:
        model: a converted model; any other has none.

    Raises:
        ModelError: an operator's bit planes or exponents are computed, or an input of the graph.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_psb, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> (node,) = find_psb(converted)
        >>> node.op, node.weight_shape, node.p_bits, node.activation, node.shift_adds(samples=16)
        ('PsbMatMul', (2, 2), 4, 'relu', 64)
    """
    return tuple(node for nodes in psb_by_graph(model) for node in nodes)


def psb_by_graph(model: Model) -> tuple[tuple[PsbNode, ...], ...]:
    """Return what `find_psb` does, for each graph: the main one, then the subgraphs in it."""
    if not holds_psb(model):
        return ()
    main = read_graph(model)
    return tuple(_found(main, reader) for reader in main.everywhere())


def _found(main: Reader, reader: Reader) -> tuple[PsbNode, ...]:
    """Return the operators of one graph."""
    found = []
    for node in filter(is_psb, reader.nodes):
        planes, emax = _stored(reader, node)
        added = addend(node) if _has_addend(reader, node) else None
        count = read_count(main, node.input[PsbPlace.SAMPLES])
        described = _describe(reader, node, planes, emax, added)
        inside = "" if reader.owner is None else name_of(reader.owner)
        found.append(replace(described, factor=count.factor, inside=inside))
    return tuple(found)


def holds_psb(model: Model) -> bool:
    """Tell whether a model holds a PSB operator, in its main graph or in a subgraph."""
    return any(is_psb(node) for graph in walk_graphs(model._proto) for node in graph.node)


def _stored(reader: Reader, node: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """Return the bit planes and exponents of an operator."""
    planes, emax = (reader.constant(name) for name in node.input[PsbPlace.W : PsbPlace.EMAX + 1])
    if planes is None or emax is None:
        what, place = ("W", PsbPlace.W) if planes is None else ("emax", PsbPlace.EMAX)
        raise ModelError(
            f"node {name_of(node)!r} ({node.op_type}) computes its input {what}, "
            f"{node.input[place]!r}, or takes it from outside, so its weights are not "
            "known; give a model that stores them."
        )
    shape = _weight_shape(node)
    wanted = (N_PLANES_BESIDE_P + _p_bits(node), -(-math.prod(shape) // 8))
    types_fit = planes.dtype == np.uint8 and emax.dtype == np.int8
    if not types_fit or planes.shape != wanted or emax.shape != shape[:1]:
        raise ModelError(
            f"node {name_of(node)!r} ({node.op_type}) has bit planes {planes.dtype} "
            f"{planes.shape} and exponents {emax.dtype} {emax.shape}; weights of shape {shape} at "
            f"p_bits {_p_bits(node)} need uint8 {wanted} and int8 {shape[:1]}; convert the float "
            "model again."
        )
    return planes, emax


def psb_inputs(model: Model) -> tuple[str, str]:
    """Return the names of a converted model's inputs for the number of samples and the seed.

    Args:
        model: a model of `to_psb`.

    Raises:
        ModelError: the model has no PSB operator.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, psb_inputs, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> psb_inputs(converted)
        ('samples', 'seed')
    """
    graphs = walk_graphs(model._proto)
    node = next((node for graph in graphs for node in graph.node if is_psb(node)), None)
    if node is not None:
        count = read_count(read_graph(model), node.input[PsbPlace.SAMPLES])
        return count.source, str(node.input[PsbPlace.SEED])
    raise ModelError("the model has no PSB operator; convert it with to_psb first.")


def psb_places(editor: Editor) -> list[tuple[Editor, NodeProto]]:
    """Return the PSB operators of a model, each with the editor of the graph in which it stands."""
    graphs = editor.everywhere()
    return [(place, node) for place in graphs for node in filter(is_psb, place.nodes)]


def outside_chains(editor: Editor) -> list[Refused]:
    """Return the PSB operators in subgraphs, which no chain of the main graph can take in."""
    reason = "it stands in a subgraph, which floats enter"
    inner = [node for place, node in psb_places(editor) if place is not editor]
    return [Refused(name_of(node), node.op_type, reason) for node in inner]


_OF_BYTES = (FIXED_CONV, FROM_FIXED_CONV, FROM_FIXED_MATMUL)
_TO_FLOATS = (FROM_FIXED_CONV, FROM_FIXED_MATMUL)
_OPERATORS = (PSB_CONV, PSB_MATMUL, FIXED_CONV_16, *_OF_BYTES)


def is_psb(node: NodeProto) -> bool:
    """Tell whether a node is a PSB operator."""
    return node.domain == OWN_DOMAIN and node.op_type in _OPERATORS


def passes_bytes(node: NodeProto) -> bool:
    """Tell whether a node is a PSB operator of a chain of bytes, with weights on the 8-bit grid."""
    return node.domain == OWN_DOMAIN and node.op_type in _OF_BYTES


def passes_integers(node: NodeProto) -> bool:
    """Tell whether a node is a PSB operator of a chain of either width."""
    return passes_bytes(node) or (node.domain == OWN_DOMAIN and node.op_type == FIXED_CONV_16)


def refuse_chains(model: Model, what: str) -> None:
    """Refuse a model with chains where only PSB operators of floats make sense.

    Args:
        model: a converted model.
        what: what cannot be done, for the sentence.

    Raises:
        ModelError: an operator passes bytes or int16.
    """
    for node in filter(passes_integers, model._proto.graph.node):
        passed = "bytes" if passes_bytes(node) else "int16"
        raise ModelError(
            f"node {name_of(node)!r} passes {passed} in a chain, so {what}; give the model as it "
            "was converted without chains."
        )


def refuse_bytes(model: Model, what: str) -> None:
    """Refuse a model with chains of bytes, whose weights are drawn on the 8-bit grid.

    Args:
        model: a converted model.
        what: what cannot be done, for the sentence.

    Raises:
        ModelError: an operator passes bytes.
    """
    for node in filter(passes_bytes, model._proto.graph.node):  # subgraphs pass floats
        raise ModelError(
            f"node {name_of(node)!r} passes bytes in a chain, so {what}; give the model as it was "
            "converted without chains."
        )


def activation_of(reader: Reader, node: NodeProto) -> str:
    """Return what a PSB operator does to its sums last: none, relu, clip or table."""
    if not passes_integers(node):
        return str(attribute(node, "activation", "none"))
    if not passes_bytes(node):
        return _activation16(node)
    if node.op_type in _TO_FLOATS:
        return "none"
    if len(node.input) > FixedPlace.TABLE and node.input[FixedPlace.TABLE]:
        table = reader.constant(node.input[FixedPlace.TABLE])
        if table is None or table.size:  # an empty one stands for none
            return "table"
    low, high = (int(str(attribute(node, key, usual))) for key, usual in _BOUNDS)
    if high < _LAST_BYTE or low > int(str(attribute(node, "y_zero", 0))):
        return "clip"
    return "relu" if low == attribute(node, "y_zero", 0) else "none"


def _activation16(node: NodeProto) -> str:
    """Return the activation that the bounds of int16 stand for; those of x_bits alone are none."""
    most = (1 << (_x_bits(node) - 1)) - 1
    low, high = (int(str(attribute(node, key, usual))) for key, usual in _BOUNDS_16)
    if high < most or (low > -most and low != 0):
        return "clip"
    return "relu" if low == 0 else "none"


def addend(node: NodeProto) -> str | None:
    """Return the tensor that a PSB operator adds to its sum, which may be empty."""
    place = ADDEND_PLACE.get(node.op_type, len(node.input))
    return (node.input[place] or None) if len(node.input) > place else None


def code_of(node: NodeProto, planes: np.ndarray, emax: np.ndarray) -> PsbCode:
    """Return the weight code that a node's constants hold."""
    rounding = str(attribute(node, "rounding", "half"))
    return unpack(planes, _weight_shape(node), emax, len(planes) - N_PLANES_BESIDE_P, rounding)


def _p_bits(node: NodeProto) -> int:
    return int(str(attribute(node, "p_bits", USUAL_P_BITS)))


def _weight_shape(node: NodeProto) -> tuple[int, ...]:
    return tuple(attribute(node, "weight_shape"))  # type: ignore[arg-type]


def _describe(
    reader: Reader, node: NodeProto, planes: np.ndarray, emax: np.ndarray, added: str | None
) -> PsbNode:
    exponent = int(str(attribute(node, "x_exponent", FROM_THE_RUN)))
    shape, p_bits = _weight_shape(node), len(planes) - N_PLANES_BESIDE_P
    nonzero = np.bitwise_or.reduce(planes[p_bits : p_bits + NIBBLE_BITS], axis=0)
    return PsbNode(
        name=name_of(node),
        op=node.op_type,
        x=node.input[PsbPlace.X],
        output=node.output[0],
        weight_shape=shape,
        p_bits=p_bits,
        sampler=str(attribute(node, "sampler", "systematic")),
        draws=str(attribute(node, "draws", "run")),
        rounding=str(attribute(node, "rounding", "half")),
        smallest=_smallest(planes),
        stream=int(str(attribute(node, "stream", 0))),
        x_bits=_x_bits(node),
        x_exponent=None if exponent == FROM_THE_RUN else exponent,
        adds=added,
        activation=activation_of(reader, node),
        zeros=math.prod(shape) - int(np.unpackbits(nonzero).sum()),
        stored_bytes=planes.size + emax.size,
        positions=_positions(node, reader.types.get(node.output[0])),
    )


def _x_bits(node: NodeProto) -> int:
    return _BYTE_BITS if passes_bytes(node) else int(str(attribute(node, "x_bits", USUAL_X_BITS)))


def _smallest(planes: np.ndarray) -> int:
    """Return j of the smallest weight that is not 0, without unpacking the planes."""
    bits = planes[-N_PLANES_BESIDE_P:-1]  # the nibble; the sign comes after it
    for nibble in range(1, LARGEST_NIBBLE + 1):
        wanted = [bits[b] if nibble >> b & 1 else ~bits[b] for b in range(NIBBLE_BITS)]
        if np.bitwise_and.reduce(wanted, axis=0).any():
            return LARGEST_NIBBLE - nibble
    return 0


def _positions(node: NodeProto, known: TensorType | None) -> int | None:
    if known is None or known.shape is None:
        return None
    first = node.op_type in (PSB_CONV, FROM_FIXED_CONV)
    sizes = known.shape[2:] if first else known.shape[1:-1]  # bytes: NHWC
    numbers = [size for size in sizes if isinstance(size, int)]
    return math.prod(numbers) if len(numbers) == len(sizes) else None


def find_successions(model: Model) -> tuple[Succession, ...]:
    """Return every pair of PSB operators of a graph with a path without a switch between them.

    The noise of the first is then multiplied by the noise of the second; the thesis warns of this
    for batch normalisation after additions.

    Args:
        model: a converted model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_successions, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { [one] a = MatMul(x, w) b = Neg(a) [two] y = MatMul(b, w) }''')
        >>> converted = to_psb(load(proto)).model
        >>> [(pair.first, pair.second, pair.through) for pair in find_successions(converted)]
        [('one', 'two', ('Neg',))]

    Reference: thesis 4.2.3, Fig. 4.3; docs/spec.md, section 7.
    """
    found = []
    for reader in read_graph(model).everywhere():
        for node in reader.nodes:
            if is_psb(node) and activation_of(reader, node) == "none":
                found += _reached(reader, node)
    return tuple(found)


def _reached(reader: Reader, first: NodeProto) -> list[Succession]:
    """Walk forwards from one operator, breadth first, until switches end all paths.

    An addition that an operator took over is a step of its own.
    """
    found: dict[str, Succession] = {}
    seen = {first.output[0]}
    own = ("Add",) if _has_addend(reader, first) else ()
    queue: list[tuple[str, tuple[str, ...]]] = [(first.output[0], own)]
    for tensor, way in queue:
        for node in reader.readers(tensor):
            if is_psb(node) and node.input[PsbPlace.X] == tensor:
                name = name_of(node)
                found.setdefault(name, Succession(name_of(first), name, way))
            step = _step(reader, node, tensor)
            fresh = [name for name in node.output if name not in seen] if step else []
            seen.update(fresh)
            queue += [(name, (*way, step)) for name in fresh]
    return list(found.values())


def _has_addend(reader: Reader, node: NodeProto) -> bool:
    added = addend(node)
    constant = None if added is None else reader.constant(added)
    return added is not None and (constant is None or constant.size > 0)


def _step(reader: Reader, node: NodeProto, tensor: str) -> str:
    """Return the operator by which a node passes on the noise of a tensor, "" if it does not."""
    if is_psb(node):
        adds = addend(node) == tensor and activation_of(reader, node) == "none"
        return "Add" if adds else ""
    return str(node.op_type) if _passes(reader, node, tensor) else ""


def _passes(reader: Reader, node: NodeProto, tensor: str) -> bool:
    """Tell whether a node passes on the noise of a tensor without a switch."""
    if domain_of(node.domain):
        return False
    if node.op_type in _FACTORS:
        others = [name for name in node.input if name != tensor]
        return all(reader.constant(name) is not None for name in others) and bool(others)
    return node.op_type in _THROUGH and tensor in node.input
