"""A function together with the pre-activations of its switch sites."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from reluflow.errors import DataError
from reluflow_jax.sites.find import Finder, Found, LeftOut, Path, Site, inner_jaxpr
from reluflow_jax.sites.values import BATCH, OTHER, of_array

Forward = Callable[..., Any]
"""Takes the weights, then the inputs of a batch, the first axis of each counting the inputs."""


def sites_of(
    forward: Forward, weights: Any, *inputs: Any, smooth: bool = False
) -> tuple[Site, ...]:
    """Return the switch sites of a function, in the order in which it runs them.

    The function is traced, not run, so that shapes will do for arrays (`jax.ShapeDtypeStruct`).
    Whatever library it is written with, its jaxpr is searched for the forms of docs/jax.md.

    Args:
        forward: takes the weights and a batch, as a training step calls it.
        weights: any pytree.
        inputs: of a batch, arrays or pytrees of them.
        smooth: whether GELU, SiLU, ELU, Softplus and Mish count, which switch at 0.

    Raises:
        DataError: the inputs have no common first axis.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights["first"]) @ weights["last"]
        >>> weights = {"first": jnp.ones((4, 16)), "last": jnp.ones((16, 2))}
        >>> [(site.name, site.units) for site in sites_of(forward, weights, jnp.ones((8, 4)))]
        [('relu_0', 16)]

    Reference: docs/spec.md, section 1.
    """
    return tuple(Traced(forward, weights, inputs, smooth=smooth).found.sites.values())


def left_out_of(
    forward: Forward, weights: Any, *inputs: Any, smooth: bool = False
) -> tuple[LeftOut, ...]:
    """Return what looks like a switch in a function and is not a site, with reasons.

    Args:
        forward: as for `sites_of`.
        weights: any pytree.
        inputs: of a batch.
        smooth: as for `sites_of`.

    Raises:
        DataError: the inputs have no common first axis.

    Example:
        >>> def forward(weights, x):
        ...     return jax.lax.fori_loop(0, 3, lambda _, h: jax.nn.relu(h @ weights), x)
        >>> [each.what for each in left_out_of(forward, jnp.ones((4, 4)), jnp.ones((8, 4)))]
        ['scan']
    """
    return tuple(Traced(forward, weights, inputs, smooth=smooth).found.left_out)


def taps(forward: Forward, *, smooth: bool = False) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that gives what `forward` does, and the pre-activations of its sites.

    It may be transformed and compiled like any other function of JAX.

    Args:
        forward: as for `sites_of`.
        smooth: as for `sites_of`.

    Returns:
        A function of the weights and a batch, to the outputs and a dictionary: name of the site to
        `(samples, units)` pre-activations less the threshold. A unit is on above 0.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights).sum()
        >>> total, values = jax.jit(taps(forward))(jnp.eye(2), jnp.array([[1.0, -2.0]]))
        >>> float(total), values["relu_0"].tolist()
        (1.0, [[1.0, -2.0]])

    Reference: docs/spec.md, section 2.
    """

    @functools.wraps(forward)
    def tapped(weights: Any, *inputs: Any) -> tuple[Any, dict[str, Any]]:
        return Traced(forward, weights, inputs, smooth=smooth).run(weights, inputs)

    return tapped


