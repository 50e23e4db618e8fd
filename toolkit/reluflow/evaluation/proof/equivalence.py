"""Whether a rewritten model computes what the original does: both run on random inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluflow.data import InputSpec
from reluflow.errors import DataError, EquivalenceError, ModelError
from reluflow.evaluation.proof.difference import OutputDifference, compare_outputs, joined
from reluflow.evaluation.proof.within import TooSlow, run_within
from reluflow.graph import (
    Model,
    check_fully,
    has_narrow_floats,
    replaceable_inputs,
    rounds_activations,
)
from reluflow.sessions import Session, open_session

# From common sizes of images to odd ones, and 1 at last: what a model refuses is tried no more.
_SIZES = (32, 64, 96, 224, 16, 128, 8, 256, 4, 512, 1)
"""Sizes tried for free dimensions; the first that the old model runs with is used."""
_BATCHES = (1, 3, 2)
"""One input, then several: an odd and an even number."""
_SECONDS = 10.0
"""Seconds that one run of the old model may take: a Loop of 2^30 iterations is valid."""
_SECONDS_NEW = 120.0
"""Seconds that one run of the new model may take: without the native library it is slow."""
_HIGH = {"b": 2, "u1": 256}
"""Kind of an input's numbers -> the first one not drawn: coins, and all bytes, as of pixels."""
_HIGH_ELSE = 4
"""For other whole numbers: labels and indices of even a small table lie below it."""
_COIN = 2
"""The same where a model fails on others: 0 and 1 are kinds of tokens, and a mask."""
_MOST_ELEMENTS = 2**26
"""Elements of one input; a guard: 1 GB of float32, and a run holds several."""
_MOVED = 0.1
"""Relative random change of defaults that the caller may replace."""
EXACT, NARROW, ROUNDED = 1e-3, 2.0**-5, 0.1
"""Accepted differences, as a share of an output's largest value: float32, float16 or bfloat16,
and networks that round activations to integers, where a difference may jump by a whole step."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The results of two models on the same random inputs, as returned by `compare_models`.

    Attributes:
        outputs: one per output of the old model; empty where nothing could be compared.
        accepted: largest accepted difference, a share of an output's largest value.
        inputs: a description of what was fed, one per run.
        reason: why nothing could be compared, "" where it was.
        too_slow: whether the reason is that one run took too long.
    """

    outputs: tuple[OutputDifference, ...]
    accepted: float
    inputs: tuple[str, ...]
    reason: str = ""
    too_slow: bool = False

    @property
    def largest(self) -> float | None:
        """Largest absolute difference of all outputs, None where nothing was compared."""
        return max((output.largest for output in self._judged), default=None)

    @property
    def relative(self) -> float | None:
        """Largest difference as a share of its output's largest value."""
        return max((output.relative for output in self._judged), default=None)

    @property
    def holds(self) -> bool:
        """Whether no difference is beyond the accepted one.

        Integers are judged only where differences can only be rounding: the larger differences of
        coarse numbers may change any decision.
        """
        return all(output.relative <= self.accepted for output in self._judged)

    @property
    def _judged(self) -> tuple[OutputDifference, ...]:
        if self.accepted <= EXACT:
            return self.outputs
        return tuple(output for output in self.outputs if not output.whole) or self.outputs

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "largest": self.largest,
            "relative": self.relative,
            "accepted": self.accepted,
            "inputs": list(self.inputs),
            "reason": self.reason,
            "outputs": [output.to_dict() for output in self.outputs],
        }

    def __str__(self) -> str:
        """Describe it in a few words."""
        if self.largest is None or self.relative is None:
            return f"not compared: {self.reason}"
        return (
            f"largest difference {self.largest:.2g} ({self.relative:.2g} of its output's largest "
            f"value) over {len(self.inputs)} random inputs"
        )


