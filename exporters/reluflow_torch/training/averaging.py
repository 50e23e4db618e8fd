"""Stochastic weight averaging takes the rates over near the end: `SWALR` of torch does."""

from __future__ import annotations

from torch.optim import Optimizer

from reluflow.errors import OptionError

_MARK = "swa_lr"
"""What `SWALR` leaves in every parameter group, in Lightning's callback too."""


class Averaging:
    """Knows whether a `SWALR` shares the optimiser, and whether the rates are its own by now.

    Attributes:
        is_known: whether one shares the optimiser; None before the first look.
        has_rates: whether it has set the rates after a call of `ActCoolLR.step()`.
    """

    def __init__(self) -> None:
        self.is_known: bool | None = None
        self.has_rates = False

    @staticmethod
    def shares(optimizer: Optimizer) -> bool:
        """Tell whether a `SWALR` shares the optimiser.

        Args:
            optimizer: whose groups it would have marked.
        """
        return _MARK in optimizer.param_groups[0]

    def begins(self, optimizer: Optimizer) -> bool:
        """Tell whether a `SWALR` was made since the last look; at the first one nothing was.

        Lightning makes it when its turn comes, and leaves the rates alone for one more epoch.

        Args:
            optimizer: whose groups it marks.
        """
        before, self.is_known = self.is_known, self.shares(optimizer)
        return before is False and self.is_known

    def check_call(self) -> None:
        """Refuse a call of `ActCoolLR.step()` where the rates belong to a `SWALR`.

        Raises:
            OptionError: it has set them already.
        """
        if self.has_rates:
            raise OptionError(
                "ActCoolLR.step() is called, but SWALR has set the learning rates since the last "
                "call; call the one before the averaging starts and the other from there on."
            )
