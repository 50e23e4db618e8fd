"""Crossing rates of the samples of all sites, counted on the device (docs/spec.md, section 5)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reluflow.errors import DataError
from reluflow.temperature import CrossingCurve, CrossingCurves
from reluflow.temperature.crossing.lattice import BINS, LOWEST, PER_OCTAVE
from reluflow_jax.sites.find import Site
from reluflow_jax.sites.patterns import no_site_text
from reluflow_jax.sites.taps import Forward, Traced, everywhere, taps

_SEED = 0


def crossing_curves(
    forward: Forward, weights: Any, direction: Any, *inputs: Any, smooth: bool = False
) -> CrossingCurves:
    """Return the curve of D over the rate of every site, from one derivative along a step.

    A sample with the pre-activations c and their derivative g along the step changes its pattern
    at the least -c / g above 0. `jax.jvp` gives both in one pass, without a difference of two
    states in which digits cancel.

    Args:
        forward: takes the weights and a batch.
        weights: any pytree.
        direction: the change of the weights by a step of rate 1, as an optimiser with
            `learning_rate=1.0` gives it.
        inputs: of the batch.
        smooth: whether smooth relatives count, as in `sites_of`.

    Raises:
        DataError: the function has no switch site.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights)
        >>> x = jnp.array([[1.0], [2.0], [3.0], [4.0]] * 8)
        >>> curves = crossing_curves(forward, jnp.ones((1, 1)), -jnp.ones((1, 1)), x)
        >>> round(curves["relu_0"].rate(1.0), 1)  # the weight is 0 after a step of rate 1
        1.0

    Source: docs/spec.md, section 5 (crossing rates).
    """
    sites = tuple(Traced(forward, weights, inputs, smooth=smooth).found.sites.values())
    if not sites:
        raise DataError(no_site_text())
    counts = _counts(forward, weights, direction, inputs, smooth)
    return curves_of(sites, jax.device_get(counts))


@functools.partial(jax.jit, static_argnums=(0, 4))
def _counts(forward: Forward, weights: Any, direction: Any, inputs: Any, smooth: bool) -> Any:
    values, slopes = values_and_slopes(forward, weights, direction, inputs, smooth=smooth)
    return count(first_rates(values, slopes))


def curves_of(sites: Sequence[Site], counts: Any) -> CrossingCurves:
    """Return the curves of counts.

    Args:
        sites: in the order of the rows.
        counts: `(sites, BINS)` of samples.
    """
    return CrossingCurves(
        {
            site.name: CrossingCurve(np.asarray(row, np.float64), site.units)
            for site, row in zip(sites, counts, strict=True)
        }
    )


def values_and_slopes(
    forward: Forward,
    weights: Any,
    direction: Any,
    inputs: Sequence[Any],
    *,
    smooth: bool = False,
    max_samples: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pre-activations of all sites and their derivatives along a direction.

    Args:
        forward: takes the weights and a batch.
        weights: any pytree.
        direction: of the same structure.
        inputs: of the batch.
        smooth: whether smooth relatives count.
        max_samples: bound on the samples of a site; None: all.

    Returns:
        Two dictionaries: name of the site to `(samples, units)`.
    """
    values = functools.partial(
        values_at, forward, inputs=inputs, smooth=smooth, max_samples=max_samples
    )
    found, slopes = jax.jvp(values, (weights,), (jax.tree.map(_tangent, weights, direction),))
    return found, slopes


def values_at(
    forward: Forward,
    weights: Any,
    inputs: Sequence[Any],
    *,
    smooth: bool = False,
    max_samples: int | None = None,
) -> dict[str, Any]:
    """Return the pre-activations of all sites.

    Args:
        forward: takes the weights and a batch.
        weights: any pytree.
        inputs: of the batch.
        smooth: whether smooth relatives count.
        max_samples: bound on the samples of a site; None: all.

    Returns:
        Name of the site to `(samples, units)`.
    """
    found = taps(forward, smooth=smooth)(weights, *inputs)[1]
    return {name: _some(each, max_samples) for name, each in found.items()}


def _some(values: Any, most: int | None) -> Any:
    """Return some rows, the same whenever there are as many."""
    if most is None or len(values) <= most:
        return values
    values = everywhere(values)
    chosen = np.random.default_rng(_SEED).choice(len(values), most, replace=False)
    return values[np.sort(chosen)]


def _tangent(weight: Any, change: Any) -> Any:
    dtype = jnp.asarray(weight).dtype
    if jnp.issubdtype(dtype, jnp.inexact):
        return jnp.asarray(change, dtype)
    return np.zeros(jnp.shape(weight), jax.dtypes.float0)


