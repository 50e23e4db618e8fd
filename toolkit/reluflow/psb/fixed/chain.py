"""The exact meaning of the operators of a chain: every kernel must equal it byte for byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.psb._window import place_window, take_patches
from reluflow.psb.codec import PsbCode
from reluflow.psb.fixed.grid import GRID_BITS, LANES, grid_weights

ZEROS = (0, 128)
"""Zero points: bytes are 0 to 255, or -128 to 127."""
MOST_EXPONENT = 100
"""The exponent of a tensor lies between this and its negative."""
_MOST = 1 << 29
"""Bound of a sum before anything is added to it, and of a bias."""
_MOST_SHIFT, _MOST_Z_SHIFT = 21, 20
"""Bits from a sum to its byte, and from a byte of z to its sum: all then fits 32 bits."""
_MOST_UP, _MOST_DOWN = 29, 30


@dataclass(frozen=True, slots=True)
class FixedFormat:
    """What the bytes of a tensor stand for: byte u has the value (u - zero) 2^-exponent.

    Attributes:
        exponent: f, from -100 to 100.
        zero: the byte of the value 0, 0 or 128.

    Raises:
        OptionError: a number is not among the accepted ones.

    Example:
        >>> FixedFormat(exponent=4, zero=128)
        FixedFormat(exponent=4, zero=128)

    Reference: docs/psb-ops.md, chains.
    """

    exponent: int
    zero: int

    def __post_init__(self) -> None:
        if abs(self.exponent) > MOST_EXPONENT:
            raise OptionError(
                f"exponent={self.exponent} is out of range; give -{MOST_EXPONENT} to "
                f"{MOST_EXPONENT}."
            )
        if self.zero not in ZEROS:
            raise OptionError(f"zero={self.zero} is not accepted; give 0 or 128.")


def to_fixed(
    x: NDArray[np.float32], form: FixedFormat, *, fills_quads: bool = False
) -> NDArray[np.uint8]:
    """Return the bytes of float values, channels last.

    Args:
        x: `(N, C, spatial...)` float32.
        form: of the bytes.
        fills_quads: fill the channels up to a multiple of 4 with the value 0.

    Returns:
        `(N, spatial..., C)`; what the format does not hold is clamped, NaN becomes the value 0.

    Example:
        >>> to_fixed(np.array([[[-1.0, 0.3, 9.0]]], np.float32), FixedFormat(4, 128)).tolist()
        [[[112], [133], [255]]]

    Reference: docs/psb-ops.md, chains.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = x.astype(np.float32) * np.float32(2.0**form.exponent)
    scaled = np.where(np.isnan(scaled), 0, np.clip(scaled, -form.zero, 255 - form.zero))
    u = (np.rint(scaled).astype(np.int64) + form.zero).astype(np.uint8)
    if fills_quads:
        more = [(0, 0)] * u.ndim
        more[1] = (0, -u.shape[1] % LANES)
        u = np.pad(u, more, constant_values=form.zero)
    return np.ascontiguousarray(np.moveaxis(u, 1, -1))


def from_fixed(u: NDArray[np.uint8], form: FixedFormat) -> NDArray[np.float32]:
    """Return the values of bytes, channels first.

    Args:
        u: `(N, spatial..., C)`.
        form: of the bytes.

    Returns:
        `(N, C, spatial...)` float32, exact.

    Example:
        >>> from_fixed(np.array([[[112], [133]]], np.uint8), FixedFormat(4, 128)).tolist()
        [[[-1.0, 0.3125]]]

    Reference: docs/psb-ops.md, chains.
    """
    values = (u.astype(np.float32) - form.zero) * np.float32(2.0**-form.exponent)
    return np.ascontiguousarray(np.moveaxis(values, -1, 1))


