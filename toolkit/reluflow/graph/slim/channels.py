"""Which channels can be taken out of a graph: who makes each, and who reads it as what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.rewrite.affine import ARITHMETIC, BATCH_NORM, read_batch_norm
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.linear import LINEAR_OPS, Linear, read_linear
from reluflow.graph.rewrite.reader import attribute, name_of, reads

Ids = NDArray[np.int64]
Bits = NDArray[np.bool_]
_SCALED = (
    *("Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("Identity", "Dropout"),
)
"""Operators on each channel alone with f(s x) = s f(x) for s > 0."""
_KEEP_ZERO = ("LeakyRelu", "Elu", "Gelu", "Abs", "Tanh", "Softsign")
"""Operators on each channel alone with f(0) = 0."""
_FLAT = ("Flatten", "Reshape")
_IGNORED = ("Shape", "Size")
_IMAGE = 2
"""Axes before those of an image: inputs and channels."""


class Channels:
    """The channels that a graph's layers make, numbered, and what stands against their removal.

    A channel is one number wherever it is passed on: by a BatchNormalization, a switch, pooling,
    a depthwise convolution, Concat or Flatten, which gives each of its pixels the same number.

    Attributes:
        ids: tensor -> numbers of its channels, along the axis that `axes` names.
        axes: tensor -> the axis of its channels.
        kept: number of a channel -> why it can never be taken out.
        read: number -> why it can be taken out only where nothing reads it: a layer reads it, and
            it is not known to be 0 there.
        unscaled: number -> why its reader does not see a multiple of the switch's result.
        lost: tensor without numbers -> why it has none.
        readers: layers that sum over channels, with the tensor that they sum over.
        makers: layers that make channels.
        passers: nodes that pass channels on and hold one number, filter or size for each.
    """

    def __init__(self, editor: Editor, off: Mapping[str, Bits]) -> None:
        """Walk through a graph.

        Args:
            editor: the graph.
            off: result of a switch -> `(channels,)` whether it is 0 for all data.
        """
        self._editor, self._off = editor, off
        self.ids: dict[str, Ids] = {}
        self.axes: dict[str, int] = {}
        self.kept: dict[int, str] = {}
        self.read: dict[int, str] = {}
        self.unscaled: dict[int, str] = {}
        self.lost: dict[str, str] = {}
        self.readers: list[tuple[Linear, str]] = []
        self.makers: list[Linear] = []
        self.passers: list[tuple[NodeProto, str]] = []
        self._zero: dict[str, Bits] = {}
        self._scaled: dict[str, Bits] = {}
        self._count = 0
        for name in editor.graph.input:
            self.lost[name.name] = f"input {name.name!r} holds it"
        for node in editor.nodes:
            self._visit(node)
        for value in editor.graph.output:
            self._keep(value.name, "it is an output of the model")

    def why(self, tensor: str) -> str:
        """Return why a tensor's channels have no numbers."""
        return self.lost.get(tensor, "no layer that can be followed makes it")

    def _visit(self, node: NodeProto) -> None:
        known = [name for name in dict.fromkeys(reads(node)) if name in self.ids]
        x = node.input[0] if node.input else ""
        if domain_of(node.domain):
            self._stop(node, known)
        elif node.op_type in LINEAR_OPS:
            self._layer(node, known)
        elif node.op_type in _IGNORED:
            return
        elif not known:
            self._lose(node)
        elif known != [x] and node.op_type not in ("Concat", *ARITHMETIC):
            self._stop(node, known)
        else:
            rule = self._rules().get(node.op_type)
            if rule is None or not rule(node):
                self._stop(node, known)

    def _rules(self) -> Mapping[str, Callable[[NodeProto], bool]]:
        return {
            **dict.fromkeys(_SCALED, self._pass_scaled),
            **dict.fromkeys(_KEEP_ZERO, self._pass_zero),
            **dict.fromkeys(ARITHMETIC, self._arithmetic),
            **dict.fromkeys(_FLAT, self._flatten),
            BATCH_NORM: self._norm,
            "Concat": self._concat,
            "Clip": self._clip,
        }

    def _lose(self, node: NodeProto) -> None:
        """Say for a node's results why they are not followed."""
        before = [self.lost[name] for name in node.input if name in self.lost]
        one = node.op_type in (*_SCALED, *_KEEP_ZERO, *_FLAT, BATCH_NORM) and before
        reason = before[0] if one else f"{_called(node)} makes it, which is no layer"
        self.lost.update(dict.fromkeys(filter(None, node.output), reason))

    def _stop(self, node: NodeProto, known: Iterable[str]) -> None:
        for name in known:
            self._keep(name, f"{_called(node)} reads it, which cannot do without a channel")
        reason = f"{_called(node)} makes it, which cannot leave out a channel"
        self.lost.update(dict.fromkeys(filter(None, node.output), reason))

    def _keep(self, tensor: str, reason: str) -> None:
        for number in self.ids.get(tensor, ()):
            self.kept.setdefault(int(number), reason)

    def _set(self, tensor: str, ids: Ids, axis: int, zero: Bits, scaled: Bits) -> None:
        if tensor in self._off and len(self._off[tensor]) == len(ids):
            maker = self._editor.producer(tensor)
            switch = maker is not None and maker.op_type == "Relu"
            zero, scaled = zero | self._off[tensor], np.full(len(ids), switch)
        self.ids[tensor], self.axes[tensor] = ids, axis
        self._zero[tensor], self._scaled[tensor] = zero, scaled

    def _layer(self, node: NodeProto, known: list[str]) -> None:
        linear = read_linear(self._editor, node)
        if isinstance(linear, Reason):
            self._stop(node, known)
            return
        if linear.add is not None:  # that Add is passed like any other arithmetic
            linear.add = linear.bias = None
        x, y = node.input[0], node.output[0]
        rank = self._editor.rank(x) or self._editor.rank(y)
        axis = rank - 1 if node.op_type == "MatMul" and rank else 1
        if known not in ([], [x]) or rank is None or attribute(node, "transA", 0):
            self._stop(node, known)
        elif linear.group == linear.n_inputs == linear.n_outputs > 1:
            self._depthwise(linear, known)
        elif linear.group > 1:
            self._stop(node, known)
        elif known and (self.axes[x] != axis or len(self.ids[x]) != linear.n_inputs):
            self._stop(node, known)
        else:
            if known:
                self._read(linear, x)
            self.makers.append(linear)
            new = np.arange(self._count, self._count + linear.n_outputs)
            self._count += linear.n_outputs
            no = np.zeros(len(new), bool)
            self._set(y, new, axis, no, no)

    def _read(self, linear: Linear, x: str) -> None:
        self.readers.append((linear, x))
        name = _called(linear.node)
        for number in self.ids[x][~self._zero[x]]:
            self.read.setdefault(int(number), f"{name} reads it where it is not 0 for all data")
        for number in self.ids[x][~self._scaled[x]]:
            self.unscaled.setdefault(int(number), f"{name} reads it behind other operators")

    def _depthwise(self, linear: Linear, known: list[str]) -> None:
        node = linear.node
        x, y = node.input[0], node.output[0]
        if not known or len(self.ids[x]) != linear.n_inputs or node.op_type != "Conv":
            self._stop(node, known)
            return
        bare = np.ones(linear.n_outputs, bool) if linear.bias is None else linear.bias == 0
        self.passers.append((node, x))
        no = np.zeros(linear.n_outputs, bool)
        self._set(y, self.ids[x], 1, self._zero[x] & bare, no)

    def _pass_scaled(self, node: NodeProto) -> bool:
        x = node.input[0]
        return self._pass(node, self._zero[x], self._scaled[x])

    def _pass_zero(self, node: NodeProto) -> bool:
        x = node.input[0]
        return self._pass(node, self._zero[x], np.zeros(len(self.ids[x]), bool))

    def _pass(self, node: NodeProto, zero: Bits, scaled: Bits) -> bool:
        x = node.input[0]
        pools = "Pool" in node.op_type
        if any(node.output[1:]) or (pools and self.axes[x] != 1):
            return False
        self._set(node.output[0], self.ids[x], self.axes[x], zero, scaled)
        return True

    def _clip(self, node: NodeProto) -> bool:
        bounds = [attribute(node, name) for name in ("min", "max")]
        for place, name in enumerate(node.input[1:]):
            value = self._editor.constant(name) if name else None
            if name and (value is None or value.size != 1):
                return False
            bounds[place] = None if value is None else float(value.reshape(()))
        low, high = (0.0 if bound is None else float(str(bound)) for bound in bounds)
        zero = self._zero[node.input[0]]
        holds = low <= 0 <= high
        return self._pass(node, zero & holds, np.zeros(len(zero), bool))

    def _norm(self, node: NodeProto) -> bool:
        x = node.input[0]
        affine = read_batch_norm(self._editor, node)
        if isinstance(affine, Reason) or self.axes[x] != 1:
            return False
        if affine.factor.size != len(self.ids[x]):
            return False
        self.passers.append((node, x))
        return self._pass(node, self._zero[x] & (affine.shift == 0), np.zeros_like(self._zero[x]))

    def _arithmetic(self, node: NodeProto) -> bool:
        """Pass channels through an operation with constants, one for all or one for each."""
        names = [name for name in node.input if name in self.ids]
        if len(names) != 1 or len(node.input) != 2:  # an Add of two branches, for example
            return False
        x = names[0]
        value = self._editor.constant(node.input[1 - list(node.input).index(x)])
        rank = self._editor.rank(x)
        if value is None or rank is None or value.ndim > rank:
            return False
        place = value.ndim - (rank - self.axes[x])
        along = value.shape[place] if place >= 0 else 1
        if any(size != 1 for at, size in enumerate(value.shape) if at != place):
            return False
        if along not in (1, len(self.ids[x])):
            return False
        zero = np.zeros(len(self.ids[x]), bool)
        if node.op_type == "Mul" or (node.op_type == "Div" and x == node.input[0]):
            zero = self._zero[x]
        elif node.op_type in ("Add", "Sub"):
            zero = self._zero[x] & (value.reshape(-1) == 0)
        self.passers.append((node, x))
        self._set(node.output[0], self.ids[x], self.axes[x], zero, np.zeros_like(zero))
        return True

    def _flatten(self, node: NodeProto) -> bool:
        """Give every pixel of a channel the channel's number."""
        x = node.input[0]
        before = self._editor.types.get(x)
        after = self._editor.rank(node.output[0])
        shape = None if before is None else before.shape
        if shape is None or self.axes[x] != 1 or after != _IMAGE:
            return False
        pixels = [size for size in shape[_IMAGE:] if isinstance(size, int)]
        if len(pixels) != len(shape) - _IMAGE:
            return False
        if node.op_type == "Flatten" and attribute(node, "axis", 1) != 1:
            return False
        repeat = int(np.prod(pixels, dtype=np.int64))
        if node.op_type == "Reshape":
            if not _flattens(self._editor, node, shape[0], len(self.ids[x]) * repeat):
                return False
            self.passers.append((node, x))
        self._set(
            node.output[0],
            np.repeat(self.ids[x], repeat),
            1,
            np.repeat(self._zero[x], repeat),
            np.repeat(self._scaled[x], repeat),
        )
        return True

    def _concat(self, node: NodeProto) -> bool:
        names = list(node.input)
        rank = self._editor.rank(node.output[0])
        axis = attribute(node, "axis")
        if rank is None or not isinstance(axis, int) or any(n not in self.ids for n in names):
            return False
        if any(self.axes[name] != axis % rank for name in names):
            return False
        joined = [
            np.concatenate([of[name] for name in names])
            for of in (self.ids, self._zero, self._scaled)
        ]
        self._set(node.output[0], joined[0], axis % rank, joined[1], joined[2])
        return True


def _flattens(editor: Editor, node: NodeProto, inputs: object, units: int) -> bool:
    """Tell whether a Reshape to two axes keeps each input in a row of its own."""
    sizes = editor.constant(node.input[1]) if len(node.input) > 1 else None
    if sizes is None or sizes.size != _IMAGE:
        return False
    rows, columns = (int(size) for size in sizes.reshape(-1))
    keeps = rows == 0 or columns == units or (rows == inputs and columns == -1)
    return keeps and columns in (-1, units)


def _called(node: NodeProto) -> str:
    return f"{node.op_type} {name_of(node)!r}"
