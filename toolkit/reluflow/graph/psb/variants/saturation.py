"""Counting, inside a converted model, the activations that fixed-point numbers cannot hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from reluflow.graph.proto.model import Model
from reluflow.graph.psb.nodes import PsbNode, psb_by_graph
from reluflow.graph.psb.variants.carried_counts import append, carry_counts
from reluflow.graph.psb.variants.chain_saturation import ChainTensor, count_ends
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.psb import MAX_EXPONENT

INT64 = TensorProto.INT64
_COUNTED = ("saturated", "activations", "nonzero", "below")
"""What is counted for each operator, in this order."""
_LOWEST, _HIGHEST = -MAX_EXPONENT, MAX_EXPONENT
"""Bounds of the exponent; one from the run saturates infinities and what the lowest cuts off."""


@dataclass(frozen=True, slots=True)
class SaturationCounts:
    """Where a model counts: four more outputs, int64 `(nodes,)`; returned by `count_saturation`.

    Attributes:
        saturated: name of the output with the number of saturated activations of a run.
        activations: name of the output with the number of all of them.
        nonzero: name of the output with the number of those that are not 0 (nor NaN).
        below: name of the output with the number of those that are not 0 but become it, being
            at most half a step of the fixed-point numbers.
        nodes: the PSB operators that read floats, in the order of the numbers.
        chained: the tensors of chains, whose numbers follow; of them only saturated ones and all
            are counted, the other two numbers are 0.
    """

    saturated: str
    activations: str
    nonzero: str
    below: str
    nodes: tuple[PsbNode, ...]
    chained: tuple[ChainTensor, ...] = ()


def count_saturation(model: Model) -> Rewritten[SaturationCounts]:
    """Return a converted model that counts the activations lost by each PSB operator.

    An activation x saturates where |round half to even(x 2^f)| > 2^(x_bits - 1) - 1: infinities
    do, NaN do not. It falls below the step where x is not 0 and x 2^f rounds to 0. An exponent f
    that is not calibrated is taken from each run, as the operators do; in a loop, from each
    iteration, whose counts are summed. In a chain, a number counts as saturated that lies at an end
    of its format: more may not fit, or it may just fit. The counts are exact, since
    scaling float32 by a power of two does not round, except for numbers so small or so large that
    it does not matter here.

    Args:
        model: of `to_psb`, not changed.

    Raises:
        ModelError: the model cannot be rewritten.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import count_saturation, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> converted = to_psb(load(proto)).model
        >>> result = count_saturation(converted)
        >>> counts = result.done
        >>> set(result.model.outputs) >= {counts.saturated, counts.activations, counts.below}
        True

    Reference: docs/psb-ops.md, activations; docs/spec.md, section 7.
    """
    editor = Editor(model)
    graphs = [tuple(filter(_reads_floats, nodes)) for nodes in psb_by_graph(model)]
    row = editor.add_initializer("saturation", "row", np.ones(1, np.int64))
    left = iter(graphs)
    numbers = carry_counts(editor, lambda place: _count_all(place, next(left), row))
    chained, ends = count_ends(editor, row)
    none = editor.add_initializer("saturation", "none", np.zeros(1, np.int64))
    for saturated, activations in zip(ends[::2], ends[1::2], strict=True):
        numbers += [saturated, activations, none, none]
    saturated, activations, nonzero, below = (
        _output(editor, what, numbers[place :: len(_COUNTED)])
        for place, what in enumerate(_COUNTED)
    )
    nodes = tuple(node for nodes in graphs for node in nodes)
    counts = SaturationCounts(saturated, activations, nonzero, below, nodes, tuple(chained))
    return editor.finish(counts)


def _reads_floats(node: PsbNode) -> bool:
    return "Fixed" not in node.op


def _count_all(editor: Editor, nodes: tuple[PsbNode, ...], row: str) -> list[str]:
    """Append nodes that count for the operators of one graph; return the numbers, four of each."""
    counts: dict[tuple[str, int | None, int], tuple[str, ...]] = {}
    for node in nodes:
        key = node.x, node.x_exponent, node.x_bits
        if key not in counts:
            counts[key] = _count(editor, *key, row)
    return [name for node in nodes for name in counts[node.x, node.x_exponent, node.x_bits]]


def _count(editor: Editor, x: str, f: int | None, x_bits: int, row: str) -> tuple[str, ...]:
    """Append nodes that count one tensor; return the names of the four numbers, `(1,)` each."""
    top = np.array((1 << (x_bits - 1)) - 1, np.float32)
    limit = editor.add_initializer(x, "saturation_limit", top)
    zero = editor.add_initializer(x, "saturation_zero", np.zeros((), np.float32))
    size = append(editor, "Abs", [x])
    lowest = np.array(np.ldexp(1.0, _LOWEST if f is None else f), np.float32)
    scale = editor.add_initializer(x, "saturation_scale", lowest)
    numbers = append(editor, "Round", [append(editor, "Mul", [size, scale])])
    saturated = append(editor, "Greater", [numbers, limit])
    nonzero = append(editor, "Greater", [size, zero])
    if f is None:
        scale = _scale_of_run(editor, size, zero, limit)
        numbers = append(editor, "Round", [append(editor, "Mul", [size, scale])])
    below = append(editor, "And", [nonzero, append(editor, "Equal", [numbers, zero])])
    return (
        _sum(editor, saturated, row),
        append(editor, "Reshape", [append(editor, "Size", [x]), row]),
        _sum(editor, nonzero, row),
        _sum(editor, below, row),
    )


def _scale_of_run(editor: Editor, size: str, zero: str, limit: str) -> str:
    """Append nodes for 2^f, f the largest integer with max(size) 2^f <= limit.

    The logarithm may be off by one near a power of two, so its neighbours are tried; powers
    come from a table, to be exact.
    """
    constants = {
        "saturation_infinite": np.array(np.inf, np.float32),
        "saturation_ln2": np.log(np.array(2, np.float32)),
        "saturation_lowest": np.array(_LOWEST, np.float32),
        "saturation_highest": np.array(_HIGHEST, np.float32),
        "saturation_powers": np.ldexp(np.float32(1), np.arange(_LOWEST, _HIGHEST + 1)),
        "saturation_flat": np.array([-1], np.int64),
        "saturation_none": np.zeros(1, np.float32),
    }
    infinite, ln2, lowest, highest, powers, flat, none = (
        editor.add_initializer(size, name, np.asarray(value)) for name, value in constants.items()
    )
    finite = append(editor, "Less", [size, infinite])
    kept = append(editor, "Where", [finite, size, zero])
    kept = append(editor, "Concat", [none, append(editor, "Reshape", [kept, flat])], axis=0)
    top = append(editor, "ReduceMax", [kept], keepdims=0)  # of at least one 0
    log = append(editor, "Log", [append(editor, "Div", [limit, top])])
    guess = append(editor, "Floor", [append(editor, "Div", [log, ln2])])
    # the logarithm is rounded, so that its floor may be off by one in either direction
    best = None
    for off in (-1, 0, 1):
        step = editor.add_initializer(size, "saturation_off", np.array(off, np.float32))
        moved = append(editor, "Add", [guess, step])
        moved = append(editor, "Max", [lowest, append(editor, "Min", [highest, moved])])
        place = append(editor, "Cast", [append(editor, "Sub", [moved, lowest])], to=INT64)
        scale = append(editor, "Gather", [powers, place])
        if best is None:
            best = scale
            continue
        exceeds = append(editor, "Greater", [append(editor, "Mul", [top, scale]), limit])
        best = append(editor, "Where", [exceeds, best, scale])
    return str(best)


def _sum(editor: Editor, flags: str, row: str) -> str:
    numbers = append(editor, "Cast", [flags], to=INT64)
    return append(editor, "Reshape", [append(editor, "ReduceSum", [numbers], keepdims=0), row])


def _output(editor: Editor, name: str, parts: list[str]) -> str:
    joined, count = editor.fresh(name, "psb"), len(parts)
    if not parts:
        parts = [editor.add_initializer(name, "none", np.zeros(0, np.int64))]
    node = helper.make_node("Concat", parts, [joined], axis=0)
    editor.insert(node, after=editor.nodes[-1])
    value = helper.make_tensor_value_info(joined, INT64, [count])
    editor.proto.graph.output.append(value)
    return joined
