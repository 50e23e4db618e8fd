"""`attend_tiles`: two passes over a picture of any size, tile by tile, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.maps.find import open_map
from reluflow.attention.regional.clock import Clock
from reluflow.attention.regional.cost import node_shares, pass_adds
from reluflow.attention.regional.half import Enlarged, Halves
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.prepare import Maker, Prepared, Unsure
from reluflow.attention.regional.result import AttentionRun
from reluflow.attention.regional.rim import Carrier, Rims
from reluflow.attention.tiles.joined import read_passes
from reluflow.attention.tiles.keep import Kept, open_kept
from reluflow.attention.tiles.plan import Tile, TilePlan
from reluflow.attention.tiles.run import TileOptions, crops_of, pictures_of, plan_for, run_tiles
from reluflow.attention.tiles.stages import Stages
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.options import check_samples
from reluflow.graph import Model, Reads, SpatialGraph, expose, psb_inputs, with_input_defaults
from reluflow.progress import Progress

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Mask = NDArray[np.bool_]
FIRST, SECOND = "pass 1", "pass 2"
"""Stages of a run."""
_MOVES = ("Transpose", "Identity")
"""Operators that change no value."""


@dataclass(frozen=True, eq=False, slots=True)
class TiledAttention:
    """What `attend_tiles` returns.

    Attributes:
        run: what an `AttentionSession` gives for the whole picture, to the bit. Its masks are of
            the whole picture; the milliseconds have a phase more, "again": pass 1 in the tiles
            that pass 2 ran.
        crop: pixels of a crop of pass 2 along each axis.
        n_tiles: number of tiles.
        n_run: those that pass 2 ran; the others have nothing of the region.
        overhead: pixels of all crops over those of the picture, at least 1.
        estimated_bytes: of the tensors of a crop of pass 2, as the memory limit counts them.
        graph: of `read_spatial` of the fine model for the whole picture.
    """

    run: AttentionRun
    crop: tuple[int, ...]
    n_tiles: int
    n_run: int
    overhead: float
    estimated_bytes: int
    graph: SpatialGraph


def attend_tiles(
    fine: Model,
    inputs: Feeds,
    samples: tuple[int, int] = (1, 16),
    region: RegionOptions | None = None,
    *,
    coarse: Model | None = None,
    half: bool = False,
    unsure: Unsure | None = None,
    options: TileOptions | None = None,
    stages: Stages | None = None,
    progress: Progress | None = None,
) -> TiledAttention:
    """Run two passes over pictures in tiles whose seams are exact.

    Pass 1 runs in tiles over everything. The region is chosen on its whole map and carried to
    every tensor once; each tile of pass 2 gets its part. Tiles of which nothing lies in the region
    do not run. Answers, region and shares are those of an `AttentionSession`, bit for bit with
    integer arithmetic: all that a tile reads of pass 1 and of the region is exact.

    Args:
        fine: a converted model of which no output depends on all pixels, height and width free.
        inputs: input -> `(n, ...)`, memory-mapped ones too.
        samples: of pass 1 and of pass 2.
        region: how the region is chosen and carried; None: above the mean, scaled.
        coarse: another form of the network for pass 1; None: `fine`.
        half: run it on the picture at half the side.
        unsure: tells how unsure each pixel is; None: what `open_map` finds.
        options: memory limit, crop, seed, threads and native; the other ones are not used here.
        stages: keeps what is done when interrupted; None: nothing is kept.
        progress: called with the stage and the tiles done.

    Returns:
        What the passes gave, and how the picture was cut.

    Raises:
        ModelError: an output depends on all pixels or on the size of the picture.
        OptionError: samples are not accepted, the memory limit or the crop is too small, or an
            option would do nothing.
        DataError: inputs do not fit, or nothing tells how unsure the pixels are.
        Interrupted: Ctrl-C was pressed.

    Example:
        >>> from reluflow.graph import PsbOptions, load, to_psb
        >>> import onnx.parser
        >>> model = to_psb(load(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,H,W] x) => (float[N,1,A,B] y) <float[1,1,3,3] w = {1,2,1,3,1,2,1,1,1}>
        ...     { y = Conv <pads = [1,1,1,1]> (x, w) }''')), PsbOptions(x_exponents={"x": 0})).model
        >>> picture = np.arange(1200, dtype=np.float32).reshape(1, 1, 20, 60) / 1200
        >>> found = attend_tiles(
        ...     model, {"x": picture}, (1, 16), options=TileOptions(crop=(20, 20)))
        >>> found.n_tiles, found.crop, found.run.answers["y"].shape
        (4, (20, 20), (1, 1, 20, 60))

    Reference: docs/attention.md, panoramas.
    """
    check_samples(samples, "samples of a pass")
    how = options or TileOptions()
    if how.samples is not None or how.outputs is not None or how.resume:
        raise OptionError(
            f"options have samples {how.samples}, outputs {how.outputs} and resume {how.resume}, "
            "which do nothing here; give samples of both passes, and stages that resume."
        )
    if half and coarse is None:
        raise OptionError(
            "half is True, but there is no coarse model to run on the smaller picture; give one."
        )
    passes = _Passes(fine, coarse, half, inputs, samples, region or RegionOptions(), how)
    return passes.run(unsure, stages or Stages(None, "", False, progress))


class _Passes:
    """Both passes over one picture."""

    def __init__(
        self,
        fine: Model,
        coarse: Model | None,
        half: bool,
        inputs: Feeds,
        samples: tuple[int, int],
        region: RegionOptions,
        options: TileOptions,
    ) -> None:
        self.fine = with_input_defaults(fine).model
        self.coarse = None if coarse is None else with_input_defaults(coarse).model
        self.half, self.inputs, self.samples = half, inputs, samples
        self.region, self.options = region, options
        self.clock = Clock()
        self.shapes = {name: tuple(np.shape(value)) for name, value in sorted(inputs.items())}
        self.maker = Maker(self.fine, self.coarse, half, None, options.threads, options.native)
        self.graph = self.maker.graph(self.shapes)
        self.before, self.first_graph = self.maker.first(self.shapes)

    def run(self, unsure: Unsure | None, stages: Stages) -> TiledAttention:
        """Return what both passes give."""
        plan, estimate = self._plan()
        told = unsure or self._map()
        values = self._first(told, stages)
        first = self._answers(values)
        numbers = (np.array(number, np.int64) for number in (self.samples[0], self.options.seed))
        with self.clock("region"):
            given = dict(zip(psb_inputs(self.coarse or self.fine), numbers, strict=True))
            doubt = np.asarray(told.read(values[told.tensor], given), np.float64)
            chosen = np.stack([self.region.choose(each, at) for at, each in enumerate(doubt)])
        refined = np.asarray(chosen.reshape(len(chosen), -1).any(axis=1))
        second = _Second(self, plan, first, refined)
        with self.clock("region"):
            masks = second.carrier.carried(told.tensor, chosen, self.region)
        answers, n_run = second.run(masks, stages) if refined.any() else (first, 0)
        ready = second.ready
        found = AttentionRun(
            answers,
            first,
            told.tensor,
            doubt,
            chosen,
            masks,
            node_shares(ready.nodes, self.graph, self.samples[1], masks, refined, ready.reasons),
            pass_adds(ready.first_nodes, self.first_graph, self.samples[0]),
            self.clock.read(),
            ready.notes(),
        )
        return TiledAttention(
            found, plan.crop, len(plan.tiles), n_run, plan.overhead, estimate, self.graph
        )

    def _plan(self) -> tuple[TilePlan, int]:
        """Return the tiles of pass 2, and the bytes that one takes."""
        return plan_for(
            self.fine,
            pictures_of(self.fine, self.inputs),
            self.fine.outputs,
            self.options.memory_limit_bytes,
            self.options.crop,
            lambda shapes: read_passes(self.fine, self.coarse, self.half, shapes),
            room=1.0,  # all tensors are counted, those that a kernel needs at a time among them
        )

    def _map(self) -> Unsure:
        return open_map(
            self.coarse or self.fine,
            self.before,
            graph=self.first_graph,
            threads=self.options.threads,
            native=self.options.native,
        )

    def _first(self, told: Unsure, stages: Stages) -> dict[str, Array]:
        """Return what pass 1 answers, and the tensor that tells how unsure it is."""
        model = expose(self.coarse or self.fine, [told.tensor]).model
        halves = Halves()
        inputs = {
            name: halves(name, value, self.graph.axes[name])
            if self.half and name in self.graph.axes
            else value
            for name, value in self.inputs.items()
        }

        def go(files: Any, begun: bool, progress: Progress) -> dict[str, Array]:
            options = replace(self.options, samples=self.samples[0], resume=begun)
            with self.clock(FIRST):
                made = run_tiles(model, inputs, files, options=options, progress=progress)
            return dict(made.outputs)

        return stages.run(FIRST, model.outputs, go)

    def _answers(self, values: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return what pass 1 answers, with as many pixels as pass 2."""
        outputs = self.fine.outputs
        if self.coarse is None:
            return {name: values[name] for name in outputs}
        for name in outputs:
            if name not in values:
                raise DataError(
                    f"coarse has no output {name!r}, but fine has; give two forms of one network."
                )
        graph = self.graph
        return Enlarged({name: values[name] for name in outputs}, graph.axes, graph.sizes)


class _Second:
    """Pass 2, tile by tile."""

    def __init__(self, of: _Passes, plan: TilePlan, first: Feeds, refined: Mask) -> None:
        self.of, self.plan, self.first, self.refined = of, plan, first, refined
        self.crops = self._crops(plan.tiles[0])
        shapes = {name: value.shape for name, value in sorted(self.crops.items())}
        self.ready: Prepared = of.maker.prepared(shapes, False)
        rims = None
        if of.coarse is not None:
            rims = Rims(of.graph, self.ready.skipping, self.ready.whole)
        self.carrier = Carrier(of.graph, frozenset(of.shapes), self.ready.without, rims)

    def run(self, masks: Mapping[str, Mask], stages: Stages) -> tuple[dict[str, Array], int]:
        """Return the answers, and how many tiles were run for them."""
        tiles = self.plan.tiles
        needed = [self._is_needed(tile, masks) for tile in tiles]

        def go(files: Any, begun: bool, progress: Progress) -> dict[str, Array]:
            chosen = (self.of.samples[1], self.of.options.seed, begun)
            kept: Kept = open_kept(self.of.fine, self.of.inputs, files, self.plan, chosen)
            for number, tile in enumerate(tiles):
                progress(SECOND, number, len(tiles))
                if number >= kept.n_done:
                    kept.add(tile, (self._run if needed[number] else self._kept)(tile, masks))
            progress(SECOND, len(tiles), len(tiles))
            return kept.finish()

        return stages.run(SECOND, self.of.fine.outputs, go), sum(needed)

    def _crops(self, tile: Tile) -> dict[str, Array]:
        return {**self.of.inputs, **crops_of(self.plan, self.of.inputs, tile)}

    def _is_needed(self, tile: Tile, masks: Mapping[str, Mask]) -> bool:
        """Tell whether pass 2 can change a pixel of a tile."""
        sources = [self._kept_in(name) for name in self.of.fine.outputs]
        kept = [each for each in sources if each is not None]
        if len(kept) == len(sources):
            spans = zip(kept, (tile.spans[name] for name in self.of.fine.outputs), strict=True)
            return any(
                bool(masks[name][(slice(None), *(slice(*each) for each in span))].any())
                for name, span in spans
            )
        if self.ready.coarse is not None:
            return True
        return any(bool(mask.any()) for mask in self._cut(tile, masks).values())

    def _kept_in(self, output: str) -> str | None:
        """Return the tensor whose mask tells which pixels of an output pass 2 can change.

        None: outside of all masks it is not what pass 1 answers, but computed from that.
        """
        ready, coarse = self.ready, self.ready.coarse
        name = _moved_from(ready.graph, output)
        if name not in ready.skipping or ready.graph.sizes[name] != ready.graph.sizes[output]:
            return None
        if coarse is None:
            return name
        partner = coarse.partner(name)
        same = partner is not None and partner == _moved_from(coarse.graph, output)
        return name if same and coarse.shared([name]) else None

    def _cut(self, tile: Tile, masks: Mapping[str, Mask]) -> dict[str, Mask]:
        """Return the part of every mask that lies in a crop; equal ones stay shared."""
        lattice, sizes = self.plan.lattice, self.ready.graph.sizes
        made: dict[Any, Mask] = {}
        found = {}
        for name, mask in masks.items():
            if name not in lattice.ratios:  # no output depends on it
                found[name] = np.zeros((len(mask), *sizes[name]), bool)
                continue
            starts = tuple(lattice.shift(name, at, by) for at, by in enumerate(tile.starts))
            key = id(mask), starts, sizes[name]
            if key not in made:
                part = (slice(at, at + n) for at, n in zip(starts, sizes[name], strict=True))
                made[key] = np.ascontiguousarray(mask[(slice(None), *part)])
            found[name] = made[key]
        return found

    def _run(self, tile: Tile, masks: Mapping[str, Mask]) -> dict[str, Array]:
        """Return the answers of both passes in a crop."""
        of, ready = self.of, self.ready
        feeds, seed = self._crops(tile), self.of.options.seed
        cut = self._cut(tile, masks)
        with of.clock("again"):
            values = ready.first(feeds, of.samples[0], seed)
            first = ready.answers(values, of.fine.outputs)
        with of.clock("values"):
            into = ready.give(values, cut, first)
        with of.clock(SECOND):
            made = ready.passes.second(feeds, of.samples[1], seed, cut, into)
        if self.refined.all():
            return {name: made[name] for name in first}
        rows = {name: self.refined.reshape(-1, *[1] * (made[name].ndim - 1)) for name in first}
        return {name: np.where(rows[name], made[name], first[name]) for name in first}

    def _kept(self, tile: Tile, masks: Mapping[str, Mask]) -> dict[str, Array]:
        """Return the answers of pass 1 in a crop."""
        lattice, graph = self.plan.lattice, self.ready.graph
        found = {}
        for name in self.of.fine.outputs:
            values = self.first[name]
            part = [slice(None)] * values.ndim
            for at, axis in enumerate(graph.axes[name]):
                begin = lattice.shift(name, at, tile.starts[at])
                part[axis] = slice(begin, begin + graph.sizes[name][at])
            found[name] = values[tuple(part)]
        return found


def _moved_from(graph: SpatialGraph, output: str) -> str:
    """Return the tensor of which an output holds the values, on other axes perhaps."""
    makers = {step.target: step for step in graph.steps if isinstance(step, Reads)}
    name = output
    while name in makers and makers[name].op in _MOVES:
        name = makers[name].source
    return name
