"""How many examples of a batch tell what a step changes, so that a probe need not repeat them all.

How well trainings hold their temperature with it: docs/temperature.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reluflow.errors import OptionError
from reluflow_torch.sites.patterns import SitePattern

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
_PLAIN = (int, float, str, bytes, type(None), torch.dtype, torch.device)
_TIME_FIRST = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer)


class PartSize:
    """Chooses the number of first examples of a batch that a probe is made on.

    The hotter a step, the fewer samples it leaves unchanged, and the more are needed to tell its
    temperature: 32 examples up to 4 bits, 64 up to 5; 16 up to 6 where each example has many
    samples at every site, as in a convolutional network. The first five probes are of the whole
    batch; so are all where examples join (batch normalisation, dropout) and are few samples each.

    Args:
        examples: a fixed number, "auto" or None for whole batches.
        model: whose batches are taken whole where their first axis may be time.

    Attributes:
        samples: of each example at the site that has fewest; 1 until it is known.

    Raises:
        OptionError: another setting.

    Example:
        >>> size = PartSize("auto", nn.Sequential())
        >>> [size.at(bits, probes=40) for bits in (0.5, 5.0, 5.5, 7.0)]
        [32, 64, 128, 256]
        >>> size.samples = 32
        >>> [size.at(bits, probes=40) for bits in (0.5, 5.0, 5.5, 7.0)]
        [16, 16, 16, 32]
        >>> size.at(0.5, probes=0) is None, PartSize(64, nn.Sequential()).at(6.0, probes=0)
        (True, 64)
    """

    def __init__(self, examples: Examples, model: nn.Module) -> None:
        if isinstance(examples, str) and examples != "auto":
            raise OptionError(f'examples is {examples!r}; give a number, "auto" or None.')
        if isinstance(examples, int) and examples < 1:
            raise OptionError(
                f"examples is {examples}, but a distance wants at least 1 example; give a "
                'positive number, such as 64, "auto" or None.'
            )
        self.samples = 1
        self._fixed = examples if isinstance(examples, int) else None
        self._is_auto = examples == "auto" and not any(map(_has_time_first, model.modules()))

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
        left = _LEFT_OF_MANY if self.are_many else _LEFT
        needed = left * 2.0 ** min(bits, _MOST_BITS)
        return int(max(self.least, 2 ** math.ceil(math.log2(needed))))  # few sizes: few shapes

    def see(self, sites: Iterable[SitePattern], size: int) -> None:
        """Take in the sites of a pass.

        Args:
            sites: their patterns.
            size: number of examples of the batch.
        """
        self.samples = min((site.samples // size for site in sites), default=1)

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


def _has_time_first(module: nn.Module) -> bool:
    """Tell whether a module reads its first axis as time, unless it was told otherwise."""
    return isinstance(module, _TIME_FIRST) and not _is_batch_first(module)


def _is_batch_first(module: Any) -> bool:
    attention = getattr(module, "self_attn", module)
    return bool(getattr(attention, "batch_first", False))


def can_be_cut(args: Iterable[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the inputs are tensors and plain values, so that nothing else names examples.

    Args:
        args: positional arguments of a model.
        kwargs: its keyword arguments.

    Example:
        >>> can_be_cut((torch.ones(4, 2), None), {}), can_be_cut(([torch.ones(4, 2)],), {})
        (True, False)
    """
    return all(isinstance(value, (Tensor, *_PLAIN)) for value in (*args, *kwargs.values()))
