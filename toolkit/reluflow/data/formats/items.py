"""One item of an iterable or dataset, matched to the inputs of a model by name or by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reluflow.data.formats.foreign import as_array
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import check_names, fits
from reluflow.data.sources.words import listing
from reluflow.errors import DataError

_LABELS = ("label", "labels", "target", "targets", "y", "class", "fine_label", "coarse_label")
"""Names that data sets give to the answers."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The values of one item by input, and what of the item is left alone.

    Attributes:
        values: input name -> value, as it was found.
        left: names of the other parts: labels, weights.
        taken: input name -> name of the part that feeds it, where that is another one.
    """

    values: dict[str, Any]
    left: tuple[str, ...] = ()
    taken: dict[str, str] = field(default_factory=dict)

    def sentences(self) -> tuple[str, ...]:
        """Return what is to be said of the match: parts of other names, and parts left alone."""
        taken = [f"Input '{name}' takes {part!r} of the data." for name, part in self.taken.items()]
        if not self.left:
            return tuple(taken)
        return (*taken, f"Left alone in the data: {listing(self.left)}.")


def match_item(
    item: object, inputs: Sequence[InputSpec], what: str, *, labelled: bool = False
) -> Matched:
    """Find the inputs of a model in one item.

    Of a dict these are the parts of their names; where the model has one input, the only part that
    is no label will do, or the only one that fits. A tuple or list gives them in order; what
    follows is left alone. The first of a pair may itself be a dict or a tuple, as in
    (inputs, labels).

    Args:
        item: a sample or a batch.
        inputs: what the model wants.
        what: the item, in words that begin a sentence.
        labelled: items hold inputs and labels, so that what follows the inputs in a tuple is never
            taken for an input; otherwise it has to be unlike them and as long as they are.

    Raises:
        DataError: the item does not hold the inputs.

    Example:
        >>> spec = InputSpec("x", np.dtype("f4"), ("N", 2))
        >>> found = match_item({"image": np.ones((3, 2), "f4"), "label": [0, 1, 1]}, [spec], "it")
        >>> found.left, found.taken
        (('label',), {'x': 'image'})
    """
    if isinstance(item, Mapping):
        return _of_names(item, inputs, what)
    if not isinstance(item, tuple | list):
        if len(inputs) == 1:
            return Matched({inputs[0].name: item})
        raise DataError(
            f"{what} is a single {type(item).__name__}, but the model has {len(inputs)} inputs; "
            "yield a tuple in input order or a dict by name."
        )
    n = len(inputs)
    if item and (isinstance(item[0], Mapping) or _is_group(item[0], n)):
        found = match_item(item[0], inputs, what, labelled=labelled)
        rest = tuple(f"part {at + 1} of {len(item)}" for at in range(1, len(item)))
        return Matched(found.values, (*found.left, *rest), found.taken)
    if len(item) < n or (len(item) > n and not (labelled or _are_labels(item, inputs))):
        names = ", ".join(f"'{spec.name}'" for spec in inputs)
        raise DataError(
            f"{what} is a {type(item).__name__} of {len(item)}, but the model has {n} input(s) "
            f"({names}); yield one array for each input, and labels behind them or not at all."
        )
    values = {spec.name: value for spec, value in zip(inputs, item[:n], strict=True)}
    return Matched(values, tuple(f"part {at + 1} of {len(item)}" for at in range(n, len(item))))


def _is_group(value: object, n: int) -> bool:
    """Tell whether the first part of an item holds all inputs, of which there are several."""
    return n > 1 and isinstance(value, tuple | list) and len(value) == n


def _are_labels(item: Sequence[Any], inputs: Sequence[InputSpec]) -> bool:
    """Tell whether what follows the inputs in a batch can only be labels: as long, unlike them."""
    arrays = [as_array(value, "data are") for value in item]
    lengths = {array.shape[:1] for array in arrays}
    others = arrays[len(inputs) :]
    return len(lengths) == 1 and () not in lengths and not any(
        fits(spec.shape, other.shape) and other.dtype == spec.dtype
        for other in others
        for spec in inputs
    )  # fmt: skip


def _of_names(item: Mapping[Any, Any], inputs: Sequence[InputSpec], what: str) -> Matched:
    named = {str(name): value for name, value in item.items()}
    wanted = [spec.name for spec in inputs]
    if set(wanted) <= set(named):
        left = tuple(name for name in named if name not in wanted)
        return Matched({name: named[name] for name in wanted}, left)
    if len(inputs) == 1 and (part := _only(named, inputs[0])) is not None:
        left = tuple(name for name in named if name != part)
        return Matched({wanted[0]: named[part]}, left, {wanted[0]: part})
    check_names(list(named), inputs, f"{what} has")
    raise AssertionError("names that are complete were matched")


def _only(named: Mapping[str, Any], spec: InputSpec) -> str | None:
    """Return the part that must be the input, by the labels' names or by shape and type."""
    candidates = [name for name in named if name.lower() not in _LABELS]
    if len(candidates) == 1 and len(named) > 1:
        return candidates[0]
    found = [name for name in candidates if _fits(named[name], spec)]
    return found[0] if len(found) == 1 else None


def _fits(value: object, spec: InputSpec) -> bool:
    try:
        array = as_array(value, "data are")
    except DataError:
        return False
    shapes = (array.shape, (1, *array.shape))
    return array.dtype == spec.dtype and any(fits(spec.shape, shape) for shape in shapes)


def is_sample(array: np.ndarray, spec: InputSpec) -> bool:
    """Tell whether an array is one sample, lacking the batch axis that the model's input has.

    Args:
        array: of an item.
        spec: what the model expects.

    Example:
        >>> is_sample(np.ones(3), InputSpec("x", np.dtype("f8"), ("N", 3)))
        True
    """
    return spec.shape is not None and array.ndim == len(spec.shape) - 1
