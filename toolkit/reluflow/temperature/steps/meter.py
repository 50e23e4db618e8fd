"""D and APT of a training step without its framework: ONNX Runtime with the weights fed."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluflow.data import InputSpec, batch_that_fits, bytes_per_sample, open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import (
    Model,
    Tap,
    WeightInput,
    find_sites,
    load,
    load_apart,
    read_weights,
    tap,
    use_batch_statistics,
    weights_as_inputs,
)
from reluflow.temperature.crossing import CrossingCurves
from reluflow.temperature.steps.change import SiteDistance, StepDistance
from reluflow.temperature.steps.values import ValueRuns

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class StatePatterns:
    """The activation patterns of one batch at one state of the weights.

    A `StepMeter` returns them.

    Attributes:
        active: one bool array per site, shaped as the site's pre-activation.
        nans: NaN pre-activations per site.
        nonfinite: NaN and infinite pre-activations per site.
    """

    active: tuple[np.ndarray, ...]
    nans: tuple[int, ...]
    nonfinite: tuple[int, ...]


class StepMeter:
    """Measures what a change of the weights does to the activation patterns.

    One session of the exported graph is opened, with its pre-activations as outputs and its
    weights as inputs; every measurement is a run of it. Arrays go in and out without a
    copy. Any framework will do that can export once and provide its weights as arrays.

    Patterns are compared bit by bit (pre-activation > threshold). Batch normalisation in an
    exported graph uses running statistics; a framework in training uses those of the batch.
    `batch_statistics=True` computes the latter, which is what the torch bridge measures in
    training mode. The graph must hold batch normalisation as such: torch folds it away when
    it exports in evaluation mode, so export with `training=TrainingMode.TRAINING` and
    `do_constant_folding=False`, which keeps the names of the weights too. Dropout is off.

    Attributes:
        inputs: what a batch must hold.
        weights: what the weights must hold: name, dtype and shape.
        sites: names of the switch sites, in graph order.
        file_weights: the weights as they are in the file, by name.

    Example:
        >>> meter = StepMeter("models/fashion_resnet8.onnx")
        >>> before = meter.file_weights
        >>> after = {name: 1.01 * w + np.float32(1e-3) for name, w in before.items()}
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:8]
        >>> step = meter.distance(before, after, images)
        >>> 0 < step.mean_distance < 1
        True
        >>> step == meter.compare(meter.patterns(before, images), meter.patterns(after, images))
        True
        >>> curves = meter.curves(before, after, images, rate=0.1)
        >>> round(float(curves.distance(0.05)), 2) < step.mean_distance  # at half the rate
        True
        >>> files = ["models/fashion_resnet8_epoch1.onnx", "models/fashion_resnet8.onnx"]
        >>> 0 < meter.between(*files, images).mean_distance < 1  # of two checkpoints
        True
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str] | bytes | Any,
        *,
        batch_statistics: bool | None = None,
        names: Collection[str] | None = None,
        smooth: bool = False,
        threads: int | None = None,
    ) -> None:
        """Rewrite the graph and open the session.

        Args:
            model: whatever `reluflow.load` takes: a Model, a path, bytes, a ModelProto.
            batch_statistics: let batch normalisation use the statistics of the batch (True),
                the running ones (False), or what the file says (None).
            names: the initializers that will be fed; by default all that look like weights.
            smooth: also look at smooth activations (Gelu, Silu, ...) as switches at 0.
            threads: of ONNX Runtime; the cores of this process by default.

        Raises:
            ModelError: the model is bad, has no switch site or no weights, or its batch
                normalisation cannot use the statistics wanted.
            OptionError: names contains something that is not a weight.
        """
        from reluflow.sessions import open_session  # onnxruntime, which a bridge never needs

        original = load_apart(model)
        network = _with_statistics(original, batch_statistics)
        taps = tap(network, find_sites(network, smooth=smooth), behind=True)
        if not taps.done:
            raise ModelError(
                "the model has no switch site that can be tapped, so no pattern can change; "
                "give a model with ReLU-like activations."
            )
        fed = weights_as_inputs(taps.model, names)
        if not fed.done:
            raise ModelError(
                "the model has no floating-point weights among its initializers; "
                "export it with its parameters as initializers."
            )
        self.inputs: tuple[InputSpec, ...] = network.inputs
        self.weights: tuple[WeightInput, ...] = fed.done
        self.sites = tuple(each.site.name for each in taps.done)
        self.file_weights = read_weights(network, [weight.name for weight in fed.done])
        self._taps: tuple[Tap, ...] = taps.done
        outputs = list(dict.fromkeys(each.output for each in taps.done))
        self._session = open_session(fed.model, outputs=outputs, threads=threads)
        tapped_bytes = sum(bytes_per_sample(each.site.shape) for each in taps.done)
        self._batch_size = batch_that_fits(network.inputs, tapped_bytes)
        self._network, self._threads = network, threads
        self._values: ValueRuns | None = None

    def distance(
        self, before: Weights, after: Weights, batch: np.ndarray | Mapping[str, np.ndarray]
    ) -> StepDistance:
        """Return D and APT of every site between two states of the weights on one batch.

        Args:
            before: weight name -> array, every name in `weights`; other names are ignored.
            after: the same for the second state.
            batch: the inputs, by name where there are several.

        Returns:
            D by site, each over all samples of the batch.

        Raises:
            DataError: a weight is missing, of another shape or type, or not finite; the batch
                does not fit; the model fails.

        Reference: thesis, equation 3.15 and Definition 6.
        """
        feeds = self._feeds(batch)
        return self._total(
            [(self._run(self._check(before), feeds), self._run(self._check(after), feeds))]
        )

    def curves(
        self,
        before: Weights,
        after: Weights,
        batch: np.ndarray | Mapping[str, np.ndarray],
        rate: float,
        *,
        part: float = 1.0,
    ) -> CrossingCurves:
        """Return D of every site at any rate, to first order in what one step changed.

        The pre-activations of both states tell at which rate each sample changes its pattern. The
        step should be short: about one bit or less in a network of many layers.

        Args:
            before: as for `distance`.
            after: as for `distance`.
            batch: as for `distance`; curves of several batches are added.
            rate: learning rate of the step; where the second state is only a part s of the way,
                s times that of the whole step.
            part: of the step from which the curves are to begin, as `CrossingCool.part` tells. A
                part below 1 is measured beside the whole step, above 1 instead of it.

        Returns:
            The curves by site, over all samples of the batch.

        Raises:
            DataError: as for `distance`.
            OptionError: a rate or a part that is not above 0 and finite.

        Source: docs/spec.md, section 5 (crossing rates).
        """
        if not 0.0 < rate < math.inf:
            raise OptionError(f"rate is {rate}; give that of the step, above 0 and finite.")
        if not 0.0 < part < math.inf:
            raise OptionError(f"part is {part}; give a fraction of the step, above 0 and finite.")
        feeds, states = self._feeds(batch), (self._check(before), self._check(after))
        if self._values is None:
            sites = [each.site for each in self._taps]
            names = [weight.name for weight in self.weights]
            self._values = ValueRuns(self._network, sites, names, self._threads)
        way = [(rate, states[1])] if part <= 1.0 else []
        if part != 1.0:
            way.insert(0, (part * rate, _between(*states, part)))
        return self._values.curves(states[0], way, feeds)

    def patterns(
        self, weights: Weights, batch: np.ndarray | Mapping[str, np.ndarray]
    ) -> StatePatterns:
        """Return the patterns of one state, for `compare`; one run of the model.

        Args:
            weights: as for `distance`.
            batch: as for `distance`.

        Raises:
            DataError: as for `distance`.
        """
        return self._run(self._check(weights), self._feeds(batch))

    def compare(self, before: StatePatterns, after: StatePatterns) -> StepDistance:
        """Return D and APT of every site between two results of `patterns` on one batch.

        Args:
            before: of the first state.
            after: of the second.

        Raises:
            DataError: they are not of the same batch.
        """
        return self._total([(before, after)])

    def between(
        self, first: Any, second: Any, data: Any, *, limit: int | None = None
    ) -> StepDistance:
        """Return D and APT of every site between two checkpoints in ONNX files.

        Only the weights of the files are read; the graph is the meter's own.

        Args:
            first: the earlier checkpoint: whatever `reluflow.load` takes.
            second: the later one.
            data: path (.npy, .npz, idx, image folder), array, dictionary of arrays by input
                name, or an iterable of batches.
            limit: use the first so many inputs only.

        Returns:
            D by site over all data.

        Raises:
            ModelError: a file lacks one of the weights.
            DataError: as for `distance`; the data cannot be read.
        """
        states = [self._check(self._read(checkpoint)) for checkpoint in (first, second)]
        source = open_data(data, self.inputs, limit=limit)
        return self._total(
            (self._run(states[0], feeds), self._run(states[1], feeds))
            for feeds in source.batches(self._batch_size)
        )

    def _read(self, checkpoint: Any) -> dict[str, np.ndarray]:
        model = checkpoint if isinstance(checkpoint, Model) else load(checkpoint)
        found = read_weights(model)
        for weight in self.weights:
            if weight.name not in found:
                raise ModelError(
                    f"model {str(model.path or '<memory>')!r} has no weight {weight.name!r}; "
                    "export both checkpoints of the network in the same way."
                )
        return found

    def _check(self, weights: Weights) -> dict[str, np.ndarray]:
        """Return the arrays to feed; refuse one that does not fit the graph."""
        feeds = {}
        for wanted in self.weights:
            if wanted.name not in weights:
                raise DataError(
                    f"weight {wanted.name!r} is missing; give {wanted}, "
                    "or name the weights that change in StepMeter(names=...)."
                )
            array = np.asarray(weights[wanted.name])
            if array.dtype != wanted.dtype or array.shape != wanted.shape:
                raise DataError(
                    f"weight {wanted.name!r} is {array.dtype} {list(array.shape)}; "
                    f"the graph wants {wanted}."
                )
            bad = _nonfinite(array)
            if bad:
                raise DataError(
                    f"weight {wanted.name!r} holds {bad} values that are NaN or infinite; "
                    "measure before the training diverges."
                )
            feeds[wanted.name] = np.ascontiguousarray(array)
        return feeds

    def _feeds(self, batch: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self.inputs]
        given = batch if isinstance(batch, Mapping) else {names[0]: np.asarray(batch)}
        if sorted(given) != sorted(names):
            raise DataError(
                f"the batch holds {', '.join(map(repr, given)) or 'nothing'}; "
                f"the model wants {', '.join(map(repr, names))}."
            )
        for spec in self.inputs:
            array = np.asarray(given[spec.name])
            if array.dtype != spec.dtype or (array.ndim and not array.shape[0]):
                raise DataError(
                    f"input {spec.name!r} of the batch is {array.dtype} {list(array.shape)}; "
                    f"the model wants {spec} with one sample at least."
                )
        return {name: np.ascontiguousarray(given[name]) for name in names}

    def _run(
        self, weights: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]
    ) -> StatePatterns:
        values = self._session.run({**feeds, **weights})
        outputs = dict(zip(self._session.outputs, values, strict=True))
        tapped = [(outputs[each.output], each) for each in self._taps]
        nonfinite = tuple(_nonfinite(x) for x, _ in tapped)
        return StatePatterns(
            tuple(x > each.site.threshold for x, each in tapped),
            tuple(
                int(np.count_nonzero(np.isnan(x))) if bad else 0
                for (x, _), bad in zip(tapped, nonfinite, strict=True)
            ),
            nonfinite,
        )

    def _total(self, pairs: Iterable[tuple[StatePatterns, StatePatterns]]) -> StepDistance:
        """Add up the changed samples of every site over some batches."""
        totals = np.zeros((len(self._taps), 4), np.int64)
        units = [0] * len(self._taps)
        for before, after in pairs:
            for index, each in enumerate(self._taps):
                one, other = before.active[index], after.active[index]
                nonfinite = before.nonfinite[index] + after.nonfinite[index]
                totals[index] += (*_changes(one, other, each), after.nans[index], nonfinite)
                units[index] = one.shape[each.unit_axis] if one.ndim else 1
        return StepDistance(_sites(self._taps, units, totals))


