"""What a map of scores says: where its channels are, and how they become an uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.uncertainty import entropy_bits
from reluflow.errors import DataError, OptionError

Floats = NDArray[np.floating[Any]]
READINGS = ("softmax", "probabilities", "yes-no", "uncertainty")
"""How the channels of a map are read: scores of classes that exclude each other, their
probabilities, a probability of yes for each channel, or an uncertainty already."""
_SIGMOIDS = ("Sigmoid", "HardSigmoid")
_SUMS_TO = 1e-3
"""How far from 1 probabilities may add up: those of 16-bit floats do."""
_NEARLY = 0.5
"""How far beyond 0 and 1 regressed answers of yes and no may lie."""
_SAME_SCALE = 0.1
"""How far the axes of a map may differ in their scale against the picture: borders are cut off."""


def check_reading(reading: str | None) -> None:
    """Refuse a reading that does not exist.

    Args:
        reading: one of `READINGS`; None, which is found, is accepted.

    Raises:
        OptionError: it is another.

    Example:
        >>> check_reading("yes-no")
    """
    if reading is not None and reading not in READINGS:
        raise OptionError(f"reading is {reading!r}; accepted are {', '.join(READINGS)}.")


def find_reading(scores: Floats, maker: str) -> str:
    """Tell how a map's channels are read.

    Args:
        scores: `(n, pixels..., channels)`.
        maker: the operator that computes them.

    Returns:
        "probabilities" behind a Softmax, or where channels are nowhere negative and add up to 1;
        "yes-no" behind a Sigmoid, or where values lie between 0 and 1, up to 0.5 beyond; else
        "softmax", also of a single logit.

    Example:
        >>> find_reading(np.array([[[0.25, 0.75]]]), ""), find_reading(np.zeros((1, 2, 3)), "")
        ('probabilities', 'yes-no')
        >>> find_reading(np.array([[[-3.0, 4.0]]]), "Conv")
        'softmax'
    """
    values = np.asarray(scores, np.float64)
    values = values[np.isfinite(values).all(axis=-1)]
    several = scores.shape[-1] > 1
    if maker in _SIGMOIDS:
        return "yes-no"
    if several and (maker == "Softmax" or _adds_up(values)):
        return "probabilities"
    if values.size and values.min() >= -_NEARLY and values.max() <= 1 + _NEARLY:
        return "yes-no"
    return "softmax"


def _adds_up(values: Floats) -> bool:
    sums = values.sum(axis=-1)
    return bool(values.size and (values >= 0).all() and np.allclose(sums, 1, atol=_SUMS_TO))


def unsure_pixels(scores: Floats, reading: str) -> NDArray[np.float64]:
    """Return how unsure each pixel of a map is.

    "softmax" and "probabilities": the entropy of the classes (eq. 4.12); a single channel is the
    logit, or the probability, of yes. "yes-no": each channel is a question of its own, and its
    value, cut to 0 to 1, the probability of yes; their entropies add up. "uncertainty": the value.

    Args:
        scores: `(n, pixels..., channels)`.
        reading: of `READINGS`.

    Returns:
        `(n, pixels...)` in bits; NaN where a score is NaN or +infinite.

    Raises:
        OptionError: there is no such reading.
        DataError: an uncertainty has several channels.

    Example:
        >>> unsure_pixels(np.array([[[0.5, 0.0], [1.25, 1.0]]]), "yes-no").tolist()
        [[1.0, 0.0]]
        >>> unsure_pixels(np.array([[[0.0], [99.0]]]), "softmax").round(3).tolist()
        [[1.0, 0.0]]

    Reference: thesis, eq. 4.12; docs/attention.md, maps of uncertainties.
    """
    check_reading(reading)
    values = np.asarray(scores)
    if reading == "uncertainty":
        if values.shape[-1] != 1:
            raise DataError(
                f"the map has {values.shape[-1]} channels, but an uncertainty has one; read it "
                "as softmax, probabilities or yes-no."
            )
        return np.asarray(values[..., 0], np.float64)
    if reading == "yes-no":
        yes = values.astype(np.float64).clip(0, 1)
        both = np.stack([1 - yes, yes], axis=-1)
        return np.asarray(entropy_bits(both, axis=-1, probabilities=True).sum(axis=-1))
    given = reading == "probabilities"
    if values.shape[-1] == 1:
        values = values.astype(np.float64)
        values = np.concatenate([1 - values if given else np.zeros_like(values), values], axis=-1)
    return np.asarray(entropy_bits(values, axis=-1, probabilities=given))


def channels_last(
    values: Floats, tensor: str, picture: tuple[int, ...], axis: int | None = None
) -> Floats:
    """Return a map with its channels behind its pixels.

    Without `axis` the channels are on the axis that leaves pixels in the proportions of the
    picture; where both ends do, on the shorter one.

    Args:
        values: `(n, channels, pixels...)`, `(n, pixels..., channels)` or `(n, pixels...)`.
        tensor: its name, for messages.
        picture: pixels of the model's input along each axis.
        axis: of the channels, from 1 or from -1; None: it is found.

    Returns:
        `(n, pixels..., channels)`.

    Raises:
        OptionError: there is no such axis.
        DataError: the tensor has too many or too few axes, or nothing tells which is which.

    Example:
        >>> channels_last(np.zeros((1, 16, 24, 2)), "maps", (32, 48)).shape
        (1, 16, 24, 2)
        >>> channels_last(np.zeros((1, 21, 16, 24)), "classes", (32, 48)).shape
        (1, 16, 24, 21)
    """
    shape, wanted = values.shape, len(picture) + 2
    if axis is not None:
        if values.ndim != wanted or not (1 <= axis < wanted or axis == -1):
            raise OptionError(
                f"axis is {axis}, but tensor {tensor!r} is {list(shape)}; give the axis of its "
                "channels, from 1 on."
            )
        return np.moveaxis(values, axis, -1)
    if values.ndim == wanted - 1:
        return values[..., None]
    if values.ndim != wanted:
        raise DataError(
            f"tensor {tensor!r} is {list(shape)}, but a map of a picture of {list(picture)} pixels "
            f"has {wanted} axes; name another tensor."
        )
    first, last = (_fits(shape[2:], picture), _fits(shape[1:-1], picture))
    if first == last and shape[1] == shape[-1]:
        raise DataError(
            f"tensor {tensor!r} is {list(shape)} for a picture of {list(picture)} pixels, which "
            "does not tell where its channels are; give their axis."
        )
    at_front = shape[1] < shape[-1] if first == last else first
    return np.moveaxis(values, 1, -1) if at_front else values


def _fits(pixels: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Tell whether axes have the proportions of the picture, up to a pixel of rounding."""
    scales = [size / of for size, of in zip(pixels, picture, strict=True)]
    off = max(1 / size for size in pixels) if min(pixels) else 1.0
    return max(scales) <= min(scales) * (1 + _SAME_SCALE + off)
