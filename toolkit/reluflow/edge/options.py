"""What a project of C shall be like."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from reluflow.errors import OptionError
from reluflow.psb import SAMPLES

TARGETS = ("host", "cortex-m0", "cortex-m3", "cortex-m4")
"""What the Makefile compiles for."""
_LONGEST = 48
_PASSES = 2
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while alignas alignof bool constexpr false nullptr static_assert "
    "thread_local true typeof and asm bitand bitor catch class compl concept delete explicit "
    "export friend mutable namespace new not operator or private protected public requires "
    "template this throw try typeid typename using virtual wchar_t xor".split()
)
_HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal "
    "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath "
    "threads time uchar wchar wctype main vectors selftest reluflow_edge".split()
)


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """How a model becomes C.

    Attributes:
        name: of the library, its files and functions; None: the model's file name.
        target: what the Makefile compiles for: "host", "cortex-m0", "cortex-m3" or "cortex-m4".
        strict: no multiplication in the kernels, only shifts and additions.
        ram: bytes that the memory and the stack may take at most, for which layers run a few rows
            at a time where whole tensors do not fit; None: any number.
        samples: number of samples that costs are told for, and the default of the C header.
        cascade: samples of a first pass and of a second one, which runs where the first is not
            sure; None: one pass. Such a project keeps its inputs during a run.
        loss: the largest share of inputs whose class a cascade may change against its second pass
            alone, by which its margin is chosen on the calibration data.
        pixels: the float inputs are pixels from 0 to 255 divided by this number, and the project
            takes the pixels as bytes, by a table; None: it takes bytes in the model's own form.
        confidence: with which a cascade keeps that loss, in (0, 1).

    Raises:
        OptionError: a value is not accepted.

    Example:
        >>> EdgeOptions(target="cortex-m0", strict=True).samples
        16
    """

    name: str | None = None
    target: str = "host"
    strict: bool = False
    ram: int | None = None
    samples: int = 16
    cascade: tuple[int, int] | None = None
    loss: float = 0.01
    pixels: float | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)
        if self.target not in TARGETS:
            listed = ", ".join(TARGETS)
            raise OptionError(f"target is {self.target!r}; give one of {listed}.")
        if self.ram is not None and self.ram < 1:
            raise OptionError(f"ram is {self.ram}; give a number of bytes from 1 on.")
        if self.samples not in SAMPLES:
            listed = ", ".join(map(str, SAMPLES))
            raise OptionError(f"samples is {self.samples}; give one of {listed}.")
        if self.cascade is not None:
            check_passes(self.cascade)
        if self.pixels is not None and not 0 < self.pixels < math.inf:
            raise OptionError(f"pixels is {self.pixels}; give a number above 0, such as 255.")
        if not 0 < self.loss <= 1:
            raise OptionError(f"loss is {self.loss}; give a share above 0, at most 1.")
        if not 0 < self.confidence < 1:
            raise OptionError(f"confidence is {self.confidence}; give a number between 0 and 1.")

    @staticmethod
    def passes_of(text: str) -> tuple[int, int]:
        """Return the samples of two passes from a text such as "1/16".

        Args:
            text: FIRST/SECOND.

        Raises:
            OptionError: the text does not say two numbers.

        Example:
            >>> EdgeOptions.passes_of("1/16")
            (1, 16)
        """
        parts = [part.strip() for part in text.split("/")]
        if len(parts) != _PASSES or not all(part.isdecimal() for part in parts):
            raise OptionError(
                f"cascade is {text!r}; give the samples of both passes as FIRST/SECOND, such as "
                "1/16."
            )
        return int(parts[0]), int(parts[1])


def check_passes(samples: tuple[int, int]) -> None:
    """Refuse what cannot be the samples of two passes.

    Args:
        samples: of the first pass and of the second one.

    Raises:
        OptionError: a number is not accepted, or the first pass is not the cheaper one.
    """
    if not set(samples) <= set(SAMPLES) or len(samples) != _PASSES:
        listed = ", ".join(map(str, SAMPLES))
        raise OptionError(f"cascade is {tuple(samples)}; give two of {listed}.")
    if samples[0] >= samples[1]:
        raise OptionError(
            f"cascade is {tuple(samples)}; the first pass needs fewer samples than the second."
        )


def check_name(name: str) -> None:
    """Refuse what cannot name a library of C.

    Args:
        name: of files and functions.

    Raises:
        OptionError: it is no identifier, or a word that C, C++ or a header of C has taken.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"name is {name!r}; give a letter, then letters, digits and underscores, at most 63."
        )
    low = name.lower()
    if low in _KEYWORDS or low in _HEADERS or low.startswith("reluflow"):
        raise OptionError(f"name is {name!r}, which C or this library uses itself; give another.")


def name_of_file(stem: str) -> str:
    """Return a name made of that of a file, one that C accepts.

    Args:
        stem: of the file.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_").lower() or "model"
    name = name if name[0].isalpha() else f"model_{name}"
    low = name[:_LONGEST]
    taken = low in _KEYWORDS or low in _HEADERS or low.startswith("reluflow")
    return f"model_{low}" if taken else low
