"""Cross-layer equalisation: channels of one layer made as loud as those of the next ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.graph.tuning.layers import Layer, Numbers, read_layers, with_numbers

_F64 = NDArray[np.float64]
SWEEPS = 20
"""Passes over all pairs at most; factors settle after a few, as each is a power of two."""
_LARGEST_STEP = 10
"""Octaves that one pass moves a channel by at most, so that no number leaves its range at once."""
_PASSES = ("Relu", "LeakyRelu")
_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool")


@dataclass(frozen=True, slots=True)
class Equalised:
    """Two layers between which channels were scaled; part of what `equalise` returns.

    Attributes:
        first: name of the layer whose outputs were divided.
        second: name of the layer whose weights were multiplied.
        octaves: the largest change of a channel, log2 of the factor.
    """

    first: str
    second: str
    octaves: int


@dataclass(eq=False, slots=True)
class _Pair:
    """Indices of two layers, and the log2 of what the first one's channels were divided by."""

    first: int
    second: int
    moved: NDArray[np.int64]


def equalise(model: Model, exclude: Collection[str] = ()) -> Rewritten[tuple[Equalised, ...]]:
    """Move factors of channels from one layer to the next, so that both have even ranges.

    Channel i of the first layer is divided by s_i, and the weights that read it are multiplied by
    it; s_i = sqrt(r_i / q_i) with r_i and q_i the largest weights of the channel in both layers,
    rounded to a power of two, so that in float32 every result is the same to the last bit. What
    gains is what shares one scale between channels: activations of few bits, and the 8-bit grid.

    Args:
        model: a float model, folded and raised as `plan_psb` leaves it; not changed.
        exclude: names of layers that stay as they are.

    Returns:
        The new model with the pairs of layers that were changed; and the layers whose outputs
        cannot be scaled, with the reason.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1] x) => (float[N,1] y)
        ...     <float[1,2] w = {64, 1}, float[2,1] v = {1, 1}>
        ...     { [a] h = MatMul(x, w) r = Relu(h) [b] y = MatMul(r, v) }''')
        >>> made = equalise(load(proto))
        >>> made.done[0].octaves, read_layers(made.model)[0][0].weights.ravel().tolist()
        (3, [8.0, 1.0])

    Reference: Nagel et al. (2019), arXiv:1906.04721, section 4.1.
    """
    layers, _ = read_layers(model, exclude)
    editor = Editor(model)
    readers = {layer.x: place for place, layer in enumerate(layers)}
    pairs, refused = [], []
    for place, layer in enumerate(layers):
        found = _next(editor, layers, readers, layer)
        if isinstance(found, Reason):
            refused.append(Refused(layer.name, layer.op, found.text))
        else:
            pairs.append(_Pair(place, found, np.zeros(len(layer.weights), np.int64)))
    weights = [layer.weights.astype(np.float64) for layer in layers]
    biases = [layer.bias.copy() for layer in layers]
    for _ in range(SWEEPS):
        if not any([_move(layers, weights, biases, pair) for pair in pairs]):
            break
    changed = {place for pair in pairs if pair.moved.any() for place in (pair.first, pair.second)}
    numbers = {
        layers[i].output: Numbers(weights[i].astype(np.float32), biases[i]) for i in sorted(changed)
    }
    made = with_numbers(model, numbers)
    done = tuple(
        Equalised(layers[p.first].name, layers[p.second].name, int(np.abs(p.moved).max()))
        for p in pairs
        if p.moved.any()
    )
    return Rewritten(made.model, done, tuple(refused), made.notes)


def _next(
    editor: Editor, layers: Sequence[Layer], readers: dict[str, int], layer: Layer
) -> int | Reason:
    """Return the only layer that reads a layer's channels, each of them unchanged but for sign."""
    tensor = layer.output
    while True:
        if editor.is_output(tensor):
            return Reason("its result is an output of the model")
        node = editor.sole_reader(tensor)
        if node is None:
            return Reason("several nodes read its result")
        place = readers.get(tensor)
        if place is not None and node.input[0] == tensor:
            return _fitting(layer, layers[place], place)
        fault = _scales(node, layer)
        if fault:
            return Reason(fault)
        tensor = node.output[0]


def _fitting(first: Layer, second: Layer, place: int) -> int | Reason:
    if (first.window is None) != (second.window is None):
        return Reason(f"{second.name!r} reads its channels along another axis")
    return place


def _scales(node: NodeProto, layer: Layer) -> str:
    """Return why a factor of each channel does not pass a node, "" where it does."""
    name, op = name_of(node), node.op_type
    if domain_of(node.domain) or op not in (*_PASSES, *_POOLS):
        if op == "Clip":
            return f"the bounds of {name!r} (Clip) are the same for all channels"
        return f"a factor of a channel does not pass {name!r} ({op})"
    if op in _POOLS and layer.window is None:
        return f"{name!r} ({op}) pools along another axis"
    return ""


def _move(layers: Sequence[Layer], weights: list[_F64], biases: list[_F64], pair: _Pair) -> bool:
    """Even out one pair; return whether anything changed."""
    groups = int((layers[pair.second].window or {}).get("group", 1))
    first, second = weights[pair.first], weights[pair.second]
    own = np.abs(first).reshape(len(first), -1).max(axis=1)
    split = second.reshape(groups, -1, *second.shape[1:])
    rest = tuple(axis for axis in range(split.ndim) if axis not in (0, 2))
    theirs = np.abs(split).max(axis=rest).reshape(-1)
    usable = (own > 0) & (theirs > 0)
    ratio = np.where(usable, own, 1) / np.where(usable, theirs, 1)
    steps = np.clip(np.rint(np.log2(ratio) / 2), -_LARGEST_STEP, _LARGEST_STEP).astype(np.int64)
    if not steps.any():
        return False
    factor = np.exp2(steps.astype(np.float64))
    weights[pair.first] = first / factor.reshape(-1, *[1] * (first.ndim - 1))
    biases[pair.first] = biases[pair.first] / factor
    spread = factor.reshape(groups, 1, -1, *[1] * (second.ndim - 2))
    weights[pair.second] = (split * spread).reshape(second.shape)
    pair.moved += steps
    return True