def compare_models(
    old: Model,
    new: Model,
    *,
    accepted: float | None = None,
    seed: int = 0,
    library: bool | None = None,
) -> Equivalence:
    """Run two models on the same random inputs and compare all outputs of the old one.

    The new model must pass ONNX's full checker wherever the old one does, and load in ONNX
    Runtime. Both run without graph optimisation on several inputs: batches of 1, 3 and 2 where the
    batch size is free; other free sizes are the first that the old model runs with. Inputs with
    defaults that both have are fed other values in the last run. A run of the old model that takes
    more than 10 seconds, or one of the new model more than 120, ends the comparison.

    Args:
        old: the model before a rewrite.
        new: the model after it.
        accepted: largest accepted difference, as a share of an output's largest value; by
            default 0.001, 2^-5 with float16 or bfloat16, 0.1 where activations are rounded.
        seed: of the inputs.
        library: whether to use the native library; None: where it is available.

    Returns:
        The differences, or the reason why there are none; `holds` tells whether to go on.

    Raises:
        ModelError: the old model does not run, and the new one is not valid.
        EquivalenceError: the new model is not valid, does not load or does not run where the
            old one does, or gives other outputs.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, upgrade
        >>> model = load(onnx.parser.parse_model('''<ir_version: 4, opset_import: ["" : 9]>
        ...     g (float[N,4] x) => (float[N,4] y) { y = Softmax(x) }'''))
        >>> found = compare_models(model, upgrade(model).model)
        >>> found.largest, found.holds, len(found.inputs)
        (0.0, True, 3)
    """
    bound = _accepted(old) if accepted is None else accepted
    # A model that was not valid before need not be valid after: it may still run.
    fault = _fault(new, "the rewritten model") if _fault(old, "it") is None else None
    try:
        runs = _run_old(old, new, seed, library)
    except (ModelError, DataError, _CannotFeed) as error:
        if fault is not None:
            raise ModelError(
                f"the model does not run ({str(error).rstrip('.')}), and what became of it is not "
                f"kept ({str(fault).rstrip('.')})."
            ) from error
        return Equivalence((), bound, (), str(error).rstrip("."))
    except TooSlow as error:
        return Equivalence((), bound, (), str(error), too_slow=True)
    if fault is not None:
        raise _went_wrong(fault) from fault
    # Without optimisation, which may fold, fuse or reorder either of the two and hide a difference.
    session = _must(lambda: open_session(new, optimisation="none", library=library))
    found: list[tuple[OutputDifference, ...]] = []
    for feeds, before in runs:
        try:
            after = _must(lambda feeds=feeds: run_within(session, feeds, _SECONDS_NEW))
        except TooSlow as error:
            return Equivalence((), bound, (), str(error), too_slow=True)
        names = _same_names(old, new)
        found.append(compare_outputs(names, before, after))
    texts = tuple(_text(feeds) for feeds, _ in runs)
    outputs = joined(found)
    if not any(output.compared for output in outputs):
        return Equivalence((), bound, texts, "its outputs hold no finite numbers")
    return Equivalence(outputs, bound, texts)


class _CannotFeed(Exception):
    """Random inputs of a model cannot be made."""


def _accepted(model: Model) -> float:
    if rounds_activations(model):
        return ROUNDED
    return NARROW if has_narrow_floats(model) else EXACT


def _fault(model: Model, label: str) -> ModelError | None:
    try:
        check_fully(model, label)
    except ModelError as error:
        return error
    return None


def _must(step: Any) -> Any:
    try:
        return step()
    except (ModelError, DataError) as error:
        raise _went_wrong(error) from error


def _went_wrong(error: Exception) -> EquivalenceError:
    return EquivalenceError(
        f"a rewrite went wrong, its result was not kept: {str(error).rstrip('.')}; this is a fault "
        "of reluflow unless the model contradicts itself: report it with the model."
    )


def _same_names(old: Model, new: Model) -> tuple[str, ...]:
    if new.outputs != old.outputs:
        raise EquivalenceError(
            f"a rewrite went wrong, its result was not kept: it gives {list(new.outputs)} where "
            f"{list(old.outputs)} were; this is a fault of reluflow: report it with the model."
        )
    return old.outputs


