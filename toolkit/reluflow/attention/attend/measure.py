"""Running two passes over one picture, beside the dense pass and a reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from reluflow.attention.attend.answers import all_answers, all_notes
from reluflow.attention.attend.errors import as_floats, pixel_errors, shown_layers
from reluflow.attention.attend.picture import as_picture
from reluflow.attention.attend.record import (
    BOTH,
    DENSE,
    FIRST,
    FLOAT,
    Attended,
    Cost,
    LayerErrors,
)
from reluflow.attention.maps.find import open_map
from reluflow.attention.regional.options import RegionOptions
from reluflow.attention.regional.pairs import float_name
from reluflow.attention.regional.result import AttentionRun, NodeShare
from reluflow.attention.regional.session import AttentionSession
from reluflow.errors import DataError
from reluflow.evaluation.run import ROUNDED_BELOW, Runner
from reluflow.graph import (
    Model,
    chain_formats,
    expose,
    makes_tensor,
    with_input_defaults,
)
from reluflow.sessions import open_session

Array = NDArray[Any]
Feeds = Mapping[str, Array]
_RUNS = 3
"""Runs of which the fastest is shown, after one that is not timed."""
_NO_ERRORS = "Errors of layers are not shown, as no layer with pixels is in both passes."
_PICTURE_AXES = 2
_PHASES = (
    ("pass 1", FIRST),
    ("region", "map and region"),
    ("values", "values handed over"),
    ("pass 2", "pass 2 in the region"),
)


def attend_picture(
    model: Model,
    inputs: Feeds,
    samples: tuple[int, int] = (1, 16),
    options: RegionOptions | None = None,
    *,
    coarse: Model | None = None,
    half: bool = False,
    float_model: Model | None = None,
    tensor: str | None = None,
    axis: int | None = None,
    reading: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    native: bool | None = None,
) -> Attended:
    """Run two passes over one picture, and measure what they answer, cost and err.

    The dense pass 2 runs beside them, and each is timed as the fastest of three runs. Errors of a
    few layers are taken against the float model, or without one against the dense pass 2.

    Args:
        model: a converted model.
        inputs: input -> `(1, ...)`.
        samples: of pass 1 and of pass 2.
        options: how the region is chosen and carried; None: above the mean, scaled.
        coarse: another form of the network for pass 1, such as one that passes bytes; None: the
            model itself.
        half: run it on the picture at half the side.
        float_model: what it was converted from; None: none.
        tensor: of `open_map`: which tensor has scores for each pixel; None: it is found.
        axis: of its channels; None: it is found.
        reading: how they are read; None: it is found.
        seed: of the draws.
        threads: of ONNX Runtime.
        native: run the native library: always, never, or by default where available.

    Returns:
        An `Attended`.

    Raises:
        ModelError: the model has no PSB operator.
        OptionError: a number of samples, a tensor, an axis or a reading is not accepted.
        DataError: there is more than one picture, no input has one or two axes of pixels, or
            nothing tells how unsure the model is of each pixel.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> float_model = load("models/fashion_resnet8.onnx")
        >>> image = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:1]}
        >>> found = attend_picture(to_psb(float_model).model, image, float_model=float_model)
        >>> [answer.name for answer in found.answers], found.region.shape, len(found.layers)
        (['pass 1', 'both passes', 'dense pass 2', 'float32'], (7, 7), 3)

    Reference: thesis 4.2.5, Fig. 4.4; docs/attention.md.
    """
    wanted = RegionOptions() if options is None else options
    ready = with_input_defaults(model).model
    first = None if coarse is None else with_input_defaults(coarse).model
    session = AttentionSession(ready, first, half=half, threads=threads, native=native)
    graph = session.graph(inputs)
    shown = next(name for name in inputs if name in graph.sizes)
    _check_picture(inputs[shown], graph.sizes[shown])
    before, first_graph = session.first_graph(inputs)
    session.unsure = unsure = open_map(
        ready if first is None else first,
        before,
        tensor=tensor,
        axis=axis,
        reading=reading,
        graph=first_graph,
        threads=threads,
        native=native,
    )
    runs = _Runs(session, inputs, samples, wanted, seed, threads, native)
    found = runs.timed()
    layers = shown_layers(found.nodes, graph, first_graph)
    dense, dense_ms = runs.dense(layers)
    exact = None if float_model is None else _float_values(float_model, inputs, layers, threads)
    errors = _errors(runs, found, layers, graph.axes, dense if exact is None else exact)
    assert found.unsure is not None
    return Attended(
        model=str(model.path or ""),
        picture=as_picture(inputs[shown], graph.axes[shown]),
        samples=samples,
        options=wanted,
        source=unsure.sentence(),
        tensor=found.tensor,
        unsure=found.unsure[0],
        region=found.region[0],
        answers=tuple(all_answers(ready, found, dense, exact)),
        nodes=found.nodes,
        costs=tuple(_costs(found, dense_ms)),
        layers=errors,
        reference=DENSE if exact is None else FLOAT,
        notes=all_notes(found, graph, [] if errors else [_NO_ERRORS]),
    )


def _check_picture(values: Array, pixels: tuple[int, ...]) -> None:
    if len(values) != 1:
        raise DataError(f"inputs are {len(values)}; give one picture, `(1, ...)`.")
    if len(pixels) > _PICTURE_AXES:
        raise DataError(
            f"the input has {len(pixels)} axes of pixels, which cannot be shown as a picture; use "
            "AttentionSession for volumes."
        )


class _Runs:
    """The passes on one picture, run as often as needed."""

    def __init__(
        self,
        session: AttentionSession,
        inputs: Feeds,
        samples: tuple[int, int],
        options: RegionOptions,
        seed: int,
        threads: int | None,
        native: bool | None,
    ) -> None:
        self.session, self.model, self.inputs = session, session.fine, inputs
        self.samples, self.options, self.seed = samples, options, seed
        self.how: dict[str, Any] = {"threads": threads, "native": native}

    def timed(self) -> AttentionRun:
        """Return the fastest run of both passes."""
        runs = [self._run(self.session) for _ in range(_RUNS + 1)][1:]
        return min(runs, key=_milliseconds)

    def exposed(self, layers: tuple[NodeShare, ...]) -> AttentionRun:
        """Return a run that also gives the values of some layers."""
        return self._run(self.session.exposing([each.tensor for each in layers]))

    def _run(self, session: AttentionSession) -> AttentionRun:
        return session.run(self.inputs, self.samples, self.options, seed=self.seed)

    def dense(self, layers: tuple[NodeShare, ...]) -> tuple[dict[str, Array], float]:
        """Return what a dense pass 2 computes, layers included, and its milliseconds alone."""
        threads, native = self.how["threads"], self.how["native"]
        plain = Runner(self.model, threads, native, rounded_below=ROUNDED_BELOW)
        session, extra = plain.at(self.samples[1], self.seed)
        feeds = {**self.inputs, **extra}
        ms = _fastest(lambda: session.run(feeds))
        seen = expose(self.model, [each.tensor for each in layers]).model
        runner = Runner(seen, threads, native, rounded_below=ROUNDED_BELOW)
        session, extra = runner.at(self.samples[1], self.seed)
        found = session.run({**self.inputs, **extra})
        return dict(zip(session.outputs, found, strict=True)), ms


def _fastest(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_RUNS + 1):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return min(times[1:])


def _float_values(
    model: Model, inputs: Feeds, layers: tuple[NodeShare, ...], threads: int | None
) -> dict[str, Array]:
    """Return the float model's outputs and those of the layers that it has too."""
    names = [name for each in layers if makes_tensor(model, name := float_name(each.tensor))]
    session = open_session(expose(model, names).model, threads=threads)
    given = dict(zip((spec.name for spec in model.inputs), inputs.values(), strict=True))
    return dict(zip(session.outputs, session.run(given), strict=True))


