"""Updates far longer than usual get a lower rate (docs/spec.md, section 6)."""

from __future__ import annotations

import math
from typing import Any

from reluflow.temperature.crossing.options import CrossingOptions

_FIRST = 16
"""Updates from which the usual length is learnt: the longest of them, as momentum grows."""
_GAIN = 0.3
"""Part by which the usual length follows an update, as a logarithm."""
_DRIFT = 0.02
"""By how much it follows one that is too long, as a logarithm: should all stay so long."""
_LEAST = 1e-3
"""Of the usual length, below which an update counts as so long."""


class UpdateGuard:
    """Tells updates far longer than usual, as one odd batch gives with SGD.

    The rate of a temperature is that of usual batches. An update that is many times longer would
    move the weights as many times further, and with momentum so would the next ones.

    Args:
        options: `outlier`.

    Attributes:
        options: the same.
        usual: usual length of an update, in the unit of those given; 0 before the first.
        n_seen: updates so far.

    Example:
        >>> guard = UpdateGuard(CrossingOptions(outlier=8.0))
        >>> [guard.factor(length) for length in [2.0] * 16 + [6.0]][-1]
        1.0
        >>> round(guard.usual, 2), round(guard.factor(100 * guard.usual), 3)
        (2.78, 0.01)

    Reference: docs/spec.md, section 6.
    """

    def __init__(self, options: CrossingOptions) -> None:
        self.options = options
        self.usual = 0.0
        self.n_seen = 0

    def factor(self, length: float) -> float:
        """Return by what the rate of the coming step is to be multiplied, and learn its length.

        Args:
            length: of the update, without its rate; in any unit, but always in the same.

        Returns:
            1, or for an outlier what makes its step as long as usual.
        """
        if not 0 < length < math.inf:
            return 1.0
        self.n_seen += 1
        if self.n_seen <= _FIRST:
            self.usual = max(self.usual, length)
            return 1.0
        ratio = length / self.usual
        if ratio > self.options.outlier:
            self.usual *= math.exp(_DRIFT)
            return 1.0 / ratio
        self.usual *= max(ratio, _LEAST) ** _GAIN
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return the usual length and the number of updates, ready for JSON."""
        return {"usual": self.usual, "n_updates": self.n_seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; one of an older version begins anew."""
        self.usual, self.n_seen = state.get("usual", 0.0), state.get("n_updates", 0)
