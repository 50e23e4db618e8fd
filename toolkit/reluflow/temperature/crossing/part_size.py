"""How many examples of a batch tell what a step changes, so that a probe need not repeat them all.

How well trainings hold their temperature with it: docs/temperature.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from reluflow.errors import OptionError

Examples = int | Literal["auto"] | None
_LEAST, _LEAST_OF_MANY = 32, 16
"""Examples at any temperature, where each is one sample of a site or many."""
_LEFT, _LEFT_OF_MANY = 2.0, 0.25
"""Examples that a step of the temperature leaves unchanged, on average; the curves of about ten
probes count together."""
_MANY = 16
"""Samples that each example has at every site."""
_WHOLE_PROBES = 5
"""At first, whose curves stand alone."""
_MOST_BITS = 20.0


class PartSize:
    """Chooses the number of first examples of a batch that a probe is made on.

    The hotter a step, the fewer samples it leaves unchanged, and the more are needed to tell its
    temperature: 32 examples up to 4 bits, 64 up to 5; 16 up to 6 where each example has many
    samples at every site, as in a convolutional network. The first five probes are of the whole
    batch. In torch all are where examples join (batch normalisation, dropout) and are few samples
    each.

    Args:
        examples: a fixed number, "auto" or None for whole batches.

    Attributes:
        samples: of each example at the site that has fewest; 1 until it is known.

    Raises:
        OptionError: another setting.

    Example:
        >>> size = PartSize("auto")
        >>> [size.at(bits, probes=40) for bits in (0.5, 5.0, 5.5, 7.0)]
        [32, 64, 128, 256]
        >>> size.up_to(5.5)
        [32, 64, 128]
        >>> size.see([28 * 28 * 128, 32 * 128], examples=128)
        >>> [size.at(bits, probes=40) for bits in (0.5, 5.0, 5.5, 7.0)]
        [16, 16, 16, 32]
        >>> size.at(0.5, probes=0) is None, PartSize(64).at(6.0, probes=0)
        (True, 64)

    Reference: docs/temperature.md.
    """

    def __init__(self, examples: Examples) -> None:
        if isinstance(examples, str) and examples != "auto":
            raise OptionError(f'examples is {examples!r}; give a number, "auto" or None.')
        if isinstance(examples, int) and examples < 1:
            raise OptionError(
                f"examples is {examples}, but a distance wants at least 1 example; give a "
                'positive number, such as 64, "auto" or None.'
            )
        self.samples = 1
        self._fixed = examples if isinstance(examples, int) else None
        self._is_auto = examples == "auto"

    @property
    def is_auto(self) -> bool:
        """Whether the temperature decides."""
        return self._is_auto

    @property
    def is_used(self) -> bool:
        """Whether any probe is made on a part."""
        return self._is_auto or self._fixed is not None

    @property
    def least(self) -> int:
        """The least number of examples that a part has; 1 where there are none."""
        if not self._is_auto:
            return self._fixed or 1
        return _LEAST_OF_MANY if self.are_many else _LEAST

    def at(self, bits: float, probes: int) -> int | None:
        """Return the number of examples for a step; None: all.

        Args:
            bits: temperature of the step.
            probes: number of probes so far.
        """
        if not self._is_auto or probes < _WHOLE_PROBES:
            return self._fixed
        return self._for(bits)

    def up_to(self, bits: float) -> list[int]:
        """Return all numbers of examples that steps up to a temperature ask for, least first.

        Args:
            bits: the highest temperature.
        """
        if not self._is_auto:
            return [] if self._fixed is None else [self._fixed]
        sizes = [self.least]
        while sizes[-1] < self._for(bits):
            sizes.append(2 * sizes[-1])
        return sizes

    def see(self, samples: Iterable[int], examples: int) -> None:
        """Take in how many samples sites have.

        Args:
            samples: of each site.
            examples: number of examples that they are of.
        """
        self.samples = min((each // examples for each in samples), default=1)

    def take_whole(self) -> None:
        """Give up parts whose size the temperature decides."""
        self._is_auto = False

    def state(self) -> dict[str, Any]:
        """Return what has been found out."""
        return {"is_auto": self._is_auto, "samples": self.samples}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; a fixed number stays."""
        self._is_auto, self.samples = state["is_auto"] and self._fixed is None, state["samples"]

    @property
    def are_many(self) -> bool:
        """Whether each example has many samples at every site."""
        return self.samples >= _MANY

    def _for(self, bits: float) -> int:
        left = _LEFT_OF_MANY if self.are_many else _LEFT
        needed = left * 2.0 ** min(bits, _MOST_BITS)
        return int(max(self.least, 2 ** math.ceil(math.log2(needed))))  # few sizes: few shapes
