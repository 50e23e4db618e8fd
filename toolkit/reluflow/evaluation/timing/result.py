"""The options and the record of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from reluflow.errors import OptionError
from reluflow.frames import Shown, Tabular, flat
from reluflow.psb import SAMPLES

MOST_RUNS = 10_000
"""ONNX Runtime's profiler keeps a million events, which is room for 100 nodes."""


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """Options of `profile_psb`.

    Attributes:
        samples: n, one of 0 (nearest, nothing is drawn), 1, 2, 4, ..., 64. Each run has a seed of
            its own, so that it draws anew.
        runs: of each model, whose medians count.
        threads: of ONNX Runtime; all by default.
        batch_size: inputs per run; 1 by default.
        fastest: count the fastest run of each operator instead of the median, for a busy machine.

    Raises:
        OptionError: a number is not accepted.

    Example:
        >>> ProfileOptions(samples=16).runs
        20
    """

    samples: int = 0
    runs: int = 20
    threads: int | None = None
    batch_size: int | None = None
    fastest: bool = False

    def __post_init__(self) -> None:
        if self.samples not in SAMPLES:
            listed = ", ".join(map(str, SAMPLES))
            raise OptionError(f"samples is {self.samples!r}; accepted are {listed}.")
        if not 1 <= self.runs <= MOST_RUNS:
            raise OptionError(f"runs is {self.runs!r}; give a whole number from 1 to {MOST_RUNS}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(
                f"batch_size is {self.batch_size!r}; give a whole number of at least 1."
            )


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """One operator of a converted model beside what it took over.

    It is part of what `profile_psb` returns.

    Attributes:
        name: of the node in the converted model, of the one in the float model where only that
            has it, "" for what ONNX Runtime added itself.
        op: the operator that ran.
        psb: whether it is one of PSB; the others are left in floating point, or convert between
            the two.
        ms: median of the runs, milliseconds; None where only the float model has it.
        share: fraction in [0, 1] of `PsbProfile.ms`.
        float_op: the operators that ran in the float model, the last one first; "" where none did.
        float_ms: their time, milliseconds; None where none ran.
        ratio: `float_ms / ms`, above 1 where this is faster; None where one is missing.
    """

    name: str
    op: str
    psb: bool
    ms: float | None
    share: float
    float_op: str
    float_ms: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True, repr=False)
class PsbProfile(Tabular):
    """Where a converted model spends its time, as returned by `profile_psb`.

    Attributes:
        path: its file, None for one from memory.
        float_source: what it is compared with: "given", or "rebuilt" from the stored weights.
        inputs: input name and shape of a run.
        samples: n of the runs, 0: nearest.
        runs: of each model.
        threads: of ONNX Runtime.
        ms: all operators together, milliseconds; each is a median.
        float_ms: those of the float model.
        ratio: `float_ms / ms`.
        psb_share: fraction in [0, 1] of `ms` that is spent in PSB operators.
        run_ms: median of a whole run, milliseconds.
        float_run_ms: that of the float model.
        nodes: the slowest first; those that only the float model has are last.
    """

    path: str | None
    float_source: str
    inputs: dict[str, tuple[int, ...]]
    samples: int
    runs: int
    threads: int
    ms: float
    float_ms: float
    ratio: float
    psb_share: float
    run_ms: float
    float_run_ms: float
    nodes: tuple[NodeProfile, ...]

    _shown: ClassVar[Shown] = {
        "node": ("name", "text"),
        "operator": ("op", "text"),
        "ms": ("ms", "ms"),
        "share": ("share", "share"),
        "float operator": ("float_op", "text"),
        "float ms": ("float_ms", "ms"),
        "ratio": ("ratio", "number"),
    }

    def _heading(self) -> str:
        how = f"{self.samples} samples" if self.samples else "nearest mode"
        return (
            f"{self.path or 'model in memory'} in {how}: {self.run_ms:.3f} ms a run, the float "
            f"model {self.float_run_ms:.3f} ms"
        )

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(node) for node in self.nodes]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)
