"""What every tensor's values depend on: the inputs' values, chance, parameters, or sizes alone.

One pass in graph order, repeated while a loop carries something new into its body. Everything
that a node reads counts, captured outer values included; whatever is not certainly a function
of sizes and single constants counts as data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx import GraphProto, TensorProto

from reluflow.graph.proto.external import elements, graphs_of
from reluflow.graph.view.constants import constant
from reluflow.graph.view.index import Node, Scope

FIXED = 0
"""Only sizes and single constants."""
DATA = 1
"""Values of the model's inputs."""
CHANCE = 2
"""A random generator."""
PARAMETER = 16
"""Constants of several real numbers: weights, tables."""
# The same two of a tensor's *size*, each two bits above its own, so that multiplying and dividing
# by _DATA_SIZE turns one into the other.
_DATA_SIZE, _CHANCE_SIZE = 4, 8
_SIZES = _DATA_SIZE | _CHANCE_SIZE
_VALUES = DATA | CHANCE

_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
           "Multinomial"}  # fmt: skip
_KNOWN_DOMAINS = {"", "com.microsoft", "com.microsoft.nchwc", "ai.onnx.ml"}
_SIZED_BY_VALUES = {
    "NonZero", "Unique", "Compress", "NonMaxSuppression", "Reshape", "Slice", "Range", "Expand",
    "Tile", "Pad", "Resize", "Upsample", "TopK", "ConstantOfShape", "OneHot", "Trilu", "Unsqueeze",
    "Squeeze", "Split", "SplitToSequence", "SequenceAt", "SequenceErase", "SequenceInsert",
    "ConcatFromSequence", "Optional", "OptionalGetElement", "MaxUnpool", "MaxRoiPool", "STFT",
    "DFT", "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "ImageDecoder",
    "StringSplit", "TfIdfVectorizer", "CenterCropPad", "Col2Im", "AffineGrid", "Crop",
}  # fmt: skip
_PASSES = 8
"""Over a loop's body: each carries flags one value on. A guard; longer chains count as data."""


def dependence(main: Scope) -> dict[tuple[int, str], int]:
    """Judge every tensor of a model.

    Args:
        main: the main graph's scope.

    Returns:
        (id of the scope that defines it, name) -> `FIXED`, or `DATA`, `CHANCE` and `PARAMETER`
        joined by |.
    """
    flow = _Flow()
    flow.seed(main)
    while flow.changed:
        flow.changed = False
        flow.lost = flow.passes >= _PASSES  # a long chain of carried values: treat them as data
        flow.pass_over(main)
        flow.passes += 1
    return {key: flags & (_VALUES | PARAMETER) for key, flags in flow.flags.items()}


def depends(flags: dict[tuple[int, str], int], scope: Scope, tensor: str) -> int:
    """Return what a tensor read in a scope depends on; of unknown origin it is data."""
    home = scope.home(tensor)
    if home is None:
        return DATA
    return flags.get((id(home), tensor), _stored(home, tensor))


def is_random(node: Node, scope: Scope) -> bool:
    """Tell whether a node draws random numbers."""
    if node.op in _RANDOM:
        return True
    if node.op in ("BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"):
        position = 4 if "Bias" in node.op else 2
    elif node.op == "Dropout" and not node.domain:
        if node.attribute("is_test") is not None:
            return not node.number("is_test", 0)
        position = 2
    else:
        return False
    if len(node.inputs) <= position or not node.inputs[position]:
        return False
    mode = constant(scope, node.inputs[position])
    return mode is None or bool(mode.any())


def _stored(home: Scope, name: str) -> int:
    tensor = home.initializers.get(name)
    return FIXED if tensor is None else _of_constant(tensor)


def _of_constant(tensor: TensorProto) -> int:
    several = tensor.data_type in _REAL and elements(tensor) > 1
    return PARAMETER if several else FIXED


_REAL = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


