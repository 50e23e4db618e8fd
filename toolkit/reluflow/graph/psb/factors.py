"""Numbers of samples of single operators: that of the run times a power of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from reluflow.graph.proto.own_domain import PsbPlace
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import Reader, name_of
from reluflow.psb import MAX_SAMPLES

_STEPS = ("Clip", "Mul", "Div")


@dataclass(frozen=True, slots=True)
class SampleCount:
    """How an operator's number of samples follows from that of the run.

    Attributes:
        source: the tensor with the number of the run.
        factor: a power of two; the product is bounded to 1..64.
    """

    source: str
    factor: float = 1.0


def own_samples(samples: int, factor: float) -> int:
    """Return an operator's number of samples; 0, nearest mode, stays 0.

    Args:
        samples: of the run.
        factor: of the operator, a power of two.

    Example:
        >>> [own_samples(n, 0.25) for n in (0, 1, 4, 64)], own_samples(32, 4)
        ([0, 1, 1, 16], 64)
    """
    if samples <= 0:
        return samples
    return max(1, min(max(samples, MAX_SAMPLES), int(samples * factor)))


def read_count(reader: Reader, tensor: str) -> SampleCount:
    """Return how a number of samples is computed; a factor of 1 where it is not as written here.

    Args:
        reader: of the graph.
        tensor: the input `samples` of an operator.
    """
    clip = reader.producer(tensor)
    if clip is None or clip.op_type not in _STEPS[:1]:
        return SampleCount(tensor)
    scaled = reader.producer(clip.input[0])
    if scaled is None or scaled.op_type not in _STEPS[1:]:
        return SampleCount(tensor)
    value = reader.constant(scaled.input[1])
    if value is None or value.size != 1 or int(value.reshape(())) < 1:
        return SampleCount(tensor)
    number = float(value.reshape(()))
    return SampleCount(scaled.input[0], number if scaled.op_type == "Mul" else 1 / number)


def put_factors(
    editor: Editor, nodes: Mapping[str, float], operators: list[tuple[Editor, NodeProto]]
) -> None:
    """Give operators their own numbers of samples; operators of one factor share its nodes.

    n of the run becomes Clip(n f, max = Max(n, 64)) for f > 1, so that n = 128 or 3 is refused as
    ever, and Clip(n / (1 / f), min = Min(n, 1)) for f < 1, which leaves 0, nearest mode, alone.

    Args:
        editor: of the model.
        nodes: operator -> factor, a power of two; the others keep the number of the run.
        operators: all PSB operators of the model, with the editors of their graphs.
    """
    made: dict[tuple[str, float], str] = {}
    for place, node in operators:
        source = read_count(editor, node.input[PsbPlace.SAMPLES]).source
        key = source, nodes.get(name_of(node), 1.0)
        if key not in made:
            made[key] = _scaled(editor, *key)
        place.set_input(node, PsbPlace.SAMPLES, made[key])
    drop_unread(editor)


def _scaled(editor: Editor, source: str, factor: float) -> str:
    if factor == 1:
        return source
    more = factor > 1
    number = int(factor if more else 1 / factor)
    bound = MAX_SAMPLES if more else 1
    by, limit = (
        editor.add_initializer("psb", what, np.array(value, np.int64))
        for what, value in (("factor", number), ("bound", bound))
    )
    scaled, limited, result = (
        editor.fresh(f"{source}_{'times' if more else 'over'}_{number}", what)
        for what in ("scaled", "limit", "own")
    )
    bounds = ["", limited] if more else [limited]
    for node in (
        helper.make_node("Clip", [scaled, *bounds], [result], name=result),
        helper.make_node("Max" if more else "Min", [source, limit], [limited], name=limited),
        helper.make_node("Mul" if more else "Div", [source, by], [scaled], name=scaled),
    ):
        editor.insert(node, after=editor.producer(source))
    return result


def drop_unread(editor: Editor) -> None:
    """Remove the nodes of factors that no operator has any longer; subgraphs are written back."""
    editor.sync()
    for node in reversed(editor.nodes.copy()):
        output = node.output[0]
        made = node.op_type in (*_STEPS, "Min", "Max") and node.name == output
        if not made or editor.readers(output) or editor.is_output(output):
            continue
        held = editor.producer(output)
        if held is not None and held is node:  # it has not gone with one that read it
            editor.remove(held)
