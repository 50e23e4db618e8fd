"""`VideoSession`: every frame starts from the last one's values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.maps.find import open_map
from reluflow.attention.region import changed_region, pixels_of
from reluflow.attention.regional.scaled import scaled_region
from reluflow.attention.regional.skip import SkippingPasses, open_skipping
from reluflow.attention.tiles.lattice import Lattice, find_lattice
from reluflow.attention.video.changes import changed_blocks, changed_pixels, find_pan, move
from reluflow.attention.video.frame import Plan, VideoFrame
from reluflow.attention.video.options import VideoOptions
from reluflow.attention.video.unsure import UnsureBlocks, reach_of
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation.options import SAMPLES
from reluflow.graph import (
    Model,
    SpatialGraph,
    find_psb,
    psb_inputs,
    read_spatial,
    to_regional,
    with_input_defaults,
)

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass
class _State:
    """What is kept from frame to frame.

    Attributes:
        passes: the run on buffers that hold the last frame's values of every tensor.
        graph: the pixels of the model.
        picture: name of the input with pixels.
        lattice: how tensors move with the picture; None where they do not.
        kept: the picture of which the buffers hold the values, block by block.
        unsure: which blocks are unsure; None: none are looked for.
        answers: those of the last frame.
        number: of the frame.
        age: frames since everything was computed; None: it never was.
    """

    passes: SkippingPasses
    graph: SpatialGraph
    picture: str
    lattice: Lattice | None
    kept: Array
    unsure: UnsureBlocks | None = None
    answers: dict[str, Array] = field(default_factory=dict)
    number: int = 0
    age: int | None = None


class VideoSession:
    """Runs a converted model on one frame after another, and computes what changed.

    A block of the picture counts as changed where it differs from the values that the buffers
    stand for, so that slow changes add up until they count. Changed blocks are carried to every
    tensor, and the native library computes these pixels alone, over the last frame's values. With
    scaled regions values outside keep what they were, so answers drift from those of a dense pass,
    until everything is computed again: every `refresh` frames, and where too much changed.
    A picture that moved by a multiple of all strides takes its values along.

    With `unsure`, blocks count beside the changed ones of which the network is unsure, by the map
    of the kept answers (`open_map`), and which are stale: pixels within their receptive field
    changed since they were computed. They are those whose drift can change an answer. Blocks that
    are not stale are left as they are, so that a still picture comes to rest. Where all are unsure,
    each frame is that of a dense pass, to the bit.

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
        plan = self._decide(state, inputs[state.picture])
        if plan.kind != "none":
            self._compute(state, inputs, plan)
        share = {"all": 1.0, "none": 0.0}.get(plan.kind)
        if share is None:
            counts = [plan.masks[name] for name in state.passes.state]
            share = sum(int(each.sum()) for each in counts) / sum(each.size for each in counts)
        milliseconds = 1e3 * (time.perf_counter() - began)
        return VideoFrame(
            dict(state.answers),
            plan.kind,
            plan.reason,
            plan.changed,
            plan.moved,
            share,
            milliseconds,
            plan.unsure,
        )

    def _compute(self, state: _State, inputs: Mapping[str, Array], plan: Plan) -> None:
        """Run what is planned, and look at how unsure the answers are."""
        samples, seed = self.options.samples, self.options.seed
        if plan.kind == "all":
            found = state.passes.first(inputs, samples, seed)
        else:
            found = state.passes.second(inputs, samples, seed, plan.masks)
        state.answers = {name: found[name].copy() for name in self._model.outputs}
        if state.unsure is not None:
            state.age = None  # where nothing can be read, the next frame begins anew
            state.unsure.computed(plan.blocks)
            numbers = dict(
                zip(psb_inputs(self._model), map(np.array, (samples, seed)), strict=True)
            )
            state.unsure.look(found[state.unsure.told.tensor], numbers)
        state.age = 0 if plan.kind == "all" else plan.age

    def _open(self, inputs: Mapping[str, Array]) -> _State:
        shapes = {name: tuple(np.shape(value)) for name, value in inputs.items()}
        graph = read_spatial(self._model, shapes)
        pictures = [name for name in inputs if name in graph.sizes]
        if len(pictures) != 1 or len(inputs[pictures[0]]) != 1:
            given = ", ".join(f"{name!r} {list(shapes[name])}" for name in pictures)
            raise DataError(
                f"inputs with pixels are {given or 'missing'}; give one picture, of one frame."
            )
        told = None
        if self.options.unsure is not None:
            told = open_map(self._model, shapes, graph=graph, threads=self._threads)
        made = to_regional(self._model, graph, [] if told is None else [told.tensor])
        skipping = {each.tensor for each in made.done}
        drawn = {node.output for node in self._nodes if node.output in graph.sizes}
        passes = open_skipping(made.model, made.done, graph, self._threads)
        if passes is None or not drawn <= skipping:
            raise ModelError(
                "the native library has no regions for some PSB operator of the model, so that no "
                "frame can start from the last; update the library, or run each frame alone."
            )
        picture = pictures[0]
        lattice = self._lattice(graph, {picture: shapes[picture]})
        state = _State(passes, graph, picture, lattice, np.array(inputs[picture]))
        if told is not None and self.options.unsure is not None:
            sizes, reach = graph.sizes[picture], reach_of(graph, picture, lattice)
            state.unsure = UnsureBlocks(
                told, self.options.unsure, self.options.patience, self.options.block, sizes, reach
            )
        return state

    def _lattice(self, graph: SpatialGraph, shapes: dict[str, tuple[int, ...]]) -> Lattice | None:
        """Return how tensors move with the picture, where that is asked for and known."""
        dense = tuple(name for name in self._model.outputs if name in graph.sizes)
        options = self.options
        wanted = options.carry == "scaled" and (options.pan_reach or options.unsure is not None)
        if not (dense and wanted):
            return None
        try:
            return find_lattice(self._model, shapes, dense)
        except ModelError:
            return None

    def _decide(self, state: _State, frame: Array) -> Plan:
        """Return what is computed, and why."""
        axes = state.graph.axes[state.picture]
        still = (0,) * len(axes)
        options = self.options
        if state.age is None:
            return self._all(state, frame, "it is the first frame", 1.0)
        state.age += 1
        changed = self._changed(state, frame)
        share = float(self._counted(changed).mean())
        if state.age >= options.refresh:
            return self._all(state, frame, f"the last was {state.age} frames ago", share)
        moved, beside = still, np.zeros((1,) * len(axes), bool)
        if share > options.most_changed and options.pan_reach and state.lattice is not None:
            moved = self._move(state, frame)
            if moved != still:
                changed, beside = self._changed(state, frame), self._uncovered(state, moved)
        blocks = self._counted(changed) | beside
        unsure = self._unsure(state, changed, moved, blocks)
        both, extra = blocks | unsure, float(unsure.mean())
        if both.mean() > options.most_changed:
            what = f"changed and in {extra:.0%} the network is unsure" if extra else "changed"
            return self._all(state, frame, f"{share:.0%} of the blocks {what}", share)
        if not both.any():
            return Plan("none", "", share, moved, state.age)
        pixels = pixels_of(both, options.block, state.graph.sizes[state.picture])
        _last(state.kept, axes)[0, :, pixels] = _last(frame, axes)[0, :, pixels]
        masks = self._carried(state, pixels)
        return Plan("part", "", float(blocks.mean()), moved, state.age, extra, both, masks)

    def _all(self, state: _State, frame: Array, reason: str, changed: float) -> Plan:
        np.copyto(state.kept, frame)
        still = (0,) * len(state.graph.axes[state.picture])
        return Plan("all", reason, changed, still)

    def _changed(self, state: _State, frame: Array) -> Mask:
        """Return the pixels that differ from what the buffers stand for."""
        axes = state.graph.axes[state.picture]
        return changed_pixels(
            _last(frame, axes)[0], _last(state.kept, axes)[0], self.options.threshold
        )

    def _counted(self, changed: Mask) -> Mask:
        """Return the blocks of which enough pixels changed."""
        return changed_blocks(changed, self.options.block, self.options.least_pixels)

    def _unsure(self, state: _State, changed: Mask, moved: tuple[int, ...], counted: Mask) -> Mask:
        """Return the blocks that are computed as the network is unsure of them."""
        if state.unsure is None:
            return np.zeros_like(counted)
        if any(moved):
            state.unsure.moved(moved, self._uncovered(state, moved))
        state.unsure.changed(changed_blocks(changed, self.options.block, 1))
        state.number += 1
        return state.unsure.choose(counted, state.number)

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
