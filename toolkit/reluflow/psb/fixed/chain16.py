"""The exact meaning of the operators of 16 bits: every kernel must equal it value for value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.psb._window import place_window, take_patches
from reluflow.psb.activation import quantise_activation
from reluflow.psb.codec import LARGEST_NIBBLE, PsbCode
from reluflow.psb.sampling import SCALE_BITS, integer_weights

MOST_VALUE = 32767
"""The largest magnitude of a value of 16 bits."""
_SUM_BITS = 29
"""Bits of a sum in its unit, and of a bias in that."""
_MOST_SHIFT = 14
"""Bits from a sum to its value, and from a value of z to its sum: all then fits 32 bits."""
_MOST_UP, _MOST_DOWN = 29, 46
"""Shifts of a sum to its unit; from 46 down on every sum becomes 0."""


@dataclass(frozen=True, slots=True)
class Exponents:
    """Where the binary points of a convolution's tensors stand: a value v means v 2^-exponent.

    Attributes:
        x: of the input.
        y: of the output.
        z: of what is added; read only where something is.

    Example:
        >>> Exponents(x=8, y=6).z
        0

    Reference: docs/psb-ops.md, chains of 16 bits.
    """

    x: int
    y: int
    z: int = 0


def to_fixed16(x: NDArray[np.float32], exponent: int, y_bits: int = 12) -> NDArray[np.int16]:
    """Return the values of a float tensor, channels last.

    Args:
        x: `(N, C, spatial...)` float32.
        exponent: f of the output, -100 to 100.
        y_bits: bits of the values, sign included.

    Returns:
        `(N, spatial..., C)`; what does not fit is clamped, NaN becomes 0.

    Raises:
        OptionError: y_bits is out of range.

    Example:
        >>> to_fixed16(np.array([[[-1.0, 0.3, 9.0]]], np.float32), 4, 8).tolist()
        [[[-16], [5], [127]]]

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    return np.ascontiguousarray(np.moveaxis(quantise_activation(x, y_bits, exponent)[0], 1, -1))


