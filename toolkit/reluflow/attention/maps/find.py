"""Which tensor of a model tells how unsure it is of each pixel, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.maps.reading import (
    channels_last,
    check_reading,
    find_reading,
    unsure_pixels,
)
from reluflow.errors import DataError, OptionError
from reluflow.graph import (
    Model,
    PooledHead,
    SpatialEnd,
    SpatialGraph,
    find_pooled_head,
    find_psb,
    keep_pooled_formats,
    makes_tensor,
    output_makers,
    output_shapes,
    psb_inputs,
    read_spatial,
    take_part,
    with_wide_activations,
)
from reluflow.sessions import Session, open_session

Floats = NDArray[np.floating[Any]]
Feeds = Mapping[str, NDArray[Any]]
_AT_ONCE = 1 << 22
"""Numbers that the layers behind a pooling are given at a time: 16 MiB."""
_PICTURE_RANKS = (4, 5)
"""Axes of an output that is a map although the graph does not tell where its pixels are."""
_HOW = {
    "softmax": "the softmax over its channels",
    "probabilities": "its channels as probabilities",
    "yes-no": "each channel as the probability of a yes",
    "uncertainty": "its values",
}


@dataclass
class UncertaintyMap:
    """How unsure a model is of each pixel, as returned by `open_map`.

    Attributes:
        tensor: what a run of the model has to give; `reluflow.graph.expose` makes it an output.
        model: whose tensor it is.
        picture: pixels of the model's input along each axis.
        head: the pooling and the layers behind it; None: the tensor is a map itself.
        axis: of the map's channels; None: it is found.
        reading: how they are read; None until the first run tells.
        threads: of ONNX Runtime, for the layers behind a pooling.
        native: run the native library: always, never, or by default where available.

    Example:
        >>> from reluflow.graph import expose, load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> unsure = open_map(model, {"image": (2, 1, 28, 28)})
        >>> session = open_session(expose(model, [unsure.tensor]).model)
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:2]
        >>> logits, pooled = session.run({"image": images})
        >>> unsure.read(pooled).shape, unsure.scores(pooled).shape
        ((2, 7, 7), (2, 7, 7, 10))
        >>> bool(np.abs(unsure.scores(pooled).mean(axis=(1, 2)) - logits).max() < 1e-4)
        True
        >>> unsure.sentence().rpartition("; ")[2]
        'the mean of these scores is what the model answers.'
    """

    tensor: str
    model: Model
    picture: tuple[int, ...]
    head: PooledHead | None = None
    axis: int | None = None
    reading: str | None = None
    threads: int | None = None
    native: bool | None = None
    _tails: dict[str, tuple[Session, tuple[str, ...]]] = field(default_factory=dict, repr=False)

    def scores(self, values: Floats, inputs: Feeds | None = None) -> Floats:
        """Return the scores of each pixel.

        Args:
            values: of `tensor`, `(n, ...)`.
            inputs: scalars that the run was given, such as samples and seed.

        Returns:
            `(n, pixels..., channels)`.

        Raises:
            DataError: the values are integers, or nothing tells where their channels are.
            OptionError: they do not have the axis that was named.
        """
        if self.head is None:
            if values.dtype.kind != "f":
                raise DataError(
                    f"tensor {self.tensor!r} holds integers ({values.dtype}), whose scale is not "
                    "told; name a tensor of floats."
                )
            return channels_last(values, self.tensor, self.picture, self.axis)
        rows = self.head.pixels(values)
        found = self._behind(rows, inputs or {})
        pixels = np.delete(np.array(values.shape), [0, self.head.channel % values.ndim])
        return found.reshape(len(values), *pixels, found.shape[1])

    def read(self, values: Floats, inputs: Feeds | None = None) -> NDArray[np.float64]:
        """Return how unsure each pixel is.

        Args:
            values: of `tensor`, `(n, ...)`.
            inputs: scalars that the run was given, such as samples and seed.

        Returns:
            `(n, pixels...)` in bits; infinite where a score is NaN or +infinite.

        Raises:
            DataError: there is a single pixel, all are NaN, the values are integers, or nothing
                tells where their channels are.
            OptionError: they do not have the axis that was named.
        """
        scores = self.scores(values, inputs)
        if scores[0, ..., 0].size == 1:
            raise DataError(
                f"tensor {self.tensor!r} has a single pixel for a picture of {list(self.picture)}, "
                "so that there is nothing to choose among; give a larger picture, or name an "
                "earlier tensor."
            )
        if self.reading is None:
            self.reading = find_reading(scores, self._maker())
        found = unsure_pixels(scores, self.reading)
        unknown = np.isnan(found)
        if unknown.all():
            raise DataError(
                f"tensor {self.tensor!r} gives NaN or infinite scores at all pixels, so that "
                "nothing tells where the network is unsure; look at it with reluflow analyze."
            )
        return np.where(unknown, np.inf, found)

    def sentence(self) -> str:
        """Return where the scores of each pixel come from, and how they are read."""
        if self.head is None:
            how = "" if self.reading is None else f", {_HOW[self.reading]}"
            return f"The uncertainty of each pixel comes from {self.tensor!r}{how}."
        said = (
            f"The uncertainty of each pixel comes from the layers behind {self.head.node!r} "
            f"({self.head.op}), run on each pixel of {self.tensor!r}"
        )
        if not self.head.bent_by:
            return f"{said}; the mean of these scores is what the model answers."
        listed = ", ".join(map(repr, self.head.bent_by))
        verb = "is" if len(self.head.bent_by) == 1 else "are"
        return (
            f"{said}; as {listed} {verb} not linear, the mean of these scores is not what the "
            "model answers."
        )

    def _maker(self) -> str:
        name = self.tensor if self.head is None else self.head.scores
        return output_makers(self.model).get(name, "")

    def _behind(self, rows: NDArray[Any], inputs: Feeds) -> Floats:
        """Run the layers behind the pooling on each row."""
        assert self.head is not None
        session, names = self._tail(rows)
        extra = {name: inputs[name] for name in names if name in inputs}
        size = self.head.batch or max(1, _AT_ONCE // max(1, rows[0].size))
        found = []
        for at in range(0, len(rows), size):
            piece = rows[at : at + size]
            missing = size - len(piece) if self.head.batch else 0
            full = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)])
            [made] = session.run({self.tensor: full, **extra})
            found.append(made.reshape(len(full), -1)[: len(piece)])
        return np.concatenate(found)

    def _tail(self, rows: NDArray[Any]) -> tuple[Session, tuple[str, ...]]:
        assert self.head is not None
        kind = rows.dtype.name
        if kind not in self._tails:
            part = take_part(self.model, {self.tensor: rows[:1]}, [self.head.scores])
            # formats that fit means would cut off what single pixels have
            kept = keep_pooled_formats(part.model).model
            wide = with_wide_activations(kept, beside_chains=True).model
            session = open_session(wide, threads=self.threads, library=self.native)
            chosen = psb_inputs(part.model) if find_psb(part.model) else ()
            self._tails[kind] = session, tuple(chosen)
        return self._tails[kind]


def open_map(
    model: Model,
    inputs: Mapping[str, tuple[int, ...]],
    *,
    tensor: str | None = None,
    axis: int | None = None,
    reading: str | None = None,
    graph: SpatialGraph | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> UncertaintyMap:
    """Find what tells how unsure a model is of each pixel.

    It is, in this order: the tensor that is named; an output with pixels, such as that of a
    segmentation or a detector of text; or, where all reaches the scores through a global pooling,
    the layers behind it, run on each pixel in front of it (class activation maps).

    Args:
        model: any model, converted or not.
        inputs: input -> shape, the batch included.
        tensor: of the main graph, with a score per class, or one score, for each pixel.
        axis: of its channels, from 1 on or -1; None: as the graph or the shape tells.
        reading: "softmax", "probabilities", "yes-no" (each channel) or "uncertainty"; None:
            as the values tell.
        graph: of `read_spatial` for these inputs; None: it is read.
        threads: of ONNX Runtime, for the layers behind a pooling.
        native: run the native library: always, never, or by default where available.

    Returns:
        The map, whose `read` takes the tensor's values.

    Raises:
        OptionError: there is no such tensor or reading, or an axis or reading would do nothing.
        DataError: no input has pixels, or the model has neither an output with pixels nor a global
            pooling through which all reaches its scores.

    Example:
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> open_map(model, {"image": (1, 1, 28, 28)}).head.op
        'GlobalAveragePool'

    Reference: thesis 4.2.5, eq. 4.12; docs/attention.md, maps of uncertainties.
    """
    check_reading(reading)
    known = read_spatial(model, inputs) if graph is None else graph
    picture = next(known.sizes[name] for name in inputs if name in known.sizes)
    if tensor is not None:
        if not makes_tensor(model, tensor):
            raise OptionError(
                f"tensor is {tensor!r}, which no node of the main graph makes; name one that "
                "reluflow inspect lists, or an output."
            )
        found = UncertaintyMap(tensor, model, picture, None, axis, reading)
    else:
        found = _found(model, inputs, known, picture, axis, reading)
    if found.head is None and found.axis is None and found.tensor in known.axes:
        found.axis = _left_over(known.axes[found.tensor])
    found.threads, found.native = threads, native
    return found


def _found(
    model: Model,
    inputs: Mapping[str, tuple[int, ...]],
    graph: SpatialGraph,
    picture: tuple[int, ...],
    axis: int | None,
    reading: str | None,
) -> UncertaintyMap:
    """Return the map of an output with pixels, else of a pooled head."""
    dense = next(_dense(model, graph), None)
    if dense is not None:
        return UncertaintyMap(dense, model, picture, None, axis, reading)
    head = find_pooled_head(model, inputs)
    if not isinstance(head, PooledHead):
        raise DataError(
            f"no output has pixels, and {head}; name a tensor with scores for each pixel."
        )
    idle = {"axis": axis, "reading": None if reading == "softmax" else reading}
    for name, value in idle.items():
        if value is not None:
            raise OptionError(
                f"{name} is {value!r}, but does nothing where the scores of pixels come from the "
                f"layers behind {head.node!r}; leave it out, or name a tensor."
            )
    return UncertaintyMap(head.tensor, model, picture, head, None, reading)


def _dense(model: Model, graph: SpatialGraph) -> Iterator[str]:
    """Yield the outputs that are maps."""
    behind = {name for end in graph.steps if isinstance(end, SpatialEnd) for name in end.targets}
    for name, shape in output_shapes(model).items():
        if name in graph.sizes:
            if np.prod(graph.sizes[name]) > 1:
                yield name
        elif name in behind and shape is not None and len(shape) in _PICTURE_RANKS:
            if set(shape[2:]) != {1}:
                yield name


def _left_over(pixels: tuple[int, ...]) -> int | None:
    """Return the axis that is neither the batch nor pixels."""
    others = set(range(1, len(pixels) + 2)) - set(pixels)
    return others.pop() if len(others) == 1 else None
