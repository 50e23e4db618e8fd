"""What may be chosen for an analysis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reluflow.errors import OptionError
from reluflow.patterns import DEFAULT_SEED
from reluflow.patterns.tables.sketch import CANDIDATES, need_sketches

RANDOM_WORDS = "random-words-128"
THESIS = "thesis-64"


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """Settings of an analysis; the defaults serve most models.

    Attributes:
        batch_size: inputs per run; by default the model's own, else as many as keep the
            pre-activations of one run under 256 MB, 64 at most.
        threads: threads of ONNX Runtime and of the hashing; the process' cores by default.
        smooth: also look at smooth activations (Gelu, Silu, ...) as switches at 0.
        hash: "random-words-128" (exact counts) or "thesis-64" (Algorithms 1 and 2).
        seed: of the random words.
        table_size: slots of the thesis' table.
        memory_limit_bytes: all counting tables together; beyond it they spill to disk.
        top: most frequent patterns kept per site.
        approximate: bound the memory of each table, whatever `memory_limit_bytes` is: sites with
            more than 16,384 distinct patterns are estimated by sketches (docs/scale.md).
        behind: observe a plain Relu at its output, which has the same bits, so that ONNX Runtime
            can fuse it; False observes every pre-activation itself.
        native: hash inside the model with the native library: always (True), never (False), or
            where the library is available (None). The results are the same bit for bit.
        optimisation: ONNX Runtime's graph optimisation level.
        checkpoint_seconds: time between two checkpoints, seconds.

    Example:
        >>> AnalysisOptions(top=3).batch_size is None
        True
        >>> AnalysisOptions(hash='thesis-64').describe_hash()
        {'kind': 'thesis-64', 'table_size': 30000}
        >>> AnalysisOptions().need_exact("a comparison")
        >>> AnalysisOptions(top=3).identity() == AnalysisOptions(top=5).identity()
        True
    """

    batch_size: int | None = None
    threads: int | None = None
    smooth: bool = False
    hash: str = RANDOM_WORDS
    seed: int = DEFAULT_SEED
    table_size: int = 30_000
    memory_limit_bytes: int = 2**30
    top: int = 5
    approximate: bool = False
    behind: bool = True
    native: bool | None = None
    optimisation: str = "all"
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            OptionError: with the option, its value and what is accepted.
        """
        for name in ("batch_size", "threads", "table_size", "memory_limit_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} is {value}; give a whole number from 1 on.")
        if self.top < 0:
            raise OptionError(f"top is {self.top}; give a whole number from 0 on.")
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"seed is {self.seed}; give a whole number from 0 to 2**64 - 1.")
        if self.hash not in (RANDOM_WORDS, THESIS):
            raise OptionError(
                f"hash is {self.hash!r}; accepted are {RANDOM_WORDS!r} and {THESIS!r}."
            )
        if self.approximate:
            self._check_approximate()
        if not self.checkpoint_seconds >= 0:
            raise OptionError(
                f"checkpoint_seconds is {self.checkpoint_seconds}; give seconds from 0 on."
            )

    def _check_approximate(self) -> None:
        need_sketches()
        if self.hash == THESIS:
            raise OptionError(
                f"approximate is set with hash {THESIS!r}, whose table has a fixed size already; "
                "leave one of them out."
            )
        if self.top > CANDIDATES:
            raise OptionError(
                f"top is {self.top}, but approximate counts remember {CANDIDATES} patterns; give "
                "a smaller number."
            )

    def need_exact(self, what: str) -> None:
        """Refuse approximate counts for what compares or lists patterns.

        Args:
            what: it, as the subject of a sentence.

        Raises:
            OptionError: they are approximate.
        """
        if self.approximate:
            raise OptionError(f"{what} needs exact counts; leave approximate out.")

    def describe_hash(self) -> dict[str, Any]:
        """Return how patterns are identified, as kept in every result."""
        if self.hash == THESIS:
            return {"kind": THESIS, "table_size": self.table_size}
        return {"kind": RANDOM_WORDS, "seed": self.seed}

    def identity(self) -> dict[str, Any]:
        """Return the settings that a resumed run must share with the interrupted one."""
        free = ("checkpoint_seconds", "top", "memory_limit_bytes", "native")
        return {k: v for k, v in asdict(self).items() if k not in free}
