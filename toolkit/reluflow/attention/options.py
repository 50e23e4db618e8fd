"""`CascadeOptions`: the settings of a cascade that is measured."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.attention.uncertainty import check_measure
from reluflow.errors import OptionError
from reluflow.evaluation.options import check_samples

FLOAT = "float"
COVERAGES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """Options of `measure_cascade`.

    Attributes:
        samples: of pass 1 and of pass 2, each 1, 2, 4, ..., 64; None for floating point.
        measure: "entropy" in bits, "margin", "ratio" or "disagreement" of two draws of pass 1.
        coverages: shares of inputs that go on to pass 2, each in [0, 1].
        loss: loss of accuracy against pass 2 that a threshold is chosen for; None: no threshold is
            chosen.
        confidence: with which that loss is kept, in (0, 1).
        seed: of the draws, and of the halves that `loss` is chosen and tested on.
        batch_size: inputs per run; the model's own, or 64.
        threads: of ONNX Runtime; all by default.
        native: run the native library: always, never, or by default where available.
        output: name of the output with the scores; None: the first that has any.

    Example:
        >>> CascadeOptions.of("1/16").samples, CascadeOptions.of("8/float").samples
        ((1, 16), (8, None))
    """

    samples: tuple[int | None, int | None] = (1, 16)
    measure: str = "entropy"
    coverages: tuple[float, ...] = COVERAGES
    loss: float | None = None
    confidence: float = 0.95
    seed: int = 0
    batch_size: int | None = None
    threads: int | None = None
    native: bool | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_measure(self.measure)
        if not self.coverages:
            raise OptionError("coverages are empty; give at least one share, for example 0.1.")
        for coverage in self.coverages:
            if not 0 <= coverage <= 1:
                raise OptionError(f"coverages hold {coverage}; give shares from 0 to 1.")
        check_samples((n for n in self.samples if n is not None), "samples of a pass")
        if self.loss is not None and not 0 <= self.loss <= 1:
            raise OptionError(f"loss is {self.loss}; give a share from 0 to 1, for example 0.003.")
        if not 0 < self.confidence < 1:
            raise OptionError(f"confidence is {self.confidence}; give a number between 0 and 1.")

    @staticmethod
    def of(text: str) -> CascadeOptions:
        """Return options from a text such as "1/16": the samples of both passes.

        Args:
            text: COARSE/FINE, each a number of samples, or "float".

        Raises:
            OptionError: the text does not say two passes, or a number of samples is not accepted.
        """
        parts = [part.strip() for part in text.split("/")]
        good = [part for part in parts if part == FLOAT or part.isdecimal()]
        if len(parts) != 2 or len(good) != 2:
            raise OptionError(
                f"cascade is {text!r}; give the samples of both passes as COARSE/FINE, for example "
                "1/16, or float for one of them."
            )
        coarse, fine = (None if part == FLOAT else int(part) for part in parts)
        return CascadeOptions((coarse, fine))
