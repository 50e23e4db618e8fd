"""Measures of a model's answers against the correct ones: of decisions, and of numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError

Values = NDArray[Any]
MetricFunction = Callable[[Values, Values], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure and how to show it.

    Attributes:
        name: as shown in results.
        function: of answers and correct answers, both `(n, ...)`.
        reads: "decisions" (class numbers or bits), "numbers" (an output's values with targets of
            the same shape) or "output" (the output as the model gives it).
        higher_is_better: if False, a higher value is a loss.
        share: whether it is a fraction in [0, 1], shown in percent.

    Example:
        >>> share = lambda found, wanted: float((found == wanted).mean())
        >>> agree = Metric('agreement', share, 'decisions')
        >>> agree.function(np.array([1, 2]), np.array([1, 3])), agree.loss(best=0.75, value=0.5)
        (0.5, 0.25)
    """

    name: str
    function: MetricFunction
    reads: str = "output"
    higher_is_better: bool = True
    share: bool = True

    def loss(self, best: float, value: float) -> float:
        """Return how much worse a value is than the float model's.

        Args:
            best: of the float model.
            value: of the other.
        """
        return best - value if self.higher_is_better else value - best


def accuracy(outputs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the share of inputs whose largest output is that of the label.

    Args:
        outputs: `(n, classes)`; trailing axes of size 1 are ignored.
        labels: `(n,)`.

    Raises:
        DataError: the outputs are not a row of at least two numbers for each label.

    Example:
        >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
        0.5
    """
    rows = outputs.reshape(outputs.shape[:2]) if outputs.ndim > 2 and _flat(outputs) else outputs
    if rows.ndim != 2 or rows.shape[1] < 2 or labels.shape != rows.shape[:1]:
        raise DataError(
            f"outputs are {list(outputs.shape)} and labels {list(labels.shape)}; accuracy takes "
            "one row of class scores for each label: use evaluate for other outputs."
        )
    return float(np.mean(rows.argmax(axis=1) == labels))


def _flat(outputs: Values) -> bool:
    return all(size == 1 for size in outputs.shape[2:])


def share_right(decisions: Values, targets: Values) -> float:
    """Return the share of decisions that are correct.

    Example:
        >>> share_right(np.array([3, 1]), np.array([3, 2]))
        0.5
    """
    return float(np.mean(decisions == targets)) if decisions.size else 0.0


def intersection_over_union(decisions: Values, targets: Values) -> float:
    """Return the intersection over union of the set bits, or its mean over classes.

    Bits (bool): |A and B| / |A or B| of the elements that are on, 1 where none is. Class numbers:
    the mean over all classes that occur in either.

    Example:
        >>> intersection_over_union(np.array([True, True, False]), np.array([True, False, False]))
        0.5

    Reference: Everingham et al., *The Pascal Visual Object Classes Challenge*, 2015, section 4.
    """
    if decisions.dtype == bool:
        return _overlap(decisions, targets) if (decisions | targets).any() else 1.0
    classes = np.union1d(decisions, targets)
    shares = [_overlap(decisions == each, targets == each) for each in classes if each >= 0]
    return float(np.mean(shares)) if shares else 0.0


def _overlap(a: Values, b: Values) -> float:
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


def r2(numbers: Values, targets: Values) -> float:
    """Return the coefficient of determination, 1 - sum (y - t)^2 / sum (t - mean t)^2.

    It is the mean over columns where targets are `(n, k)`, otherwise one number for all elements. A
    column of equal targets counts 1 where it is met exactly, else 0.

    Example:
        >>> r2(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
        0.5
    """
    y, t = (np.asarray(each, np.float64) for each in (numbers, targets))
    y, t = (each if each.ndim == 2 else each.reshape(-1, 1) for each in (y, t))
    rest, spread = ((y - t) ** 2).sum(axis=0), ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    ratio = np.divide(rest, spread, out=(rest > 0).astype(float), where=spread > 0)
    return float(np.mean(1 - ratio))


def rmse(numbers: Values, targets: Values) -> float:
    """Return the root of the mean squared error.

    Example:
        >>> rmse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
        1.4142135623730951
    """
    return float(np.sqrt(np.mean(_difference(numbers, targets) ** 2)))


def mae(numbers: Values, targets: Values) -> float:
    """Return the mean absolute error.

    Example:
        >>> mae(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
        1.0
    """
    return float(np.mean(np.abs(_difference(numbers, targets))))


def correlation(numbers: Values, targets: Values) -> float:
    """Return Pearson's correlation over all elements; 0 where either does not vary.

    Example:
        >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 12)
        1.0
    """
    y, t = (np.asarray(each, np.float64).ravel() for each in (numbers, targets))
    y, t = y - y.mean(), t - t.mean()
    scale = float(np.sqrt((y @ y) * (t @ t)))
    return float(y @ t) / scale if scale > 0 else 0.0 * scale


def _difference(numbers: Values, targets: Values) -> Values:
    return np.asarray(numbers, np.float64) - np.asarray(targets, np.float64)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", share_right, "decisions"),
        Metric("iou", intersection_over_union, "decisions"),
        Metric("r2", r2, "numbers", share=False),
        Metric("rmse", rmse, "numbers", higher_is_better=False, share=False),
        Metric("mae", mae, "numbers", higher_is_better=False, share=False),
        Metric("correlation", correlation, "numbers", share=False),
    )
}
"""The measures that have a name."""


def find_metric(wanted: str) -> Metric:
    """Return a measure by its name.

    Args:
        wanted: one of `METRICS`.

    Raises:
        OptionError: there is none.

    Example:
        >>> find_metric("rmse").higher_is_better
        False
    """
    if wanted not in METRICS:
        listed = ", ".join(map(repr, METRICS))
        raise OptionError(
            f"metric is {wanted!r}; give one of {listed}, or a function of outputs and targets."
        )
    return METRICS[wanted]
