"""No output replaces what it was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reluflow.errors import OutputError
from reluflow.report import refuse_other_files
from reluflow.report.directory import JSON_NAME
from reluflow.report.files.jsonfile import is_report_json


def keep_inputs_beside(
    out: str | os.PathLike[str] | None, names: Sequence[str], *given: Any
) -> None:
    """Apply `keep_inputs` to files of these names in a folder, before any work is done.

    Args:
        out: the folder, existing or not; None: nothing is written.
        names: of the files to write there; files of an earlier run are replaced.
        given: as for `keep_inputs`.

    Raises:
        OutputError: an input is or would be replaced, `out` is a file, or a link, a folder or a
            device has the name of a file to write.
    """
    if out is None:
        return
    keep_inputs(out, *given)
    if os.path.lexists(out) and not os.path.isdir(out):
        raise OutputError(f"out is {os.fspath(out)!r}, a file; give a folder or a new name.")
    for name in names:
        keep_inputs(Path(out) / name, *given)
        refuse_other_files(Path(out) / name)


def keep_inputs(out: str | os.PathLike[str] | None, *given: Any) -> None:
    """Refuse to write to a file that is read, or to a folder that will be replaced around it.

    Links are followed, so that two names of one file are one file.

    Args:
        out: the file or folder to write; None: nothing is written.
        given: what is read: paths, or anything else, which is ignored; models that were loaded
            count with their file and its external data.

    Raises:
        OutputError: `out` is one of them, or holds one.
    """
    if out is None:
        return
    target = Path(os.path.realpath(out))  # a link to itself is refused when it is read
    replaced = is_report_json(target / JSON_NAME)  # other folders are refused, not replaced
    for path in (path for each in given for path in _paths(each)):
        held = Path(os.path.realpath(path))
        inside = replaced and target in held.parents
        if held == target or inside or _is_same(held, target):
            raise OutputError(
                f"out is {os.fspath(out)!r}, which would replace {str(path)!r}, one of the "
                "inputs; write to another place."
            )


def _paths(given: Any) -> Iterator[Path]:
    if isinstance(given, str | os.PathLike):
        yield Path(given)
    for name in ("path", "external_files"):
        held = getattr(given, name, None)
        yield from (held,) if isinstance(held, Path) else held if isinstance(held, tuple) else ()


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are one file by another name, such as a hard link."""
    try:
        return one.samefile(other)
    except OSError:
        return False
