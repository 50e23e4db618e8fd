"""report.html (working core; the full page follows)."""

from __future__ import annotations

import html
import os

from reluflow.analysis.result import ComparisonReport, PatternReport
from reluflow.report._atomic import write_text
from reluflow.report.jsonfile import to_json


def write_html(report: PatternReport | ComparisonReport, path: str | os.PathLike[str]) -> None:
    """Write the report as one page."""
    write_text(
        path, f"<!doctype html><title>reluflow</title><pre>{html.escape(to_json(report))}</pre>"
    )