@dataclass(slots=True)
class _Flow:
    """The flags found so far; they only grow, so the passes terminate."""

    flags: dict[tuple[int, str], int] = field(default_factory=dict)
    changed: bool = True
    lost: bool = False
    passes: int = 0

    def seed(self, main: Scope) -> None:
        for name in main.inputs:
            if name not in main.initializers:
                self.flags[id(main), name] = DATA

    def read(self, scope: Scope, names: Iterable[str]) -> int:
        """Join the flags of tensors that a node of this scope reads."""
        joined = 0
        for name in names:
            home = scope.home(name) if name else None
            if home is not None:
                joined |= self.flags.get((id(home), name), _stored(home, name))
            elif name:
                joined |= DATA | _DATA_SIZE
        return joined

    def grow(self, scope: Scope, name: str, flags: int) -> None:
        key = (id(scope), name)
        old = self.flags.get(key, FIXED)
        if name and old | flags != old:
            self.flags[key] = old | flags
            self.changed = True

    def pass_over(self, scope: Scope) -> None:
        for node in scope.nodes:
            inner = scope.inner.get(id(node), [])
            if inner:
                self._holder(scope, node, inner)
                continue
            found = self._plain(scope, node)
            for name in node.outputs:
                shape = scope.type_of(name).shape if found & _SIZES else None
                # Where inference found the shape after all, data could not have chosen it.
                is_fixed = shape is not None and all(isinstance(size, int) for size in shape)
                self.grow(scope, name, found & ~_SIZES if is_fixed else found)

    def _plain(self, scope: Scope, node: Node) -> int:
        read = self.read(scope, node.inputs)
        # An operator of which nothing is known may read a file, or draw a size from the data.
        if node.domain not in _KNOWN_DOMAINS:
            return read | DATA | _DATA_SIZE
        if node.op == "Constant":
            value = node.attribute("value")
            return _of_constant(value.t) if value else FIXED
        # Here a size becomes a value; the values of the input do not matter.
        if node.op in ("Shape", "Size") and not node.domain:
            return (read & _SIZES) // _DATA_SIZE
        if node.op == "EyeLike":
            return (read & _SIZES) | (read & _SIZES) // _DATA_SIZE
        if is_random(node, scope):
            read |= CHANCE
        if node.op in _SIZED_BY_VALUES:
            tables = node.inputs if node.op in _WHOLE else node.inputs[1:]
            read |= (self.read(scope, tables) & _VALUES) * _DATA_SIZE
        return read | (read & _SIZES) // _DATA_SIZE

    def _holder(self, scope: Scope, node: Node, inner: list[Scope]) -> None:
        """Pass through a node's subgraphs, and join what their results depend on."""
        graphs = [g for a in node.proto.attribute for g in graphs_of(a)]
        if node.op not in ("If", "Loop", "Scan") or node.domain or len(graphs) != len(inner):
            self._opaque(scope, node, inner)
            return
        for body, graph in zip(inner, graphs, strict=True):
            self._feed(scope, node, body, graph)
            self.pass_over(body)
            self._return(scope, node, body, graph)

    def _opaque(self, scope: Scope, node: Node, inner: list[Scope]) -> None:
        """A call that could not be inlined: all its results depend on everything in it."""
        read = self.read(scope, node.inputs)
        read |= (read & _VALUES) * _DATA_SIZE
        for body in inner:
            for name in body.inputs:
                self.grow(body, name, read)
            self.pass_over(body)
            read |= self.read(body, body.producers)
        for name in node.outputs:
            self.grow(scope, name, read | (read & _VALUES) * _DATA_SIZE)

    def _feed(self, scope: Scope, node: Node, body: Scope, graph: GraphProto) -> None:
        """Give the inputs of the body the flags of what they receive from outside."""
        names = [value.name for value in graph.input]
        given = list(node.inputs)
        # A Loop's body gets the iteration's number and whether it goes on: they tell the data what
        # the trip count and the condition told the loop.
        if node.op == "Loop":
            steering = self.read(scope, given[:2]) & _VALUES
            for name in names[:2]:
                self.grow(body, name, steering)
            names, given = names[2:], given[2:]
        elif node.op == "Scan" and len(given) > len(names):
            given = given[1:]  # opset 8: sequence lengths first
        for name, outer in zip(names, given, strict=False):
            self.grow(body, name, self.read(scope, [outer]))

    def _return(self, scope: Scope, node: Node, body: Scope, graph: GraphProto) -> None:
        """Pass the flags of what the body returns to the node's outputs and the next iteration."""
        results = [self.read(body, [value.name]) for value in graph.output]
        names = [value.name for value in graph.input]
        steering, carried = FIXED, len(names) - int(node.number("num_scan_inputs", 0))
        if node.op == "If":
            steering = self.read(scope, node.inputs[:1]) & _VALUES
            carried = 0
        elif node.op == "Loop":
            proceed = results[0] if results else FIXED
            steering = (self.read(scope, node.inputs[:2]) | proceed) & _VALUES
            for name in names[:2]:
                self.grow(body, name, steering)
            names, results, carried = names[2:], results[1:], len(names) - 2
        for name, found in zip(names[:carried], results, strict=False):
            self.grow(body, name, found | (DATA | _DATA_SIZE if self.lost else FIXED))
        for position, (name, found) in enumerate(zip(node.outputs, results, strict=False)):
            # Stacked over iterations, or of either branch: what steers decides the size as well.
            size = steering * _DATA_SIZE if node.op == "If" or position >= carried else FIXED
            if node.op == "Scan":
                size |= self.read(scope, node.inputs) & _SIZES
            self.grow(scope, name, found | steering | size)
        for name in node.outputs[len(results) :]:  # too few results: reported when run
            self.grow(scope, name, DATA | _DATA_SIZE)


_WHOLE = {"NonZero", "Unique", "Compress", "NonMaxSuppression", "Range", "ConstantOfShape",
          "SequenceAt", "ConcatFromSequence", "HannWindow", "HammingWindow", "BlackmanWindow",
          "MelWeightMatrix", "ImageDecoder", "StringSplit", "Optional",
          "OptionalGetElement"}  # fmt: skip
