"""Which batches change a network most, and which samples: flips per step and per sample."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from reluflow.errors import DataError, OptionError, OutputError
from reluflow.patterns.tables.records import write_atomically

_FILE = "sample_flips.parquet"
_NORMAL = 1.4826
"""Standard deviations of a normal distribution per median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A step that changed far more of the network than those before it.

    `StrikeWatch` returns it.

    Attributes:
        step: of the training, from 0.
        flip_fraction: share of the units that the step flipped, mean over samples and sites.
        ratio: its flips per unit of the learning rate over the median of the steps before.
    """

    step: int
    flip_fraction: float
    ratio: float


@dataclass(slots=True)
class StrikeWatch:
    """Find steps whose batch flips far more units than those of the steps before.

    With y = ln(flip fraction / rate), m and s the median and 1.4826 times the median absolute
    deviation of the latest `window` values, a step strikes where y - m > max(ln least, sigmas * s).
    Flips are divided by the rate, as short steps flip units in proportion to it. Strikes do not
    enter the median. Where y is normal noise of any width, about one step in 10,000 strikes
    without a cause; half as long a warm-up would find four times as many.

    Attributes:
        window: number of measured steps that one is compared with.
        warm_up: number of them before the first step can strike.
        least: ratio to the median from which on a step may strike.
        sigmas: standard deviations, of the logarithms, from which on it may.
        latest: logarithms of the latest steps.

    Raises:
        OptionError: a setting makes no sense.

    Example:
        >>> watch = StrikeWatch(warm_up=4)
        >>> found = [watch.observe(step, flips, rate=0.1)
        ...          for step, flips in enumerate([0.01, 0.012, 0.009, 0.011, 0.05, 0.01])]
        >>> [(strike.step, round(strike.ratio, 1)) for strike in found if strike]
        [(4, 4.8)]
        >>> StrikeWatch.from_dict(watch.to_dict()) == watch
        True

    Reference: thesis 3.1.4 and 3.1.7 (strikes of pattern changes).
    """

    window: int = 32
    warm_up: int = 16
    least: float = 2.0
    sigmas: float = 5.0
    latest: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            OptionError: with the setting, its value and what is accepted.
        """
        if not 1 <= self.warm_up <= self.window:
            raise OptionError(
                f"warm_up is {self.warm_up} and window {self.window}; give numbers of steps from 1 "
                "on, and a warm_up that the window can hold."
            )
        if not (self.least > 1 and self.sigmas > 0):
            raise OptionError(
                f"least is {self.least} and sigmas {self.sigmas}; give a ratio above 1 and a "
                "number above 0, such as 2 and 5."
            )

    def observe(self, step: int, flip_fraction: float, rate: float) -> Strike | None:
        """Compare a step with those before it.

        Args:
            step: of the training, from 0.
            flip_fraction: share of the units that it flipped, in [0, 1].
            rate: its learning rate; the first rates of a warm-up, 0, are passed over.

        Returns:
            The strike; None where the step is like the others or flipped nothing.
        """
        if not (flip_fraction > 0 and rate > 0 and math.isfinite(rate)):
            return None
        now = math.log(flip_fraction / rate)
        if len(self.latest) >= self.warm_up:
            middle = statistics.median(self.latest)
            spread = statistics.median(abs(value - middle) for value in self.latest)
            if now - middle > max(math.log(self.least), self.sigmas * _NORMAL * spread):
                return Strike(step, flip_fraction, math.exp(now - middle))
        self.latest = [*self.latest, now][-self.window :]
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "window": self.window,
            "warm_up": self.warm_up,
            "least": self.least,
            "sigmas": self.sigmas,
            "latest": list(self.latest),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StrikeWatch:
        """Return the watch of a state.

        Args:
            values: what `to_dict` returned.
        """
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


@dataclass(slots=True, eq=False)
class SampleFlips:
    """How many units of each sample flip in a step, summed over the steps measured.

    A sample whose patterns flip more than those of others lies near many boundaries, or its
    gradient pulls at them: a candidate for a hard, ambiguous or mislabelled example.

    Attributes:
        sums: `(samples,)` float64, share of the units that flipped, mean over sites, summed.
        steps: number of steps in the sums.

    Example:
        >>> flips = SampleFlips()
        >>> flips.add([0.1, 0.0, 0.3])
        >>> flips.add([0.1, 0.2, 0.5])
        >>> flips.ranked().tolist(), [round(value, 2) for value in flips.mean.tolist()]
        ([2, 0, 1], [0.1, 0.1, 0.4])
        >>> flips.ranked(1).tolist()
        [2]

    Reference: thesis 3.1.7 (counter-productive data points).
    """

    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    steps: int = 0

    def add(self, shares: ArrayLike) -> None:
        """Add one step.

        Args:
            shares: `(samples,)` share of the units of each sample that flipped, in [0, 1].

        Raises:
            DataError: the number of samples differs from that of the steps before.
        """
        new = np.asarray(shares, np.float64)
        if self.steps and new.shape != self.sums.shape:
            raise DataError(
                f"shares is of {len(new)} samples, but the steps before were measured on "
                f"{len(self.sums)}; measure all steps on the same data."
            )
        self.sums = self.sums + new if self.steps else new
        self.steps += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """`(samples,)` share of the units that flip in a step."""
        return self.sums / max(1, self.steps)

    def ranked(self, most: int | None = None) -> NDArray[np.int64]:
        """Return the numbers of the samples, those that flip most first; ties in their order.

        Args:
            most: how many are returned; None: all.

        Returns:
            `(samples,)` int64, or `(most,)` where that is less.
        """
        return np.argsort(-self.sums, kind="stable")[:most].astype(np.int64)

    def save(self, recording: str | os.PathLike[str]) -> Path:
        """Write the means beside a recording, where its page finds them.

        Args:
            recording: the recording's directory.

        Returns:
            The file, `sample_flips.parquet`: columns sample, flip_fraction and steps, ranked.

        Raises:
            OutputError: it cannot be written.
        """
        order = self.ranked()
        table = pa.table(
            {
                "sample": order,
                "flip_fraction": self.mean[order],
                "steps": np.full(len(order), self.steps, np.int64),
            }
        )
        path = Path(recording) / _FILE
        write_atomically(path, lambda handle: pq.write_table(table, handle), "the sample flips")
        return path

    @classmethod
    def read(cls, recording: str | os.PathLike[str]) -> SampleFlips:
        """Return the flips that were saved beside a recording.

        Args:
            recording: the recording's directory.

        Returns:
            The flips; of no sample where none were saved.

        Raises:
            OutputError: the file is damaged.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     SampleFlips(np.array([0.5, 1.5]), 2).save(folder).name
            ...     SampleFlips.read(folder).mean.tolist()
            'sample_flips.parquet'
            [0.25, 0.75]
        """
        path = Path(recording) / _FILE
        if not path.exists():
            return cls()
        try:
            table = pq.read_table(path)
            order = table["sample"].to_numpy()
            steps = int(table["steps"][0].as_py()) if table.num_rows else 0
            sums = np.zeros(len(order))
            sums[order] = table["flip_fraction"].to_numpy() * steps
        except (OSError, pa.ArrowException, KeyError, IndexError) as error:
            raise OutputError(
                f"the sample flips {path} cannot be read ({error}); remove the damaged file."
            ) from error
        return cls(sums, steps)
