"""One analysis at a time may write into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reluflow.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder of an analysis for this process.

    The lock is a file `.NAME.lock` beside the folder, held through flock(2): the system frees it
    when its process ends in whatever way, so a file left behind by a dead process holds nothing.
    It is removed in the end. Where the system has no such lock nothing is held.

    Args:
        out: the output folder; it need not exist.

    Raises:
        OutputError: another analysis holds it.
    """
    if fcntl is None:
        yield
        return
    path = out.resolve()
    path = path.with_name(f".{path.name}.lock")
    descriptor = _open(path, out)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: nobody else's can lie there
        os.close(descriptor)


def _open(path: Path, out: Path) -> int:
    """Open and lock the file; again where its former holder removed it meanwhile."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise OutputError(
                f"directory {str(out)!r} cannot be locked ({error.strerror}: {str(path)!r}); "
                "choose another place"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise OutputError(
                    f"directory {str(out)!r} is being written by another analysis; wait for its "
                    "end or choose another place"
                ) from error
            return os.open(os.devnull, os.O_RDONLY)  # a network disk without locks
        if _lies_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def _lies_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
