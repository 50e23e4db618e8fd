"""Which channels of a float model can be scaled: by one factor each, undone by who reads them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import Reader, attribute, read_graph, reads
from reluflow.graph.tuning.layers import Layer, Numbers, read_layers, with_numbers

_I64 = NDArray[np.int64]
_F64 = NDArray[np.float64]
NO_GROUP = -1
"""In place of a group: the channel is 0, which any factor leaves as it is."""
_SAME = (
    *("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("Identity", "Dropout"),
)
"""Operators that a positive factor of a channel passes: f(s x) = s f(x)."""
_SAME_BESIDE = ("PRelu", "Resize", "Upsample")
"""Such operators whose further inputs, slopes or sizes, hold no scaled channels."""
_INPUTS_OF_PAD = 3
"""Those of a Pad whose axes are not named."""
_IGNORED = ("Shape", "Size")
"""Operators that read no numbers of a tensor."""


@dataclass(frozen=True, slots=True, eq=False)
class ScalableChannels:
    """What `scalable_channels` finds: channels that share a factor are of one group.

    Attributes:
        groups: tensor `(N, C, ...)` -> `(C,)` number of each channel's group, `NO_GROUP` for zeros.
        count: number of groups.
        fixed: numbers of the groups that keep the factor 1.
        bounds: result of a Clip -> its upper bound; the lower one is 0. All its channels are of one
            group, and the factor moves the bound.
        layers: that make and read scaled channels.

    Example:
        >>> groups = {"r": np.array([1, 2, NO_GROUP])}
        >>> found = ScalableChannels(groups, 3, frozenset({0}), {}, ())
        >>> found.of("r", np.array([1.0, 4.0, 2.0])).tolist(), found.is_free("r")
        ([4.0, 2.0, 1.0], True)
        >>> found.groups_of(["r"]).tolist()
        [1, 2]
    """

    groups: Mapping[str, _I64]
    count: int
    fixed: frozenset[int]
    bounds: Mapping[str, float]
    layers: tuple[Layer, ...]

    def of(self, tensor: str, factors: _F64) -> _F64:
        """Return the factors of a tensor's channels.

        Args:
            tensor: of `groups`.
            factors: `(count,)`, those of the groups.

        Returns:
            `(C,)`, 1 where a channel is 0.
        """
        groups = self.groups[tensor]
        return np.where(groups >= 0, factors[groups], 1.0)

    def groups_of(self, tensors: Collection[str]) -> _I64:
        """Return the groups of some tensors, each once, without that of zeros.

        Args:
            tensors: of `groups`.
        """
        found = np.unique(np.concatenate([self.groups[name] for name in tensors]))
        return found[found >= 0]

    def is_free(self, tensor: str) -> bool:
        """Tell whether any channel of a tensor may have another factor than 1.

        Args:
            tensor: of `groups`.
        """
        return not self.fixed.issuperset(self.groups_of([tensor]).tolist())


def scalable_channels(model: Model, exclude: Collection[str] = ()) -> ScalableChannels:
    """Return the channels that layers make and layers read, with only homogeneous nodes between.

    Args:
        model: a float model, folded and raised as `plan_psb` leaves it.
        exclude: names of layers that stay as they are.

    Returns:
        The groups of channels. Additions tie channels of their operands together, Concat
        keeps them apart; whatever else reads a channel fixes its factor at 1.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y)
        ...     <float[2,1,1] w = {0.5, 1}, float[1,2,1] v = {1, 1}>
        ...     { h = Conv(x, w) r = Relu(h) y = Conv(r, v) }''')
        >>> found = scalable_channels(load(proto))
        >>> found.groups["r"].tolist(), sorted(found.fixed)
        ([1, 2], [0, 3])

    Reference: Nagel et al. (2019), arXiv:1906.04721, section 4.1.
    """
    layers, _ = read_layers(model, exclude)
    walk = _Walk(read_graph(model), {layer.output: layer for layer in layers})
    for spec in model.inputs:
        walk.fix(walk.new(spec.name, _channels(walk.reader, spec.name)))
    for node in walk.reader.nodes:
        walk.visit(node)
    for name in model.outputs:
        walk.fix(walk.groups.get(name))
    return walk.found(layers)


class _Walk:
    """Goes through a graph in order and ties channels together."""

    def __init__(self, reader: Reader, layers: Mapping[str, Layer]) -> None:
        self.reader = reader
        self.groups: dict[str, _I64] = {}
        self._layers = layers
        self._same: list[int] = []
        self._fixed: set[int] = set()
        self._bounds: dict[str, float] = {}

    def new(self, tensor: str, channels: int | None) -> _I64 | None:
        """Give a tensor's channels groups of their own."""
        if channels is None:
            return None
        start = len(self._same)
        self._same += range(start, start + channels)
        self.groups[tensor] = np.arange(start, start + channels)
        return self.groups[tensor]

    def fix(self, ids: _I64 | None) -> None:
        """Keep the factors of some groups at 1."""
        if ids is not None:
            self._fixed.update(int(i) for i in ids if i >= 0)

    def visit(self, node: NodeProto) -> None:
        """Find the groups of a node's outputs."""
        inputs = [name for name in node.input if name]
        layer = self._layer(node)
        if layer is not None:
            if node.output[0] == layer.output:
                self._make(layer)
            return
        known = [name for name in reads(node) if name in self.groups]
        if not known or (node.op_type in _IGNORED and not domain_of(node.domain)):
            return
        rule = self._rule(node)
        made = rule(node, inputs) if rule is not None and len(node.output) == 1 else None
        if made is None:
            for name in known:
                self.fix(self.groups[name])
            for name in node.output:
                self.fix(self.new(name, _channels(self.reader, name)))
        else:
            self.groups[node.output[0]] = made

    def _layer(self, node: NodeProto) -> Layer | None:
        """Return the layer that a node is the product or the bias of."""
        own = self._layers.get(node.output[0])
        if own is not None:
            return own
        after = self.reader.sole_reader(node.output[0])
        behind = self._layers.get(after.output[0]) if after is not None else None
        is_part = behind is not None and behind.x in node.input and behind.op == node.op_type
        return behind if is_part else None

    def _make(self, layer: Layer) -> None:
        groups = self.groups.get(layer.x)
        group = int((layer.window or {}).get("group", 1))
        fits = groups is not None and len(groups) == layer.weights.shape[1] * group
        channels = len(layer.weights)
        flat = self.reader.rank(layer.output) == 2 or layer.window is not None
        made = self.new(layer.output, channels)
        if not flat:
            self.fix(made)
        if not fits or not flat:
            self.fix(groups)

    def _rule(self, node: NodeProto) -> Callable[[NodeProto, Sequence[str]], _I64 | None] | None:
        if domain_of(node.domain):
            return None
        if node.op_type in _SAME or node.op_type in _SAME_BESIDE:
            return self._pass
        return {
            "Add": self._tie,
            "Concat": self._join,
            "Clip": self._bound,
            "Pad": self._pad,
        }.get(node.op_type)

    def _pass(self, node: NodeProto, inputs: Sequence[str]) -> _I64 | None:
        if inputs[0] not in self.groups or any(name in self.groups for name in inputs[1:]):
            return None
        if node.op_type == "Resize" and attribute(node, "mode", "nearest") == "cubic":
            return None
        return self.groups[inputs[0]]

    def _tie(self, node: NodeProto, inputs: Sequence[str]) -> _I64 | None:
        if len(inputs) != 2 or any(name not in self.groups for name in inputs):
            return None
        a, b = (self.groups[name] for name in inputs)
        if len(a) != len(b):
            return None
        for i, j in zip(a, b, strict=True):
            if i >= 0 and j >= 0:
                self._unite(int(i), int(j))
        return np.where(a >= 0, a, b)

    def _join(self, node: NodeProto, inputs: Sequence[str]) -> _I64 | None:
        rank = self.reader.rank(node.output[0])
        axis = attribute(node, "axis")
        if rank is None or not isinstance(axis, int) or axis % rank != 1:
            return None
        found = []
        for name in inputs:
            zeros = self.reader.constant(name)
            if zeros is not None and not zeros.any() and zeros.ndim > 1:
                found.append(np.full(zeros.shape[1], NO_GROUP))
            elif name in self.groups:
                found.append(self.groups[name])
            else:
                return None
        return np.concatenate(found)

    def _bound(self, node: NodeProto, inputs: Sequence[str]) -> _I64 | None:
        bounds = [self.reader.constant(name) for name in node.input[1:]]
        if len(bounds) != len(("low", "high")) or inputs[0] not in self.groups:
            return None
        low, high = bounds
        if low is None or high is None or low.size != 1 or high.size != 1:
            return None
        if float(low.reshape(())) != 0 or self.reader.sole_reader(inputs[0]) is None:
            return None
        groups = self.groups[inputs[0]]
        real = [int(i) for i in groups if i >= 0]
        for i in real:
            self._unite(real[0], i)
        self._bounds[node.output[0]] = float(high.reshape(()))
        return groups

    def _pad(self, node: NodeProto, inputs: Sequence[str]) -> _I64 | None:
        pads = self.reader.constant(inputs[1]) if len(inputs) > 1 else None
        groups = self.groups.get(inputs[0])
        if groups is None or pads is None or len(node.input) > _INPUTS_OF_PAD:
            return None
        value = self.reader.constant(inputs[2]) if len(inputs) > 2 else None
        if attribute(node, "mode", "constant") == "constant" and value is not None and value.any():
            return None
        rank = len(pads) // 2
        if pads[0] or pads[rank] or (len(inputs) > 2 and value is None):
            return None
        ends = [np.full(int(n), NO_GROUP) for n in (pads[1], pads[rank + 1])]
        return np.concatenate([ends[0], groups, ends[1]])

    def _unite(self, a: int, b: int) -> None:
        a, b = self._root(a), self._root(b)
        self._same[max(a, b)] = min(a, b)

    def _root(self, i: int) -> int:
        while self._same[i] != i:
            self._same[i] = i = self._same[self._same[i]]
        return i

    def found(self, layers: tuple[Layer, ...]) -> ScalableChannels:
        """Return what was found, with the groups numbered anew."""
        roots = np.array([self._root(i) for i in range(len(self._same))] + [NO_GROUP], np.int64)
        kept, numbers = np.unique(roots[:-1], return_inverse=True)
        numbers = np.append(numbers, NO_GROUP)
        groups = {name: numbers[ids] for name, ids in self.groups.items()}
        fixed = frozenset(int(numbers[i]) for i in self._fixed)
        return ScalableChannels(groups, len(kept), fixed, dict(self._bounds), layers)


def _channels(reader: Reader, tensor: str) -> int | None:
    known = reader.types.get(tensor)
    if known is None or known.shape is None or len(known.shape) < 2:
        return None
    size = known.shape[1]
    return size if isinstance(size, int) else None


def scale_channels(
    model: Model,
    channels: ScalableChannels,
    factors: _F64,
) -> Rewritten[tuple[str, ...]]:
    """Return a copy of a model whose channels are larger by some factors, and its results the same.

    Args:
        model: the model that `channels` were found in; not changed.
        channels: of `scalable_channels`.
        factors: `(count,)` above 0, of each group; 1 for the fixed ones.

    Returns:
        The new model and the names of the layers that were changed.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y)
        ...     <float[2,1,1] w = {0.5, 1}, float[1,2,1] v = {1, 1}>
        ...     { [a] h = Conv(x, w) r = Relu(h) [b] y = Conv(r, v) }''')
        >>> found = scalable_channels(load(proto))
        >>> scale_channels(load(proto), found, np.array([1.0, 4.0, 2.0, 1.0])).done
        ('a', 'b')

    Reference: Nagel et al. (2019), arXiv:1906.04721, section 4.1.
    """
    numbers = {}
    for layer in channels.layers:
        made, read = (
            channels.of(name, factors) if name in channels.groups else np.ones(1)
            for name in (layer.output, layer.x)
        )
        if np.all(made == 1) and np.all(read == 1):
            continue
        scaled = layer.weights * made.reshape(-1, *[1] * (layer.weights.ndim - 1))
        scaled = scaled / (_along_inputs(layer, read) if len(read) > 1 else read[0])
        numbers[layer.output] = Numbers(scaled.astype(np.float32), layer.bias * made)
    done = with_numbers(model, numbers)
    editor = Editor(done.model)
    for node in list(editor.nodes):
        tensor = node.output[0]
        if node.op_type == "Clip" and tensor in channels.bounds:
            factor = channels.of(tensor, factors).max()
            value = np.float32(channels.bounds[tensor] * factor)
            name = editor.add_initializer(tensor, "bound", np.asarray(value))
            editor.set_input(node, 2, name)
    return editor.finish(done.done)


def _along_inputs(layer: Layer, read: _F64) -> _F64:
    """Shape `(inputs,)` numbers so that they divide a layer's weights."""
    group = int((layer.window or {}).get("group", 1))
    per_group = read.reshape(group, -1)
    spread = np.repeat(per_group, len(layer.weights) // group, axis=0)
    return spread.reshape(*spread.shape, *[1] * (layer.weights.ndim - 2))
