"""An evaluation of a PSB model as files: JSON, a plot and a small page around it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reluflow.deployment import Evaluation
from reluflow.report._atomic import make_folder, replacing, write_text
from reluflow.report._format import count, decimal, percent, plain, plural, size
from reluflow.report._templates import environment, read_part

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE, PAGE, NUMBERS = "samples.png", "psb.html", "psb.json"
_INK, _LINE, _FLOAT, _INT8 = "#1d2733", "#31688e", "#444444", "#c4622d"


def write_evaluation(result: Evaluation, directory: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write `psb.json`, `samples.png` and `psb.html` into a folder, which is made.

    Args:
        result: of `evaluate`.
        directory: an existing folder or a new one.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = make_folder(directory)
    write_text(folder / NUMBERS, json.dumps(result.to_dict(), indent=2) + "\n")
    with replacing(folder / PICTURE) as partial:
        _draw(result, partial)
    picture = base64.b64encode((folder / PICTURE).read_bytes()).decode()
    write_text(folder / PAGE, _page(result, picture))
    return (folder / NUMBERS, folder / PICTURE, folder / PAGE)


def _draw(result: Evaluation, path: Path) -> None:
    """Draw the metric against the number of samples, with error bars over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    n = [point.samples for point in result.points]
    means = [100 * point.mean for point in result.points]
    spread = [100 * point.std for point in result.points]
    axes.errorbar(n, means, yerr=spread, color=_LINE, marker="o", capsize=3, label="PSB")
    lines = ((result.float_value, "float32", _FLOAT, "--"), (result.int8_value, "int8", _INT8, ":"))
    for value, label, color, style in lines:
        if value is not None:
            axes.axhline(100 * value, color=color, linestyle=style, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(n, [str(number) for number in n])
    axes.set_xlabel(f"samples a weight ({result.psb.sampler}, {plural(len(result.seeds), 'seed')})")
    axes.set_ylabel(f"{result.metric} in %")
    axes.grid(color="#dfe4ea")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(path, metadata={"Software": "reluflow"})


def _page(result: Evaluation, picture: str) -> str:
    psb = result.psb
    facts = [
        ("File", size(psb.file_bytes)),
        ("Stored", f"{decimal(psb.bits_per_weight)} bits a weight, p in {psb.p_bits} bits"),
        ("Weights", f"{count(psb.weights)}, of which {count(psb.zeros)} are 0"),
        ("Shift-adds", f"{count(psb.shift_adds)} an input for one sample a weight"),
        ("Sampler", f"{psb.sampler}, draws per {psb.draws}"),
        ("Float32 file", size(result.float_bytes) if result.float_bytes else "not given"),
        ("int8 file", size(result.int8_bytes) if result.int8_bytes else "not measured"),
    ]
    rows: list[tuple[str, float, float | None]] = [
        (str(p.samples), p.mean, p.std) for p in result.points
    ]
    rows += [
        (name, value, None)
        for name, value in (
            ("nearest", result.nearest),
            ("int8", result.int8_value),
            ("float32", result.float_value),
        )
        if value is not None
    ]
    layers = {row.name: row for row in result.sensitivity}
    cut = {row.name: percent(row.share) for row in result.saturation}
    return (
        environment()
        .get_template("psb.html.j2")
        .render(
            title=plain(Path(psb.path).name if psb.path else "PSB model"),
            metric=result.metric,
            n_inputs=count(result.n_inputs),
            picture=picture,
            facts=facts,
            rows=[
                (name, f"{100 * value:.2f} %", "" if std is None else f"{100 * std:.2f}")
                for name, value, std in rows
            ],
            layers=[
                (
                    plain(layer.name),
                    count(layer.weights),
                    decimal(layer.bits_per_weight),
                    count(layer.shift_adds),
                    f"{100 * layers[layer.name].loss:+.2f}" if layer.name in layers else "",
                    cut.get(layer.name, ""),
                )
                for layer in psb.layers
            ],
            sentences=[plain(text) for text in (*result.notes, *psb.successions)],
            style=read_part("style.css"),
        )
    )