_Feeds = dict[str, np.ndarray]
_Runs = list[tuple[_Feeds, list[np.ndarray]]]


def _run_old(old: Model, new: Model, seed: int, library: bool | None) -> _Runs:
    """Run the old model on all inputs; its session is closed before the new one's opens."""
    session = open_session(old, optimisation="none", library=library)
    size, high = _running(old.inputs, session, seed)
    runs: _Runs = []
    batches = _BATCHES if any(_is_free(spec, 0) for spec in old.inputs) else _BATCHES[:1] * 3
    for number, batch in enumerate(batches):
        feeds = dict(_draw(old.inputs, batch, size, seed + number, high))
        if number == len(batches) - 1:
            feeds |= _other_defaults(old, new, seed)
        runs.append((feeds, run_within(session, feeds, _SECONDS)))
    # A model that draws random numbers differs from itself: nothing can be told of it.
    again = compare_outputs(old.outputs, runs[0][1], run_within(session, runs[0][0], _SECONDS))
    if any(output.largest for output in again):
        raise _CannotFeed("its outputs differ from run to run")
    return runs


def _running(specs: tuple[InputSpec, ...], session: Session, seed: int) -> tuple[int, int | None]:
    """Return the first size of free dimensions that a model runs with, and a bound of integers.

    Only where no size will do are all whole numbers 0 and 1.
    """
    free = any(_is_free(spec, axis) for spec in specs for axis in range(1, len(spec.shape or ())))
    failure: DataError | None = None
    whole = any(spec.dtype.kind in "iu" for spec in specs)
    sizes = _SIZES if free else _SIZES[:1]
    for high, size in itertools.product((None, _COIN) if whole else (None,), sizes):
        try:
            run_within(session, dict(_draw(specs, 1, size, seed, high)), _SECONDS)
            return size, high
        except DataError as error:
            failure = failure or error
    raise failure or _CannotFeed("it has no inputs that can be made")


def _is_free(spec: InputSpec, axis: int) -> bool:
    shape = spec.shape or ()
    return axis < len(shape) and not isinstance(shape[axis], int)


def _draw(
    specs: tuple[InputSpec, ...], batch: int, size: int, seed: int, most: int | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield random inputs: standard normal, coins, bytes, and small whole numbers.

    A named size is the same everywhere: that of a batch where some input starts with it.
    """
    first = {spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], str)}
    for place, spec in enumerate(specs):
        if spec.shape is None:
            raise _CannotFeed(f"input {spec.name!r} has an unknown number of axes")
        rng = np.random.default_rng((seed, place))
        shape = tuple(
            dim if isinstance(dim, int) else (batch if dim in first or not axis else size)
            for axis, dim in enumerate(spec.shape)
        )
        if np.prod(shape, dtype=np.float64) > _MOST_ELEMENTS:
            raise _CannotFeed(f"input {spec.name!r} has {list(shape)} elements")
        if spec.dtype.kind in "iub":
            high = _HIGH.get(spec.dtype.kind, _HIGH.get(spec.dtype.str[1:], _HIGH_ELSE))
            high = min(high, most or high)
            yield spec.name, rng.integers(0, high, shape).astype(spec.dtype)
        elif spec.dtype == np.dtype(object):
            raise _CannotFeed(f"input {spec.name!r} is not made of numbers")
        else:
            yield spec.name, rng.standard_normal(shape).astype(spec.dtype)


def _other_defaults(old: Model, new: Model, seed: int) -> Mapping[str, np.ndarray]:
    """Return other values for inputs with defaults that both models have."""
    kept = replaceable_inputs(new)
    rng = np.random.default_rng((seed, 1))
    return {
        name: (value * (1 + _MOVED * rng.standard_normal(value.shape))).astype(value.dtype)
        for name, value in replaceable_inputs(old).items()
        if name in kept and value.dtype.kind == "f"
    }


def _text(feeds: _Feeds) -> str:
    return ", ".join(f"{name} {value.dtype} {list(value.shape)}" for name, value in feeds.items())
