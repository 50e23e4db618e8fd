"""An evaluation of a PSB model as files: JSON, a plot and a page around it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from reluflow._version import __version__
from reluflow.evaluation import Evaluation
from reluflow.report.files.atomic import write_together
from reluflow.report.pages.rendering import environment, read_part
from reluflow.report.pictures.palette import CIVIDIS
from reluflow.report.pictures.psb_plots import draw_metric, draw_noise
from reluflow.report.tables.format import count, decimal, percent, plain, plural, size
from reluflow.report.tables.psb_rows import (
    decibels,
    difference,
    measure,
    noise_titles,
    precision_rows,
)

PICTURE, PAGE, NUMBERS = "samples.png", "psb.html", "psb.json"
EVALUATION_FILES = (NUMBERS, PICTURE, PAGE)
"""What `write_evaluation` writes."""
_LAYER_HEADINGS = (
    *("layer", "weights", "bits a weight", "shift-adds, n = 1", "loss alone"),
    *("saturated activations, nearest mode", "activations that become 0"),
)


def write_evaluation(result: Evaluation, directory: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write `psb.json`, `samples.png` and `psb.html` into a folder, which is made.

    Args:
        result: of `evaluate`.
        directory: an existing folder or a new one.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written; then none is.

    Example:
        >>> import tempfile
        >>> from reluflow.evaluation import EvaluationOptions, evaluate
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> options = EvaluationOptions(samples=(4,), seeds=2, metric='accuracy')
        >>> converted = to_psb(model).model
        >>> result = evaluate(converted, data, np.array([1, 1]), options=options)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_evaluation(result, folder)]
        ['psb.json', 'samples.png', 'psb.html']
    """
    files = {
        NUMBERS: json.dumps(result.to_dict(), indent=2).encode() + b"\n",
        PICTURE: draw_metric(result, dark=False),
        PAGE: _page(result).encode(errors="backslashreplace"),
    }
    return write_together(directory, files)


def _page(result: Evaluation) -> str:
    rows = precision_rows(result)
    noise = noise_titles(result)
    headings = ("samples", result.metric, "std", "loss", *result.more)
    context: dict[str, Any] = {
        "title": plain(Path(result.psb.path).name if result.psb.path else "PSB model"),
        "kicker": "Precision",
        "lede": f"{result.metric} on {plural(result.n_inputs, 'input')} against the number of "
        "samples a weight",
        "notes": [plain(note) for note in result.notes],
        "findings": _findings(result),
        "tiles": _tiles(result),
        "pictures": _pictures(result),
        "headings": (*headings, *(f"SQNR of {title}, dB" for title in noise)),
        "rows": [
            (row.name, row.value, row.std, row.loss, *row.more, *(row.noise or [""] * len(noise)))
            for row in rows
        ],
        "layer_headings": _LAYER_HEADINGS,
        "layers": _layers(result),
        "fact_groups": _facts(result),
        "beside": NUMBERS,
    }
    page = environment().get_template("psb.html.j2")
    return page.render(context, version=__version__, style=read_part("style.css"), ramp=CIVIDIS)


def _findings(result: Evaluation) -> list[tuple[str, str]]:
    """Return (level, sentence): what went wrong first, then how the output was read."""
    found = [("warn", plain(text)) for text in (*result.findings, *result.psb.successions)]
    if result.task:
        found.append(("info", f"{plain(result.task[0].upper() + result.task[1:])}."))
    return found


def _tiles(result: Evaluation) -> list[tuple[str, str, str]]:
    found = []
    for name, value in (
        ("float32", result.float_value),
        ("nearest", result.nearest),
        ("int8", result.int8_value),
    ):
        if value is not None:
            loss = result.loss(value)
            remark = result.metric
            if loss is not None and name != "float32":
                unit = " points" if result.share else ""
                remark = f"{difference(loss, result.share)}{unit} lost"
            found.append(
                (
                    f"{name} mode" if name == "nearest" else name,
                    measure(value, result.share),
                    remark,
                )
            )
    sqnr = [o.sqnr_db for each in result.neighbours if each.name == "nearest" for o in each.outputs]
    known = [value for value in sqnr if value is not None]
    if known:
        found.append(("SQNR", f"{decibels(min(known))} dB", "nearest mode, lowest of the outputs"))
    share = (
        f"{result.psb.file_bytes / result.float_bytes:.3f} of float32" if result.float_bytes else ""
    )
    found.append(("File", size(result.psb.file_bytes), share))
    return found


def _pictures(result: Evaluation) -> list[tuple[str, str, str, str]]:
    """Return (title, hint, picture on white, picture on black)."""
    seeds = f"{' and '.join(_samplers(result))} sampler, {plural(len(result.seeds), 'seed')}"
    found = [(result.metric, f"Error bars: deviation over seeds; {seeds}.", draw_metric)]
    if noise_titles(result):
        hint = "Signal to quantisation noise against float32; higher is better."
        found.append(("SQNR", hint, draw_noise))
    return [
        (title, hint, _encoded(draw(result, dark=False)), _encoded(draw(result, dark=True)))
        for title, hint, draw in found
    ]


def _samplers(result: Evaluation) -> list[str]:
    """Return how the points were drawn, in their order."""
    return list(dict.fromkeys(point.sampler or result.psb.sampler for point in result.points))


def _encoded(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _layers(result: Evaluation) -> list[tuple[str, ...]]:
    alone = {row.name: row for row in result.sensitivity}
    lost = {row.name: row for row in result.saturation}
    return [
        (
            plain(layer.name),
            count(layer.weights),
            decimal(layer.bits_per_weight),
            count(layer.shift_adds),
            difference(alone[layer.name].loss, result.share) if layer.name in alone else "",
            percent(lost[layer.name].share) if layer.name in lost else "",
            percent(lost[layer.name].below_share) if layer.name in lost else "",
        )
        for layer in result.psb.layers
    ]


def _facts(result: Evaluation) -> list[tuple[str, list[tuple[str, str]]]]:
    psb = result.psb
    stored = [
        ("File", size(psb.file_bytes)),
        (
            "Stored",
            f"{decimal(psb.bits_per_weight)} bits a weight, p in {psb.probability_bits} bits",
        ),
        ("Weights", f"{count(psb.weights)}, of which {count(psb.zeros)} are 0"),
        ("Float32 file", size(result.float_bytes) if result.float_bytes else "not given"),
        ("int8 file", size(result.int8_bytes) if result.int8_bytes else "not measured"),
    ]
    done = [
        ("Shift-adds", f"{count(psb.shift_adds)} an input for one sample a weight"),
        ("Sampler", f"{' and '.join(_samplers(result))}, draws per {psb.draws}"),
        ("Inputs", count(result.n_inputs)),
        ("Seeds", ", ".join(map(str, result.seeds))),
    ]
    return [("Stored", stored), ("Done", done)]
