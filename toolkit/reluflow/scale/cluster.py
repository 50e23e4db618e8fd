"""Where tasks run: processes here, Dask, Ray, or any executor of Python's own interface."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from reluflow.errors import OptionError
from reluflow.sessions import default_threads

_RAY = "ray"
_CONNECT_SECONDS = 10
_TRIES = 3
"""How often Dask and Ray run a task again whose worker was lost."""
T = TypeVar("T")


class Cluster(Protocol):
    """Workers that run tasks.

    Attributes:
        workers: how many tasks run at once, at least 1.
        threads: of each worker; None: as many as the worker finds.
        shares_memory: the workers share the memory of this machine.
        shares_process: the workers are threads of this process.
    """

    workers: int
    threads: int | None
    shares_memory: bool
    shares_process: bool

    @property
    def executor(self) -> Executor:
        """What tasks are submitted to."""
        ...

    def renew(self) -> None:
        """Begin again after workers died that took the executor with them.

        Raises:
            OptionError: that cannot be done here.
        """
        ...

    def stop(self) -> None:
        """Give up what still runs."""
        ...


class Processes:
    """Processes of this machine; a dead one ends the pool, which is then made anew."""

    shares_memory = True
    shares_process = False

    def __init__(self, workers: int) -> None:
        """Start nothing yet.

        Args:
            workers: how many processes, from 1 on.

        Raises:
            OptionError: fewer.
        """
        if workers < 1:
            raise OptionError(f"workers is {workers}; give a whole number from 1 on.")
        self.workers = workers
        self.threads: int | None = max(1, default_threads() // workers)
        self._made: ProcessPoolExecutor | None = None

    @property
    def executor(self) -> Executor:
        """What tasks are submitted to."""
        if self._made is None:
            # Not forked: threads of ONNX Runtime and numba do not survive it.
            context = multiprocessing.get_context("spawn")
            self._pids: Any = context.SimpleQueue()
            self._made = ProcessPoolExecutor(
                self.workers, context, initializer=_begin, initargs=(self._pids,)
            )
        return self._made

    def renew(self) -> None:
        """Make a new pool."""
        self.stop()

    def stop(self) -> None:
        """Give up what still runs."""
        if self._made is None:
            return
        self._made.shutdown(wait=False, cancel_futures=True)
        while not self._pids.empty():
            with suppress(ProcessLookupError):
                os.kill(self._pids.get(), signal.SIGTERM)
        self._made = None


def _begin(pids: Any) -> None:
    """Leave Ctrl-C to the process that divides the work, and tell it which process this is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pids.put(os.getpid())


class _Given:
    """An executor of the caller's."""

    threads: int | None = None
    shares_memory = False

    def __init__(self, executor: Executor, workers: int) -> None:
        self.executor, self.workers = executor, workers
        self.shares_process = isinstance(executor, ThreadPoolExecutor)

    def renew(self) -> None:
        raise OptionError(
            "the executor broke, as a worker died; make a new one and go on with resume=True."
        )

    def stop(self) -> None:
        """Leave the caller's executor as it is."""


class _Dask(_Given):
    """A Dask cluster, which runs the tasks of lost workers again itself."""

    def __init__(self, client: Any, owned: bool) -> None:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise OptionError(
                f"the Dask cluster {client.scheduler.address} has no workers; start some."
            )
        super().__init__(client.get_executor(pure=False, retries=_TRIES), workers)
        self._client, self._owned = client, owned

    def stop(self) -> None:
        self.executor.shutdown(wait=False)
        if self._owned:
            self._client.close()


class _RayTasks(Executor):
    """Python's interface to the tasks of Ray, which runs those of lost workers again itself."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._refs: list[Any] = []

    def submit(self, task: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        ref = self._ray.remote(task).options(max_retries=_TRIES).remote(*args, **kwargs)
        self._refs.append(ref)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def end(done: Future[T]) -> None:
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            else:  # Ray's error holds that of the task
                future.set_exception(getattr(error, "cause", None) or error)

        ref.future().add_done_callback(end)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for ref in self._refs:
            self._ray.cancel(ref)  # nothing happens to those that are done


class _Ray(_Given):
    """A Ray cluster, whose tasks get one processor each."""

    def __init__(self, address: str | None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise OptionError(
                "a Ray cluster needs the package ray, which is not installed; "
                "pip install 'reluflow[ray]', or give workers for processes of this machine."
            )
        ray: Any = importlib.import_module("ray")
        self._ray, self._owned = ray, not ray.is_initialized()
        try:
            if self._owned:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, TimeoutError) as error:
            raise OptionError(
                f"no Ray cluster answers at {address!r} ({error}); give an address such as "
                "ray://10.0.0.1:10001, or ray for one of this machine."
            ) from error
        super().__init__(_RayTasks(ray), max(1, int(ray.cluster_resources().get("CPU", 1))))
        self.threads = 1

    def stop(self) -> None:
        self.executor.shutdown(wait=False)
        if self._owned:
            self._ray.shutdown()


@contextmanager
def open_cluster(workers: int | None, cluster: Any) -> Iterator[Cluster]:
    """Yield the workers that were asked for; what was started for it is stopped at the end.

    Args:
        workers: processes of this machine; None with a cluster.
        cluster: the address of a Dask scheduler, a `distributed.Client` or cluster; "ray" for the
            Ray cluster of this machine, which is started where there is none, or its address
            "ray://..."; or any `concurrent.futures.Executor` (of mpi4py, loky, ...); None for
            processes.

    Raises:
        OptionError: both or neither are given, or nothing answers at the address.

    Example:
        >>> with open_cluster(2, None) as cluster:
        ...     cluster.workers
        2
    """
    if (workers is None) == (cluster is None):
        raise OptionError("give either workers, a number of processes, or a cluster.")
    found: Cluster = Processes(workers) if workers is not None else _open(cluster)
    try:
        yield found
    finally:
        found.stop()


def _open(cluster: Any) -> Cluster:
    if isinstance(cluster, Executor):
        return _Given(cluster, int(getattr(cluster, "_max_workers", 0)) or default_threads())
    if isinstance(cluster, str) and (cluster == _RAY or cluster.startswith(f"{_RAY}://")):
        return _Ray(None if cluster == _RAY else cluster)
    if importlib.util.find_spec("distributed") is None:
        raise OptionError(
            "a cluster needs the package distributed, which is not installed; "
            "pip install 'reluflow[cluster]', or give workers for processes of this machine."
        )
    import distributed

    client: Any = distributed.Client  # has no types
    if isinstance(cluster, client):
        return _Dask(cluster, owned=False)
    try:
        return _Dask(client(cluster, timeout=_CONNECT_SECONDS), owned=True)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise OptionError(
            f"no Dask scheduler answers at {cluster!r} ({error}); give an address such as "
            "tcp://10.0.0.1:8786 and see that the scheduler runs."
        ) from error