def _errors(
    runs: _Runs,
    found: AttentionRun,
    layers: tuple[NodeShare, ...],
    axes: Mapping[str, tuple[int, ...]],
    reference: Mapping[str, Array],
) -> tuple[LayerErrors, ...]:
    """Return the errors of the layers that the reference has."""
    if not layers:
        return ()
    seen = runs.exposed(layers)
    formats = chain_formats(runs.model)
    made = []
    for each in layers:
        layout = formats.get(each.tensor)
        exact = reference.get(each.tensor)
        if exact is None:
            exact = reference.get(float_name(each.tensor))
        elif layout is not None:
            exact = as_floats(exact, layout)
        if exact is None:
            continue
        at = axes[each.tensor]
        pixels = at if layout is None else tuple(range(2, 2 + len(at)))
        first, mixed = (
            as_floats(values[each.tensor], layout) for values in (seen.first, seen.answers)
        )
        if first.shape != exact.shape:
            continue
        errors = (pixel_errors(values, exact, pixels) for values in (first, mixed))
        region = found.masks[each.tensor][0]
        made.append(LayerErrors(each.node, each.tensor, each.share, region, *errors))
    return tuple(made)


def _costs(found: AttentionRun, dense_ms: float) -> Iterator[Cost]:
    adds = {"pass 1": found.first_shift_adds, "pass 2": found.second_shift_adds}
    for phase, name in _PHASES:
        if phase in found.milliseconds:
            yield Cost(name, adds.get(phase), found.milliseconds[phase])
    yield Cost(BOTH, found.shift_adds, _milliseconds(found))
    yield Cost(DENSE, found.dense_shift_adds, dense_ms)


def _milliseconds(found: AttentionRun) -> float:
    """Return the time of all phases; counting afterwards is no part of an answer."""
    return sum(found.milliseconds.get(phase, 0.0) for phase, _ in _PHASES)
