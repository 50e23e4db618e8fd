"""Another model as pass 1: a file of bytes, on the picture or on one of half the side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.regional.bound import BoundModel
from reluflow.attention.regional.half import Enlarged, Halves, half_sizes
from reluflow.attention.regional.pairs import Converter, Places, pair_tensors
from reluflow.errors import DataError, ModelError
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import (
    Model,
    Reads,
    SpatialGraph,
    chain_formats,
    expose,
    read_spatial,
)

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class CoarsePass:
    """Runs a coarse model, and gives its values to the tensors of a fine one.

    Args:
        model: the coarse one, converted.
        fine: the fine one.
        graph: of `read_spatial` of the fine one.
        shapes: its inputs.
        half: run the coarse model on the picture at half the side.
        wanted: tensors of the fine model that get values.
        outputs: tensors of the coarse one whose values are wanted beside the outputs.
        threads: of ONNX Runtime.
        native: run the native library, or not.
        own: of `read_spatial` of the coarse model; None: it is read.

    Attributes:
        graph: of `read_spatial` of the coarse model.
        without: tensors of `wanted` that get none -> why.
        given: those that get some.
    """

    def __init__(
        self,
        model: Model,
        fine: Model,
        graph: SpatialGraph,
        shapes: Mapping[str, tuple[int, ...]],
        half: bool,
        wanted: Collection[str],
        outputs: Collection[str],
        threads: int | None,
        native: bool,
        own: SpatialGraph | None = None,
    ) -> None:
        if own is None:
            own = read_spatial(model, coarse_shapes(model, graph, shapes, half))
        self.graph = own
        self._fine, self._half = graph, Halves() if half else None
        pairs, self.without = shared_tensors(graph, wanted, self.graph, shapes)
        source, target = chain_formats(model), chain_formats(fine)
        self.given = frozenset(pairs)
        self._converters = [
            Converter(b, self.graph, source.get(b), a, graph, target.get(a))
            for a, b in pairs.items()
        ]
        names = [*dict.fromkeys([*pairs.values(), *outputs])]
        exposed = expose(model, names).model
        self._bound: BoundModel | None = None
        self._runner = Runner(exposed, threads, native, rounded_below=ROUNDED_BELOW)
        if native:
            buffers = {
                name: np.zeros(self.graph.shapes[name], self.graph.dtypes[name])
                for name in names
                if name in self.graph.shapes
            }
            self._bound = BoundModel(exposed, buffers, threads)

    def run(self, feeds: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
        """Run pass 1.

        Args:
            feeds: input of the fine model -> array.
            samples: of pass 1.
            seed: of the draws.

        Returns:
            The outputs and all tensors that are wanted, by the names of the coarse model.
        """
        given = {
            name: self._half(name, value, self._fine.axes[name])
            if self._half is not None and name in self._fine.axes
            else value
            for name, value in feeds.items()
        }
        if self._bound is not None:
            return self._bound.run(given, samples, seed)
        session, extra = self._runner.at(samples, seed)
        return dict(zip(session.outputs, session.run({**given, **extra}), strict=True))

    def give(
        self,
        values: Mapping[str, Array],
        state: Mapping[str, Array],
        wanted: Mapping[str, Mask | None],
    ) -> None:
        """Write values of pass 1 where pass 2 reads them.

        Args:
            values: of `run`.
            state: tensor of the fine model -> its memory.
            wanted: tensor -> `(n, pixels...)`, or None for all pixels.
        """
        places: dict[int, Places] = {}  # tensors share masks
        for each in self._converters:
            if each.target not in wanted:
                continue
            mask = wanted[each.target]
            if mask is not None and id(mask) not in places:
                places[id(mask)] = Places(mask)
            at = None if mask is None else places[id(mask)]
            each.write(values[each.source], state[each.target], at)

    def answers(self, values: Mapping[str, Array], outputs: Collection[str]) -> Enlarged:
        """Return the outputs of pass 1, with as many pixels as those of pass 2.

        Args:
            values: of `run`.
            outputs: of the fine model; an inner tensor among them gets the values of its partner.

        Raises:
            DataError: the coarse model does not have one of them.
        """
        known = dict(values)
        for each in self._converters:
            if each.target in outputs and each.target not in known:
                made = np.zeros(self._fine.shapes[each.target], self._fine.dtypes[each.target])
                each.write(values[each.source], made, None)
                known[each.target] = made
        for name in outputs:
            if name not in known:
                raise DataError(
                    f"coarse has no output {name!r}, but fine has; give two forms of one network."
                )
        sizes = {name: self._fine.sizes.get(name, ()) for name in outputs}
        axes = {name: self._fine.axes.get(name, ()) for name in outputs}
        return Enlarged({name: known[name].copy() for name in outputs}, axes, sizes)

    def partner(self, tensor: str) -> str | None:
        """Return the tensor of the coarse model whose values one of the fine model gets.

        Args:
            tensor: of the fine model.
        """
        return next((each.source for each in self._converters if each.target == tensor), None)

    def shared(self, outputs: Collection[str]) -> frozenset[str]:
        """Return the outputs of which pass 1's values are those of pass 2 but for their pixels.

        Args:
            outputs: of the fine model.
        """
        plain = {each.target for each in self._converters if each.plain}
        return frozenset(plain & set(outputs))


def shared_tensors(
    fine: SpatialGraph, wanted: Collection[str], coarse: SpatialGraph, inputs: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return which tensors of a fine model get values of a coarse one.

    Args:
        fine: its graph.
        wanted: tensors of it that ask for values.
        coarse: the graph of the other.
        inputs: of the fine model.

    Returns:
        Tensor -> that of the coarse model; and those that get none -> why.
    """
    made = [step.target for step in coarse.steps if isinstance(step, Reads)]
    quantised = {
        step.target
        for step in fine.steps
        if isinstance(step, Reads) and step.source in inputs and step.op.startswith("ToFixed")
    }
    # the picture itself is known exactly
    pairs = pair_tensors([name for name in wanted if name not in quantised], made)
    without = {
        name: "the picture is read as it is" if name in quantised else "pass 1 has no values of it"
        for name in wanted
        if name not in pairs
    }
    return pairs, without


def coarse_shapes(
    model: Model, graph: SpatialGraph, shapes: Mapping[str, tuple[int, ...]], half: bool
) -> dict[str, tuple[int, ...]]:
    """Return the inputs of a coarse model for those of a fine one.

    Args:
        model: the coarse one.
        graph: of the fine one.
        shapes: inputs of the fine one.
        half: the coarse model gets the picture at half the side.

    Raises:
        ModelError: the models have different inputs.
    """
    names = [spec.name for spec in model.inputs]
    if not set(shapes) <= set(names):
        raise ModelError(
            f"coarse has the inputs {', '.join(map(repr, names))}, but fine has "
            f"{', '.join(map(repr, shapes))}; give two forms of one network."
        )
    if not half:
        return dict(shapes)
    return {name: half_sizes(shape, graph.axes.get(name, ())) for name, shape in shapes.items()}
