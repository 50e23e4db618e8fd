"""The first lines that run: Ctrl-C ends in one word while everything else is imported."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reluflow.cli._supervise import supervised
from reluflow.errors import INTERRUPTED

_WORD = b"reluflow: interrupted.\n"
_AGAIN_SECONDS = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; the process' own by default, and then in
            a child process: what kills it is told in a sentence.

    Returns:
        0 when all went well, 2 for bad usage or input and for any failure that was not foreseen
        (one sentence on stderr, the traceback too with --debug), 3 where `drift check` found drift,
        130 after an interrupt.

    Example:
        >>> import contextlib, io
        >>> with contextlib.redirect_stdout(io.StringIO()) as text:
        ...     code = main(["inspect", "models/fashion_resnet8.onnx"])
        >>> code, "7 sites" in text.getvalue()
        (0, True)
    """
    if argv is None:
        return supervised(_run_to_the_end)
    return _run(argv)


def _run_to_the_end() -> int:
    code = _run(sys.argv[1:])
    if code == INTERRUPTED:  # a second Ctrl-C would print a traceback while Python ends
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _run(argv: Sequence[str]) -> int:
    try:
        with keeping_interrupts():
            with leaving_at_once():
                from reluflow.cli._main import run
            return run(argv)
    except KeyboardInterrupt:
        os.write(2, _WORD)
        return INTERRUPTED


@contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Press Ctrl-C again where Python drops it.

    An exception that a signal raises while an object is freed, or in a callback of C, goes nowhere:
    Python passes it to `sys.unraisablehook` and goes on.
    """
    former = sys.unraisablehook

    def again(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            former(lost)
            return
        # Not here: the main thread would raise it within this function, and drop it once more.
        timer = threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = former


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """End the process at Ctrl-C: an exception inside an import can turn into any other."""
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    former = signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _leave(number: int, frame: object) -> None:
    os.write(2, _WORD)
    os._exit(INTERRUPTED)
