"""The command in a child process, so that the death of native code is a sentence too.

The process is split at its very start, before any library is loaded: one thread, a few MB and
about a millisecond. See docs/decisions/0021-one-sentence-for-everything.md.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from reluflow.errors import BAD_INPUT

_PR_SET_PDEATHSIG = 1  # prctl(2)
_SENT_BY_A_PROCESS = 0  # si_code of kill(2); signals of the terminal reach the child themselves


def supervised(command: Callable[[], int]) -> int:
    """Run a command in a child process; return its exit code.

    Signals sent to this process go on to the child; if this process dies, the child ends too.
    Elsewhere than on Linux the command runs right here.

    Args:
        command: returns an exit code; it runs in the child, which then leaves this function
            with that code like the parent does.

    Returns:
        The exit code, 2 where a signal killed the child (one sentence on stderr).
    """
    # A fork copies the calling thread alone: a lock that another one holds would stay locked for
    # ever.
    if sys.platform != "linux" or threading.active_count() > 1:
        return command()
    watched = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
    # Blocked before the fork: a Ctrl-C in between would reach a parent that does not listen yet.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        _die_with(parent)
        return command()
    try:
        status = _wait(child, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _explain(-code)


def _wait(child: int, watched: set[signal.Signals]) -> int:
    """Wait for the end of the child and pass on what is sent to this process alone."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        heard = signal.sigwaitinfo(watched)
        # A terminal sends Ctrl-C to both processes; passed on it would arrive twice.
        if heard.si_signo != signal.SIGCHLD and heard.si_code == _SENT_BY_A_PROCESS:
            os.kill(child, heard.si_signo)


def _die_with(parent: int) -> None:
    """Let the system end this process when its parent ends, even in the midst of native code."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The parent may have ended before the request: then nobody would end this process.
    if os.getppid() != parent:
        os._exit(BAD_INPUT)


def _explain(number: int) -> int:
    """Say which signal ended the child, and why, as far as one can tell; return an exit code."""
    if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        return 128 + number  # as shells report an end by a signal
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    why = (
        "someone or the system ended it, most likely for lack of memory; give a smaller "
        "--batch-size or a smaller model."
        if number == signal.SIGKILL
        else "native code failed on this model or data, most likely ONNX Runtime on an operator "
        "that it does not check; export the model again or leave the operator out."
    )
    print(f"reluflow: the command was ended by signal {name}: {why}", file=sys.stderr)
    return BAD_INPUT
