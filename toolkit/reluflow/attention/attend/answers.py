"""What each way of computing answers, and what a reader should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.attend.record import BOTH, DENSE, FIRST, FLOAT, Answer
from reluflow.attention.regional.result import AttentionRun
from reluflow.attention.scores import find_scores
from reluflow.attention.uncertainty import probabilities_of
from reluflow.errors import DataError
from reluflow.graph import Model, SpatialGraph, output_makers

Array = NDArray[Any]
_CLASSES = 5
_AT_ONCE = 1 << 22
"""Values of an output that are compared at a time."""


def all_answers(
    model: Model, found: AttentionRun, dense: Mapping[str, Array], exact: Mapping[str, Array] | None
) -> Iterator[Answer]:
    """Yield what each way of computing answers, and how far it is from the dense pass 2.

    Args:
        model: of pass 2.
        found: of both passes.
        dense: output -> values of a dense pass 2.
        exact: those of the float model; None: there is none.
    """
    names = [name for name in model.outputs if name in found.first]
    ways: list[tuple[str, Mapping[str, Array]]] = [
        (FIRST, found.first),
        (BOTH, found.answers),
        (DENSE, dense),
    ]
    if exact is not None and all(name in exact for name in names):
        ways.append((FLOAT, exact))
    for way, values in ways:
        outputs = {name: values[name] for name in names}
        yield Answer(way, _classes(model, outputs), *_apart(outputs, dense))


def _apart(values: Mapping[str, Array], dense: Mapping[str, Array]) -> tuple[float, float]:
    """Return the mean and the largest difference of all outputs."""
    total, count, most = 0.0, 0, 0.0
    for name, given in values.items():
        one, other = np.reshape(given, -1), np.reshape(dense[name], -1)
        for at in range(0, len(one), _AT_ONCE):
            piece = slice(at, at + _AT_ONCE)
            apart = np.abs(np.asarray(one[piece], np.float64) - other[piece])
            total, count = total + float(apart.sum()), count + len(apart)
            most = float(np.maximum(most, apart.max()))  # NaN stays NaN
    return total / max(1, count), most


def _classes(model: Model, outputs: Mapping[str, Array]) -> tuple[tuple[int, float], ...]:
    """Return the most probable classes; none where the model is no classifier."""
    try:
        reads = find_scores(outputs, output_makers(model), 1)
    except DataError:
        return ()
    scores = reads.read(outputs[reads.output])
    p = probabilities_of(scores, probabilities=reads.probabilities)[0]
    order = np.argsort(-p, kind="stable")[:_CLASSES]
    return tuple((int(at), float(p[at])) for at in order)


def all_notes(
    found: AttentionRun, graph: SpatialGraph, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return sentences that the reader should know.

    Args:
        found: of both passes.
        graph: of the model of pass 2.
        more: other sentences.
    """
    said = [*found.notes, *more]
    if not found.region.any():
        said.append("No pixel is unsure: the answers are those of pass 1, and pass 2 did not run.")
    elif found.region.all():
        said.append("All pixels are unsure: pass 1 was made in vain.")
    whole = [each for each in found.nodes if each.reason and each.tensor in graph.sizes]
    if whole and found.region.any() and not found.region.all():
        names = ", ".join(repr(each.node) for each in whole)
        said.append(f"These compute all whatever the region is: {names}.")
    return tuple(said)
