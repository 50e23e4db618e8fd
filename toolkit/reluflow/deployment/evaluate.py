"""How well a converted model works against samples, float and int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.deployment._run import Runner, batch_size, first_output
from reluflow.deployment.describe import describe_psb
from reluflow.deployment.labels import accuracy
from reluflow.deployment.result import Evaluation, LayerSensitivity, SamplePoint
from reluflow.deployment.saturation import measure_saturation
from reluflow.errors import DataError, OptionError
from reluflow.graph import Model, find_psb, fold_batchnorm, psb_alone
from reluflow.runtime import Session, open_session, static_int8

Metric = Callable[[NDArray[np.floating], NDArray[np.int64]], float]
Progress = Callable[[str, int, int | None], None]
SAMPLES = (1, 2, 4, 8, 16, 32, 64)
_CALIBRATION_INPUTS = 256


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Options of `evaluate`.

    Attributes:
        samples: numbers of samples, each one of 1, 2, 4, ..., 64.
        seeds: number of seeds (0, 1, ...) that error bars are made of.
        int8: compare with ONNX Runtime's static int8 of the float model.
        sensitivity: number of samples at which layers are tried alone, None: not at all.
        batch_size: inputs a run; the model's own, or 64.
        threads: of ONNX Runtime; all by default.
        metric: the name that results show.
        native: run the native library: True, never (False), or by default where it is there.
    """

    samples: tuple[int, ...] = SAMPLES
    seeds: int = 5
    int8: bool = False
    sensitivity: int | None = None
    batch_size: int | None = None
    threads: int | None = None
    metric: str = "accuracy"
    native: bool | None = None

    def __post_init__(self) -> None:
        wanted = (*self.samples, *([] if self.sensitivity is None else [self.sensitivity]))
        for n in wanted:
            if n not in SAMPLES:
                listed = ", ".join(map(str, SAMPLES))
                raise OptionError(f"samples are {n!r}; accepted are {listed}.")
        if not self.samples:
            raise OptionError("samples are empty; give at least one number, for example 1,4,16.")
        if self.seeds < 1:
            raise OptionError(f"seeds is {self.seeds!r}; give a whole number from 1 on.")


