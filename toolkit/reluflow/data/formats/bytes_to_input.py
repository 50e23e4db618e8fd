"""Byte arrays that are images, for a model that expects another type or layout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from reluflow.data.sources.column import Array, Column, MappedColumn
from reluflow.data.sources.pixels import fit_batch
from reluflow.data.sources.preprocessing import CHANNELS, Plan, Preprocessing, make_plan
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import is_floating
from reluflow.errors import DataError

_IMAGE_AXES = (2, 3)
"""Axes of one picture: height and width, possibly with channels before or after them."""


def is_image_bytes(column: Column, spec: InputSpec) -> bool:
    """Tell whether a column of bytes can be read as images for this input."""
    target = is_floating(spec.dtype) or spec.dtype == np.uint8
    return column.dtype == np.uint8 and len(column.shape) in _IMAGE_AXES and target


def prepared(column: Column, spec: InputSpec, given: Preprocessing | None) -> tuple[Column, Plan]:
    """Preprocess a column of byte images, taken as RGB where they have three channels.

    Args:
        column: uint8 samples `(H, W)`, `(H, W, C)` or `(C, H, W)` with C of 1 or 3.
        spec: what the model expects.
        given: the choices made; None: scale and change the layout, but never resize.

    Returns:
        The column as the model expects it, and every choice.

    Raises:
        DataError: the channels cannot be identified, or the model expects something else.
    """
    axis = _channel_axis(column.shape, spec, given)
    channels = 1 if axis is None else column.shape[axis]
    plan = make_plan(given or Preprocessing(), spec, channels)
    to_pixels = _reader(axis)
    blank = to_pixels(np.zeros((1, *column.shape), np.uint8))
    plan = plan.for_size(blank.shape[1], blank.shape[2])
    if given is None and plan.size is not None:
        raise DataError(
            f"data for input '{spec.name}' are images of {blank.shape[1]} x {blank.shape[2]} "
            f"pixels, but the model wants {spec}; give a preprocessing with "
            f"size={plan.size} to resize them."
        )
    pixels = fit_batch(blank, plan)
    shape = plan.sample_shape(pixels.shape[1], pixels.shape[2])
    _check_flat(plan, shape)

    def function(batch: Array) -> Array:
        return plan.finish(fit_batch(to_pixels(batch), plan))

    return MappedColumn(column, function, shape, spec.dtype), plan


def _reader(axis: int | None) -> Callable[[Array], Array]:
    if axis is None:
        return lambda batch: batch[..., None]
    if axis == 0:
        return lambda batch: batch.transpose(0, 2, 3, 1)
    return lambda batch: batch


def _channel_axis(
    shape: tuple[int, ...], spec: InputSpec, given: Preprocessing | None
) -> int | None:
    if len(shape) == 2:
        return None
    first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
    if first and last:
        first = given is not None and given.layout == "nchw"
        last = given is not None and given.layout == "nhwc"
    if first == last:
        raise DataError(
            f"data for input '{spec.name}' are bytes {list(shape)} a sample, which does not tell "
            "where 1 or 3 channels are; give arrays [N, H, W], [N, H, W, 3] or [N, 3, H, W]."
        )
    return 0 if first else 2


def _check_flat(plan: Plan, shape: tuple[int, ...]) -> None:
    wanted = plan.spec.shape
    size = wanted[-1] if wanted and plan.layout == "flat" else None
    if isinstance(size, int) and size != math.prod(shape):
        raise DataError(
            f"data for input '{plan.spec.name}' have {math.prod(shape)} numbers a sample after "
            f"preprocessing, but the model wants {plan.spec}; change size, crop or channel_order."
        )
