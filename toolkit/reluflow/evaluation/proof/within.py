"""A run that is ended when it takes too long."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import numpy as np

from reluflow.sessions import Session

_MOST_KEPT = 64
_AGAIN_SECONDS = 0.05


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
    future = _thread_of(os.getpid(), threading.get_ident()).submit(session.run, feeds)
    try:
        return future.result(seconds)
    except TimeoutError as error:
        _end(session, future)
        raise TooSlow(f"one run takes more than {seconds:g} seconds") from error
    except BaseException:  # a signal handler may raise, too
        _end(session, future)
        raise


def _end(session: Session, future: Future[Any]) -> None:
    while not future.done():
        session.stop()  # does nothing where the run has not begun
        wait([future], _AGAIN_SECONDS)


@lru_cache(_MOST_KEPT)
def _thread_of(process: int, caller: int) -> ThreadPoolExecutor:
    """Return a thread that is kept for its caller: where memory is used up, none may begin."""
    return ThreadPoolExecutor(1, thread_name_prefix="reluflow-within")