def from_fixed16(v: NDArray[np.int16], exponent: int) -> NDArray[np.float32]:
    """Return what values stand for, channels first.

    Args:
        v: `(N, spatial..., C)`.
        exponent: f of the values, -100 to 100.

    Returns:
        `(N, C, spatial...)` float32, exact.

    Example:
        >>> from_fixed16(np.array([[[-16], [5]]], np.int16), 4).tolist()
        [[[-1.0, 0.3125]]]

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    values = v.astype(np.float32) * np.float32(2.0**-exponent)
    return np.ascontiguousarray(np.moveaxis(values, -1, 1))


def fixed_conv16(
    x: NDArray[np.int16],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    z: NDArray[np.int16] | None = None,
    *,
    exponents: Exponents,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
    x_bits: int = 12,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
    y_min: int = -MOST_VALUE,
    y_max: int = MOST_VALUE,
) -> NDArray[np.int16]:
    """Return FixedConv16's output `(N, spatial..., M)`.

    Args:
        x: `(N, spatial..., C)`, magnitudes below 2^(x_bits - 1).
        code: of the weights `(M, C / group, k...)`.
        bias: `(M,)` float32 or None.
        z: values of the output's shape, added before the clamp, or None.
        exponents: of x, y and z; those of y and z differ by at most 14.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        seed: of the run, any int64.
        stream: number of the node in the model.
        sampler: "systematic", "binomial" or "nearest".
        x_bits: bits of x, sign included.
        strides: as ONNX Conv; None for ones.
        dilations: as ONNX Conv; None for ones.
        pads: as ONNX Conv; None for zeros.
        group: as ONNX Conv.
        auto_pad: as ONNX Conv.
        y_min: least value of the output.
        y_max: largest value of the output.

    Raises:
        OptionError: an option or attribute is not accepted.
        DataError: x or z does not fit the weights, or x its bits.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[[0.5], [-1.0]]]), p_bits=4)
        >>> x = np.array([[[8, 2], [4, 4]]], np.int16)  # 2.0, 0.5; 1.0, 1.0
        >>> fixed_conv16(x, code, exponents=Exponents(2, 3), samples=0).tolist()  # 0.5; -0.5
        [[[4], [-4]]]

    Reference: docs/psb-ops.md, FixedConv16.
    """
    limit = (1 << (x_bits - 1)) - 1
    most = int(np.abs(x.astype(np.int64)).max(initial=0))
    if most > limit:
        raise DataError(
            f"x holds a value of magnitude {most}, but x_bits={x_bits} allows at most {limit}; "
            "give more bits or a smaller exponent."
        )
    if x.ndim != len(code.shape) or x.shape[-1] != code.shape[1] * group:
        raise DataError(
            f"x has shape {x.shape}: weights {code.shape} in {group} groups need "
            f"{len(code.shape)} axes and {code.shape[1] * group} channels in the last; give such "
            "an x."
        )
    window = place_window(x.shape[1:-1], code.shape[2:], strides, dilations, pads, auto_pad)
    patches = take_patches(np.moveaxis(x, -1, 1), window)  # N, C, taps, pixels
    n, pixels, outputs = len(x), math.prod(window.output), code.shape[0]
    grouped = patches.reshape(n, group, -1, pixels).astype(np.float64)
    w = integer_weights(code, samples, sampler, seed, stream).astype(np.float64)
    rows = w.reshape(group, outputs // group, -1)
    total = np.matmul(rows[None], grouped).reshape(n, outputs, pixels).astype(np.int64)
    shape = (n, *window.output, outputs)
    added = None
    if z is not None:
        if z.shape != shape:
            raise DataError(f"z has shape {z.shape}: give values of the output's shape, {shape}.")
        added = z.reshape(n, pixels, -1).transpose(0, 2, 1).astype(np.int64)
    y = _values_of(total, sum_excess(code, x_bits), code.emax, bias, added, exponents)
    clipped: NDArray[np.int16] = np.clip(y, y_min, y_max).astype(np.int16)
    return np.ascontiguousarray(clipped.transpose(0, 2, 1)).reshape(shape)


def sum_excess(code: PsbCode, x_bits: int) -> NDArray[np.int64]:
    """Return by how many bits the exact sum of every output channel may exceed 29.

    The smallest u >= 0 with (L S) >> u < 2^29, L = 2^(x_bits - 1) - 1, S the sum of 2^(14 - j) over
    the weights that are not 0, a bound of all draws.

    Args:
        code: of the weights, output channels first.
        x_bits: bits of the input, sign included.

    Returns:
        `(M,)` int64.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> sum_excess(encode(np.ones((1, 64)), p_bits=4), 12).tolist()
        [2]

    Reference: docs/psb-ops.md, FixedConv16.
    """
    nibble = code.nibble.reshape(code.shape[0], -1)
    bound = np.where(nibble > 0, (1 << SCALE_BITS + 1) >> (LARGEST_NIBBLE - nibble), 0).sum(axis=1)
    bound = bound * ((1 << (x_bits - 1)) - 1)
    return np.array([max(0, int(b).bit_length() - _SUM_BITS) for b in bound], np.int64)


def _values_of(
    total: NDArray[np.int64],
    excess: NDArray[np.int64],
    emax: NDArray[np.int8],
    bias: NDArray[np.float32] | None,
    z: NDArray[np.int64] | None,
    exponents: Exponents,
) -> NDArray[np.int64]:
    """Return the values of sums `(N, M, pixels)` before they are clamped: steps 2 to 4."""
    scale = SCALE_BITS + exponents.x - emax.astype(np.int64)[:, None]
    to_y = scale - exponents.y
    to_z = to_y if z is None else scale - exponents.z
    down = np.maximum(excess[:, None], np.maximum(to_y, to_z) - _MOST_SHIFT)
    unit = np.minimum(down, np.minimum(to_y, to_z))
    up = np.minimum(down - unit, _MOST_UP)
    right = np.minimum(down, _MOST_DOWN)
    t = (total + ((1 << right) >> 1)) >> right
    most = (1 << _SUM_BITS) >> up
    t = np.where(up > 0, np.clip(t, -most, most) << up, t)
    if bias is not None:
        b = np.nan_to_num(np.ldexp(bias.astype(np.float64)[:, None], scale - unit), nan=0.0)
        t = t + np.rint(np.clip(b, -(1 << _SUM_BITS), 1 << _SUM_BITS)).astype(np.int64)
    if z is not None:
        t = t + (z << (to_z - unit))
    s = to_y - unit
    y: NDArray[np.int64] = (t + ((1 << s) >> 1)) >> s
    return y


def fixed_max_pool16(
    x: NDArray[np.int16],
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
) -> NDArray[np.int16]:
    """Return the largest value of every window; pixels outside count for nothing.

    Args:
        x: `(N, spatial..., C)`.
        kernel: sizes of the windows, one for each spatial axis.
        strides: as ONNX MaxPool; None for ones.
        dilations: as ONNX MaxPool; None for ones.
        pads: as ONNX MaxPool; None for zeros.
        auto_pad: as ONNX MaxPool.

    Returns:
        `(N, spatial..., C)`.

    Raises:
        OptionError: an attribute is not accepted.
        DataError: x is smaller than a window.

    Example:
        >>> x = np.array([[[1], [-2], [-3], [-4]]], np.int16)
        >>> fixed_max_pool16(x, [2], [2]).tolist()
        [[[1], [-3]]]

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    window = place_window(x.shape[1:-1], tuple(kernel), strides, dilations, pads, auto_pad)
    least = np.iinfo(np.int16).min
    # Two bytes of v - least >= 0, of which a pixel outside, 0, is the least.
    above = np.moveaxis(x, -1, 1).astype(np.int32) - least
    high, low = (take_patches(part.astype(np.int16), window) for part in divmod(above, 256))
    y = ((high.astype(np.int32) * 256 + low).max(axis=2) + least).astype(np.int16)
    return np.ascontiguousarray(y.transpose(0, 2, 1)).reshape(len(x), *window.output, x.shape[-1])


def fixed_global_pool16(x: NDArray[np.int16], exponent: int) -> NDArray[np.float32]:
    """Return the mean of every channel, `(N, C, 1...)` float32.

    Args:
        x: `(N, spatial..., C)`.
        exponent: f of the values.

    Example:
        >>> fixed_global_pool16(np.array([[[4], [8]]], np.int16), 2).tolist()
        [[[1.5]]]

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    axes = tuple(range(1, x.ndim - 1))
    total = x.astype(np.int64).sum(axis=axes).astype(np.float32)
    mean: NDArray[np.float32] = total * np.float32(2.0**-exponent)
    mean = mean / np.float32(math.prod(x.shape[1:-1]))
    return mean.reshape(*mean.shape, *[1] * len(axes))
