"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reluflow.errors import OutputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends well.

    Args:
        path: the file to write.

    Yields:
        A path that does not exist yet, in the same folder.

    Raises:
        OutputError: the folder is missing or cannot be written, or a link, a device or a pipe
            stands there.
    """
    target = Path(path)
    refuse_other_files(target)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise OutputError(
            f"path {str(target)!r} cannot be written ({error.strerror or error}); "
            "choose a file in an existing folder that you may write to"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def refuse_other_files(target: Path) -> None:
    """Refuse a place where something stands that a file would silently replace.

    Raises:
        OutputError: it is a folder, a link, a device or a pipe.
    """
    if target.is_symlink():
        what = "a link"
    elif target.is_dir():
        what = "a folder"
    elif target.exists() and not target.is_file():
        what = "a device or a pipe"
    else:
        return
    raise OutputError(
        f"path {str(target)!r} is {what}, which a file would replace; choose another place"
    )


def make_folder(directory: str | os.PathLike[str]) -> Path:
    """Return a folder, made with its parents where it is missing.

    Raises:
        OutputError: it cannot be made.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {str(folder)!r} cannot be made ({error.strerror or error}); choose another"
        ) from error
    return folder


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; a lone surrogate becomes its escape."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))
