"""The geometry of a convolution: where its windows lie, as ONNX Conv defines it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.psb._check import check_choice

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True)
class Window:
    """Placement of a kernel's windows, one entry per spatial axis.

    Attributes:
        kernel: taps.
        strides: steps between windows, in pixels.
        dilations: steps between taps, in pixels.
        begin: zero pixels in front; if negative, pixels left out.
        end: zero pixels at the end, likewise.
        output: number of windows.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    output: tuple[int, ...]


def place_window(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
) -> Window:
    """Return where the windows of a convolution lie.

    output = floor((size + begin + end - dilation (kernel - 1) - 1) / stride) + 1; the
    SAME_* paddings give ceil(size / stride), the odd pixel behind (UPPER) or in front (LOWER).
    Where a stride is larger than the window their sum is negative and pixels are left out, as many
    in front as ONNX Runtime leaves out.

    Args:
        size: pixels of the input, one entry per spatial axis.
        kernel: taps.
        strides: None for ones.
        dilations: None for ones.
        pads: all begins, then all ends; None for zeros. Read only with auto_pad "NOTSET".
        auto_pad: "NOTSET", "SAME_UPPER", "SAME_LOWER" or "VALID".

    Raises:
        OptionError: an attribute has a wrong length or value.
        DataError: the input is smaller than one window.

    Reference: ONNX operator Conv.
    """
    rank = len(kernel)
    steps = _checked("strides", strides, (1,) * rank, 1)
    gaps = _checked("dilations", dilations, (1,) * rank, 1)
    both = _checked("pads", pads, (0,) * (2 * rank), 0)
    check_choice("auto_pad", auto_pad, AUTO_PADS)
    spans = tuple(g * (k - 1) + 1 for g, k in zip(gaps, kernel, strict=True))
    begin, end = both[:rank], both[rank:]
    if auto_pad != "NOTSET":
        begin, end = _automatic(size, spans, steps, auto_pad)
    output = tuple(
        (n + b + e - span) // step + 1
        for n, b, e, span, step in zip(size, begin, end, spans, steps, strict=True)
    )
    if min(output) < 1:
        raise DataError(
            f"input of {tuple(size)} pixels is smaller than a window of {spans} pixels: "
            f"give a larger input or more pads than {begin + end}."
        )
    return Window(tuple(kernel), steps, gaps, begin, end, output)


def _checked(
    name: str, given: Sequence[int] | None, default: tuple[int, ...], least: int
) -> tuple[int, ...]:
    """Return the attribute as a tuple of integers, or its default."""
    values = default if given is None else tuple(int(v) for v in given)
    if len(values) != len(default) or min(values) < least:
        raise OptionError(
            f"{name}={values} does not fit the kernel: give {len(default)} whole numbers, "
            f"each at least {least}."
        )
    return values


def _automatic(
    size: Sequence[int], spans: tuple[int, ...], steps: tuple[int, ...], auto_pad: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return begins and ends of an automatic padding."""
    if auto_pad == "VALID":
        return (0,) * len(spans), (0,) * len(spans)
    totals = [
        (-(-n // step) - 1) * step + span - n
        for n, span, step in zip(size, spans, steps, strict=True)
    ]
    odd = 0 if auto_pad == "SAME_UPPER" else 1
    begin = tuple(int((t + odd + (t < 0)) / 2) for t in totals)  # rounds towards 0
    return begin, tuple(t - b for t, b in zip(totals, begin, strict=True))


def take_patches(x: NDArray[np.int16], window: Window) -> NDArray[np.int16]:
    """Return `(N, C, taps, pixels)`: what every tap sees at every output pixel, C order.

    Args:
        x: `(N, C, spatial...)`.
        window: the placement for the spatial size of `x`.
    """
    inner = tuple(
        slice(max(0, -b), n + min(0, e))
        for n, b, e in zip(x.shape[2:], window.begin, window.end, strict=True)
    )
    around = [(max(0, b), max(0, e)) for b, e in zip(window.begin, window.end, strict=True)]
    padded = np.pad(x[(slice(None), slice(None), *inner)], [(0, 0), (0, 0), *around])
    pixels = math.prod(window.output)
    taps = []
    for tap in itertools.product(*(range(k) for k in window.kernel)):
        cut = [
            slice(t * gap, t * gap + (n - 1) * step + 1, step)
            for t, gap, n, step in zip(
                tap, window.dilations, window.output, window.strides, strict=True
            )
        ]
        taps.append(padded[(slice(None), slice(None), *cut)].reshape(*x.shape[:2], pixels))
    return np.stack(taps, axis=2)
