"""Files that appear completely or not at all: one way of writing for every room."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


@contextmanager
def appearing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path` that replaces it when the block succeeds.

    The content is on disk before the name is, and the name before this returns: after a crash there
    is the old file or the new one, never a part.

    Args:
        path: the file to write, in a folder that exists; an existing file is replaced.

    Yields:
        A path that does not exist yet, in the same folder; gone if the block raises.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with appearing(Path(folder, "a.txt")) as partial:
        ...         _ = partial.write_text("all of it")
        ...     [entry.name for entry in Path(folder).iterdir()]
        ['a.txt']
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        if target.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a crash.

    Args:
        folder: a folder that exists.

    Raises:
        OSError: it cannot be opened, or its disk cannot write.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "a.txt").touch()
        ...     sync_folder(Path(folder))
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def swap_folder(new: Path, target: Path) -> None:
    """Rename a folder to `target`; what was there is removed last, or restored.

    Args:
        new: a folder that is complete, beside `target`.
        target: where it is to stand; a folder there is replaced.

    Raises:
        OSError: something cannot be renamed; then what was there stands there still.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "new").mkdir()
        ...     Path(folder, "old", "part").mkdir(parents=True)
        ...     swap_folder(Path(folder, "new"), Path(folder, "old"))
        ...     [str(path.relative_to(folder)) for path in Path(folder).rglob("*")]
        ['old']
    """
    if not target.exists():
        new.rename(target)
        sync_folder(target.parent)
        return
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
    if _exchange(new, target):
        try:
            new.rename(old)
        except OSError:  # the new folder stands; only what was there keeps a visible name
            old = new
    else:
        target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            old.rename(target)
            raise
    sync_folder(target.parent)  # the new folder is found after a crash before the old one goes
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or an old C library
        return False
    paths = (_HERE, os.fsencode(one), _HERE, os.fsencode(other))
    return int(rename(*paths, _EXCHANGE)) == 0


def place_folder(new: Path, target: Path) -> None:
    """Rename a folder to `target`, where no folder with content may stand.

    Args:
        new: a folder that is complete, beside `target`.
        target: where it is to stand.

    Raises:
        OSError: a folder stands there, or something cannot be renamed; both stay as they are.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "new").mkdir()
        ...     place_folder(Path(folder, "new"), Path(folder, "part"))
        ...     [path.name for path in Path(folder).iterdir()]
        ['part']
    """
    sync_folder(new)
    new.rename(target)
    sync_folder(target.parent)


def what_stands_there(target: Path) -> str:
    """Return what a new file would silently replace, "a link" for instance; "" if nothing.

    Args:
        target: where the file is to go; another file that stands there does not count.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     what_stands_there(Path(folder)), what_stands_there(Path(folder, "new.txt"))
        ('a folder', '')
    """
    if target.is_symlink():
        return "a link"
    if target.is_dir():
        return "a folder"
    return "a device or a pipe" if target.exists() and not target.is_file() else ""