def first_rates(values: Mapping[str, Any], slopes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rate at which each sample changes its pattern first, to first order.

    Args:
        values: `(samples, units)` pre-activations less the threshold, by site.
        slopes: their derivatives by the rate.

    Returns:
        `(samples,)` by site; infinite where no unit ever switches.

    Example:
        >>> rates = first_rates({"a": jnp.array([[1.0, -2.0]])}, {"a": jnp.array([[-2.0, 1.0]])})
        >>> rates["a"].tolist()
        [0.5]
        >>> c = jnp.array([[jnp.inf, 1.0], [0.0, 1.0], [jnp.nan, -1.0]])
        >>> g = jnp.array([[-jnp.inf, -1.0], [1.0, 1.0], [1.0, -jnp.nan]])
        >>> first_rates({"a": c}, {"a": g})["a"].tolist()
        [1.0, 0.0, inf]
    """
    return {name: _first(values[name], slopes[name]) for name in values}


def _first(c: Any, g: Any) -> Any:
    c, g = jnp.asarray(c), jnp.asarray(g)  # numpy would warn of what is divided by 0
    # NaN, and an infinite pre-activation, say nothing.
    switches = ((c > 0) & (g < 0)) | ((c <= 0) & (g > 0))
    inverse = jnp.where(switches & (jnp.abs(c) < jnp.inf), jnp.abs(g / c), 0.0)
    return 1.0 / jnp.max(inverse, axis=1)


def rates_along(
    values: Mapping[str, Any], slopes: Mapping[str, Any], ends: Mapping[str, Any], way: Any
) -> dict[str, Any]:
    """Return the crossing rates along a derivative, and from there on straight to a state.

    Args:
        values: `(samples, units)` pre-activations less the threshold at the start, by site.
        slopes: their derivatives by the rate.
        ends: the values after the whole step.
        way: two rates, that up to which the derivative holds and that of the step.

    Returns:
        `(samples,)` by site.

    Example:
        >>> c, g, end = ({"a": jnp.array([[value]])} for value in (1.0, -1.0, -0.5))
        >>> rates_along(c, g, end, (0.5, 1.5))["a"].tolist()  # from 0.5 at 0.5 on by -1.0
        [1.0]
    """
    held, whole = way
    found = {}
    for name, start in values.items():
        early = _first(start, slopes[name])
        middle = start + held * slopes[name]
        late = held + (whole - held) * _first(middle, ends[name] - middle)
        found[name] = jnp.where(early <= held, early, late)
    return found


def rates_to(values: Mapping[str, Any], ends: Mapping[str, Any], whole: Any) -> dict[str, Any]:
    """Return the crossing rates straight from one state to another.

    Args:
        values: `(samples, units)` pre-activations less the threshold at the start, by site.
        ends: the values after the whole step.
        whole: rate of the step.

    Returns:
        `(samples,)` by site.

    Example:
        >>> c, end = ({"a": jnp.array([[value]])} for value in (1.0, -1.0))
        >>> rates_to(c, end, 0.5)["a"].tolist()
        [0.25]
    """
    return {name: whole * _first(start, ends[name] - start) for name, start in values.items()}


def count(rates: Mapping[str, Any]) -> Any:
    """Count the samples of each site by their crossing rates.

    Args:
        rates: `(samples,)` by site.

    Returns:
        `(sites, BINS)` int32, on the device.

    Example:
        >>> from reluflow.temperature.crossing.lattice import bins_of
        >>> rates = np.geomspace(1e-9, 1e9, 999, dtype=np.float32)
        >>> found = count({"relu_0": rates})[0]
        >>> bool((np.asarray(found) == np.bincount(bins_of(rates), minlength=BINS)).all())
        True
    """
    bins = [_bins(everywhere(each)) for each in rates.values()]
    return jnp.stack([jnp.bincount(each, length=BINS) for each in bins])


def _bins(rates: Any) -> Any:
    """Return the bin of each rate; the exponent apart, so that float32 tells the cells."""
    rates = jnp.asarray(rates)
    mantissa, exponent = jnp.frexp(rates)
    cell = jnp.floor((jnp.log2(2.0 * mantissa)) * PER_OCTAVE).astype(jnp.int32)
    place = (exponent.astype(jnp.int32) - 1 - LOWEST) * PER_OCTAVE + cell + 1
    place = jnp.where(rates > 0, place, 0)
    return jnp.clip(jnp.where(rates < jnp.inf, place, BINS - 1), 0, BINS - 1)
