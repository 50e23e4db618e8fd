"""`EvaluationOptions`: the settings of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reluflow.errors import OptionError
from reluflow.psb import SAMPLERS

SAMPLES = (1, 2, 4, 8, 16, 32, 64)


def check_samples(numbers: Iterable[int], what: str = "samples") -> None:
    """Refuse a number of samples that is not accepted.

    Args:
        numbers: of samples.
        what: names them in the sentence.

    Raises:
        OptionError: one is not among 1, 2, 4, ..., 64.
    """
    for n in numbers:
        if n not in SAMPLES:
            listed = ", ".join(map(str, SAMPLES))
            raise OptionError(f"{what} are {n!r}; accepted are {listed}.")


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Options of `evaluate`.

    Attributes:
        samples: numbers of samples, each one of 1, 2, 4, ..., 64.
        seeds: number of seeds (0, 1, ...) for the error bars.
        int8: compare with ONNX Runtime's static int8 of the float model.
        sensitivity: number of samples at which single layers are tried, None: not at all.
        batch_size: inputs per run; the model's own, or 64.
        threads: of ONNX Runtime; all by default.
        metric: "accuracy", "iou", "r2", "rmse", "mae" or "correlation"; None: what suits the
            output. With a function it is the name shown in results.
        native: run the native library: always (True), never (False), or by default where available.
        output: name of the output that is measured; None: the one that suits the labels.
        sampler: "systematic", "binomial" or "nearest" at every number of samples; None: as the
            model was converted, but fewer than 4 samples of systematic draws are rounded to
            nearest, which is closer to the float model than any draw.
        threshold: above which a value says yes; None: 0.5 for probabilities, 0 for logits.

    Example:
        >>> EvaluationOptions(samples=(4, 16), seeds=3).samples
        (4, 16)
    """

    samples: tuple[int, ...] = SAMPLES
    seeds: int = 5
    int8: bool = False
    sensitivity: int | None = None
    batch_size: int | None = None
    threads: int | None = None
    metric: str | None = None
    native: bool | None = None
    output: str | None = None
    threshold: float | None = None
    sampler: str | None = None

    def __post_init__(self) -> None:
        wanted = (*self.samples, *([] if self.sensitivity is None else [self.sensitivity]))
        check_samples(wanted)
        if not self.samples:
            raise OptionError("samples are empty; give at least one number, for example 1,4,16.")
        if self.sampler is not None and self.sampler not in SAMPLERS:
            listed = ", ".join(SAMPLERS)
            raise OptionError(f"sampler is {self.sampler!r}; accepted are {listed}.")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise OptionError(f"threshold is {self.threshold}; give a finite number.")
        if self.seeds < 1:
            raise OptionError(f"seeds is {self.seeds!r}; give a whole number from 1 on.")
