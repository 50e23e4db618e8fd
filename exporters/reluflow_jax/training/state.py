"""The state of ActCool between two steps: a pytree of arrays, and the controller inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.temperature import CrossingCool
from reluflow.temperature.crossing.lattice import BINS

_ROOM = 4096
"""Bytes that the text of a controller is filled up to, so that its array keeps its shape."""
NEVER = -1


class ActCoolState(NamedTuple):
    """What `ActCool` keeps in the state of the optimiser.

    All of it are arrays, so it is saved, restored, donated and placed on devices like moments. The
    compiled step reads rates and writes counts; `ActCool.steer` does the rest at the probes.

    Attributes:
        inner: state of the optimiser whose steps are scaled.
        step: int32, number of updates so far; the first one only measures.
        rates: `(table,)` float32, learning rates of the coming steps.
        start: int32, the step of the first of them.
        n_rates: int32, how many of them count; 0 before the first probe.
        probe_at: int32, the step that is measured; -1: none of the coming ones.
        part: float32, the part of that step up to which its curves are of first order; 0: they are
            straight between its ends.
        examples: int32, first examples of the batch that it is measured on; 0: all.
        rate: float32, of the latest step.
        counts: `(sites, BINS)` int32, samples of the latest probe by their crossing rates.
        straight: like them, by the ends of that step alone; 0 where it was not run at a part.
        lengths: `(2,)` float32, Euclidean norms of the weights and of the gradient there.
        text: uint8, the controller as JSON, but for its curves.
        curves: `(sites, BINS, 2)` uint32, the bits of the controller's float64 counts.
    """

    inner: Any
    step: Any
    rates: Any
    start: Any
    n_rates: Any
    probe_at: Any
    part: Any
    examples: Any
    rate: Any
    counts: Any
    straight: Any
    lengths: Any
    text: Any
    curves: Any


def initial_state(inner: Any, n_sites: int, table: int) -> ActCoolState:
    """Return the state before the first update, which is a probe.

    Args:
        inner: state of the optimiser whose steps are scaled.
        n_sites: number of switch sites.
        table: length of the table of rates.
    """
    return ActCoolState(
        inner=inner,
        step=np.int32(0),
        rates=np.zeros(table, np.float32),
        start=np.int32(0),
        n_rates=np.int32(0),
        probe_at=np.int32(0),
        part=np.float32(1.0),
        examples=np.int32(0),
        rate=np.float32(0.0),
        counts=np.zeros((n_sites, BINS), np.int32),
        straight=np.zeros((n_sites, BINS), np.int32),
        lengths=np.zeros(2, np.float32),
        text=np.zeros(_ROOM, np.uint8),
        curves=np.zeros((n_sites, BINS, 2), np.uint32),
    )


def pack(controller: CrossingCool, names: list[str]) -> dict[str, NDArray[Any]]:
    """Return a controller as arrays, to the bit.

    Args:
        controller: with a first curve or without.
        names: of the sites, in the order of the rows.

    Returns:
        The fields `text` and `curves` of a state.
    """
    state = controller.state_dict()
    rows = np.zeros((len(names), BINS))
    for site in state["curves"] or []:
        rows[names.index(site["site"]), site.pop("bins")] = site.pop("samples")
    text = json.dumps(state).encode()
    room = -(-len(text) // _ROOM) * _ROOM
    return {
        "text": np.frombuffer(text.ljust(room), np.uint8),
        "curves": rows.view("<u4").reshape(len(names), BINS, 2),
    }


def packed_of(state: ActCoolState) -> dict[str, NDArray[Any]]:
    """Return what `pack` has put into a state, on the host.

    Args:
        state: of ActCool, on any device.
    """
    text, curves = jax.device_get((state.text, state.curves))
    return {"text": np.asarray(text), "curves": np.asarray(curves)}


def unpack(controller: CrossingCool, packed: Mapping[str, NDArray[Any]], names: list[str]) -> None:
    """Continue a controller from what `pack` returned.

    Args:
        controller: a fresh one.
        packed: by `pack`.
        names: of the sites, in the order of the rows.

    Raises:
        DataError: the state is of another version, or of other sites.
    """
    text = packed["text"]
    if not np.any(text):
        return
    values = json.loads(bytes(text))
    rows = np.ascontiguousarray(packed["curves"], "<u4").view("<f8").reshape(-1, BINS)
    for site in values["curves"] or []:
        if site["site"] not in names or len(rows) != len(names):
            raise DataError(
                f"the state knows the site {site['site']} among {len(rows)}, but forward runs "
                f"{names}; go on with the function that the state was made with."
            )
        row = rows[names.index(site["site"])]
        site["bins"] = np.flatnonzero(row).tolist()
        site["samples"] = row[row > 0].tolist()
    controller.load_state_dict(values)


def is_state(node: Any) -> bool:
    """Tell whether a node of a pytree is the state of ActCool.

    Args:
        node: any.
    """
    return isinstance(node, ActCoolState)


def find_state(optimizer_state: Any) -> ActCoolState:
    """Return the state of ActCool inside that of an optimiser.

    Args:
        optimizer_state: of a chain, of `optax.inject_hyperparams`, ..., at any depth.

    Raises:
        DataError: there is none, or several; another library has wrapped its arrays.
    """
    nodes = jax.tree.leaves(optimizer_state, is_leaf=is_state)
    found: list[ActCoolState] = [node for node in nodes if is_state(node)]
    if len(found) != 1:
        raise DataError(
            f"the state of the optimiser holds {len(found)} states of ActCool; give the one that "
            "init() and update() of an optimiser with one ActCool.wrap(...) return."
        )
    step = found[0].step
    if not isinstance(step, jax.Array | np.ndarray | np.generic):
        raise DataError(
            f"the state of ActCool holds a {type(step).__name__} instead of an array, as "
            "nnx.Optimizer wraps it; call init() and update() of optax with nnx.split(model)."
        )
    return found[0]


def replace_state(optimizer_state: Any, new: ActCoolState) -> Any:
    """Return the state of an optimiser with another state of ActCool in it.

    Args:
        optimizer_state: with one inside.
        new: takes its place, on the devices of the old one.
    """

    def put(old: Any) -> Any:
        if not is_state(old):
            return old
        return jax.tree.map(_beside, old, new)

    return jax.tree.map(put, optimizer_state, is_leaf=is_state)


def _beside(old: Any, new: Any) -> Any:
    """Return an array where another one is, so that the compiled step fits it too."""
    if new is old or not isinstance(old, jax.Array):
        return new
    return jax.device_put(new, old.sharding) if old.committed else jnp.asarray(new)
