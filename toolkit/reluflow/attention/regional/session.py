"""`AttentionSession`: a coarse pass on everything, a fine one where the first is unsure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.cost import node_shares, pass_adds
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.result import AttentionRun
from reluflow.attention.regional.where import WherePasses
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation.options import SAMPLES
from reluflow.graph import Model, SpatialGraph, find_psb, read_spatial, with_input_defaults

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class Unsure(Protocol):
    """What tells how unsure each pixel is, such as `reluflow.attention.open_map` returns."""

    tensor: str

    def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> NDArray[np.float64]:
        """Return `(n, pixels...)` from the values of `tensor`."""


@dataclass
class _Prepared:
    """What is made once for inputs of one shape."""

    graph: SpatialGraph
    passes: WherePasses
    unsure: Unsure | None = None


class AttentionSession:
    """Runs a converted model on pictures: a coarse pass, then a fine one in the unsure region.

    Pass 1 runs at j samples and answers. A map of uncertainties of its values gives a region of
    pixels, which is carried to every tensor. Pass 2 runs at k samples and takes its values in the
    region, those of pass 1 elsewhere (`psb j/k`). A region of all pixels gives what k samples give,
    bit for bit; an input without a region keeps the answers of pass 1.

    Args:
        fine: a converted model, with or without chains.
        unsure: tells how unsure each pixel is, as `open_map` does; None: `run` is given masks.
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
        if not find_psb(fine):
            raise ModelError(
                f"model {str(fine.path or '<memory>')!r} has no PSB operator, so that no number of "
                "samples makes it coarse or fine; convert it with reluflow psb convert."
            )
        self.fine = with_input_defaults(fine).model
        self._unsure, self._threads, self._native = unsure, threads, native
        self._prepared: dict[tuple[tuple[str, tuple[int, ...]], ...], _Prepared] = {}

    def graph(self, inputs: Mapping[str, Array]) -> SpatialGraph:
        """Return the pixels of pass 2 for inputs of these shapes.

        Args:
            inputs: input -> array.

        Raises:
            DataError: no input has pixels.
        """
        return self._prepare(inputs).graph

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
            DataError: no input has pixels, the region has another shape than the pixels, or nothing
                tells how unsure they are.
        """
        clock = _Clock()
        _check_samples(samples)
        ready = self._prepare(inputs)
        first_number, second_number = samples
        with clock("pass 1"):
            bases = ready.passes.first(inputs, first_number, seed)
        with clock("region"):
            named, unsure, chosen, options = self._choose(
                ready, inputs, bases, region, tensor, margin
            )
            masks = _carried(ready.graph, named, chosen, options)
        first = {name: bases[name] for name in self.fine.outputs}
        refined = np.asarray(chosen.reshape(len(chosen), -1).any(axis=1))
        answers = dict(first)
        if refined.any():
            with clock("pass 2"):
                made = ready.passes.second(inputs, second_number, seed, masks, bases)
            answers = {name: _kept(made[name], first[name], refined) for name in first}
        shares = node_shares(
            self.fine, ready.graph, second_number, masks, refined, ready.passes.reasons
        )
        adds = pass_adds(self.fine, ready.graph, first_number)
        times = clock.read()
        return AttentionRun(answers, first, named, unsure, chosen, masks, shares, adds, times, ())

    def _prepare(self, inputs: Mapping[str, Array]) -> _Prepared:
        key = tuple((name, tuple(np.shape(value))) for name, value in sorted(inputs.items()))
        if key not in self._prepared:
            graph = read_spatial(self.fine, dict(key))
            passes = WherePasses(self.fine, graph, self._threads, self._native)
            self._prepared[key] = _Prepared(graph, passes)
        return self._prepared[key]

    def _choose(
        self,
        ready: _Prepared,
        inputs: Mapping[str, Array],
        bases: Mapping[str, Array],
        region: RegionOptions | Mask | None,
        tensor: str | None,
        margin: int,
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
        if self._unsure is None:
            raise DataError(
                "nothing tells how unsure each pixel is; give AttentionSession a map (`unsure`), "
                "or `run` a region."
            )
        values = bases[self._unsure.tensor]
        unsure = np.asarray(self._unsure.read(values), np.float64)
        chosen = np.stack([options.choose(each, number) for number, each in enumerate(unsure)])
        return self._unsure.tensor, unsure, chosen, options


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
        return made
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
