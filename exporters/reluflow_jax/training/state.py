"""The state of ActCool between two steps: a pytree of arrays, and the controller inside it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.temperature import CrossingCool
from reluflow.temperature.crossing.lattice import BINS

_ROOM = 4096
"""Bytes that the text of a controller is filled up to, so that its array keeps its shape; less than
those of a site's curve."""
_SIZE = 8
"""Bytes of a float64."""
NEVER = -1


class ActCoolState(NamedTuple):
    """What `ActCool` keeps in the state of the optimiser.

    All of it are arrays, so it is saved, restored, donated and placed on devices like moments; they
    are few, as every one costs time in each call of a compiled step. The compiled step reads rates
    and writes counts; `ActCool.steer` does the rest at the probes.

    Attributes:
        inner: state of the optimiser whose steps are scaled.
        step: int32, number of updates so far; the first one only measures.
        rate: float32, of the latest step.
        plan: `(4,)` int32, `start`, `n_rates`, `probe_at` and `examples`.
        table: `(rates + 1,)` float32, learning rates of the coming steps, and `part`.
        found: `(2, sites, BINS)` int32, `counts` and `straight`.
        lengths: `(2,)` float32, Euclidean norms of the weights and of the gradient there.
        saved: uint8, the controller: the bytes of its float64 curves, `(sites, BINS)`, and the rest
            as JSON.
    """

    inner: Any
    step: Any
    rate: Any
    plan: Any
    table: Any
    found: Any
    lengths: Any
    saved: Any

    @property
    def start(self) -> Any:
        """The step of the first rate in the table."""
        return self.plan[0]

    @property
    def n_rates(self) -> Any:
        """How many rates of the table count; 0 before the first probe."""
        return self.plan[1]

    @property
    def probe_at(self) -> Any:
        """The step that is measured; -1: none of the coming ones."""
        return self.plan[2]

    @property
    def examples(self) -> Any:
        """First examples of the batch that it is measured on; 0: all."""
        return self.plan[-1]

    @property
    def part(self) -> Any:
        """Part of that step up to which its curves are of first order; 0: of its ends alone."""
        return self.table[-1]

    @property
    def counts(self) -> Any:
        """`(sites, BINS)`, samples of the latest probe by their crossing rates."""
        return self.found[0]

    @property
    def straight(self) -> Any:
        """Like them, by the ends of that step alone; 0 where it was not run at a part."""
        return self.found[1]


class Turn(NamedTuple):
    """Where a training stands between two probes.

    Attributes:
        made: number of updates so far.
        probe_at: the update that is measured; `NEVER`: none of the coming ones.
        start: the update of the first rate in the table.
        n_rates: rates in it.

    Example:
        >>> turn = Turn(made=9, probe_at=16, start=9, n_rates=8)
        >>> turn.due, turn.is_probed
        (17, True)
    """

    made: int
    probe_at: int
    start: int
    n_rates: int

    @property
    def is_probed(self) -> bool:
        """Whether the last update of the table is measured."""
        return self.probe_at != NEVER

    @property
    def due(self) -> int:
        """Number of updates behind which the controller is to give new rates."""
        return self.probe_at + 1 if self.is_probed else self.start + self.n_rates


def turn_of(state: ActCoolState) -> Turn:
    """Return where a training stands; it waits for the device.

    Args:
        state: of ActCool.
    """
    made, plan = jax.device_get((state.step, state.plan))
    start, n_rates, probe_at, _ = (int(each) for each in plan)
    return Turn(int(made), probe_at, start, n_rates)


def planned(turn: Turn, examples: int) -> NDArray[np.int32]:
    """Return the plan of a state.

    Args:
        turn: all but the number of updates.
        examples: of the step that is measured; 0: all.
    """
    return np.array([turn.start, turn.n_rates, turn.probe_at, examples], np.int32)


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
        rate=np.float32(0.0),
        plan=planned(Turn(made=0, probe_at=0, start=0, n_rates=0), 0),
        table=np.append(np.zeros(table, np.float32), np.float32(1.0)),
        found=np.zeros((2, n_sites, BINS), np.int32),
        lengths=np.zeros(2, np.float32),
        saved=np.zeros(_SIZE * n_sites * BINS + _ROOM, np.uint8),
    )


def pack(controller: CrossingCool, names: list[str]) -> NDArray[np.uint8]:
    """Return a controller as bytes, to the bit.

    Args:
        controller: with a first curve or without.
        names: of the sites, in the order of the rows.

    Returns:
        The field `saved` of a state.
    """
    state = controller.state_dict()
    rows = np.zeros((len(names), BINS), "<f8")
    for site in state["curves"] or []:
        rows[names.index(site["site"]), site.pop("bins")] = site.pop("samples")
    text = json.dumps(state).encode()
    room = -(-len(text) // _ROOM) * _ROOM
    return np.append(rows.view(np.uint8).reshape(-1), np.frombuffer(text.ljust(room), np.uint8))


def saved_in(state: ActCoolState) -> NDArray[np.uint8]:
    """Return what `pack` has put into a state, on the host.

    Args:
        state: of ActCool, on any device.
    """
    return np.asarray(jax.device_get(state.saved))


def unpack(controller: CrossingCool, saved: NDArray[np.uint8], names: list[str]) -> None:
    """Continue a controller from what `pack` returned.

    Args:
        controller: a fresh one.
        saved: by `pack`.
        names: of the sites, in the order of the rows.

    Raises:
        DataError: the state is of another version, or of other sites.
    """
    if not np.any(saved):
        return
    n_sites = (len(saved) - 1) // (_SIZE * BINS)
    length = _SIZE * BINS * n_sites
    values = json.loads(bytes(saved[length:]))
    rows = np.frombuffer(bytes(saved[:length]), "<f8").reshape(-1, BINS)
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


class Place:
    """Finds the state of ActCool in trees of one structure: it searches the first one alone.

    Example:
        >>> place, state = Place(), initial_state((), n_sites=1, table=9)
        >>> place.state_in(({"w": 1.0}, [state])) is place.state_in(({"w": 2.0}, [state])) is state
        True
    """

    def __init__(self) -> None:
        self._path: list[tuple[bool, Any]] | None = None

    def state_in(self, tree: Any) -> ActCoolState:
        """Return the state in a tree.

        Args:
            tree: with one inside, at any depth.

        Raises:
            DataError: as for `find_state`.
        """
        if self._path is not None:
            node = tree
            try:
                for is_attribute, key in self._path:
                    node = getattr(node, key) if is_attribute else node[key]
            except (AttributeError, IndexError, KeyError, TypeError):
                node = None
            if isinstance(node, ActCoolState):
                return node
        self._path = None
        found = find_state(tree)
        leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_state)
        keys = next(keys for keys, node in leaves if node is found)
        if all(isinstance(key, _KEYS) for key in keys):
            self._path = [
                (True, key.name)
                if isinstance(key, jax.tree_util.GetAttrKey)
                else (False, getattr(key, "key", getattr(key, "idx", None)))
                for key in keys
            ]
        return found


_KEYS = jax.tree_util.GetAttrKey, jax.tree_util.DictKey, jax.tree_util.SequenceKey


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
