"""The passes of a probe, compiled once by the backend, which leave the model as it is."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from reluflow_keras.switches import Tapped

Arrays = list[Any]


class Before(NamedTuple):
    """What a probe takes from the state before a step; arrays of the backend.

    Attributes:
        values: `(samples, units)` of every site.
        other: copies of what is not trained, so that both passes draw alike.
        weights: copies, where they are asked for.
        moments: copies of the moments that were given.
        length: norm of the weights.

    Example:
        >>> Before(values=[], other=[], weights=[], moments=[], length=2.0).length
        2.0
    """

    values: Arrays
    other: Arrays
    weights: Arrays
    moments: Arrays
    length: Any


class Passes:
    """Runs a tapped model on weights that are given, and counts on the device of the backend.

    Its functions are compiled by `jax.jit` or `tf.function`, in torch not at all: those that run
    the model or look at samples once for every size of a batch, all others once.

    Args:
        tapped: reads the model.
        is_eager: whether nothing is compiled, as for a model that runs eagerly.

    Attributes:
        tapped: see above.

    Example:
        >>> layer = keras.layers.Dense(1, "relu", use_bias=False, name="dense")
        >>> network = keras.Sequential([keras.Input((1,)), layer])
        >>> passes = Passes(Tapped(network), is_eager=False)
        >>> x, one = np.array([[1.0], [2.0]], np.float32), keras.ops.ones((1, 1))
        >>> passes.build(x)  # already is
        >>> [keras.ops.convert_to_numpy(each).tolist() for each in passes.values([one], [], x)]
        [[[1.0], [2.0]]]
        >>> before = passes.before([one], [], x, [], True)
        >>> after = [-3 * one]  # a quarter of the way is that to 0
        >>> found, norms = passes.changes(before, after, x, 1.0, (before.weights, after))
        >>> [each.tolist() for each in found], norms.tolist()
        ([[0.25, 0.25]], [1.0, 4.0])
    """

    def __init__(self, tapped: Tapped, *, is_eager: bool) -> None:
        self.tapped = tapped
        compiler = _compiler(is_eager)
        self._values = compiler(self._run)
        self._copied, self._length = compiler(copied), compiler(norm)
        self._moved, self._between = compiler(_moved), compiler(_between)
        self._straight, self._bent = compiler(_straight), compiler(_along)

    def values(self, trained: Arrays, other: Arrays, x: Any) -> Arrays:
        """Return the pre-activations of every site, `(samples, units)`.

        Args:
            trained: the weights.
            other: what is not trained, such as averages of batches and seeds.
            x: a batch.
        """
        self.build(x)
        return list(self._values(trained, other, x))

    def build(self, x: Any) -> None:
        """Make the variables of a network that has none yet.

        Args:
            x: a batch.
        """
        if self.tapped.built:
            return
        if self.tapped.network.built:
            self.tapped.built = True  # it has nothing of its own
        else:
            self.tapped.read(x)

    def before(
        self, trained: Arrays, other: Arrays, x: Any, moments: Arrays, keeps_weights: bool
    ) -> Before:
        """Return what a probe takes from the state before a step.

        Args:
            trained: the weights.
            other: what is not trained.
            x: the batch, or its first examples.
            moments: of the optimiser, which are kept.
            keeps_weights: whether the weights are kept too.
        """
        self.build(x)
        copies = self._copied([*other, *moments, *(trained if keeps_weights else [])])
        first, last = len(other), len(other) + len(moments)
        return Before(
            self.values(trained, other, x),
            copies[:first],
            copies[last:],
            copies[first:last],
            self._length(trained),
        )

    def changes(
        self,
        before: Before,
        trained: Arrays,
        x: Any,
        part: float,
        shown: tuple[Arrays, Arrays],
        kept: float = 1.0,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the rates at which samples change, as shares of a step, and two norms.

        Args:
            before: that of the step.
            trained: the weights after it.
            x: that of `before`.
            part: of the step, after which pre-activations are looked at too; 1: only after all.
            shown: arrays before and after it; empty: there are none.
            kept: factor of the former.

        Returns:
            `(samples,)` rates of every site along the way through the part, and where there is one,
            those of all sites once more, straight to the end; the norms of the weights before, and
            of what was shown after less `kept` times before.
        """
        states, shares = [before.values], np.asarray([part, kept], np.float32)
        count = self._straight
        if part < 1.0:
            between = self._between(before.weights, trained, shares)
            states.append(self.values(between, before.other, x))
            count = self._bent
        states.append(self.values(trained, before.other, x))
        norms = [before.length, self._moved(*shown, shares) if shown[0] else before.length]
        found = keras.ops.convert_to_numpy(count(states, shares, norms))
        sizes = [len(each) for each in before.values] * (len(states) - 1)
        return np.split(found[:-2], np.cumsum(sizes)[:-1]), found[-2:]

    def _run(self, trained: Arrays, other: Arrays, x: Any) -> Arrays:
        values, _ = self.tapped.stateless_call(trained, other, x)
        return [_rows(each) for each in values]


