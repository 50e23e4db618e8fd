"""The report directory: all files of a report, or none."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from reluflow.analysis import PatternReport, SeriesReport
from reluflow.errors import OutputError
from reluflow.files import swap_folder
from reluflow.report.files.jsonfile import Report, is_report_json, write_json
from reluflow.report.files.parquet import CountChunk, write_patterns_parquet
from reluflow.report.pages.over_time import write_series_page
from reluflow.report.pages.page import write_html
from reluflow.report.pictures.sites import PICTURES, write_pictures

PAGE_NAME = "report.html"
JSON_NAME = "report.json"
PATTERNS_NAME = "patterns.parquet"
MODEL_NAME = "model_with_metrics.onnx"
OWN_NAMES = frozenset(
    {PAGE_NAME, JSON_NAME, PATTERNS_NAME, MODEL_NAME, f"{MODEL_NAME}.data", *PICTURES}
)
Tables = Iterable[tuple[str, Iterator[CountChunk]]]


def check_report_directory(directory: str | os.PathLike[str]) -> None:
    """Raise early if `write_report` would refuse the directory.

    Args:
        directory: where the report will be written.

    Raises:
        OutputError: it exists and holds other things, or its parent cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_report_directory(f'{folder}/report')
    """
    target = _resolved(directory)
    parent = target.parent
    if not parent.is_dir():
        raise OutputError(
            f"directory {str(target)!r} has no parent folder {str(parent)!r}; create it first."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"directory {str(target)!r} cannot be created because {str(parent)!r} is not "
            "writable; choose another place."
        )
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"directory {str(target)!r} cannot be used ({error.strerror}); choose another place."
        ) from error
    if not target.is_dir():
        raise OutputError(
            f"directory {str(target)!r} is a file; give a new directory or a former report."
        )
    names = {entry.name for entry in target.iterdir()}
    if names and not is_report_json(target / JSON_NAME):
        raise OutputError(
            f"directory {str(target)!r} exists and is not a reluflow report; "
            "give a new directory, an empty one or a former report."
        )
    if foreign := sorted(names - OWN_NAMES):
        raise OutputError(
            f"directory {str(target)!r} holds {foreign[0]!r}, which is not part of a reluflow "
            "report; move it away or give another directory."
        )


def write_report(
    report: Report,
    directory: str | os.PathLike[str],
    tables: Tables | None = None,
    extras: Mapping[str, Callable[[Path], None]] | None = None,
) -> Path:
    """Write page, JSON, pictures and pattern tables, then put them in place at once.

    All files are made in a hidden sibling of `directory`, which is renamed when the last
    one is complete. An earlier report is replaced only then, and restored if that fails.

    Args:
        report: what `analyze` or `compare` returned.
        directory: a new directory, an empty one or a former report.
        tables: for `patterns.parquet`: see `write_patterns_parquet`; None: no such file.
        extras: further files: name (one of `OWN_NAMES`) -> function that writes to a path.

    Returns:
        The directory, absolute.

    Raises:
        OutputError: the directory holds other things, or something cannot be written.

    Example:
        >>> import tempfile
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_report(report, f'{folder}/report')
        ...     sorted(file.name for file in path.iterdir())
        ['heatmap.png', 'measures.png', 'report.html', 'report.json', 'unit_activity.png']
    """
    check_report_directory(directory)
    target = _resolved(directory)
    if unknown := sorted(set(extras or ()) - OWN_NAMES):
        raise OutputError(
            f"extras names {unknown[0]!r}, which is no file of a report; "
            f"accepted are {', '.join(sorted(OWN_NAMES))}."
        )
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir()
        _fill(partial, report, tables)
        for name, write in (extras or {}).items():
            write(partial / name)
        swap_folder(partial, target)
    except OSError as error:
        raise OutputError(
            f"directory {str(target)!r} cannot be written ({error.strerror or error}); "
            "free space there or choose another place."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _fill(directory: Path, report: Report, tables: Tables | None) -> None:
    """Write the files of a report."""
    if tables is not None:
        metadata = {"format": "reluflow patterns", "data": report.data.source}
        if isinstance(report, PatternReport):
            metadata["model_sha256"] = report.model.sha256
            metadata |= {f"hash_{key}": str(value) for key, value in report.hash.items()}
        write_patterns_parquet(directory / PATTERNS_NAME, tables, metadata)
    if isinstance(report, SeriesReport):
        write_series_page(report, directory / PAGE_NAME)
    else:
        write_pictures(report, directory)
        write_html(report, directory / PAGE_NAME)
    write_json(report, directory / JSON_NAME)


def _resolved(directory: str | os.PathLike[str]) -> Path:
    """Return the absolute path with links followed, so that a rename stays on one disk."""
    if not os.fspath(directory):
        raise OutputError("directory is empty; give the path of a new directory.")
    try:
        return Path(directory).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputError(
            f"directory {os.fspath(directory)!r} is not a usable path ({error}); give another."
        ) from error
