"""Conversions and evaluations of PSB models as tables for terminals."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.deployment import Evaluation, LayerCost, PsbDescription
from reluflow.graph import PsbResult
from reluflow.report._format import count, decimal, percent, plain, plural, shorten, size

_SHOWN = 20
_NAME = 26


def print_psb_description(model: PsbDescription, console: Console) -> None:
    """Print one row a PSB operator, totals, and what to look at.

    Args:
        model: of `describe_psb`.
        console: where to print.
    """
    titles = ("layer", "weights", "zeros", "bits", "shift-adds", "then")
    title = f"{_file(model)}: {plural(len(model.layers), 'layer')}"
    table = _table(title, titles)
    for layer in model.layers:
        share = percent(layer.zeros / layer.weights)
        adds = count(layer.shift_adds)
        bits = decimal(layer.bits_per_weight)
        table.add_row(
            shorten(plain(layer.name), _NAME),
            count(layer.weights),
            share,
            bits,
            adds,
            _then(layer),
        )
    console.print(table)
    zeros = percent(model.zeros / model.weights)
    _say(
        f"{count(model.weights)} weights at {decimal(model.bits_per_weight)} bits, p in "
        f"{model.p_bits} bits, {zeros} zeros; file {size(model.file_bytes)}",
        console,
    )
    _say(
        f"sampler {model.sampler}, draws per {model.draws}; {count(model.shift_adds)} shift-adds "
        "an input for one sample a weight",
        console,
    )
    _warn(list(model.successions), console)


def _then(layer: LayerCost) -> str:
    """Return what follows the sum: an addition, an activation, both."""
    steps = ["add"] if layer.adds else []
    return "+".join(steps + [layer.activation] * (layer.activation != "none")) or "none"


def print_conversion(result: PsbResult, model: PsbDescription, console: Console) -> None:
    """Print what a conversion made, left alone and found.

    Args:
        result: of `to_psb`.
        model: the description of its model.
        console: where to print.
    """
    print_psb_description(model, console)
    folded = sum(node.op == "BatchNormalization" for node in result.folded)
    if folded:
        _say(f"{plural(folded, 'batch normalisation')} folded into neighbours", console)
    for note in result.notes:
        _say(note, console)
    stays = "stays in floating point"
    _warn([f"{n.node} ({n.op}) {stays}: {n.reason}" for n in result.refused], console)


def print_evaluation(result: Evaluation, console: Console) -> None:
    """Print the metric at each number of samples beside float and int8.

    Args:
        result: of `evaluate`.
        console: where to print.
    """
    title = f"{result.metric} of {_file(result.psb)} on {plural(result.n_inputs, 'input')}"
    table = _table(title, ("samples", result.metric, "std", "loss"))
    rows = [(str(p.samples), p.mean, decimal(100 * p.std)) for p in result.points]
    rows.append(("nearest", result.nearest, ""))
    if result.int8_value is not None:
        rows.append(("int8", result.int8_value, ""))
    if result.float_value is not None:
        rows.append(("float32", result.float_value, ""))
    for name, value, std in rows:
        loss = "" if result.float_value is None else _points(result.float_value - value)
        table.add_row(name, f"{100 * value:.2f} %", std, loss)
    console.print(table)
    if result.float_bytes:
        share = result.psb.file_bytes / result.float_bytes
        _say(f"file {size(result.psb.file_bytes)}, {share:.3f} of float32", console)
    _print_sensitivity(result, console)
    _print_saturation(result, console)
    for note in result.notes:
        _say(note, console)


def _print_sensitivity(result: Evaluation, console: Console) -> None:
    if not result.sensitivity:
        return
    n = result.sensitivity[0].point.samples
    titles = ("layer", result.metric, "std", "loss")
    table = _table(f"one layer alone at {plural(n, 'sample')}", titles)
    for row in sorted(result.sensitivity, key=lambda found: -found.loss):
        mean, std = f"{100 * row.point.mean:.2f} %", decimal(100 * row.point.std)
        table.add_row(plain(row.name), mean, std, _points(row.loss))
    console.print(table)


def _print_saturation(result: Evaluation, console: Console) -> None:
    cut = [row for row in result.saturation if row.saturated]
    if not cut:
        _say("no activation saturates in nearest mode", console)
        return
    table = _table("saturated activations, nearest mode", ("layer", "saturated", "of", "share"))
    for row in sorted(cut, key=lambda found: -found.share):
        share = percent(row.share)
        table.add_row(plain(row.name), count(row.saturated), count(row.activations), share)
    console.print(table)


def _file(model: PsbDescription) -> str:
    return plain(Path(model.path).name) if model.path else "the model"


def _points(share: float) -> str:
    """Return a loss in percentage points."""
    return f"{100 * share:+.2f}"


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    table.add_column(Text(columns[0]), overflow="ellipsis", no_wrap=True)
    for column in columns[1:]:
        table.add_column(Text(column), justify="right", no_wrap=True)
    return table


def _say(text: str, console: Console) -> None:
    console.print(Text.assemble(("- ", "cyan"), plain(text)), soft_wrap=True)


def _warn(sentences: list[str], console: Console) -> None:
    for sentence in sentences[:_SHOWN]:
        console.print(Text.assemble(("! ", "yellow"), plain(sentence)), soft_wrap=True)
    if len(sentences) > _SHOWN:
        _say(f"and {len(sentences) - _SHOWN} more; --json lists all", console)
