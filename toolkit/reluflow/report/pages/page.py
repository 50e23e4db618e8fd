"""report.html: one page that needs no network, no server and no plug-in."""

from __future__ import annotations

import base64
import hashlib
import os

from reluflow.analysis.results.result import ComparisonReport, PatternReport
from reluflow.report.files.atomic import write_text
from reluflow.report.pages.comparison import comparison_context
from reluflow.report.pages.patterns import pattern_context
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.tables.facts import run_facts, stages, when
from reluflow.report.tables.format import plain


def write_html(report: PatternReport | ComparisonReport, path: str | os.PathLike[str]) -> None:
    """Write a report as one self-contained page.

    Style, script and drawings are part of the file. Its content security policy allows no
    request at all and no script but its own, so names from a model cannot execute anything.

    Args:
        report: what `analyze` or `compare` returned.
        path: the file; replaced when it exists.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_html(report, f'{folder}/report.html')
        ...     Path(folder, 'report.html').read_text(encoding='utf-8')[:15]
        '<!doctype html>'
    """
    if isinstance(report, ComparisonReport):
        template, context = "comparison.html.j2", comparison_context(report)
    else:
        template, context = "patterns.html.j2", pattern_context(report)
    script = _trimmed(read_part("page.js"))
    text = (
        environment()
        .get_template(template)
        .render(
            context,
            n=len(report.sites),
            notes=[plain(note) for note in report.notes],
            date=when(report.run.started),
            version=plain(report.run.versions.get("reluflow", "")),
            run_facts=run_facts(report.run),
            stages=stages(report.run),
            ramp=CIVIDIS,
            style=read_part("style.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    write_text(path, _trimmed(text) + "\n")


def _trimmed(text: str) -> str:
    """Drop indentation and empty lines: a third of the page's size."""
    return "\n".join(line for line in map(str.strip, text.split("\n")) if line)