def evaluate(
    model: Model,
    source: DataSource,
    labels: NDArray[np.int64] | None = None,
    *,
    float_model: Model | None = None,
    metric: Metric = accuracy,
    options: EvaluationOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a converted model at several numbers of samples.

    With the native library a run draws its samples; without it the same draws are baked into
    the weights of a model that needs no library. Both give the same metric but for the
    rounding of float32 sums.

    Args:
        model: of `to_psb`.
        source: the inputs; read several times.
        labels: `(n,)` right answers; None: the float model's answers are the right ones.
        float_model: what the model was converted from; needed without labels, for int8 and
            for the sensitivity of layers.
        metric: of the first output for all inputs, and the labels; larger is better.
        options: settings.
        progress: called as progress("measuring", runs done, None).

    Returns:
        The metric at each precision, beside float and int8, and what the model costs.

    Raises:
        OptionError: the float model is needed and was not given.
        DataError: the number of labels is not that of the inputs, or the data cannot be read
            a second time.

    Reference: thesis 4.2.3, Fig. 4.3 and Table 4.2.
    """
    options = options or EvaluationOptions()
    description = describe_psb(model)
    _check(source, labels, float_model, options)
    bench = _Bench(source, labels, metric, options, progress)
    exact, int8 = None, None
    if float_model is not None:
        outputs = bench.outputs(open_session(float_model, threads=options.threads))
        if labels is None:
            bench.labels = outputs.reshape(len(outputs), -1).argmax(axis=1)
        exact = bench.score(outputs)
        if options.int8:
            int8 = static_int8(fold_batchnorm(float_model).model, bench.sample())
    runner = Runner(model, options.threads, options.native)
    seeds = tuple(range(options.seeds))
    nearest = bench.point(runner, 0, seeds[:1])
    saturation = measure_saturation(
        model,
        source,
        size=options.batch_size,
        threads=options.threads,
        native=options.native,
    )
    points = tuple(bench.point(runner, n, seeds) for n in sorted(set(options.samples)))
    return Evaluation(
        psb=description,
        metric=options.metric if labels is not None else "agreement with float",
        n_inputs=bench.n_inputs,
        seeds=seeds,
        points=points,
        nearest=nearest.mean,
        float_value=exact,
        float_bytes=float_model.size_bytes if float_model else None,
        int8_value=bench.score(bench.outputs(open_session(int8, threads=options.threads)))
        if int8
        else None,
        int8_bytes=int8.size_bytes if int8 else None,
        sensitivity=tuple(_sensitivity(model, float_model, bench, exact)),
        saturation=saturation,
        native=runner.native,
        notes=_notes(runner.native),
    )


def _notes(native: bool) -> tuple[str, ...]:
    if native:
        return ()
    return ("The native library did not run: the draws were baked into the weights for each run.",)


def _check(
    source: DataSource,
    labels: NDArray[np.int64] | None,
    float_model: Model | None,
    options: EvaluationOptions,
) -> None:
    needs = {
        "labels": labels is None,
        "int8": options.int8,
        "sensitivity": options.sensitivity is not None,
    }
    for name, needed in needs.items():
        if needed and float_model is None:
            what = "without labels" if name == "labels" else f"for {name}"
            raise OptionError(f"float_model is missing, which is needed {what}; name it.")
    if not source.rereadable:
        raise DataError("the data can be read once only; save them to a file and give its path")
    known = source.n_samples
    if labels is not None and known is not None and len(labels) != known:
        raise DataError(
            f"there are {len(labels)} labels for {known} inputs; give one label an input"
        )


class _Bench:
    """The data, the answers and the metric."""

    def __init__(
        self,
        source: DataSource,
        labels: NDArray[np.int64] | None,
        metric: Metric,
        options: EvaluationOptions,
        progress: Progress | None,
    ) -> None:
        self.source = source
        self.labels = labels
        self.metric = metric
        self.size = batch_size(source, options.batch_size)
        self.options = options
        self.n_inputs = 0
        self._progress = progress
        self._runs = 0

    def outputs(
        self, session: Session, extra: dict[str, np.ndarray] | None = None
    ) -> NDArray[np.floating]:
        """Run the model over all inputs."""
        found = first_output(session, self.source, self.size, extra or {})
        self.n_inputs = len(found)
        self._runs += 1
        if self._progress is not None:
            self._progress("measuring", self._runs, None)
        return found

    def score(self, outputs: NDArray[np.floating]) -> float:
        """Return the metric of outputs."""
        if self.labels is None or len(self.labels) != len(outputs):
            count = 0 if self.labels is None else len(self.labels)
            raise DataError(f"there are {count} labels for {len(outputs)} inputs; give one each")
        return float(self.metric(outputs, self.labels))

    def point(self, runner: Runner, samples: int, seeds: tuple[int, ...]) -> SamplePoint:
        """Return the metric at one number of samples; runs that must be equal are run once."""
        different = seeds[:1] if runner.is_certain(samples) else seeds
        values = [self.score(self.outputs(*runner.at(samples, seed))) for seed in different]
        values *= len(seeds) // len(different)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return SamplePoint(samples, float(np.mean(values)), std, tuple(values))

    def sample(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield some batches to calibrate int8 with."""
        seen = 0
        for batch in self.source.batches(self.size):
            yield batch
            seen += self.size
            if seen >= _CALIBRATION_INPUTS:
                return


def _sensitivity(
    model: Model, float_model: Model | None, bench: _Bench, exact: float | None
) -> Iterator[LayerSensitivity]:
    """Take one layer at a time from the converted model, and measure at a low number of samples."""
    samples = bench.options.sensitivity
    if samples is None or float_model is None or exact is None:
        return
    for node in find_psb(model):
        single = psb_alone(float_model, model, node.name)
        runner = Runner(single, bench.options.threads, bench.options.native)
        point = bench.point(runner, samples, tuple(range(bench.options.seeds)))
        yield LayerSensitivity(node.name, point, exact - point.mean)
