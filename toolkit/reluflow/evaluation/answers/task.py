"""The meaning of a model's output: class numbers, scores of classes, bits, maps or numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reluflow.errors import DataError
from reluflow.evaluation.answers.metrics import METRICS, Metric, Values

_PROBABILITIES = {"Sigmoid", "HardSigmoid", "Softmax"}
_LOGITS = {
    *("Gemm", "MatMul", "Add", "Conv", "ConvTranspose", "Sub", "PsbConv", "PsbMatMul", "Sum"),
    *("FixedConv", "FixedAdd", "FromFixedConv", "FromFixedMatMul", "FixedConv16"),
}
_CHOSEN = {"Softmax", "LogSoftmax"}
_AS_IT_IS = "as it is"
_LEFT_OUT = 255
"""The label that segmentation data give to pixels to be ignored; negative ones are ignored too."""
_TOKENS_RANK, _PIXELS_RANK = 3, 4
"""Axes of an output with a row of scores per token, and with a map of scores per class."""


@dataclass(frozen=True, slots=True)
class Task:
    """How an output is read, and what is measured on it, as returned by `recognise`.

    Attributes:
        output: its name.
        kind: "labels" (the model decides itself), "classes" (the largest along an axis), "bits"
            (above a threshold), "numbers" or "output" (as it is).
        axis: of the classes.
        threshold: of the bits.
        metrics: the metrics, the main one first.
        sentence: all of this as a sentence.
        classes: the number of classes, where it is known.
        one_hot: the correct answers are rows of bits, one of them set.
    """

    output: str
    kind: str
    axis: int | None
    threshold: float | None
    metrics: tuple[Metric, ...]
    sentence: str
    classes: int | None = None
    one_hot: bool = False

    def read(self, output: Values) -> Values:
        """Return what the metrics use of an output: decisions or numbers.

        A row of scores without a largest one (NaN) decides for class -1, which is never right.

        Args:
            output: `(n, ...)` as the model gives it.

        Returns:
            `(n, ...)` without axes of size 1; without that of the classes where a class is chosen.
        """
        if self.kind == "classes":
            found = np.asarray(output.argmax(axis=self.axis))
            found[np.isnan(output).any(axis=self.axis)] = -1
            return squeeze(found)
        if self.kind == "bits":
            return squeeze(output > self.threshold)
        return output if self.kind == "output" else squeeze(output)

    def targets(self, labels: Values) -> Values:
        """Return the correct answers in the form of `read`.

        Args:
            labels: `(n, ...)` as they were given.

        Returns:
            `(n, ...)`, as `read` gives them.
        """
        if self.kind == "output":
            return labels
        plain = squeeze(np.asarray(labels))
        if self.one_hot:
            return np.asarray(plain.argmax(axis=1))
        return plain > 0 if self.kind == "bits" else plain

    def judged(self, targets: Values) -> Values | None:
        """Return which elements of a map count: all but 255 and negative ones; None: all.

        255 counts where there are more than 255 classes.

        Args:
            targets: `(n, ...)` of `targets`.

        Returns:
            bool, of the shape of `targets`, or None.
        """
        if self.kind not in ("labels", "classes") or targets.dtype.kind not in "iu":
            return None
        if targets.ndim < 2:
            return None
        counts = targets >= 0
        if (self.classes or 0) <= _LEFT_OUT:
            counts &= targets != _LEFT_OUT
        return None if counts.all() else counts


def squeeze(values: Values) -> Values:
    """Return an array without its axes of size 1 after the first axis."""
    return values.reshape(values.shape[:1] + tuple(n for n in values.shape[1:] if n != 1))


def recognise(
    name: str,
    output: Values,
    labels: Values | None,
    *,
    maker: str = "",
    metric: Metric | None = None,
    threshold: float | None = None,
) -> Task:
    """Infer the meaning of an output from its type, its shape, its values and the correct answers.

    Without correct answers (those of the float model will be used) rows of at least two numbers are
    scores of classes, maps `(n, c, h, w)` are scores per pixel, values of a Sigmoid are bits, and
    everything else is numbers.

    Args:
        name: of the output.
        output: its values for some inputs, `(n, ...)`.
        labels: the correct answers, `(n, ...)` of all inputs; None: there are none.
        maker: the operator that produces it, "" where that is not known.
        metric: what to measure; None: whatever suits.
        threshold: of bits; None: 0.5 for probabilities, 0 for logits.

    Returns:
        How the output is read, and what is measured on it.

    Raises:
        DataError: the labels do not fit the output; the message has both shapes.

    Example:
        >>> recognise("y", np.zeros((4, 1), np.float32), np.array([0, 1, 1, 0])).kind
        'bits'
        >>> scores, maps = np.zeros((4, 3, 2, 2), np.float32), np.full((4, 2, 2), 255)
        >>> task = recognise("y", scores, maps)
        >>> task.kind, task.read(scores).shape, task.judged(task.targets(maps)).any().item()
        ('classes', (4, 2, 2), False)
    """
    if metric is not None and metric.reads == "output":
        return Task(name, "output", None, None, (metric,), _say(name, output, _AS_IT_IS))
    numbers = metric is not None and metric.reads == "numbers"
    if output.dtype.kind not in "fiubUSO":
        raise DataError(
            f"output {name!r} is of type {output.dtype}, which cannot be judged; choose another."
        )
    if output.dtype.kind != "f" and not numbers:
        task = _labels(name, output, labels)
    elif labels is None:
        task = _alone(name, output, maker, threshold, numbers)
    else:
        task = _beside(name, output, np.asarray(labels), maker, threshold, numbers)
    return task if metric is None else replace(task, metrics=(metric,))


def _labels(name: str, output: Values, labels: Values | None) -> Task:
    """The output itself is the decision."""
    if labels is not None:
        right = np.asarray(labels)
        words = (output.dtype.kind in "USO", right.dtype.kind in "USO")
        if squeeze(right).shape[1:] != squeeze(output).shape[1:] or words[0] != words[1]:
            raise _misfit(name, output, right)
    return Task(
        name, "labels", None, None, _decided(output), _say(name, output, "the model's own decision")
    )


def _alone(name: str, output: Values, maker: str, threshold: float | None, numbers: bool) -> Task:
    """Infer the meaning from the output alone."""
    plain = squeeze(output)
    # From the most to the least reliable sign: the request, the operator at the end, the shape,
    # and only then the values, which may be accidental in a few inputs.
    if numbers or (plain.ndim == 1 and maker not in _PROBABILITIES and threshold is None):
        return _numbers(name, output, beside=False)
    if maker == "Sigmoid" or plain.ndim == 1 or threshold is not None:
        return _bits(name, output, maker, threshold)
    # Two axes left of three were tokens or boxes: which axis the classes are on is a guess then.
    if plain.ndim == 2 and output.ndim != _TOKENS_RANK:
        return _classes(name, output, 1)
    if output.ndim >= _PIXELS_RANK and output.shape[1] > 1:
        return _classes(name, output, 1)
    if maker in _CHOSEN:
        return _classes(name, output, output.ndim - 1)
    if _within_unit(plain) and maker not in _LOGITS:
        return _bits(name, output, maker, threshold)
    return _numbers(name, output, beside=False)


def _beside(
    name: str,
    output: Values,
    labels: Values,
    maker: str,
    threshold: float | None,
    numbers: bool,
) -> Task:
    """Infer the meaning from output and correct answers."""
    plain, right = squeeze(output), squeeze(labels)
    if plain.shape[1:] == right.shape[1:]:
        # Labels of the output's shape settle it: 0 and 1 are decisions, anything else is numbers.
        if numbers or (threshold is None and not _binary(right)):
            return _numbers(name, output, beside=True)
        if plain.ndim == 2 and _one_hot(right) and maker != "Sigmoid":
            return replace(_classes(name, output, 1), one_hot=True)
        return _bits(name, output, maker, threshold)
    if numbers or right.dtype.kind not in "iub":
        raise _misfit(name, output, labels)
    # Axis 1 first, as maps (n, c, h, w) are more common than scores with the classes last.
    for axis in (1, output.ndim - 1):
        rest = output.shape[1:axis] + output.shape[axis + 1 :]
        if output.ndim > 1 and tuple(n for n in rest if n != 1) == right.shape[1:]:
            _check_classes(name, output.shape[axis], right)
            return _classes(name, output, axis)
    raise _misfit(name, output, labels)


def _classes(name: str, output: Values, axis: int) -> Task:
    n = output.shape[axis]
    places = math.prod(squeeze(output).shape[1:]) // n
    what = f"scores of {n} classes, the largest is the decision"
    names = ("accuracy", "iou") if places > 1 else ("accuracy",)
    if places > 1:
        what += " at each place"
    metrics = tuple(METRICS[each] for each in names)
    return Task(name, "classes", axis, None, metrics, _say(name, output, what), classes=n)


def _bits(name: str, output: Values, maker: str, threshold: float | None) -> Task:
    probability = maker in _PROBABILITIES or (maker not in _LOGITS and _within_unit(output))
    limit = (0.5 if probability else 0.0) if threshold is None else threshold
    form = "probabilities" if probability else "logits"
    what = f"{form} of yes, above {limit:g} is yes"
    many = squeeze(output).ndim > 1
    metrics = tuple(METRICS[each] for each in (("iou", "accuracy") if many else ("accuracy",)))
    return Task(name, "bits", None, limit, metrics, _say(name, output, what))


def _numbers(name: str, output: Values, beside: bool) -> Task:
    # Against the float model an offset does not change decisions: correlation comes first. Against
    # correct answers an offset is an error, which r2 shows.
    names = ("r2", "rmse", "correlation") if beside else ("correlation", "rmse", "r2")
    metrics = tuple(METRICS[each] for each in names)
    return Task(name, "numbers", None, None, metrics, _say(name, output, "numbers"))


def _decided(output: Values) -> tuple[Metric, ...]:
    names = ("accuracy", "iou") if squeeze(output).ndim > 1 else ("accuracy",)
    return tuple(METRICS[each] for each in names)


def _check_classes(name: str, classes: int, labels: Values) -> None:
    wrong = (labels < 0) | (labels >= classes)
    # Class maps mark what nobody judges by a negative number or by 255; a single label never is
    # that.
    if labels.ndim > 1:
        wrong &= (labels >= 0) & (labels != _LEFT_OUT)
    if wrong.any():
        raise DataError(
            f"a label is {int(labels[wrong][0])}, but output {name!r} has the classes 0 to "
            f"{classes - 1}; number the classes from 0 in the order of the output."
        )


def _misfit(name: str, output: Values, labels: Values) -> DataError:
    return DataError(
        f"labels of {labels.dtype} {_shape(labels)} do not fit output {name!r} of {output.dtype} "
        f"{_shape(output)}; give a class number, a class map or numbers of the output's shape for "
        "each input, or choose another output."
    )


def _binary(labels: Values) -> bool:
    """Tell whether all labels are 0 and 1, or -1 and 1."""
    if labels.dtype.kind not in "iubf":
        return False
    found = set(np.unique(labels).tolist())
    return found <= {0, 1} or found <= {-1, 1}


def _one_hot(labels: Values) -> bool:
    return bool((labels.sum(axis=1) == 1).all() and labels.min() >= 0 and labels.shape[1] > 1)


def _within_unit(values: Values) -> bool:
    return bool(values.size and values.min() >= 0 and values.max() <= 1)


def _shape(values: Values) -> str:
    return str(["n", *values.shape[1:]]).replace("'", "")


def _say(name: str, output: Values, what: str) -> str:
    kind: Any = output.dtype if output.dtype.kind in "fiub" else "strings"
    how = what if what == _AS_IT_IS else f"as {what}"
    return f"output {name!r}, {kind} {_shape(output)}, is read {how}"
