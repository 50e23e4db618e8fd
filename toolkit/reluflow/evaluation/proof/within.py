"""A run that is ended when it takes too long."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from reluflow.sessions import RunStopped, Session


class TooSlow(Exception):
    """A run was ended after the time it was given."""


def run_within(
    session: Session, feeds: Mapping[str, np.ndarray], seconds: float
) -> list[np.ndarray]:
    """Run a model once, for at most so many seconds.

    Args:
        session: of `open_session`.
        feeds: input name -> array.
        seconds: time that the run may take. It ends between two nodes, those inside Loop, If and
            Scan included: the run waits for a single node that takes longer.

    Returns:
        One array per output.

    Raises:
        TooSlow: the run took longer.
        DataError: as of `Session.run`.
    """
    over = threading.Event()

    def end() -> None:
        over.set()
        session.stop()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        return session.run(feeds)
    except RunStopped as error:
        if over.is_set():
            raise TooSlow(f"one run takes more than {seconds:g} seconds") from error
        raise
    finally:
        timer.cancel()
