"""The one place where data are checked against what the model expects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reluflow.data.sources.spec import Dim, InputSpec
from reluflow.data.sources.words import listing, sizes, tensor
from reluflow.errors import DataError

_IMAGE_RANK = 4
"""Batch, channels, height and width, in this order or with the channels last."""
_CHANNELS_MOVED = ((0, 3, 1, 2), (0, 2, 3, 1))
"""To the front and to the end."""


def check_specs(inputs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """Return the model's inputs, once it is clear that arrays can feed them.

    Raises:
        DataError: no input at all, an input of strings or without a batch axis.
    """
    if not inputs:
        raise DataError("the model has no input to feed; data are of no use to it.")
    for spec in inputs:
        if spec.dtype.kind in "OUSTMm" or spec.dtype.type is np.void:
            raise DataError(
                f"input '{spec.name}' takes {spec.dtype} elements, but only numbers and booleans "
                "can be fed; cut the model behind the part that handles them."
            )
        if spec.shape is not None and not spec.shape:
            raise DataError(
                f"input '{spec.name}' is a scalar without a batch axis, which data cannot fill "
                "sample by sample; make it an initializer of the model."
            )
        if spec.shape and any(dim == 0 for dim in spec.shape if isinstance(dim, int)):
            raise DataError(
                f"input '{spec.name}' wants {spec}, which has no elements; "
                "export the model with sizes above zero."
            )
    return tuple(inputs)


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Tell whether a type is a float, the small ones of ml_dtypes included."""
    return dtype.kind == "f" or dtype.name.startswith(("float", "bfloat"))


def check_names(names: Sequence[str], inputs: Sequence[InputSpec], what: str) -> None:
    """Check the names of arrays against those of the inputs.

    Args:
        names: what the data offer.
        inputs: what the model wants.
        what: the data, in words that begin a sentence.

    Raises:
        DataError: an input is missing, or a name is unknown.
    """
    wanted = [spec.name for spec in inputs]
    missing = [name for name in wanted if name not in names]
    unknown = [name for name in names if name not in wanted]
    if missing:
        raise DataError(
            f"{what} nothing for input {listing(missing)}; "
            f"found {listing(names)}, the model wants {listing(wanted)}: rename or add arrays."
        )
    if unknown:
        raise DataError(
            f"{what} {listing(unknown)}, but the model's inputs are {listing(wanted)}; "
            "leave the others out or rename them."
        )


def check_lengths(lengths: Mapping[str, int], what: str) -> int:
    """Return the number of samples that all inputs have.

    Raises:
        DataError: the inputs differ in length, or there is no sample.
    """
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"'{name}' has {n}" for name, n in lengths.items())
        raise DataError(
            f"{what} inputs of different length ({counts}); "
            "every input needs the same number of samples along its first axis."
        )
    n_samples = next(iter(lengths.values()))
    if n_samples == 0:
        raise DataError(f"{what} zero samples; give at least one.")
    return n_samples


def check_kind(what: str, dtype: np.dtype[Any], shape: Sequence[int]) -> None:
    """Refuse arrays that cannot feed any model, whatever its inputs.

    Args:
        what: the data, in words that begin a sentence, e.g. "data for input 'x'".
        dtype: the array's element type.
        shape: the array's shape with its batch axis.

    Raises:
        DataError: objects, strings, records, no axis, or no elements in a sample.
    """
    if dtype.kind == "O":
        raise DataError(
            f"{what} hold Python objects, which are never unpickled; "
            "save arrays of numbers, all samples of one shape."
        )
    if dtype.names is not None or dtype.kind in "USTMm":
        raise DataError(f"{what} have element type {dtype}; only numbers and booleans can be fed.")
    if len(shape) == 0:
        raise DataError(f"{what} are a single number without a batch axis; give shape [N, ...].")
    if any(dim < 0 for dim in shape):
        raise DataError(f"{what} declare shape {sizes(shape)}; no axis can be negative.")
    if math.prod(shape[1:]) == 0:
        raise DataError(
            f"{what} have shape {sizes(shape)}, so a sample has no elements; give none of size 0."
        )


def check_array(spec: InputSpec, dtype: np.dtype[Any], shape: Sequence[int]) -> None:
    """Check one array with its batch axis against one input.

    Args:
        spec: what the model expects.
        dtype: the array's element type.
        shape: the array's shape; the first axis may have any length.

    Raises:
        DataError: rank, sizes or type differ; the message says how to correct it.
    """
    check_kind(f"data for input '{spec.name}'", dtype, shape)
    if fits(spec.shape, shape) and dtype.newbyteorder("=") == spec.dtype.newbyteorder("="):
        return
    steps = [step for step in (_shape_hint(spec.shape, shape), _dtype_hint(spec, dtype)) if step]
    raise DataError(
        f"data for input '{spec.name}' are {tensor(dtype, shape)}, "
        f"but the model wants {spec}; {' and '.join(steps)}."
    )


def fits(wanted: tuple[Dim, ...] | None, shape: Sequence[int]) -> bool:
    """Tell whether a shape fits, ignoring its first axis."""
    if wanted is None:
        return True
    return len(wanted) == len(shape) and all(
        want == have for want, have in zip(wanted[1:], shape[1:], strict=True)
        if isinstance(want, int)
    )  # fmt: skip


def _shape_hint(wanted: tuple[Dim, ...] | None, shape: Sequence[int]) -> str:
    if wanted is None or fits(wanted, shape):
        return ""
    have, rank = list(shape), len(wanted)
    if len(have) == rank - 1:
        if fits(wanted, [1, *have]):
            return "add the batch axis with x[None]"
        for axis in range(1, rank):
            if fits(wanted, [*have[:axis], 1, *have[axis:]]):
                name = "channel" if rank == _IMAGE_RANK else "missing"
                return f"add the {name} axis with numpy.expand_dims(x, {axis})"
    if rank == len(have) == _IMAGE_RANK:
        for order in _CHANNELS_MOVED:
            if fits(wanted, [have[axis] for axis in order]):
                return f"move the channel axis with x.transpose{order}"
    fixed = wanted[1:]
    if all(isinstance(dim, int) for dim in fixed):
        numbers = [dim for dim in fixed if isinstance(dim, int)]
        if math.prod(numbers) == math.prod(have[1:]):
            return f"reshape with x.reshape({', '.join(map(str, [-1, *numbers]))})"
    if rank != len(have):
        return f"give arrays of {rank} axes, the batch first"
    return "bring the samples to this size"


def _dtype_hint(spec: InputSpec, dtype: np.dtype[Any]) -> str:
    if dtype.newbyteorder("=") == spec.dtype.newbyteorder("="):
        return ""
    if dtype == np.uint8 and is_floating(spec.dtype):
        return "scale the bytes by giving a preprocessing, or convert them to " + spec.dtype.name
    return f"convert with .astype('{spec.dtype.name}')"
