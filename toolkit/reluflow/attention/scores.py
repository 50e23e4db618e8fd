"""The scores of classes in a model's outputs, of which a cascade reads how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError

Floats = NDArray[np.floating[Any]]
_SUMS_TO = 1e-3
"""How far from 1 rows of probabilities may add up: those of 16-bit floats do."""
_ONE_LOGIT = ("Sigmoid", "HardSigmoid")


@dataclass(frozen=True, slots=True)
class Scores:
    """How the scores of classes are read, as returned by `find_scores`.

    Attributes:
        output: name of the output.
        probabilities: they have been through a softmax or a sigmoid.
        classes: number of classes; 2 for a single logit or probability of yes.
    """

    output: str
    probabilities: bool
    classes: int

    def read(self, values: Floats) -> Floats:
        """Return `(n, classes)` scores.

        Args:
            values: the output, `(n, ...)`.
        """
        rows = np.asarray(values, np.float64).reshape(len(values), -1)
        if rows.shape[1] > 1:
            return rows
        return np.hstack([1 - rows, rows] if self.probabilities else [np.zeros_like(rows), rows])


def find_scores(
    outputs: Mapping[str, Any],
    makers: Mapping[str, str],
    n_inputs: int,
    output: str | None = None,
) -> Scores:
    """Find the output that has a score per class for each input.

    Scores are taken for probabilities where they come from a Softmax or a Sigmoid, or are nowhere
    negative and add up to 1.

    Args:
        outputs: their values for some inputs, `(n, ...)`.
        makers: output -> the operator that computes it, of `reluflow.graph.output_makers`.
        n_inputs: how many these inputs are.
        output: the one to use; None: the first that has scores.

    Returns:
        Which output, and how it is read.

    Raises:
        OptionError: there is no such output.
        DataError: it is no classifier's: it has no score per class for each input.

    Example:
        >>> values = {"boxes": np.zeros((2, 7, 4)), "logits": np.array([[1.0, -1, 0], [0, 3, 0]])}
        >>> find_scores(values, {"logits": "Gemm"}, 2)
        Scores(output='logits', probabilities=False, classes=3)
        >>> yes = find_scores({"p": np.array([[0.25]])}, {"p": "Sigmoid"}, 1)
        >>> yes.read(np.array([[0.25]])).tolist()
        [[0.75, 0.25]]
    """
    if output is not None and output not in outputs:
        listed = ", ".join(map(repr, outputs))
        raise OptionError(f"output is {output!r}; the model has {listed}.")
    names = list(outputs) if output is None else [output]
    for name in names:
        values = outputs[name]
        if _has_scores(values, n_inputs, makers.get(name, "")):
            rows = np.asarray(values, np.float64).reshape(n_inputs, -1)
            single = rows.shape[1] == 1
            maker = makers.get(name, "")
            given = maker in _ONE_LOGIT if single else maker == "Softmax" or _adds_up(rows)
            return Scores(name, given, max(2, rows.shape[1]))
    shapes = ", ".join(f"{name!r} {_shape(outputs[name])}" for name in names)
    raise DataError(
        f"no output has a score per class for each input, but {shapes}; a cascade needs a "
        "classifier."
    )


def _has_scores(values: Any, n_inputs: int, maker: str) -> bool:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.ndim < 1:
        return False
    # axes of size 1 are what a pooling leaves; two longer ones are boxes, maps or tokens
    longer = [size for size in values.shape[1:] if size != 1]
    if len(values) != n_inputs or len(longer) > 1 or values.size == 0:
        return False
    # a sigmoid per class is a question each, whose answers do not exclude each other
    return maker not in _ONE_LOGIT or not longer


def _adds_up(rows: Floats) -> bool:
    sums = rows.sum(axis=1)
    return bool((rows >= 0).all() and np.allclose(sums, 1, atol=_SUMS_TO))


def _shape(values: Any) -> str:
    return str(list(values.shape)) if isinstance(values, np.ndarray) else "no array"
