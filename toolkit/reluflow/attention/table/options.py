"""`AttentionOptions`: the settings of a table of attention."""

from __future__ import annotations

from dataclasses import dataclass

from reluflow.errors import OptionError
from reluflow.evaluation.options import check_samples

_EXAMPLE = "1,2/32"


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """Options of `measure_attention`.

    Attributes:
        base: samples of pass 1, each 1, 2, 4, ..., 64; below 4 weights are rounded to nearest.
        refine: samples of pass 2, likewise; every base meets every refine that is not smaller.
        margins: pixels of the map of uncertainties added around the region, a selection each.
        random: measure as many pixels drawn at random beside each selection.
        seed: of all draws.
        batch_size: inputs per run; the model's own, or 64.
        threads: of ONNX Runtime; all by default.
        native: run the native library: always, never, or by default where available.
        output: name of the output with the scores; None: the first that has any.

    Example:
        >>> AttentionOptions.of("1,2/32").pairs
        ((1, 32), (2, 32))

    Reference: thesis, Table 4.2 and Figure 4.5.
    """

    base: tuple[int, ...] = (1, 2)
    refine: tuple[int, ...] = (32,)
    margins: tuple[int, ...] = (0, 1)
    random: bool = True
    seed: int = 0
    batch_size: int | None = None
    threads: int | None = None
    native: bool | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_samples((*self.base, *self.refine), "samples of a pass")
        if not self.pairs:
            raise OptionError(
                f"base is {self.base} and refine {self.refine}, but no refine is as large as a "
                "base; give more samples to pass 2."
            )
        if not self.margins or min(self.margins) < 0:
            raise OptionError(f"margins are {self.margins}; give numbers of pixels from 0 on.")

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Samples of pass 1 and of pass 2, every pair that is measured."""
        return tuple((j, k) for j in self.base for k in self.refine if j <= k)

    @staticmethod
    def of(text: str) -> AttentionOptions:
        """Return options from a text such as "1,2/32".

        Args:
            text: BASE/REFINE, each numbers of samples with commas between.

        Raises:
            OptionError: the text does not say both, or a number is not accepted.
        """
        parts = [part.split(",") for part in text.split("/")]
        if len(parts) != 2 or not all(n.strip().isdecimal() for part in parts for n in part):
            raise OptionError(
                f"attention is {text!r}; give the samples of both passes as BASE/REFINE, for "
                f"example {_EXAMPLE}."
            )
        base, refine = (tuple(dict.fromkeys(int(n) for n in part)) for part in parts)
        return AttentionOptions(base, refine)
