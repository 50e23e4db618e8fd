"""`AttentionSession`: a coarse pass on everything, a fine one where the first is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.clock import Clock
from reluflow.attention.regional.cost import node_shares, pass_adds
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.prepare import Maker, Prepared, Shapes, Unsure
from reluflow.attention.regional.result import AttentionRun
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.options import check_samples
from reluflow.graph import Model, SpatialGraph, expose, psb_inputs, with_input_defaults

Array = NDArray[Any]
Mask = NDArray[np.bool_]


_Shapes = dict[str, tuple[int, ...]]


class AttentionSession:
    """Runs a converted model on pictures: a coarse pass, then a fine one in the unsure region.

    Pass 1 runs at j samples and answers. A map of uncertainties of its values gives a region of
    pixels, which is carried to every tensor. Pass 2 runs at k samples and takes its values in the
    region, those of pass 1 elsewhere (`psb j/k`). A region of all pixels gives what k samples give,
    bit for bit; an input without a region keeps the answers of pass 1.

    Args:
        fine: a converted model, with or without chains.
        coarse: another form of the network as pass 1, such as one that passes bytes; None: `fine`.
        half: run `coarse` on the picture at half the side, the means of 2 x 2 pixels.
        unsure: tells how unsure each pixel is; None: what `open_map` finds, where no mask is given.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Raises:
        ModelError: a model has no PSB operator.
        OptionError: `half` is set without a coarse model.

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
        >>> session.first_graph({"image": images})[1] is session.graph({"image": images})
        True
        >>> session.exposing([found.nodes[0].tensor]).fine.outputs[0]
        'logits'

    Reference: thesis 4.2.5; docs/attention.md, regions.
    """

    def __init__(
        self,
        fine: Model,
        coarse: Model | None = None,
        *,
        half: bool = False,
        unsure: Unsure | None = None,
        threads: int | None = None,
        native: bool | None = None,
    ) -> None:
        if half and coarse is None:
            raise OptionError(
                "half is True, but there is no coarse model to run on the smaller picture; give "
                "one."
            )
        self.fine = with_input_defaults(fine).model
        self.coarse = None if coarse is None else with_input_defaults(coarse).model
        self._maker = Maker(self.fine, self.coarse, half, unsure, threads, native)
        self._ready: tuple[_Shapes, Prepared] | None = None

    def graph(self, inputs: Mapping[str, Array]) -> SpatialGraph:
        """Return the pixels of pass 2 for inputs of these shapes.

        Args:
            inputs: input -> array.

        Raises:
            DataError: no input has pixels.
        """
        return self._maker.graph(_shapes(inputs))

    def first_graph(self, inputs: Mapping[str, Array]) -> tuple[Shapes, SpatialGraph]:
        """Return the inputs and the pixels of the model that runs first.

        Args:
            inputs: input of `fine` -> array.

        Raises:
            DataError: no input has pixels.
            ModelError: the models have different inputs.
        """
        return self._maker.first(_shapes(inputs))

    @property
    def unsure(self) -> Unsure | None:
        """What tells how unsure each pixel is; None: what `open_map` finds."""
        return self._maker.unsure

    @unsure.setter
    def unsure(self, told: Unsure) -> None:
        self._maker.unsure = told
        self._ready = None  # its tensor may have to become an output

    def exposing(self, tensors: Sequence[str]) -> AttentionSession:
        """Return a session that also answers inner tensors; pixels are not read again.

        Args:
            tensors: of `fine`.
        """
        made = copy(self)
        made.fine, made._ready = expose(self.fine, tensors).model, None
        made._maker = self._maker.like(made.fine)
        return made

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
        check_samples(samples, "samples of a pass")
        masked = region is not None and not isinstance(region, RegionOptions)
        ready = self._prepare(inputs, not masked)
        clock = Clock()
        with clock("pass 1"):
            values = ready.first(inputs, samples[0], seed)
            first = ready.answers(values, self.fine.outputs)
        with clock("region"):
            scalars = tuple(np.array(number, np.int64) for number in (samples[0], seed))
            named, unsure, chosen, options = self._choose(
                ready, inputs, values, region, tensor, margin, scalars
            )
            masks = ready.carried(named, chosen, options)
        refined = np.asarray(chosen.reshape(len(chosen), -1).any(axis=1))
        answers: Mapping[str, Array] = first
        if refined.any():
            with clock("values"):
                into = ready.give(values, masks, first)
            with clock("pass 2"):
                made = ready.passes.second(inputs, samples[1], seed, masks, into)
            answers = {
                name: made[name] if name in into else _kept(made[name], first, name, refined)
                for name in first
            }
        return AttentionRun(
            answers,
            first,
            named,
            unsure,
            chosen,
            masks,
            node_shares(ready.nodes, ready.graph, samples[1], masks, refined, ready.reasons),
            pass_adds(ready.first_nodes, ready.first_graph, samples[0]),
            clock.read(),
            ready.notes(),
        )

    def _prepare(self, inputs: Mapping[str, Array], with_map: bool) -> Prepared:
        shapes = _shapes(inputs)
        ready = None if self._ready is None or self._ready[0] != shapes else self._ready[1]
        if ready is None or (with_map and ready.unsure is None):
            self._ready = None  # buffers of another size go before new ones come
            ready = self._maker.prepared(shapes, with_map)
            self._ready = shapes, ready
        return ready

    def _choose(
        self,
        ready: Prepared,
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
        numbers = dict(zip(psb_inputs(self.coarse or self.fine), given, strict=True))
        unsure = np.asarray(told.read(values[told.tensor], numbers), np.float64)
        chosen = np.stack([options.choose(each, number) for number, each in enumerate(unsure)])
        return told.tensor, unsure, chosen, options


def _shapes(inputs: Mapping[str, Array]) -> _Shapes:
    return {name: tuple(np.shape(value)) for name, value in sorted(inputs.items())}


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


def _kept(made: Array, first: Mapping[str, Array], name: str, refined: NDArray[np.bool_]) -> Array:
    """Return pass 2's answers, those of pass 1 where an input has no region."""
    if refined.all() or made.ndim == 0 or len(made) != len(refined):
        return made.copy()  # the next run may write over it
    return np.where(refined.reshape(-1, *[1] * (made.ndim - 1)), made, first[name])
