"""report.json: results as human-readable JSON, and reading them back."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.analysis import ComparisonReport, PatternReport, SeriesReport
from reluflow.errors import OutputError
from reluflow.report.files.atomic import write_text
from reluflow.report.files.decode import Mismatch, decode

Report = PatternReport | ComparisonReport | SeriesReport
FORMATS: dict[str, type[PatternReport] | type[ComparisonReport] | type[SeriesReport]] = {
    "reluflow pattern report": PatternReport,
    "reluflow comparison report": ComparisonReport,
    "reluflow series report": SeriesReport,
}
FORMAT_VERSION = 1
_WIDTH = 100
_FIRST = ("notes", "n_inputs", "mean_distance")
_LAST = ("run",)


def to_json(report: Report) -> str:
    """Return a report as indented JSON text that ends in a newline.

    Numbers are written as `repr` writes them, NaN and infinities as null, a list of
    numbers on one line or in filled lines. The text depends on the report alone.

    Args:
        report: what `analyze` or `compare` returned.

    Returns:
        The text; `read_json` turns it into an equal report.

    Example:
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> text = to_json(report)
        >>> text[0], text.splitlines()[-1]
        ('{', '}')
    """
    name = next(key for key, kind in FORMATS.items() if isinstance(report, kind))
    fields = report.to_dict()
    order = [*_FIRST, *(k for k in fields if k not in _FIRST + _LAST), *_LAST]
    head = {"format": name, "format_version": FORMAT_VERSION}
    return _text(_plain({**head, **{k: fields[k] for k in order if k in fields}}), 0) + "\n"


def write_json(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `to_json(report)` to a file, completely or not at all.

    Args:
        report: what `analyze` or `compare` returned.
        path: the file; replaced when it exists.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(report, f'{folder}/report.json')
        ...     read_json(f'{folder}/report.json') == report
        True
    """
    write_text(path, to_json(report))


def read_json(path: str | os.PathLike[str]) -> Report:
    """Read a report that `write_json` wrote.

    Args:
        path: a report.json.

    Returns:
        A report equal to the one written; a null where a number is expected becomes NaN.

    Raises:
        OutputError: the file cannot be read or is not such a report.

    Example:
        >>> import tempfile
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(report, f'{folder}/report.json')
        ...     read_json(f'{folder}/report.json').sites[0].patterns
        2
    """
    fields = _load(path)
    kind = FORMATS[fields["format"]]
    version = fields.get("format_version")
    if version != FORMAT_VERSION:
        raise OutputError(
            f"path {os.fspath(path)!r} has format_version {version!r}, this reluflow reads "
            f"{FORMAT_VERSION}; read it with the version of reluflow that wrote it."
        )
    body = {k: v for k, v in fields.items() if k not in ("format", "format_version")}
    try:
        report: Report = decode(kind, body, "report")
    except Mismatch as error:
        raise OutputError(
            f"path {os.fspath(path)!r} is a damaged report: {error}; run the analysis again."
        ) from error
    return report


def is_report_json(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a report.json of ours, of any format version."""
    try:
        _load(path)
    except OutputError:
        return False
    return True


def _load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the top level of a report file and check its `format`."""
    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(
            f"path {os.fspath(path)!r} cannot be read ({error.strerror or error}); "
            "give a report.json that reluflow wrote."
        ) from error
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.get("format") not in list(FORMATS):
        raise OutputError(
            f"path {os.fspath(path)!r} is not a report of reluflow; "
            "give a report.json that analyze or compare wrote."
        )
    return fields


def _plain(value: Any) -> Any:
    """Turn numpy values into plain ones and NaN and infinities into None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _text(value: Any, indent: int) -> str:
    """Return JSON text whose first line starts at the caller's position."""
    pad = " " * (indent + 2)
    if isinstance(value, dict) and value:
        rows = [f"{pad}{_string(key)}: {_text(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and value:
        if all(item is None or isinstance(item, str | int | float) for item in value):
            return _flat([_text(item, 0) for item in value], indent)
        rows = [pad + _text(item, indent + 2) for item in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    return _string(value) if isinstance(value, str) else json.dumps(value, allow_nan=False)


def _flat(items: list[str], indent: int) -> str:
    """Return a list of scalars on one line, or in filled lines when it is long."""
    line = "[" + ", ".join(items) + "]"
    if indent + len(line) <= _WIDTH:
        return line
    pad = " " * (indent + 2)
    lines, current = [], pad
    for position, item in enumerate(items):
        piece = item if position == len(items) - 1 else item + ","
        if current != pad and len(current) + 1 + len(piece) > _WIDTH:
            lines.append(current)
            current = pad
        current += piece if current == pad else " " + piece
    return "[\n" + "\n".join([*lines, current]) + "\n" + " " * indent + "]"


def _string(text: str) -> str:
    """Return a JSON string: readable UTF-8 where possible, escapes elsewhere."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)
