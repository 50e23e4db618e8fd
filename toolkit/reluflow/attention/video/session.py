"""`VideoSession`: every frame starts from the last one's values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.region import changed_region, pixels_of
from reluflow.attention.regional.scaled import scaled_region
from reluflow.attention.regional.skip import SkippingPasses, open_skipping
from reluflow.attention.tiles.lattice import Lattice, find_lattice
from reluflow.attention.video.changes import changed_blocks, changed_pixels, find_pan, move
from reluflow.attention.video.options import VideoOptions
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation.options import SAMPLES
from reluflow.graph import (
    Model,
    SpatialGraph,
    find_psb,
    read_spatial,
    to_regional,
    with_input_defaults,
)

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """What one frame gave, as returned by `VideoSession.run`.

    Attributes:
        answers: output -> its values.
        kind: "all": everything was computed; "part": a region; "none": nothing had changed.
        reason: why everything was computed, "" elsewhere.
        changed: share of blocks that changed, in [0, 1].
        moved: pixels by which the last frame's values were moved first, along each axis.
        share: of the pixels of all tensors that a node could skip, those computed.
        milliseconds: of the whole call.

    Example:
        >>> frame = VideoFrame({"maps": np.zeros((1, 2))}, "part", "", 0.1, (0, 0), 0.2, 3.0)
        >>> frame.kind, frame.share
        ('part', 0.2)
    """

    answers: Mapping[str, Array]
    kind: str
    reason: str
    changed: float
    moved: tuple[int, ...]
    share: float
    milliseconds: float


@dataclass
class _State:
    """What is kept from frame to frame.

    Attributes:
        passes: the run on buffers that hold the last frame's values of every tensor.
        graph: the pixels of the model.
        picture: name of the input with pixels.
        lattice: how tensors move with the picture; None where they do not.
        kept: the picture of which the buffers hold the values, block by block.
        answers: those of the last frame.
        age: frames since everything was computed; None: it never was.
    """

    passes: SkippingPasses
    graph: SpatialGraph
    picture: str
    lattice: Lattice | None
    kept: Array
    answers: dict[str, Array] = field(default_factory=dict)
    age: int | None = None


class VideoSession:
    """Runs a converted model on one frame after another, and computes what changed.

    A block of the picture counts as changed where it differs from the values that the buffers
    stand for, so that slow changes add up until they count. Changed blocks are carried to every
    tensor, and the native library computes these pixels alone, over the last frame's values. With
    scaled regions values outside keep what they were, so answers drift from those of a dense pass,
    until everything is computed again: every `refresh` frames, and where too much changed.
    A picture that moved by a multiple of all strides takes its values along.

    Args:
        model: a converted model with one picture as input.
        options: thresholds, how regions are carried, when everything is computed.
        threads: of ONNX Runtime.

    Raises:
        ModelError: the model has no PSB operator.
        OptionError: the number of samples is not accepted.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> session = VideoSession(psb, VideoOptions(refresh=10), threads=1)
        >>> frame = np.load("models/fashion_mnist_test_2000.npz")["image"][:1].astype(np.float32)
        >>> moving = frame.copy()
        >>> moving[..., 8:16, 8:16] += 0.5
        >>> [session.run({"image": each}).kind for each in (frame, frame, moving)]
        ['all', 'none', 'part']

    Reference: docs/attention.md, video.
    """

    def __init__(
        self, model: Model, options: VideoOptions | None = None, *, threads: int | None = None
    ) -> None:
        self._nodes = find_psb(model)
        if not self._nodes:
            raise ModelError(
                f"model {str(model.path or '<memory>')!r} has no PSB operator, so none that skips "
                "pixels; convert it with reluflow psb convert."
            )
        self.options = options or VideoOptions()
        if self.options.samples not in SAMPLES:
            listed = ", ".join(map(str, SAMPLES))
            raise OptionError(f"samples is {self.options.samples}; accepted are {listed}.")
        self._model, self._threads = with_input_defaults(model).model, threads
        self._state: _State | None = None

    def run(self, inputs: Mapping[str, Array]) -> VideoFrame:
        """Answer one frame.

        Args:
            inputs: input -> array; the picture `(1, ...)`.

        Returns:
            A `VideoFrame`; after a picture of another size everything is computed.

        Raises:
            DataError: there is not exactly one picture, or more than one frame at a time.
            ModelError: the native library has no regions for some PSB operator of the model.
        """
        began = time.perf_counter()
        state = self._state
        if state is None or inputs[state.picture].shape != state.kept.shape:
            state = self._state = self._open(inputs)
        kind, reason, changed, moved, masks = self._decide(state, inputs[state.picture])
        if kind != "none":
            if kind == "all":
                found = state.passes.first(inputs, self.options.samples, self.options.seed)
                state.age = 0
            else:
                found = state.passes.second(inputs, self.options.samples, self.options.seed, masks)
            state.answers = {name: found[name].copy() for name in self._model.outputs}
        share = {"all": 1.0, "none": 0.0}.get(kind)
        if share is None:
            counts = [masks[name] for name in state.passes.state]
            share = sum(int(each.sum()) for each in counts) / sum(each.size for each in counts)
        milliseconds = 1e3 * (time.perf_counter() - began)
        answers = dict(state.answers)
        return VideoFrame(answers, kind, reason, changed, moved, share, milliseconds)

    def _open(self, inputs: Mapping[str, Array]) -> _State:
        shapes = {name: tuple(np.shape(value)) for name, value in inputs.items()}
        graph = read_spatial(self._model, shapes)
        pictures = [name for name in inputs if name in graph.sizes]
        if len(pictures) != 1 or len(inputs[pictures[0]]) != 1:
            given = ", ".join(f"{name!r} {list(shapes[name])}" for name in pictures)
            raise DataError(
                f"inputs with pixels are {given or 'missing'}; give one picture, of one frame."
            )
        made = to_regional(self._model, graph)
        skipping = {each.tensor for each in made.done}
        drawn = {node.output for node in self._nodes if node.output in graph.sizes}
        passes = open_skipping(made.model, made.done, graph, self._threads)
        if passes is None or not drawn <= skipping:
            raise ModelError(
                "the native library has no regions for some PSB operator of the model, so that no "
                "frame can start from the last; update the library, or run each frame alone."
            )
        lattice = None
        if self.options.pan_reach and self.options.carry == "scaled":
            try:
                lattice = find_lattice(
                    self._model, {pictures[0]: shapes[pictures[0]]}, self._dense(graph)
                )
            except ModelError:
                lattice = None
        kept = np.array(inputs[pictures[0]])
        return _State(passes, graph, pictures[0], lattice, kept)

    def _dense(self, graph: SpatialGraph) -> tuple[str, ...]:
        """Return the outputs that have pixels."""
        return tuple(name for name in self._model.outputs if name in graph.sizes)

    def _decide(
        self, state: _State, frame: Array
    ) -> tuple[str, str, float, tuple[int, ...], dict[str, Mask]]:
        """Return what is computed, why, the changed share, the movement, and the masks."""
        axes = state.graph.axes[state.picture]
        still = (0,) * len(axes)
        options = self.options
        if state.age is None:
            return self._all(state, frame, "it is the first frame", 1.0)
        state.age += 1
        blocks = self._changed(state, frame)
        changed = float(blocks.mean())
        if state.age >= options.refresh:
            return self._all(state, frame, f"the last was {state.age} frames ago", changed)
        moved = still
        if changed > options.most_changed and state.lattice is not None:
            moved = self._move(state, frame)
            if moved != still:
                blocks = self._changed(state, frame) | self._uncovered(state, moved)
        if blocks.mean() > options.most_changed:
            return self._all(state, frame, f"{changed:.0%} of the blocks changed", changed)
        if not blocks.any():
            return "none", "", changed, moved, {}
        pixels = pixels_of(blocks, options.block, state.graph.sizes[state.picture])
        masks = self._carried(state, pixels)
        _last(state.kept, axes)[0, :, pixels] = _last(frame, axes)[0, :, pixels]
        return "part", "", float(blocks.mean()), moved, masks

    def _all(
        self, state: _State, frame: Array, reason: str, changed: float
    ) -> tuple[str, str, float, tuple[int, ...], dict[str, Mask]]:
        np.copyto(state.kept, frame)
        return "all", reason, changed, (0,) * len(state.graph.axes[state.picture]), {}

    def _changed(self, state: _State, frame: Array) -> Mask:
        """Return the blocks that differ from what the buffers stand for."""
        axes, options = state.graph.axes[state.picture], self.options
        pixels = changed_pixels(
            _last(frame, axes)[0], _last(state.kept, axes)[0], options.threshold
        )
        return changed_blocks(pixels, options.block, options.least_pixels)

    def _carried(self, state: _State, pixels: Mask) -> dict[str, Mask]:
        if self.options.carry == "exact":
            region = changed_region(state.graph, state.picture, pixels)
        else:
            region = scaled_region(state.graph, state.picture, pixels, self.options.margin)
        return {name: region.mask(name)[None] for name in state.graph.sizes}

    def _move(self, state: _State, frame: Array) -> tuple[int, ...]:
        """Move the last frame's values with the picture; return by how many of its pixels."""
        lattice, axes = state.lattice, state.graph.axes[state.picture]
        assert lattice is not None
        moved = find_pan(
            _last(frame, axes)[0],
            _last(state.kept, axes)[0],
            lattice.unit,
            self.options.pan_reach,
            self.options.threshold,
        )
        if any(moved):
            move(state.kept, axes, moved)
            for name, values in state.passes.state.items():
                if name in lattice.ratios:
                    by = [lattice.shift(name, at, pixels) for at, pixels in enumerate(moved)]
                    move(values, state.graph.axes[name], by)
        return moved

    def _uncovered(self, state: _State, moved: tuple[int, ...]) -> Mask:
        """Return the blocks that came into the picture, and those that came to its border."""
        sizes = state.graph.sizes[state.picture]
        assert state.lattice is not None
        pixels = np.zeros(sizes, bool)
        for axis, (by, unit) in enumerate(zip(moved, state.lattice.unit, strict=True)):
            if by:
                ahead = np.moveaxis(pixels, axis, 0)
                ahead[: by + unit if by > 0 else unit] = True
                ahead[sizes[axis] - (unit if by > 0 else unit - by) :] = True
        return changed_blocks(pixels, self.options.block, 1)


def _last(array: Array, axes: tuple[int, ...]) -> Array:
    """Return a view `(n, channels, pixels...)` of a picture."""
    rank = array.ndim
    others = [at for at in range(rank) if at not in axes]
    return array.transpose([*others, *axes])
