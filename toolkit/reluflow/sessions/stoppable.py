"""Runs of ONNX Runtime that Ctrl-C can end, an endless Loop included."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import onnxruntime as ort


class RunStopped(KeyboardInterrupt):
    """A run of a `Session` was ended by its `stop` or by Ctrl-C; it has no result."""


class StoppableRun:
    """Runs one session; each run can be stopped from another thread or a signal handler.

    Python handles signals only between its own instructions, and a run is one of them however long
    it takes. So the main thread lets another thread run the model and waits, where it can handle
    signals; this costs two thread switches per run. ONNX Runtime checks its flag before each node,
    those inside Loop, If and Scan included.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._options: Any = None

    def stop(self) -> None:
        """End the run in progress, if any; it raises RunStopped."""
        if self._options is not None:
            self._options.terminate = True

    def __call__(
        self, outputs: list[str], feeds: dict[str, Any], shrink: bool = False
    ) -> list[Any]:
        """Run the model once; `shrink` returns the memory kept for the next run.

        Raises:
            RunStopped: it was stopped.
            Exception: ONNX Runtime's own.
        """
        options = self._new_options()
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return list(self._stoppable(partial(self._session.run, outputs, feeds, options), options))

    def bound(self, binding: Any) -> None:
        """Run the model once, from and into what is bound.

        Args:
            binding: ONNX Runtime's own.

        Raises:
            RunStopped: it was stopped.
            Exception: ONNX Runtime's own.
        """
        options = self._new_options()
        self._stoppable(partial(self._session.run_with_iobinding, binding, options), options)

    def _new_options(self) -> Any:
        options = self._options = ort.RunOptions()
        options.log_severity_level = 4
        return options

    def _stoppable(self, call: Callable[[], Any], options: Any) -> Any:
        try:
            if threading.current_thread() is not threading.main_thread():
                return call()
            return self._wait(_helper().submit(call))
        except Exception as error:
            if options.terminate:
                raise RunStopped from error
            raise
        finally:
            self._options = None

    def _wait(self, future: Future[Any]) -> Any:
        """Wait for a run; when a signal handler raises meanwhile, end the run first."""
        try:
            return future.result()
        except BaseException:
            if not future.done():
                self.stop()
                future.exception()
            raise


def _helper() -> ThreadPoolExecutor:
    """Return the thread that runs for the main one; a forked process needs its own."""
    return _helper_of(os.getpid())


@lru_cache(1)
def _helper_of(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="reluflow-run")