def _moved(earlier: Arrays, later: Arrays, shares: Any) -> Any:
    pairs = zip(earlier, later, strict=True)
    return norm([new - keras.ops.cast(shares[1], new.dtype) * old for old, new in pairs])


def _between(earlier: Arrays, later: Arrays, shares: Any) -> Arrays:
    pairs = zip(earlier, later, strict=True)
    return [old + (new - old) * keras.ops.cast(shares[0], old.dtype) for old, new in pairs]


def _straight(states: list[Arrays], shares: Any, norms: Arrays) -> Any:
    return _joined([_first(*way) for way in zip(*states, strict=True)], norms)


def _along(states: list[Arrays], shares: Any, norms: Arrays) -> Any:
    start, middle, end = states
    bent = [_turning(*way, shares[0]) for way in zip(start, middle, end, strict=True)]
    return _joined(bent + [_first(*way) for way in zip(start, end, strict=True)], norms)


def _joined(shares: Arrays, norms: Arrays) -> Any:
    """Return all numbers that go to the host as one array."""
    wide = [keras.ops.cast(each, "float32") for each in shares]
    return keras.ops.concatenate([*wide, keras.ops.stack(norms)])


def _compiler(is_eager: bool) -> Callable[..., Any]:
    """Return what compiles a function. Keras has the backend; nothing here imports it."""
    name = keras.backend.backend()
    found = sys.modules[name]
    if name == "torch":
        return found.no_grad()  # type: ignore[no-any-return]
    if is_eager:
        return lambda function: function
    if name == "jax":
        return found.jit  # type: ignore[no-any-return]
    return functools.partial(found.function, autograph=False, reduce_retracing=True)


def _wide(values: Any) -> Any:
    return keras.ops.cast(values, keras.backend.result_type(values.dtype, "float32"))


def _rows(values: Any) -> Any:
    return _wide(keras.ops.reshape(values, (-1, values.shape[-1])))


def _first(start: Any, end: Any) -> Any:
    """Return the share of a straight way at which each sample changes first; infinite: nowhere."""
    slope = end - start
    # A NaN, and an infinite pre-activation, say nothing.
    off, on = (
        keras.ops.logical_and(start <= 0, slope > 0),
        keras.ops.logical_and(start > 0, slope < 0),
    )
    switches = keras.ops.logical_and(keras.ops.logical_or(off, on), keras.ops.abs(start) < np.inf)
    inverse = keras.ops.where(switches, keras.ops.abs(slope / start), keras.ops.zeros_like(start))
    return 1.0 / keras.ops.max(inverse, axis=1)


def _turning(start: Any, middle: Any, end: Any, part: Any) -> Any:
    """Return the same of a way that goes straight to its middle, and straight on to its end."""
    part = keras.ops.cast(part, start.dtype)
    early = part * _first(start, middle)
    late = part + (1.0 - part) * _first(middle, end)
    return keras.ops.where(early <= part, early, late)


def copied(arrays: Sequence[Any]) -> Arrays:
    """Return copies of arrays of the backend.

    Args:
        arrays: such as the weights of a step that is yet to be made.

    Example:
        >>> [array.shape[0] for array in copied([keras.ops.ones(3)])]
        [3]
    """
    return [keras.ops.copy(each) for each in arrays]


def norm(arrays: Sequence[Any]) -> Any:
    """Return the Euclidean norm of arrays of the backend together, where they are.

    Args:
        arrays: of any shapes.

    Example:
        >>> float(norm([keras.ops.array([3.0]), keras.ops.array([[4.0]])]))
        5.0
    """
    wide = [keras.ops.cast(each, "float32") for each in arrays]
    squares = [keras.ops.sum(keras.ops.square(each)) for each in wide]
    return keras.ops.sqrt(keras.ops.sum(keras.ops.stack(squares)))
