"""Where data lie: paths of this machine, and URLs of any file system that fsspec knows.

A URL becomes a `UPath` of the package universal-pathlib, which is used like a `Path`; what differs
stands here.
"""

from __future__ import annotations

import importlib.util
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

_MARK = "://"
_SHARED = threading.Lock()
"""Held while a remote stream is read: fsspec's memory file system has one stream per file."""
_BUFFER_BYTES = 1 << 20


def is_url(source: object) -> bool:
    """Tell whether data lie at a URL rather than at a path of this machine.

    Example:
        >>> is_url("s3://bucket/x.npy"), is_url("x.npy")
        (True, False)
    """
    return isinstance(source, str) and _MARK in source


def protocol(url: str) -> str:
    """Return the protocol of a URL.

    Example:
        >>> protocol("memory://x.npy")
        'memory'
    """
    return url.partition(_MARK)[0]


def place_of(source: str | os.PathLike[str]) -> Path:
    """Return a path of this machine, or one of another file system that is used alike.

    Args:
        source: a path, or a URL such as "s3://bucket/folder/x.npy"; its protocol's package takes
            credentials from where it always looks for them.

    Raises:
        DataError: a package for the URL is not installed, no package knows its protocol, or it has
            a password in it.

    Example:
        >>> place_of("x.npy").name
        'x.npy'
    """
    text = os.fspath(source)
    if not is_url(text):
        return Path(text).expanduser()
    if any(importlib.util.find_spec(name) is None for name in ("fsspec", "upath")):
        raise DataError(
            f"data {text!r} are a URL, which needs the packages fsspec and universal-pathlib; "
            "pip install 'reluflow[remote]'."
        )
    if "@" in text.partition(_MARK)[2].partition("/")[0]:
        raise DataError(
            f"data at {protocol(text)!r} have a user or password in their URL, which reports would "
            "show; give it by the settings of fsspec or of the protocol's package."
        )
    from upath import UPath

    try:
        path = UPath(text)
        path.fs  # noqa: B018  # imports the protocol's package
    except ImportError as error:
        raise DataError(
            f"data {text!r} need the package of their protocol, which is not installed "
            f"({first_line(error)}); install it, or copy the data here."
        ) from error
    except ValueError as error:
        raise DataError(
            f"data {text!r} have a protocol that fsspec does not know ({first_line(error)}); "
            "give a URL such as s3://bucket/x.npy, or a path."
        ) from error
    except Exception as error:  # whatever a protocol's package raises while it connects
        raise DataError(
            f"data {text!r} cannot be reached ({first_line(error)}); check the URL and the "
            "settings of its protocol's package."
        ) from error
    return cast("Path", path)


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading, wherever it lies.

    Raises:
        OSError: it cannot be opened; later reads raise it too, whatever a protocol's package does.
    """
    if isinstance(path, Path):
        return path.open("rb")
    return cast("IO[bytes]", io.BufferedReader(_Remote(path), _BUFFER_BYTES))


def stamp(path: Path) -> list[object]:
    """Return name, size in bytes, and what changes when the file is written again.

    That is the modification time in nanoseconds, or at a URL what its file system offers.

    Raises:
        OSError: the file cannot be reached.
    """
    status = path.stat()
    if isinstance(path, Path):
        return [path.name, status.st_size, status.st_mtime_ns]
    return [path.name, status.st_size, str(path.fs.ukey(path.path))]


def walk(
    folder: Path, onerror: Callable[[OSError], None]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder below one, its folders and its files, as `os.walk` does."""
    if isinstance(folder, Path):
        for root, folders, files in os.walk(folder, onerror=onerror):
            yield Path(root), folders, files
    else:
        yield from folder.walk(on_error=onerror)


def reach(path: Path) -> None:
    """Raise OSError unless a path can be reached, whatever a protocol's package raises."""
    try:
        path.stat()
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise OSError(first_line(error)) from error


class _Remote(io.RawIOBase):
    """A stream of a file system of fsspec, which knows its own position."""

    def __init__(self, path: Any) -> None:
        self._at = 0
        self._stream: Any = None
        self._size = int(path.stat().st_size)
        try:
            self._stream = path.open("rb")
        except OSError:
            raise
        except Exception as error:
            raise OSError(first_line(error)) from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        try:
            with _SHARED:
                self._stream.seek(self._at)
                read = self._stream.read(wanted)
        except OSError:
            raise
        except Exception as error:
            raise OSError(first_line(error)) from error
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)

    def close(self) -> None:
        if not self.closed and self._stream is not None:
            self._stream.close()
        super().close()
