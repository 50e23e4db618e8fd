"""What the answers of passes are judged by: labels as class numbers, and the metric's name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.evaluation.answers.task import recognise


def class_targets(
    output: str, scores: NDArray[Any], labels: NDArray[Any], n: int
) -> NDArray[np.int64]:
    """Return labels as class numbers.

    Args:
        output: name of the output that gives the scores.
        scores: `(some, classes)`, for any inputs.
        labels: `(n,)` class numbers, or rows with one 1.
        n: number of inputs.

    Returns:
        `(n,)`.

    Raises:
        DataError: there is not one label for each input, or they are no classes.

    Example:
        >>> class_targets("logits", np.zeros((1, 3)), np.eye(3)[[2, 0]], 2).tolist()
        [2, 0]
    """
    given = np.asarray(labels)
    if len(given) != n:
        raise DataError(f"there are {len(given)} labels for {n} inputs; give one for each.")
    task = recognise(output, scores, given, maker="Softmax")
    if task.kind != "classes":
        raise DataError(
            f"labels are {list(given.shape)} of {given.dtype}, which are no classes; give a class "
            "number, or a row with one 1, for each input."
        )
    return np.asarray(task.targets(given), np.int64).reshape(n)


def metric_name(has_labels: bool, has_float: bool) -> str:
    """Return what the share of right answers is called.

    Args:
        has_labels: labels count as correct.
        has_float: without labels the float model's answers do.

    Example:
        >>> metric_name(False, True)
        'agreement with float'
    """
    if has_labels:
        return "accuracy"
    return "agreement with float" if has_float else "agreement with pass 2"
