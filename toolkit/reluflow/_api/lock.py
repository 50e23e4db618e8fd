"""One process at a time may write into a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reluflow.errors import OutputError

try:
    import fcntl
except ImportError:  # not available on Windows
    fcntl = None  # type: ignore[assignment]

_INSIDE = ".reluflow.lock"


@contextmanager
def locked(out: str | os.PathLike[str] | None) -> Iterator[None]:
    """Lock the folder that a command or function writes into for this process.

    The lock is a file `.NAME.lock` next to the folder, or `.reluflow.lock` in it where nothing may
    be written next to it, locked with flock(2): the system releases it however the process ends, so
    a file left behind by a dead process locks nothing. It is removed at the end. Where the system
    has no such locks nothing is locked.

    Args:
        out: the folder; it need not exist, and its parents are made. None locks nothing.

    Raises:
        OutputError: another process has locked it, or it or its parents cannot be made.
    """
    if fcntl is None or out is None:
        yield
        return
    folder = Path(out).resolve()
    with _parents_of(folder, out):
        descriptor, path = _open_either(folder, out)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while locked: it cannot be that of another process
            os.close(descriptor)


@contextmanager
def _parents_of(folder: Path, out: str | os.PathLike[str]) -> Iterator[None]:
    """Make the missing parents of a folder; those still empty at the end are removed."""
    made = [path for path in folder.parents if not path.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {os.fspath(out)!r} cannot be made ({error.strerror}: {str(folder.parent)!r}); "
            "choose another place."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def _open_either(folder: Path, out: str | os.PathLike[str]) -> tuple[int, Path]:
    """Return the lock, and its file."""
    path = folder.with_name(f".{folder.name}.lock")
    try:
        return _open(path, out), path
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not folder.is_dir():
            raise _refusal(out, error, path) from error
    path = folder / _INSIDE
    try:
        return _open(path, out), path
    except OSError as error:
        raise _refusal(out, error, path) from error


def _refusal(out: str | os.PathLike[str], error: OSError, path: Path) -> OutputError:
    return OutputError(
        f"directory {os.fspath(out)!r} cannot be locked ({error.strerror}: {str(path)!r}); "
        "choose another place."
    )


def _open(path: Path, out: str | os.PathLike[str]) -> int:
    """Open and lock the file; repeat if its previous holder removed it meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise OutputError(
                    f"directory {os.fspath(out)!r} is being written by another analysis or "
                    "evaluation; wait for its end or choose another place."
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
