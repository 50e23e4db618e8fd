"""How an array of pre-activations is divided for the kernels: views, blocks and sample ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError

BLOCK_BYTES = 4 << 20
"""A non-contiguous array is copied in blocks of about this many bytes (at least one slice)."""

RANGE_BYTES = 1 << 19
"""Least work for a thread: hashing it takes about 20 microseconds, as long as handing it over."""

_ACCEPTED = (np.dtype(np.float32), np.dtype(np.float64))


def check_pre_activations(
    x: NDArray[Any], unit_axis: int, threshold: float, threads: int
) -> tuple[int, Any]:
    """Return the unit axis as a non-negative number and the threshold in the type of `x`.

    Args:
        x: pre-activations of rank 1 or more, float32 or float64.
        unit_axis: axis of the units, may be negative.
        threshold: any number but NaN.
        threads: at least 1.

    Raises:
        OptionError: one of the arguments is not accepted.
    """
    if x.dtype not in _ACCEPTED:
        raise OptionError(
            f"x has type {x.dtype}, but float32 or float64 pre-activations are accepted; "
            "convert with x.astype(numpy.float32) first."
        )
    if not -x.ndim <= unit_axis < x.ndim:
        raise OptionError(
            f"unit_axis is {unit_axis}, but x has rank {x.ndim}; "
            "give the axis of x that enumerates the units."
        )
    if math.isnan(threshold):
        raise OptionError("threshold is NaN, but must be a number; give the site's threshold.")
    if threads < 1:
        raise OptionError(f"threads is {threads}, but must be at least 1; give 1 for no threads.")
    with np.errstate(over="ignore"):
        return unit_axis % x.ndim, x.dtype.type(threshold)


def sample_count(x: NDArray[Any], unit_axis: int) -> int:
    """Return the number of samples: the product of all sizes except that of the units."""
    return math.prod(x.shape[:unit_axis]) * math.prod(x.shape[unit_axis + 1 :])


def contiguous_blocks(x: NDArray[Any], unit_axis: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (index of the first sample, C-contiguous `(outer, units, inner)` view or copy).

    An array that is contiguous, or would be with its unit axis moved last (channels-last data
    seen as channels-first), is yielded as one view. Any other is copied block by block along its
    first sample axis, so that the copy holds `BLOCK_BYTES` or one slice, whichever is larger.
    """
    units = x.shape[unit_axis]
    if x.size == 0:
        return
    if x.flags.c_contiguous:
        outer = math.prod(x.shape[:unit_axis])
        yield 0, x.reshape(outer, units, -1)
        return
    last = np.moveaxis(x, unit_axis, -1)
    if last.flags.c_contiguous:
        yield 0, last.reshape(-1, units, 1)
        return
    if x.ndim == 1:
        yield 0, np.ascontiguousarray(x).reshape(1, units, 1)
        return
    axis = 1 if unit_axis == 0 else 0
    slice_bytes = x.nbytes // x.shape[axis]
    step = max(1, BLOCK_BYTES // slice_bytes)
    samples_per_slice = x.size // units // x.shape[axis]
    for begin in range(0, x.shape[axis], step):
        part = x[:, begin : begin + step] if axis else x[begin : begin + step]
        block = np.ascontiguousarray(part)
        outer = math.prod(block.shape[:unit_axis])
        yield begin * samples_per_slice, block.reshape(outer, units, -1)


def run_split(
    work: Callable[[int, int], Any],
    n: int,
    n_bytes: int,
    threads: int,
    pool: ThreadPoolExecutor | None,
) -> list[Any]:
    """Run `work(start, stop)` over up to `threads` ranges that cover `range(n)`, results in order.

    Args:
        work: releases the GIL while it runs.
        n: number of samples.
        n_bytes: size of their pre-activations: a range has at least `RANGE_BYTES`.
        threads: most ranges.
        pool: where the ranges run; None: a pool of their own.
    """
    threads = max(1, min(threads, n_bytes // RANGE_BYTES))
    step = -(-n // threads)
    step += -step % 16
    ranges = [(begin, min(n, begin + step)) for begin in range(0, n, max(step, 1))]
    if len(ranges) <= 1:
        return [work(*r) for r in ranges]
    if pool is not None:
        return list(pool.map(lambda r: work(*r), ranges))
    with ThreadPoolExecutor(len(ranges)) as own:
        return list(own.map(lambda r: work(*r), ranges))
