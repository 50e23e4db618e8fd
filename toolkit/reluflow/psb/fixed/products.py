"""Products of bytes that end a chain: their exact meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.psb.codec import PsbCode
from reluflow.psb.fixed.chain import FixedFormat, window_sums
from reluflow.psb.fixed.grid import GRID_BITS, grid_weights

_LEAST_POWER, _MOST_POWER = -126, 127
"""Powers of two that are normal float32 numbers."""


def from_fixed_conv(
    x: NDArray[np.uint8],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    *,
    x_form: FixedFormat,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> NDArray[np.float32]:
    """Return FromFixedConv's output: the exact sums of FixedConv as floats, then + bias.

    Args:
        x: `(N, spatial..., C)` bytes; with group 1 the channels may be filled up to quads.
        code: of the weights `(M, C / group, k...)`.
        bias: `(M,)` float32 or None.
        x_form: of x.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        seed: of the run, any int64.
        stream: number of the node in the model.
        sampler: "systematic" or "nearest".
        strides: as ONNX Conv; None for ones.
        dilations: as ONNX Conv; None for ones.
        pads: as ONNX Conv; None for zeros.
        group: as ONNX Conv.
        auto_pad: as ONNX Conv.

    Returns:
        `(N, M, spatial...)` float32.

    Raises:
        OptionError: an option or attribute is not accepted.
        DataError: x does not fit the weights.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[[1.0]], [[-0.5]]], np.float32), p_bits=4)
        >>> x = np.array([[[3], [10]]], np.uint8)
        >>> from_fixed_conv(x, code, x_form=FixedFormat(2, 0), samples=0).tolist()
        [[[0.75, 2.5], [-0.375, -1.25]]]

    Reference: docs/psb-ops.md, the ends of a chain.
    """
    w = grid_weights(code, samples, sampler, seed, stream)
    window = (strides, dilations, pads, auto_pad)
    total, output = window_sums(x, code.shape, w, x_form.zero, group, window)
    y = _floats(total, code.emax[:, None], None if bias is None else bias[:, None], x_form)
    return y.reshape(len(x), code.shape[0], *output)


def from_fixed_matmul(
    x: NDArray[np.uint8],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    *,
    x_form: FixedFormat,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
) -> NDArray[np.float32]:
    """Return FromFixedMatMul's output: rows of bytes times a matrix, as floats.

    Args:
        x: `(..., K)` bytes.
        code: of the weights `(N, K)`.
        bias: `(N,)` float32 or None.
        x_form: of x.
        samples: as for `from_fixed_conv`.
        seed: as for `from_fixed_conv`.
        stream: as for `from_fixed_conv`.
        sampler: as for `from_fixed_conv`.

    Returns:
        `(..., N)` float32.

    Raises:
        OptionError: an option is not accepted.
        DataError: x does not fit the weights.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.array([[1.0, -0.5]], np.float32), p_bits=4)
        >>> x = np.array([[3, 10], [4, 0]], np.uint8)
        >>> from_fixed_matmul(x, code, x_form=FixedFormat(2, 0), samples=0).tolist()
        [[-0.5], [1.0]]

    Reference: docs/psb-ops.md, the ends of a chain.
    """
    outputs, inputs = code.shape
    if x.ndim < 1 or x.shape[-1] != inputs:
        raise DataError(f"x has shape {x.shape}; give [..., {inputs}] for weights {code.shape}.")
    w = grid_weights(code, samples, sampler, seed, stream).astype(np.float64)
    values = x.reshape(-1, inputs).astype(np.float64) - x_form.zero
    total = np.matmul(values, w.T).astype(np.int64)
    return _floats(total, code.emax, bias, x_form).reshape(*x.shape[:-1], outputs)


def _floats(
    total: NDArray[np.int64],
    emax: NDArray[np.int8],
    bias: NDArray[np.float32] | None,
    x_form: FixedFormat,
) -> NDArray[np.float32]:
    power = emax.astype(np.int64) - GRID_BITS - x_form.exponent
    scale = np.ldexp(np.float32(1), np.clip(power, _LEAST_POWER, _MOST_POWER).astype(np.int32))
    with np.errstate(over="ignore"):
        y: NDArray[np.float32] = total.astype(np.float32) * scale
        return y if bias is None else y + bias
