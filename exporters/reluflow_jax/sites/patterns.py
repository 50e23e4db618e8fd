"""Patterns of a batch on its device: D between two states of the weights, fingerprints, counts."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.monitoring import SiteCounter, SiteCounts
from reluflow.patterns import DEFAULT_SEED, unit_words
from reluflow.temperature import SiteDistance, StepDistance
from reluflow_jax.sites.taps import Forward, Traced, taps

_HALVES = 4
"""Words of 32 bits in a key: JAX has no wider integers unless asked for."""


def distance(
    forward: Forward, before: Any, after: Any, *inputs: Any, smooth: bool = False
) -> StepDistance:
    """Return D of every site of a function between two states of its weights (eq. 3.15).

    The function is compiled once for each `forward` and shape of the batch. Where the batch lies on
    several devices, so do the patterns, and the counts are those of all.

    Args:
        forward: takes the weights and a batch.
        before: weights of the first state.
        after: weights of the second state.
        inputs: of the batch.
        smooth: whether smooth relatives count, as in `sites_of`.

    Returns:
        Exact counts of samples, by site.

    Raises:
        DataError: the function has no switch site, or the batch no first axis.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights)
        >>> x = jnp.array([[1.0, 1.0], [1.0, -1.0], [2.0, 1.0]])
        >>> distance(forward, jnp.eye(2), -jnp.eye(2), x).mean_distance
        1.0

    Reference: docs/spec.md, section 5.
    """
    sites = Traced(forward, before, inputs, smooth=smooth).found.sites.values()
    if not sites:
        raise DataError(no_site_text())
    found = jax.device_get(_changes(forward, before, after, inputs, smooth))
    return StepDistance(
        tuple(
            SiteDistance(
                site.name,
                int(found[site.name][0]),
                site.samples,
                units=site.units,
                nans=int(found[site.name][1]),
                nonfinite=int(found[site.name][2]),
            )
            for site in sites
        )
    )


def no_site_text() -> str:
    """Return what is told where a function has no switch site."""
    return (
        "forward runs no switch site that is seen: see left_out_of(forward, weights, *inputs), and "
        "give smooth=True for GELU and the like."
    )


@functools.partial(jax.jit, static_argnums=(0, 4))
def _changes(forward: Forward, before: Any, after: Any, inputs: Any, smooth: bool) -> Any:
    run = taps(forward, smooth=smooth)
    old, new = run(before, *inputs)[1], run(after, *inputs)[1]
    return {name: _changed(old[name], new[name]) for name in old}


def _changed(a: Any, b: Any) -> tuple[Any, Any, Any]:
    nonfinite = jnp.sum(~jnp.isfinite(a)) + jnp.sum(~jnp.isfinite(b))
    return jnp.sum(jnp.any((a > 0) != (b > 0), axis=1)), jnp.sum(jnp.isnan(b)), nonfinite


def fingerprints(values: Any, *, seed: int = DEFAULT_SEED) -> NDArray[np.uint64]:
    """Return the 128-bit fingerprint of the pattern of every sample, hashed on the device.

    The XOR of the words of the active units is the parity of a product of matrices, which every
    device computes exactly for up to 2^24 units.

    Args:
        values: `(samples, units)` pre-activations less the threshold, as `taps` gives them.
        seed: of the words, in [0, 2^64).

    Returns:
        `(samples, 2)` uint64, the keys of `reluflow.patterns.fingerprint`.

    Example:
        >>> from reluflow.patterns import fingerprint
        >>> values = jnp.array([[1.0, -2.0], [0.0, 3.0]])
        >>> bool((fingerprints(values) == fingerprint(np.asarray(values)).keys).all())
        True

    Reference: docs/spec.md, section 2, default hash.
    """
    return _as_keys(jax.device_get(_hashed(values, seed)))


def _as_keys(halves: Any) -> NDArray[np.uint64]:
    found: NDArray[np.uint64] = np.ascontiguousarray(halves, dtype="<u4").view("<u8")
    return found


@functools.partial(jax.jit, static_argnums=1)
def _hashed(values: Any, seed: int) -> Any:
    """Return `(samples, 4)` uint32, the low half of each word first."""
    words = unit_words(values.shape[1], seed)
    planes = (words[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    bits = (values > 0).astype(jnp.float32)
    highest = jax.lax.Precision.HIGHEST
    sums = jnp.matmul(bits, planes.reshape(len(words), -1).astype(np.float32), precision=highest)
    parity = jnp.mod(sums, 2.0).astype(jnp.uint32).reshape(-1, _HALVES, 32)
    return jnp.sum(parity << jnp.arange(32, dtype=jnp.uint32), axis=2, dtype=jnp.uint32)


def count_patterns(
    forward: Forward, weights: Any, batches: Iterable[Any], *, smooth: bool = False
) -> dict[str, SiteCounts]:
    """Count the activation patterns of all batches exactly, by site.

    Samples are hashed where they are; 16 bytes of each come to the host.

    Args:
        forward: takes the weights and a batch.
        weights: any pytree.
        batches: arrays, or tuples where `forward` takes several inputs.
        smooth: whether smooth relatives count, as in `sites_of`.

    Returns:
        By site the table of counts and in how many samples each unit is active;
        `reluflow.monitoring.measure_site` gives entropy and the other measures of it.

    Raises:
        DataError: there is no batch, or the function has no switch site.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights)
        >>> batches = [jnp.array([[1.0, -1.0], [2.0, -3.0]]), jnp.array([[1.0, 1.0]])]
        >>> found = count_patterns(forward, jnp.eye(2), batches)["relu_0"]
        >>> found.table.samples, found.table.total, found.active.tolist()
        (3, 2, [3, 1])

    Reference: docs/spec.md, section 2 and section 3.
    """
    counters: dict[str, SiteCounter] = {}
    for batch in batches:
        inputs = batch if isinstance(batch, tuple) else (batch,)
        for name, (keys, active) in jax.device_get(
            _hashes(forward, weights, inputs, smooth)
        ).items():
            counter = counters.setdefault(name, SiteCounter())
            counter.add(_as_keys(keys), active.astype(np.int64))
    if not counters:
        raise DataError("no batch was given, or " + no_site_text())
    return {name: counter.finish() for name, counter in counters.items()}


@functools.partial(jax.jit, static_argnums=(0, 3))
def _hashes(forward: Forward, weights: Any, inputs: Any, smooth: bool) -> Any:
    values = taps(forward, smooth=smooth)(weights, *inputs)[1]
    return {
        name: (_hashed(each, DEFAULT_SEED), jnp.sum(each > 0, axis=0))
        for name, each in values.items()
    }
