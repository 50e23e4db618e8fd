"""Writing the files of a report, with a sentence for whatever prevents it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from reluflow.errors import OutputError
from reluflow.files import appearing, what_stands_there


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path` that replaces it when the block succeeds.

    Args:
        path: the file to write.

    Yields:
        A path that does not exist yet, in the same folder.

    Raises:
        OutputError: the folder is missing or cannot be written, or `path` is a link, a device or a
            pipe.
    """
    target = Path(path)
    refuse_other_files(target)
    try:
        with appearing(target) as partial:
            yield partial
    except OSError as error:
        raise OutputError(
            f"path {str(target)!r} cannot be written ({error.strerror or error}); "
            "choose a file in an existing folder that you may write to."
        ) from error


def refuse_other_files(target: Path) -> None:
    """Refuse a place where a file would silently replace something else.

    Args:
        target: where a file will be written.

    Raises:
        OutputError: it is a folder, a link, a device or a pipe.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     refuse_other_files(Path(folder) / 'page.html')
    """
    what = what_stands_there(target)
    if what:
        raise OutputError(
            f"path {str(target)!r} is {what}, which a file would replace; choose another place."
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
            f"folder {str(folder)!r} cannot be made ({error.strerror or error}); choose another."
        ) from error
    return folder


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, completely or not at all; a lone surrogate becomes its escape."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_together(
    directory: str | os.PathLike[str], files: Mapping[str, bytes]
) -> tuple[Path, ...]:
    """Write several files into a folder, which is made: all of them or none.

    Args:
        directory: an existing folder or a new one.
        files: name -> content.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written; then none is, and a new folder is taken away.
    """
    fresh = not Path(directory).exists()
    folder = make_folder(directory)
    try:
        with ExitStack() as stack:  # a full disk shows before the first file is replaced
            for name, content in files.items():
                stack.enter_context(replacing(folder / name)).write_bytes(content)
    except OutputError:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return tuple(folder / name for name in files)
