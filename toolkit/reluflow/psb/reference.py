"""The exact meaning of PsbConv and PsbMatMul: the oracle that every kernel must match bit for bit.

Block sums are integers below 2^36. They are computed by a float64 matrix product, which is
exact below 2^53 in any order of its additions, and then rounded once to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError, OptionError
from reluflow.psb._check import check_choice
from reluflow.psb._window import place_window, take_patches
from reluflow.psb.activation import quantise_activation
from reluflow.psb.codec import PsbCode
from reluflow.psb.sampling import SCALE_BITS, integer_weights

BLOCK_PAIRS = 64
_RANKS = (3, 4)
"""Axes of weights with one and two spatial ones."""
DRAWS = ("run", "product")
ACTIVATIONS = ("none", "relu", "clip")


@dataclass(frozen=True, slots=True)
class _Sampling:
    """How the weights of one run are drawn."""

    samples: int
    sampler: str
    seed: int
    stream: int
    draws: str

    def weights(self, code: PsbCode, group: int, position: int | None) -> NDArray[np.float64]:
        """Return `(groups, channels per group, 2 pairs)` sampled integers in order of pairs."""
        w = integer_weights(
            code, self.samples, self.sampler, self.seed, self.stream, position
        ).reshape(code.shape[0], code.shape[1], -1)
        ordered = _pair_up(w, axis=1)
        return ordered.reshape(group, code.shape[0] // group, -1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Output:
    """What follows the sum."""

    bias: NDArray[np.float32] | None
    activation: str
    clip_min: float
    clip_max: float

    def apply(
        self,
        total: NDArray[np.float32],
        emax: NDArray[np.int8],
        f: int,
        z: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """Return `(channels, positions)` outputs of the summed blocks."""
        power = emax.astype(np.int64)[:, None] - SCALE_BITS - f
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.ldexp(total.astype(np.float64), power).astype(np.float32)
            if self.bias is not None:
                y = y + self.bias[:, None]
            if z is not None:
                y = y + z
        if self.activation == "none":
            return y
        low, high = (0.0, np.inf) if self.activation == "relu" else (self.clip_min, self.clip_max)
        y = np.where(y < np.float32(low), np.float32(low), y)
        return np.where(y > np.float32(high), np.float32(high), y)


def conv(
    x: NDArray[np.float32],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    z: NDArray[np.float32] | None = None,
    *,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
    draws: str = "run",
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
    x_bits: int = 12,
    x_exponent: int | None = None,
    activation: str = "none",
    clip_min: float = -np.inf,
    clip_max: float = np.inf,
) -> NDArray[np.float32]:
    """Return PsbConv's output `(N, M, spatial...)`.

    y = act(2^(emax - 13 - f) sum x_int w' + bias + z), the sum in blocks of 64 channel pairs.

    Args:
        x: `(N, C, L)` or `(N, C, H, W)` float32.
        code: of the weights `(M, C / group, k...)`.
        bias: `(M,)` float32 or None.
        z: float32 of the output's shape, added after the bias, or None.
        samples: n, one of 1, 2, 4, ..., 64; 0 is n = 64 with the nearest sampler.
        seed: of the run, any int64.
        stream: number of the node in the model.
        sampler: "systematic", "binomial" or "nearest".
        draws: "run" (all positions share the draws) or "product" (slow: one position at a time).
        strides: as ONNX Conv; None for ones.
        dilations: as ONNX Conv; None for ones.
        pads: as ONNX Conv; None for zeros.
        group: as ONNX Conv.
        auto_pad: as ONNX Conv.
        x_bits: bits of the fixed-point activations, 2 to 16.
        x_exponent: f; None takes it from the run.
        activation: "none", "relu" or "clip".
        clip_min: lower bound of "clip".
        clip_max: upper bound of "clip".

    Raises:
        OptionError: an option or attribute is not accepted.
        DataError: x, bias or z does not fit the weights.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.float32([[[[1.0, 0.5], [-2.0, 1.0]]]]), p_bits=4)
        >>> x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
        >>> conv(x, code, samples=4, activation="relu").tolist()
        [[[[0.0, 0.0], [0.0, 0.5]]]]

    Reference: docs/psb-ops.md, sum; thesis eq. 4.8 and 4.9.
    """
    if len(code.shape) not in _RANKS:
        raise OptionError(
            f"code has shape {code.shape}: give weights [M, C/group, k] or [.., k, k]."
        )
    if group < 1 or code.shape[0] % group:
        raise OptionError(
            f"group={group} does not divide the {code.shape[0]} output channels; give a divisor."
        )
    channels = code.shape[1] * group
    if x.dtype != np.float32 or x.ndim != len(code.shape) or x.shape[1] != channels:
        raise DataError(
            f"x is {x.dtype} {x.shape}: weights {code.shape} in {group} groups need float32 "
            f"with {len(code.shape)} axes and {channels} channels; give such an x."
        )
    window = place_window(x.shape[2:], code.shape[2:], strides, dilations, pads, auto_pad)
    output = _output(code, bias, activation, clip_min, clip_max)
    added = _flat_z(z, (len(x), code.shape[0], *window.output), 1)
    x_int, f, _ = quantise_activation(x, x_bits, x_exponent)
    patches = take_patches(x_int, window)
    y = _multiply(patches, code, group, _sampling(samples, sampler, seed, stream, draws))
    y = output.apply(y, code.emax, f, added)
    return np.moveaxis(y.reshape(code.shape[0], len(x), *window.output), 0, 1).copy()


def matmul(
    x: NDArray[np.float32],
    code: PsbCode,
    bias: NDArray[np.float32] | None = None,
    z: NDArray[np.float32] | None = None,
    *,
    samples: int,
    seed: int = 0,
    stream: int = 0,
    sampler: str = "systematic",
    draws: str = "run",
    x_bits: int = 12,
    x_exponent: int | None = None,
    activation: str = "none",
    clip_min: float = -np.inf,
    clip_max: float = np.inf,
) -> NDArray[np.float32]:
    """Return PsbMatMul's output `(..., N)`.

    y = act(2^(emax - 13 - f) sum x_int w' + bias + z), the sum in blocks of 64 pairs of rows.

    Args:
        x: `(..., K)` float32.
        code: of the weights stored as `(N, K)`.
        bias: `(N,)` float32 or None.
        z: `(..., N)` float32, added after the bias, or None.
        samples: as in `conv`, like all the options below.
        seed: of the run.
        stream: number of the node.
        sampler: name of the sampler.
        draws: "run" or "product"; a position is a row of `x`.
        x_bits: bits of the activations.
        x_exponent: f or None.
        activation: fused activation.
        clip_min: lower bound of "clip".
        clip_max: upper bound of "clip".

    Raises:
        OptionError: an option is not accepted.
        DataError: x, bias or z does not fit the weights.

    Example:
        >>> from reluflow.psb.codec import encode
        >>> code = encode(np.float32([[1.0, -2.0], [0.5, 4.0]]), channel_axis=1, p_bits=4)
        >>> matmul(np.float32([[1.0, 2.0]]), code, np.float32([0.0, 1.0]), samples=4).tolist()
        [[2.0, 7.0]]

    Reference: docs/psb-ops.md, sum; thesis eq. 4.8 and 4.9.
    """
    if len(code.shape) != 2:
        raise OptionError(f"code has shape {code.shape}: give weights stored as [N, K].")
    if x.dtype != np.float32 or x.ndim < 1 or x.shape[-1] != code.shape[1]:
        raise DataError(
            f"x is {x.dtype} {x.shape}: weights {code.shape} need float32 "
            f"[..., {code.shape[1]}]; give such an x."
        )
    output = _output(code, bias, activation, clip_min, clip_max)
    added = _flat_z(z, (*x.shape[:-1], code.shape[0]), x.ndim - 1)
    x_int, f, _ = quantise_activation(x, x_bits, x_exponent)
    patches = x_int.reshape(1, -1, code.shape[1]).transpose(0, 2, 1)[:, :, None, :]
    y = _multiply(patches, code, 1, _sampling(samples, sampler, seed, stream, draws))
    return output.apply(y, code.emax, f, added).T.reshape(*x.shape[:-1], code.shape[0]).copy()


def _sampling(samples: int, sampler: str, seed: int, stream: int, draws: str) -> _Sampling:
    check_choice("draws", draws, DRAWS)
    return _Sampling(samples, sampler, seed, stream, draws)


def _output(
    code: PsbCode,
    bias: NDArray[np.float32] | None,
    activation: str,
    clip_min: float,
    clip_max: float,
) -> _Output:
    check_choice("activation", activation, ACTIVATIONS)
    if bias is not None and (bias.dtype != np.float32 or bias.shape != code.shape[:1]):
        raise DataError(
            f"bias is {bias.dtype} {bias.shape}: weights {code.shape} need float32 "
            f"{code.shape[:1]}; give one number per output channel."
        )
    return _Output(bias, activation, clip_min, clip_max)


def _flat_z(
    z: NDArray[np.float32] | None, shape: tuple[int, ...], axis: int
) -> NDArray[np.float32] | None:
    """Return z as `(channels, positions)`; its channels lie along `axis`."""
    if z is None:
        return None
    if z.dtype != np.float32 or z.shape != shape:
        raise DataError(
            f"z is {z.dtype} {z.shape}; give what is added to the output in its shape, "
            f"float32 {shape}."
        )
    return np.moveaxis(z, axis, 0).reshape(shape[axis], -1)


def _pair_up(array: NDArray[np.int16], axis: int) -> NDArray[np.int16]:
    """Return channels and taps (`axis`, `axis + 1`) as one axis in order of pairs.

    Entry 2 (c T + t) + h is channel 2 c + h at tap t; an odd last channel pairs with zeros.
    """
    front, rest = array.shape[:axis], array.shape[axis + 2 :]
    channels, taps = array.shape[axis : axis + 2]
    even = channels + channels % 2
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, channels % 2)
    pairs = np.pad(array, missing).reshape(*front, even // 2, 2, taps, *rest)
    return pairs.swapaxes(axis + 1, axis + 2).reshape(*front, even * taps, *rest)


def _multiply(
    patches: NDArray[np.int16], code: PsbCode, group: int, sampling: _Sampling
) -> NDArray[np.float32]:
    """Return `(M, N * pixels)` sums of `(N, C, taps, pixels)` patches with sampled weights."""
    n, channels, taps, pixels = patches.shape
    split = patches.reshape(n, group, channels // group, taps, pixels)
    paired = np.moveaxis(_pair_up(split, axis=2), 0, 2)
    x = paired.reshape(*paired.shape[:2], n * pixels)
    if sampling.draws == "run":
        return _add_blocks(sampling.weights(code, group, None), x)
    columns = [
        _add_blocks(sampling.weights(code, group, v), x[:, :, v : v + 1]) for v in range(n * pixels)
    ]
    return np.concatenate(columns, axis=1) if columns else np.empty((code.shape[0], 0), np.float32)


def _add_blocks(w: NDArray[np.float64], integers: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the float32 sum, in ascending order, of exact sums of 64 pairs each."""
    width = 2 * BLOCK_PAIRS
    x = integers.astype(np.float64)
    total = (w[:, :, :width] @ x[:, :width]).astype(np.float32)
    for start in range(width, x.shape[1], width):
        block = w[:, :, start : start + width] @ x[:, start : start + width]
        total = total + block.astype(np.float32)
    return total.reshape(w.shape[0] * w.shape[1], x.shape[2])