class Traced:
    """A function at some shapes of its arguments: its jaxpr, and the sites in it.

    Args:
        forward: as for `sites_of`.
        weights: any pytree, shapes will do.
        inputs: of a batch.
        smooth: as for `sites_of`.

    Attributes:
        found: the sites, and what is not one.

    Raises:
        DataError: the inputs have no common first axis.
    """

    def __init__(
        self, forward: Forward, weights: Any, inputs: Sequence[Any], *, smooth: bool
    ) -> None:
        closed, shapes = jax.make_jaxpr(forward, return_shape=True)(weights, *inputs)
        self._closed: ClosedJaxpr = closed
        self._outputs = jax.tree.structure(shapes)
        n_weights = len(jax.tree.leaves(weights))
        size = batch_size(inputs)
        arguments = [
            of_array(var.aval, _axes(var.aval, size) if place >= n_weights else None)
            for place, var in enumerate(closed.jaxpr.invars)
        ]
        finder = Finder(smooth=smooth)
        finder.walk(closed.jaxpr, closed.consts, arguments)
        self.found: Found = finder.found

    def run(self, weights: Any, inputs: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
        """Return the outputs of the function, and the values of its sites by name.

        Args:
            weights: of the shapes traced.
            inputs: of the shapes traced.
        """
        run = _Run(self.found)
        flat = jax.tree.leaves((weights, *inputs))
        outputs = run.jaxpr(self._closed.jaxpr, self._closed.consts, flat, ())
        values = {site.name: run.values[site.name] for site in self.found.sites.values()}
        return jax.tree.unflatten(self._outputs, outputs), values


class _Run:
    """Evaluates a jaxpr equation by equation; a call without a site in it runs as it is."""

    def __init__(self, found: Found) -> None:
        self._sites: dict[Path, list[tuple[int, Site]]] = {}
        for (path, operand), site in found.sites.items():
            self._sites.setdefault(path, []).append((operand, site))
        self._entered = {path[:n] for path in self._sites for n in range(1, len(path))}
        self.values: dict[str, Any] = {}

    def jaxpr(
        self, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], path: Path
    ) -> list[Any]:
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))
        for index, eqn in enumerate(jaxpr.eqns):
            inputs = [var.val if hasattr(var, "val") else known[var] for var in eqn.invars]
            place = (*path, index)
            for operand, site in self._sites.get(place, ()):
                self.values[site.name] = above(inputs[operand], site)
            known.update(zip(eqn.outvars, self._outputs(eqn, inputs, place), strict=True))
        return [var.val if hasattr(var, "val") else known[var] for var in jaxpr.outvars]

    def _outputs(self, eqn: Any, inputs: list[Any], place: Path) -> list[Any]:
        if place in self._entered:
            inner = inner_jaxpr(eqn)
            assert inner is not None
            return self.jaxpr(inner.jaxpr, inner.consts, inputs, place)
        outputs = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
        return list(outputs) if eqn.primitive.multiple_results else [outputs]


def above(value: Any, site: Site) -> Any:
    """Return `(samples, units)` of a pre-activation less the threshold.

    Args:
        value: the pre-activation, or its derivative along a step where the threshold is 0.
        site: whose it is.

    Example:
        >>> above(jnp.zeros((2, 5, 5, 3)), Site("relu_0", "relu", (2, 5, 5, 3), 3)).shape
        (50, 3)
    """
    wide = value.astype(jnp.promote_types(value.dtype, jnp.float32))
    if site.threshold:
        # Rounded as the switch rounds it, so that the sign is that of the comparison.
        wide = wide - jnp.asarray(site.threshold, value.dtype).astype(wide.dtype)
    return jnp.moveaxis(wide, site.unit_axis, -1).reshape(-1, value.shape[site.unit_axis])


def batch_size(inputs: Sequence[Any]) -> int:
    """Return the number of inputs of a batch: the length of the first axis of its first array.

    Args:
        inputs: arrays or pytrees of them.

    Raises:
        DataError: there is no array with an axis.

    Example:
        >>> batch_size([{"image": jnp.zeros((8, 28, 28))}])
        8
    """
    for leaf in jax.tree.leaves(tuple(inputs)):
        if len(getattr(leaf, "shape", ())) > 0:
            return int(leaf.shape[0])
    raise DataError(
        "the batch holds no array with a first axis that counts its inputs; give what forward "
        "takes behind the weights, as one or more arrays."
    )


def first_inputs(inputs: Sequence[Any], examples: int) -> tuple[Any, ...]:
    """Return the first examples of a batch, of every array whose first axis counts them.

    Args:
        inputs: arrays or pytrees of them.
        examples: how many.

    Raises:
        DataError: there is no array with an axis.

    Example:
        >>> x, scale = first_inputs((jnp.zeros((8, 3)), jnp.ones(3)), 2)
        >>> x.shape, scale.shape
        ((2, 3), (3,))
    """
    size = batch_size(inputs)

    def cut(leaf: Any) -> Any:
        is_batch = len(jnp.shape(leaf)) > 0 and jnp.shape(leaf)[0] == size
        return everywhere(leaf)[:examples] if is_batch else leaf

    found: tuple[Any, ...] = jax.tree.map(cut, tuple(inputs))
    return found


def everywhere(values: Any) -> Any:
    """Return an array that every device holds as a whole, where axes of devices are explicit.

    Args:
        values: an array.

    Example:
        >>> everywhere(jnp.ones(3)).shape
        (3,)
    """
    placed = jax.typeof(values).sharding
    if not any(placed.spec):
        return values
    place: Any = jax.sharding
    return place.reshard(values, place.NamedSharding(placed.mesh, place.PartitionSpec()))


def _axes(aval: Any, size: int) -> tuple[str, ...]:
    shape = tuple(getattr(aval, "shape", ()))
    return tuple(BATCH if i == 0 and n == size else OTHER for i, n in enumerate(shape))