def fixed_conv(
    x: NDArray[np.uint8],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    z: NDArray[np.uint8] | None = None,
    *,
    x_form: FixedFormat,
    y_form: FixedFormat,
    z_form: FixedFormat | None = None,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
    y_min: int = 0,
    y_max: int = 255,
    table: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return FixedConv's output `(N, spatial..., M)`.

    Args:
        x: `(N, spatial..., C)` bytes; with group 1 the channels may be filled up to quads.
        code: of the weights `(M, C / group, k...)`.
        bias: `(M,)` float32 or None.
        z: bytes of the output's shape, added before the clamp, or None.
        x_form: of x.
        y_form: of the output.
        z_form: of z.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        seed: of the run, any int64.
        stream: number of the node in the model.
        sampler: "systematic" or "nearest".
        strides: as ONNX Conv; None for ones.
        dilations: as ONNX Conv; None for ones.
        pads: as ONNX Conv; None for zeros.
        group: as ONNX Conv.
        auto_pad: as ONNX Conv.
        y_min: least byte of the output.
        y_max: largest byte of the output.
        table: `(256,)` bytes, applied to the output; None for none.

    Raises:
        OptionError: an option or attribute is not accepted.
        DataError: x or z does not fit the weights.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[[1.0]], [[-0.5]]], np.float32), p_bits=4)
        >>> x = np.array([[[3], [10]]], np.uint8)
        >>> form = FixedFormat(exponent=2, zero=0)
        >>> signed = FixedFormat(exponent=2, zero=128)
        >>> fixed_conv(x, code, x_form=form, y_form=signed, samples=0).tolist()
        [[[131, 127], [138, 123]]]

    Reference: docs/psb-ops.md, FixedConv.
    """
    window = (strides, dilations, pads, auto_pad)
    w = grid_weights(code, samples, sampler, seed, stream)
    total, output = window_sums(x, code.shape, w, x_form.zero, group, window)
    n, pixels = len(x), math.prod(output)
    shape = (n, *output, code.shape[0])
    added = None
    if z is not None and z_form is not None:
        if z.shape != shape:
            raise DataError(f"z has shape {z.shape}: give bytes of the output's shape, {shape}.")
        if abs(z_form.exponent - y_form.exponent) > _MOST_Z_SHIFT:
            raise OptionError(
                f"z_form has exponent {z_form.exponent}, more than {_MOST_Z_SHIFT} from that of "
                f"y_form, {y_form.exponent}; give formats that lie closer."
            )
        added = z.reshape(n, pixels, -1).transpose(0, 2, 1).astype(np.int64) - z_form.zero
    sums = _bytes_of(
        total, code.emax.astype(np.int64)[:, None], bias, added, x_form, y_form, z_form
    )
    y = np.clip(sums, y_min, y_max).astype(np.uint8)
    if table is not None:
        y = table[y]
    return np.ascontiguousarray(y.transpose(0, 2, 1)).reshape(shape)


Window = tuple[Sequence[int] | None, Sequence[int] | None, Sequence[int] | None, str]
"""Strides, dilations, pads and auto_pad, as ONNX Conv has them."""


def window_sums(
    x: NDArray[np.uint8],
    shape: tuple[int, ...],
    w: NDArray[np.int8],
    zero: int,
    group: int,
    window: Window,
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Return the exact sums of a convolution of bytes, and the sizes of its output's pixels.

    Args:
        x: `(N, spatial..., C)` bytes; with group 1 the channels may be filled up to quads.
        shape: of the weights, `(M, C / group, k...)`.
        w: weights on the 8-bit grid.
        zero: the byte of the value 0.
        group: as ONNX Conv.
        window: strides, dilations, pads and auto_pad.

    Returns:
        `(N, M, pixels)`, and the sizes of the spatial axes.

    Raises:
        DataError: x does not fit the weights.
        OptionError: the window is not accepted.

    Reference: docs/psb-ops.md, FixedConv, step 1.
    """
    inputs = shape[1] * group
    stored = x.shape[-1] if group == 1 else inputs
    if x.ndim != len(shape) or x.shape[-1] not in (inputs, stored) or stored - inputs >= LANES:
        raise DataError(
            f"x has shape {x.shape}: weights {shape} in {group} groups need "
            f"{len(shape)} axes and {inputs} channels in the last; give such an x."
        )
    placed = place_window(x.shape[1:-1], shape[2:], *window)
    values = np.moveaxis(x[..., :inputs], -1, 1).astype(np.int16) - np.int16(zero)
    patches = take_patches(values, placed)  # N, C, taps, pixels
    n, pixels = len(x), math.prod(placed.output)
    grouped = patches.reshape(n, group, -1, pixels).astype(np.float64)
    rows = w.reshape(group, shape[0] // group, -1).astype(np.float64)
    total = np.matmul(rows[None], grouped).reshape(n, shape[0], pixels).astype(np.int64)
    return total, placed.output


def _bytes_of(
    total: NDArray[np.int64],
    emax: NDArray[np.int64],
    bias: NDArray[np.float32] | None,
    z: NDArray[np.int64] | None,
    x_form: FixedFormat,
    y_form: FixedFormat,
    z_form: FixedFormat | None,
) -> NDArray[np.int64]:
    """Return the bytes of sums `(N, M, pixels)` before they are clamped: steps 2 to 4."""
    scale = GRID_BITS + x_form.exponent
    top = scale - y_form.exponent
    e = np.maximum(emax, top - _MOST_SHIFT)
    if z_form is not None and z is not None:
        e = np.maximum(e, scale - z_form.exponent - _MOST_Z_SHIFT)
        top = min(top, scale - z_form.exponent)
    e = np.minimum(e, top)
    up = np.clip(emax - e, 0, _MOST_UP)
    down = np.clip(e - emax, 0, _MOST_DOWN)
    most = _MOST >> up
    t = np.where(up > 0, np.clip(total, -most, most) << up, total)
    t = (t + ((1 << down) >> 1)) >> down
    if bias is not None:
        b = np.ldexp(bias.astype(np.float64)[:, None], scale - e)
        t = t + np.rint(np.clip(np.nan_to_num(b, nan=0.0), -_MOST, _MOST)).astype(np.int64)
    if z_form is not None and z is not None:
        t = t + (z << (scale - e - z_form.exponent))
    s = scale - e - y_form.exponent
    y: NDArray[np.int64] = y_form.zero + ((t + ((1 << s) >> 1)) >> s)
    return y


def fixed_max_pool(
    x: NDArray[np.uint8],
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
) -> NDArray[np.uint8]:
    """Return the largest byte of every window; pixels outside count for nothing.

    Args:
        x: `(N, spatial..., C)` bytes.
        kernel: sizes of the windows, one for each spatial axis.
        strides: as ONNX MaxPool; None for ones.
        dilations: as ONNX MaxPool; None for ones.
        pads: as ONNX MaxPool; None for zeros.
        auto_pad: as ONNX MaxPool.

    Returns:
        `(N, spatial..., C)` bytes of the same format.

    Raises:
        OptionError: an attribute is not accepted.
        DataError: x is smaller than a window.

    Example:
        >>> fixed_max_pool(np.array([[[3], [9], [4], [5]]], np.uint8), [2], strides=[2]).tolist()
        [[[9], [5]]]

    Reference: docs/psb-ops.md, chains.
    """
    window = place_window(x.shape[1:-1], tuple(kernel), strides, dilations, pads, auto_pad)
    patches = take_patches(np.moveaxis(x, -1, 1).astype(np.int16), window)
    y = patches.max(axis=2).astype(np.uint8)  # a pixel outside is 0, the least byte
    return np.ascontiguousarray(y.transpose(0, 2, 1)).reshape(len(x), *window.output, x.shape[-1])


def fixed_global_pool(x: NDArray[np.uint8], form: FixedFormat) -> NDArray[np.float32]:
    """Return the mean of every channel, `(N, C, 1...)` float32.

    Args:
        x: `(N, spatial..., C)` bytes.
        form: of the bytes.

    Example:
        >>> x = np.array([[[128], [132]]], np.uint8)
        >>> fixed_global_pool(x, FixedFormat(exponent=2, zero=128)).tolist()
        [[[0.5]]]

    Reference: docs/psb-ops.md, chains.
    """
    axes = tuple(range(1, x.ndim - 1))
    pixels = math.prod(x.shape[1:-1])
    total = x.astype(np.int64).sum(axis=axes) - form.zero * pixels
    unit = np.float32(2.0**-form.exponent)
    mean: NDArray[np.float32] = total.astype(np.float32) * unit / np.float32(pixels)
    return mean.reshape(*mean.shape, *[1] * len(axes))
