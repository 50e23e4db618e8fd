"""The global pattern: all sites and positions of one input joined into one 128-bit key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError
from reluflow.patterns.kernels.pointer import carray, pointer


@numba.njit(inline="always")
def _mix64(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def _join(out, site, keys):  # type: ignore[no-untyped-def]
    gamma = np.uint64(0x9E3779B97F4A7C15)
    site_key = _mix64(np.uint64(site) * gamma + np.uint64(0x7265_6C75_666C_6F77))
    for i in range(keys.shape[0]):
        sum0, sum1 = np.uint64(0), np.uint64(0)
        for q in range(keys.shape[1]):
            tag = _mix64(site_key + np.uint64(q + 1) * gamma)
            a, b = keys[i, q, 0], keys[i, q, 1]
            a ^= _mix64(b + tag)
            b ^= _mix64(a + tag + gamma)
            a ^= _mix64(b + tag + np.uint64(2) * gamma)
            b ^= _mix64(a + tag + np.uint64(3) * gamma)
            sum0 ^= a
            sum1 ^= b
        out[i, 0] ^= sum0
        out[i, 1] ^= sum1


@numba.njit(nogil=True, cache=True)
def _join_all(out, jobs):  # type: ignore[no-untyped-def]
    """Run `_join` for each row of jobs: site, address of the keys, positions per input."""
    for row in jobs:
        keys = carray(pointer(row[1]), (out.shape[0], row[2], 2), np.uint64)
        _join(out, row[0], keys)


def add_sites(out: NDArray[np.uint64], keys: Mapping[int, NDArray[np.uint64]]) -> None:
    """Join the keys of several sites into the global keys of their inputs, in place.

    Args:
        out: `(n_inputs, 2)` uint64, zeros before the first site.
        keys: the site's index in graph order -> its keys, `(n_inputs * positions, 2)` or
            `(n_inputs, positions, 2)` uint64.

    Raises:
        OptionError: the keys of a site do not divide evenly among the inputs.

    Example:
        >>> keys = np.arange(8, dtype=np.uint64).reshape(4, 2)
        >>> at_once, one_by_one = np.zeros((2, 2), np.uint64), np.zeros((2, 2), np.uint64)
        >>> add_sites(at_once, {0: keys, 1: keys[:2]})
        >>> add_site(one_by_one, 1, keys[:2])
        >>> add_site(one_by_one, 0, keys)
        >>> bool((at_once == one_by_one).all())
        True

    Reference: thesis, Definition 3 and eq. 2.12; docs/spec.md, section 2.
    """
    arrays = {site: _per_input(out, each) for site, each in keys.items()}
    if len(out) and arrays:
        jobs = [(site, each.ctypes.data, each.shape[1]) for site, each in arrays.items()]
        _join_all(out, np.array(jobs, np.int64))


def add_site(out: NDArray[np.uint64], site: int, keys: NDArray[np.uint64]) -> None:
    """Join the keys of one site into the global keys of its inputs, in place.

    Each key passes through a 4-round Feistel network whose round keys depend on site and position,
    and the results are XORed: each (site, position) has its own permutation of 128 bits, so that
    equal changes at two positions do not cancel.

    Args:
        out: `(n_inputs, 2)` uint64, zeros before the first site.
        site: the site's index in graph order; each site once.
        keys: `(n_inputs * positions, 2)` or `(n_inputs, positions, 2)` uint64.

    Raises:
        OptionError: the keys do not divide evenly among the inputs.

    Example:
        >>> out = np.zeros((2, 2), np.uint64)
        >>> add_site(out, 0, np.array([[5, 0], [5, 0]], np.uint64))
        >>> bool(out.any()), bool((out[0] == out[1]).all())
        (True, True)

    Reference: thesis, Definition 3 and eq. 2.12; docs/spec.md, section 2.
    """
    add_sites(out, {site: keys})


def _per_input(out: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the keys as `(n_inputs, positions, 2)`, contiguous."""
    n = len(out)
    if keys.size % max(2 * n, 1) or (n == 0 and keys.size):
        raise OptionError(
            f"keys is {list(keys.shape)}, but must hold the same number of positions for each of "
            f"{n} inputs; a global pattern needs inputs of one size."
        )
    return np.ascontiguousarray(keys).reshape(n, keys.size // max(2 * n, 1), 2)


def global_keys(per_site: Iterable[tuple[int, NDArray[Any]]], n_inputs: int) -> NDArray[np.uint64]:
    """Return the 128-bit key of each input's global pattern.

    key = XOR over sites s and positions q of F_{s,q}(key of the pattern at s, q), with F a
    permutation of the 128-bit numbers (see `add_site`). The result depends neither on the
    order of the sites nor on how the inputs are split into batches. With F taken as random
    permutations two distinct global patterns share a key with probability at most about
    2^-127 (2^-128 from this step, and 2^-128 per differing position that the hash of the site hides
    the change); among n inputs the probability of a collision is below n^2 / 2^128.

    Args:
        per_site: (index of the site in graph order, keys `(n_inputs * positions, 2)` or
            `(n_inputs, positions, 2)` uint64); each site once.
        n_inputs: number of inputs.

    Returns:
        `(n_inputs, 2)` uint64.

    Raises:
        OptionError: the keys of a site do not divide evenly among the inputs.

    Example:
        >>> keys = np.arange(8, dtype=np.uint64).reshape(4, 2)
        >>> global_keys([(0, keys)], n_inputs=2).shape
        (2, 2)

    Reference: thesis, Definition 3 and eq. 2.12; docs/spec.md, section 2.
    """
    out = np.zeros((n_inputs, 2), np.uint64)
    for site, keys in per_site:
        add_site(out, site, keys)
    return out