def _between(before: Weights, after: Weights, part: float) -> dict[str, np.ndarray]:
    """Return the weights at a part of the way from one state to another."""
    return {
        name: start + (after[name] - start) * start.dtype.type(part)
        for name, start in before.items()
    }


def _nonfinite(array: np.ndarray) -> int:
    """Count NaN and infinite values; where the sum is finite there are none."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return 0
    return array.size - int(np.count_nonzero(np.isfinite(array)))


def _changes(one: np.ndarray, other: np.ndarray, each: Tap) -> tuple[int, int]:
    if one.shape != other.shape:
        raise DataError(
            f"site {each.site.name} has patterns of shapes {list(one.shape)} and "
            f"{list(other.shape)}; compare patterns of the same batch."
        )
    if not one.size:
        return 0, 0
    changed = np.any(one != other, axis=each.unit_axis)
    return int(np.count_nonzero(changed)), changed.size


def _sites(
    taps: Sequence[Tap], units: Sequence[int], totals: np.ndarray
) -> tuple[SiteDistance, ...]:
    """Return the sites that saw a sample; a branch of an If may have seen none."""
    found = tuple(
        SiteDistance(
            each.site.name,
            changed,
            samples,
            units=width,
            nans=nans,
            nonfinite=nonfinite,
            layer=each.site.layer,
        )
        for each, width, (changed, samples, nans, nonfinite) in zip(
            taps, units, totals.tolist(), strict=True
        )
        if samples
    )
    if not found:
        raise DataError("no switch site saw a sample; give data that reach one.")
    return found


def _with_statistics(model: Model, wanted: bool | None) -> Model:
    result = use_batch_statistics(model, wanted)
    if result.refused:
        first = result.refused[0]
        raise ModelError(
            f"batch normalisation {first.node!r} cannot use the statistics wanted: {first.reason}; "
            "leave the choice to the model."
        )
    return result.model
