"""Who is notified of a divergence alarm."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from reluflow.temperature import DivergenceAlarm


class DivergenceWarning(UserWarning):
    """The width of the transition rises: the training may be about to diverge.

    A bridge's monitor issues it, through `pass_on`.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     pass_on(DivergenceAlarm(7, 2.0, 1.0, "rise"), None)
        >>> caught[0].category.__name__
        'DivergenceWarning'
    """


def pass_on(
    alarm: DivergenceAlarm,
    listener: Callable[[DivergenceAlarm], None] | None,
    *,
    stacklevel: int = 1,
) -> None:
    """Pass an alarm to its listener, or issue a `DivergenceWarning`.

    Args:
        alarm: what a `SigmaWatch` returned.
        listener: called with it; None: the warning is issued.
        stacklevel: frames above the caller that the warning points to, 1 being the caller.

    Example:
        >>> heard = []
        >>> pass_on(DivergenceAlarm(7, 2.0, 1.0, "rise"), heard.append)
        >>> heard[0].step
        7

    Reference: docs/spec.md, section 5.
    """
    if listener is not None:
        listener(alarm)
    else:
        warnings.warn(str(alarm), DivergenceWarning, stacklevel=stacklevel + 1)
