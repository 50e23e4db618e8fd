"""Ctrl-C while the command line starts and ends."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from reluflow.cli._start import keeping_interrupts


class Freed:
    """Python drops what is raised while this is freed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class Broken:
    def __del__(self) -> None:
        raise ValueError("mine")


def test_an_interrupt_that_python_drops_comes_again() -> None:
    former = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), keeping_interrupts():
        Freed()
        for _ in range(100):
            time.sleep(0.05)
    assert sys.unraisablehook is former


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_value))
    with keeping_interrupts():
        Broken()
    [error] = told
    assert isinstance(error, ValueError)
