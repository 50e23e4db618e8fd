"""`AttentionSession`: a coarse pass on everything, a fine one where the first is unsure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.maps.find import open_map
from reluflow.attention.regional.cost import node_shares, pass_adds
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.result import AttentionRun
from reluflow.attention.regional.skip import SkippingPasses, open_skipping
from reluflow.attention.regional.where import WherePasses
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation.options import SAMPLES
from reluflow.graph import (
    Model,
    Reads,
    SpatialGraph,
    find_psb,
    psb_inputs,
    read_spatial,
    to_regional,
    with_input_defaults,
)
from reluflow.sessions import use_library

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class Unsure(Protocol):
    """What tells how unsure each pixel is, such as `reluflow.attention.open_map` returns."""

    tensor: str

    def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> NDArray[np.float64]:
        """Return `(n, pixels...)` from the values of `tensor`."""


_Key = tuple[tuple[tuple[str, tuple[int, ...]], ...], bool]
Passes = WherePasses | SkippingPasses


@dataclass
class _Prepared:
    """What is made once for inputs of one shape."""

    graph: SpatialGraph
    passes: Passes
    reasons: dict[str, str]
    unsure: Unsure | None


class AttentionSession:
    """Runs a converted model on pictures: a coarse pass, then a fine one in the unsure region.

    Pass 1 runs at j samples and answers. A map of uncertainties of its values gives a region of
    pixels, which is carried to every tensor. Pass 2 runs at k samples and takes its values in the
    region, those of pass 1 elsewhere (`psb j/k`). A region of all pixels gives what k samples give,
    bit for bit; an input without a region keeps the answers of pass 1.

    Args:
        fine: a converted model, with or without chains.
        unsure: tells how unsure each pixel is; None: what `open_map` finds, where no mask is given.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Raises:
        ModelError: the model has no PSB operator.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> session = AttentionSession(psb, threads=1)
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:3]
        >>> mask = np.zeros((3, 28, 28), bool)
        >>> mask[:2, 7:21, 7:21] = True
        >>> found = session.run({"image": images}, (1, 16), mask)
        >>> found.coverage == float(mask.mean()), [f"{node.share:.2f}" for node in found.nodes[:1]]
        (True, ['0.17'])
        >>> bool((found.answers["logits"][2] == found.first["logits"][2]).all())
        True
        >>> 1 < found.shift_adds / found.first_shift_adds < 17
        True

    Reference: thesis 4.2.5; docs/attention.md, regions.
    """

    def __init__(
        self,
        fine: Model,
        *,
        unsure: Unsure | None = None,
        threads: int | None = None,
        native: bool | None = None,
    ) -> None:
        self._nodes = find_psb(fine)  # which unpacks weights
        if not self._nodes:
            raise ModelError(
                f"model {str(fine.path or '<memory>')!r} has no PSB operator, so that no number of "
                "samples makes it coarse or fine; convert it with reluflow psb convert."
            )
        self.fine = with_input_defaults(fine).model
        self._unsure, self._threads, self._native = unsure, threads, native
        self._ready: tuple[_Key, _Prepared] | None = None

    def graph(self, inputs: Mapping[str, Array]) -> SpatialGraph:
        """Return the pixels of pass 2 for inputs of these shapes.

        Args:
            inputs: input -> array.

        Raises:
            DataError: no input has pixels.
        """
        return read_spatial(self.fine, {name: np.shape(value) for name, value in inputs.items()})

    def run(
        self,
        inputs: Mapping[str, Array],
        samples: tuple[int, int] = (1, 16),
        region: RegionOptions | Mask | None = None,
        *,
        tensor: str | None = None,
        margin: int = 0,
        seed: int = 0,
    ) -> AttentionRun:
        """Answer one batch.

        Args:
            inputs: input -> `(n, ...)`.
            samples: of pass 1 and of pass 2, each 1, 2, 4, ..., 64; below 4 weights are rounded to
                nearest.
            region: how the region follows from how unsure pixels are; or the region itself, bool,
                `(n, pixels...)` or the same `(pixels...)` for all inputs. None: above the mean.
            tensor: in which a given region lies; None: the first input with pixels.
            margin: pixels of each tensor around a given region.
            seed: of the draws of both passes.

        Returns:
            An `AttentionRun`.

        Raises:
            OptionError: a number of samples is not accepted, or `tensor` or `margin` would do
                nothing.
            DataError: no input has pixels, the region has another shape than the pixels, or no map
                of uncertainties is found or can be read.
        """
        _check_samples(samples)
        masked = region is not None and not isinstance(region, RegionOptions)
        ready = self._prepare(inputs, not masked)
        first_number, second_number = samples
        clock = _Clock()
        with clock("pass 1"):
            values = ready.passes.first(inputs, first_number, seed)
            # pass 2 writes over the values of tensors that skip pixels
            first = {name: values[name].copy() for name in self.fine.outputs}
        with clock("region"):
            named, unsure, chosen, options = self._choose(
                ready, inputs, values, region, tensor, margin, _scalars(first_number, seed)
            )
            masks = _carried(ready.graph, named, chosen, options)
        refined = np.asarray(chosen.reshape(len(chosen), -1).any(axis=1))
        answers = dict(first)
        if refined.any():
            with clock("pass 2"):
                made = ready.passes.second(inputs, second_number, seed, masks)
            answers = {name: _kept(made[name], first[name], refined) for name in first}
        shares = node_shares(self._nodes, ready.graph, second_number, masks, refined, ready.reasons)
        adds = pass_adds(self._nodes, ready.graph, first_number)
        times = clock.read()
        return AttentionRun(
            answers, first, named, unsure, chosen, masks, shares, adds, times, _notes(ready.passes)
        )

    def _prepare(self, inputs: Mapping[str, Array], with_map: bool) -> _Prepared:
        shapes = {name: tuple(np.shape(value)) for name, value in sorted(inputs.items())}
        key = (tuple(shapes.items()), with_map)
        if self._ready is None or self._ready[0] != key:
            self._ready = None  # buffers of another size go before new ones come
            graph = read_spatial(self.fine, shapes)
            unsure = self._unsure if with_map else None
            if with_map and unsure is None:
                unsure = open_map(
                    self.fine, shapes, graph=graph, threads=self._threads, native=self._native
                )
            self._ready = key, self._prepared(graph, unsure)
        return self._ready[1]

    def _prepared(self, graph: SpatialGraph, unsure: Unsure | None) -> _Prepared:
        """Return both passes: on operators that skip pixels where the library has them."""
        wanted = [] if unsure is None else [unsure.tensor]
        made = to_regional(self.fine, graph, wanted)
        skip = {each.tensor for each in made.done}
        drawn = {node.output for node in self._nodes if node.output in graph.sizes}
        mixed = skip | drawn
        reasons = {each.node: each.reason for each in made.refused}
        everywhere = {
            step.target: reasons.get(step.node, "it computes all pixels")
            for step in graph.steps
            if isinstance(step, Reads) and step.target not in mixed
        }
        passes: Passes | None = None
        # what draws must keep pass 1's values outside: either all PSB operators skip or none
        if use_library(self._native) and drawn <= skip:
            passes = open_skipping(made.model, made.done, graph, self._threads)
        if passes is None:
            passes = WherePasses(self.fine, graph, mixed, wanted, self._threads, self._native)
        return _Prepared(graph, passes, everywhere, unsure)

    def _choose(
        self,
        ready: _Prepared,
        inputs: Mapping[str, Array],
        values: Mapping[str, Array],
        region: RegionOptions | Mask | None,
        tensor: str | None,
        margin: int,
        given: tuple[Array, ...],
    ) -> tuple[str, NDArray[np.float64] | None, Mask, RegionOptions]:
        """Return where the region lies, the map, the region, and how it is carried."""
        if region is not None and not isinstance(region, RegionOptions):
            named = tensor or next(name for name in inputs if name in ready.graph.sizes)
            n = len(next(iter(inputs.values())))
            return named, None, _masks(ready.graph, named, region, n), RegionOptions(margin=margin)
        if tensor is not None or margin:
            raise OptionError(
                f"tensor is {tensor!r} and margin {margin}, but without a given region they do "
                "nothing; set the margin in RegionOptions, and the tensor in the map."
            )
        options = RegionOptions() if region is None else region
        told = ready.unsure
        assert told is not None
        numbers = dict(zip(psb_inputs(self.fine), given, strict=True))
        unsure = np.asarray(told.read(values[told.tensor], numbers), np.float64)
        chosen = np.stack([options.choose(each, number) for number, each in enumerate(unsure)])
        return told.tensor, unsure, chosen, options


def _notes(passes: Passes) -> tuple[str, ...]:
    if isinstance(passes, SkippingPasses):
        return ()
    return (
        "Pass 2 computes everything and takes the region, as the native library is not there or "
        "has no regions for some PSB operator: no time is saved.",
    )


def _scalars(*numbers: int) -> tuple[Array, ...]:
    return tuple(np.array(number, np.int64) for number in numbers)


def _check_samples(samples: tuple[int, int]) -> None:
    for number in samples:
        if number not in SAMPLES:
            listed = ", ".join(map(str, SAMPLES))
            raise OptionError(f"samples of a pass are {number!r}; accepted are {listed}.")


def _masks(graph: SpatialGraph, tensor: str, region: Mask, n: int) -> Mask:
    """Return one mask for each input."""
    sizes = graph.check(tensor)
    given = np.asarray(region, bool)
    if given.shape == sizes:
        given = np.broadcast_to(given, (n, *sizes))
    if given.shape != (n, *sizes):
        raise DataError(
            f"region is {list(given.shape)}, but tensor {tensor!r} has {list(sizes)} pixels for "
            f"each of {n} inputs; give {[n, *sizes]} or {list(sizes)}."
        )
    return given


def _carried(
    graph: SpatialGraph, tensor: str, chosen: Mask, options: RegionOptions
) -> dict[str, Mask]:
    """Return the region of every tensor that a node makes, for each input."""
    regions = [options.carried(graph, tensor, mask) for mask in chosen]
    return {name: np.stack([region.mask(name) for region in regions]) for name in graph.sizes}


def _kept(made: Array, first: Array, refined: NDArray[np.bool_]) -> Array:
    """Return pass 2's answers, those of pass 1 where an input has no region."""
    if refined.all() or made.ndim == 0 or len(made) != len(refined):
        return made.copy()  # the next run may write over it
    return np.where(refined.reshape(-1, *[1] * (made.ndim - 1)), made, first)


class _Clock:
    """Milliseconds of phases."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._phases: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._phases[phase] = self._phases.get(phase, 0.0) + 1e3 * (time.perf_counter() - began)

    def read(self) -> dict[str, float]:
        """Return the phases and their total."""
        return {**self._phases, "total": 1e3 * (time.perf_counter() - self._began)}
