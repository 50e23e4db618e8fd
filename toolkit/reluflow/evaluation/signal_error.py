"""The error of a model's outputs against the float model: SQNR, also of the worst channel.

The signal of an SQNR is the energy of the output. What an output tells of its input is only what
changes from one to the other, though: a probability between 0.98 and 1.00 has 40 dB where its error
is as large as its changes. So there is also an SQNR whose signal is the variance of each channel,
which is what a correlation sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.evaluation.answers.metrics import Values
from reluflow.evaluation.result import OutputError

GOOD_DB = 25.0
"""At 4 bits of p nearest mode reaches 30 dB or more; so small an error needs no explanation."""


_SAME = 1e-10
"""Variance over energy, below which a channel is constant: sums in float64 tell no less."""


class SignalError:
    """Sums of squares of one output and of its error, over batches and seeds.

    Args:
        name: of the output.
        axis: of its channels; None: it has none.
        whole: all channels are judged together, none by itself.
    """

    def __init__(self, name: str, axis: int | None, *, whole: bool = False) -> None:
        self.name = name
        self.axis = axis
        self._whole = whole
        self._signal: NDArray[np.float64] = np.zeros(1)
        self._noise: NDArray[np.float64] = np.zeros(1)
        self._sum: NDArray[np.float64] = np.zeros(1)
        self._count = 0  # of the elements of a channel
        self._same = self._elements = 0
        self._numbers = False

    def add(self, found: Values, exact: Values) -> None:
        """Take in one batch; elements that are not finite on either side count as lost signal."""
        self._elements += exact.size
        if found.shape != exact.shape:
            return
        self._same += int(np.count_nonzero(found == exact))
        if exact.dtype.kind != "f":
            return
        self._numbers = True
        a, b = (np.asarray(each, np.float64) for each in (exact, found))
        a = np.where(np.isfinite(a), a, 0)
        error = np.where(np.isfinite(b), b, 0) - a
        self._signal = self._signal + self._channels(a * a)
        self._noise = self._noise + self._channels(error * error)
        self._sum = self._sum + self._channels(a)
        self._count += a.size // len(self._sum)

    def _channels(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.axis is None or values.ndim <= self.axis:
            return np.atleast_1d(values.sum())
        rest = tuple(axis for axis in range(values.ndim) if axis != self.axis)
        summed: NDArray[np.float64] = values.sum(axis=rest)
        return summed

    def decibels(self, channel: int | None = None) -> float:
        """Return 10 log10 (signal / noise) of one channel or of all; infinite without noise."""
        at = slice(None) if channel is None else channel
        return to_decibels(float(np.sum(self._signal[at])), float(np.sum(self._noise[at])))

    def worst_channel(self) -> int | None:
        """Return the channel with the lowest SQNR among those that carry a signal."""
        if self._whole or len(self._signal) < 2 or not self._numbers:
            return None
        known = self._signal > 0
        if not known.any():
            return None
        ratio = np.full(len(known), np.inf)
        ratio[known] = self._signal[known] / np.maximum(self._noise[known], 1e-300)
        return int(ratio.argmin())

    def result(self) -> OutputError:
        """Return the sums as a record."""
        worst = self.worst_channel()
        return OutputError(
            name=self.name,
            sqnr_db=self.decibels() if self._numbers else None,
            worst_channel=worst,
            worst_db=None if worst is None else self.decibels(worst),
            equal=self._same / max(1, self._elements),
            even_db=self.even_decibels() if self._numbers else None,
            spread_db=self.spread_decibels() if self._numbers else None,
        )

    def spread_decibels(self) -> float:
        """Return the SQNR whose signal is the variance of each channel around its mean.

        Where a channel has one element, its variance is unknown, and its energy stands for it.
        """
        n = self._count
        if n < 2:
            return self.decibels()
        variance = (self._signal - self._sum**2 / n) * (n / (n - 1))
        varies = variance > _SAME * self._signal
        return to_decibels(float(variance[varies].sum()), float(self._noise.sum()))

    def even_decibels(self) -> float:
        """Return the SQNR in which every channel counts alike, however loud it is.

        It is 10 log10 of 1 over the mean of noise / signal of the channels that carry a signal; a
        channel counts as 1 at most, which is lost. A mean over channels is steadier on few inputs
        than the worst of them.
        """
        known = self._signal > 0
        if self._whole or not known.any():
            return self.decibels()
        lost = np.minimum(self._noise[known] / self._signal[known], 1.0)
        return to_decibels(1.0, float(lost.mean()))


def to_decibels(signal: float, noise: float) -> float:
    """Return 10 log10 (signal / noise): infinite without noise, minus infinite without signal.

    Example:
        >>> to_decibels(100.0, 1.0)
        20.0
    """
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def open_errors(outputs: Mapping[str, Values], axes: Mapping[str, int]) -> dict[str, SignalError]:
    """Return empty sums for each output that is an array.

    Args:
        outputs: some values of each.
        axes: output -> axis of its channels, where it is not the second one.
    """
    found = {}
    for name, values in outputs.items():
        axis = axes.get(name, 1) if values.ndim > 1 else None
        has_channels = axis is not None and values.ndim > axis and values.shape[axis] > 1
        found[name] = SignalError(name, axis if has_channels else None)
    return found
