"""Conversions and evaluations of PSB models as tables for terminals."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reluflow.evaluation import Allocation, Evaluation, LayerCost, PsbDescription
from reluflow.evaluation.widths.chains import name_widths
from reluflow.graph import ChainChanges, PsbChanges, Rewritten
from reluflow.report.tables.format import count, decimal, percent, plain, plural, shorten, size
from reluflow.report.tables.psb_rows import (
    PrecisionRow,
    difference,
    measure,
    noise_titles,
    precision_rows,
)

_SHOWN = 20
_NAME = 26
_OUTPUTS = 4
_WIDE = "16"
"""What the operators of chains of int16 end in."""
_MUCH_LOST = 0.01
"""Smaller shares are usual: values near 0 that any fixed-point number loses."""


def print_psb_description(model: PsbDescription, console: Console) -> None:
    """Print one row a PSB operator, totals, and what to look at.

    Args:
        model: of `describe_psb`.
        console: where to print.

    Example:
        >>> import io, onnx.parser
        >>> from rich.console import Console
        >>> from reluflow.evaluation import describe_psb
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> described, text = describe_psb(to_psb(load(proto)).model), io.StringIO()
        >>> print_psb_description(described, Console(file=text, width=80))
        >>> text.getvalue().split()[:3]
        ['the', 'model:', '1']
    """
    titles = ("layer", "weights", "zeros", "bits", "shift-adds", "then")
    differ = any(layer.factor != 1 for layer in model.layers)
    title = f"{_file(model)}: {plural(len(model.layers), 'layer')}"
    table = _table(title, (*titles, "n") if differ else titles)
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
            *([_factor(layer)] if differ else []),
        )
    console.print(table)
    zeros = percent(model.zeros / model.weights)
    _say(
        f"{count(model.weights)} weights at {decimal(model.bits_per_weight)} bits, p in "
        f"{model.probability_bits} bits, {zeros} zeros; file {size(model.file_bytes)}",
        console,
    )
    _say(
        f"sampler {model.sampler}, draws per {model.draws}; {count(model.shift_adds)} shift-adds "
        "an input for one sample a weight",
        console,
    )
    inner = [plain(layer.name) for layer in model.layers if layer.inside]
    if inner:
        more = f" and {len(inner) - _OUTPUTS} more" if len(inner) > _OUTPUTS else ""
        _say(
            f"{', '.join(inner[:_OUTPUTS])}{more}: in subgraphs (If, Loop, Scan), with the "
            "shift-adds of one pass",
            console,
        )
    if model.chains:
        _say(_chains(model), console)
    _warn(list(model.successions), console)


def _chains(model: PsbDescription) -> str:
    """Return where a model passes integers, and how many tensors are converted."""
    widths = name_widths(sorted({chain.bits for chain in model.chains}))
    passed = "bytes" if widths == "bytes" else "integers"
    begins = sum(len(chain.begins) for chain in model.chains)
    ends = sum(len(chain.ends) for chain in model.chains)
    operators = sum(chain.operators for chain in model.chains)
    others = sum(len(chain.nodes) for chain in model.chains) - operators
    return (
        f"{plural(len(model.chains), 'chain')} of {widths}: {operators} of "
        f"{plural(len(model.layers), 'layer')} and {plural(others, 'other node')}; "
        f"{plural(begins, 'tensor')} to {passed}, {ends} back to floats"
    )


def print_chains(result: Rewritten[ChainChanges], console: Console) -> None:
    """Print where chains end, and why.

    Args:
        result: of `chain_psb` or `chain_both`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.graph import chain_psb, load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> text = io.StringIO()
        >>> print_chains(chain_psb(psb, {}), Console(file=text, width=200))
        >>> "is not given" in text.getvalue()
        True
    """
    wide = any(node.op.endswith(_WIDE) for node in result.done.nodes)
    passed = "integers" if wide else "bytes"
    _warn([f"{n.node} ({n.op}) takes no {passed}: {n.reason}" for n in result.refused], console)


def _then(layer: LayerCost) -> str:
    """Return what follows the sum: an addition, an activation, both."""
    steps = ["add"] if layer.adds else []
    return "+".join(steps + [layer.activation] * (layer.activation != "none")) or "none"


def _factor(layer: LayerCost) -> str:
    """Return a layer's number of samples over n of the run."""
    return f"x{layer.factor:g}" if layer.factor >= 1 else f"/{1 / layer.factor:g}"


def print_conversion(
    result: Rewritten[PsbChanges], model: PsbDescription, console: Console
) -> None:
    """Print what a conversion made, left alone and found.

    Args:
        result: of `to_psb`.
        model: the description of its model.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.evaluation import describe_psb
        >>> from reluflow.graph import load, to_psb
        >>> result, text = to_psb(load("models/fashion_resnet8.onnx")), io.StringIO()
        >>> print_conversion(result, describe_psb(result.model), Console(file=text, width=80))
        >>> "batch normalisation" in text.getvalue(), "shift-adds" in text.getvalue()
        (True, True)
    """
    print_psb_description(model, console)
    folded = sum(node.op == "BatchNormalization" for node in result.done.folded)
    if folded:
        _say(f"{plural(folded, 'batch normalisation')} folded into neighbours", console)
    pads = sum(node.op == "Pad" for node in result.done.folded)
    if pads:
        _say(f"{plural(pads, 'padding')} folded into the convolutions behind", console)
    pairs = len(result.done.unrounded)
    if pairs:
        _say(f"{plural(pairs, 'activation')} no longer rounded to integers, only clipped", console)
    for each in result.done.spelled:
        _say(f"{each.node} ({each.op}) is written as {each.into}", console)
    for note in result.notes:
        _say(note, console)
    stays = "stays in floating point"
    _warn([f"{n.node} ({n.op}) {stays}: {n.reason}" for n in result.refused], console)


def print_evaluation(result: Evaluation, console: Console) -> None:
    """Print the metric at each number of samples, with float and int8.

    Args:
        result: of `evaluate`.
        console: where to print.

    Example:
        >>> import io
        >>> from rich.console import Console
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
        >>> text = io.StringIO()
        >>> print_evaluation(result, Console(file=text, width=80))
        >>> 'accuracy' in text.getvalue()
        True
    """
    title = f"{result.metric} of {_file(result.psb)} on {plural(result.n_inputs, 'input')}"
    titles = (result.metric, "std", "loss", *result.more)
    rows = precision_rows(result)
    table = _table(title, ("samples", *(each.removesuffix(" to float") for each in titles)))
    for row in rows:
        table.add_row(row.name, row.value, row.std, row.loss, *row.more)
    console.print(table)
    _print_noise(result, rows, console)
    if result.task:
        _say(result.task, console)
    if result.float_bytes:
        share = result.psb.file_bytes / result.float_bytes
        _say(f"file {size(result.psb.file_bytes)}, {share:.3f} of float32", console)
    _print_sensitivity(result, console)
    _print_saturation(result, console)
    for note in result.notes:
        _say(note, console)
    _warn(list(result.findings), console)


def _print_noise(result: Evaluation, rows: list[PrecisionRow], console: Console) -> None:
    """Print the signal to quantisation noise of the outputs, the first two of them."""
    titles = noise_titles(result)[:_OUTPUTS]
    if not titles:
        return
    table = _table("SQNR against float32, dB", ("samples", *titles))
    for row in rows:
        if row.noise:
            table.add_row(row.name, *row.noise[:_OUTPUTS])
    console.print(table)


def _print_sensitivity(result: Evaluation, console: Console) -> None:
    if not result.sensitivity:
        return
    n = result.sensitivity[0].point.samples
    titles = ("layer", result.metric, "std", "loss")
    table = _table(f"one layer alone at {plural(n, 'sample')}", titles)
    for row in sorted(result.sensitivity, key=lambda found: -found.loss):
        mean, std = measure(row.point.mean, result.share), difference(row.point.std, result.share)
        table.add_row(plain(row.name), mean, std.lstrip("+"), difference(row.loss, result.share))
    console.print(table)


def _print_saturation(result: Evaluation, console: Console) -> None:
    cut = [row for row in result.saturation if row.saturated]
    if not cut:
        _say("no activation saturates in nearest mode", console)
    else:
        table = _table("saturated activations, nearest mode", ("layer", "saturated", "of", "share"))
        for row in sorted(cut, key=lambda found: -found.share):
            share = percent(row.share)
            table.add_row(plain(row.name), count(row.saturated), count(row.activations), share)
        console.print(table)
    lost = [row for row in result.saturation if row.below_share >= _MUCH_LOST]
    if lost:
        titles = ("layer", "become 0", "of", "share")
        table = _table("activations below the step, nearest mode", titles)
        for row in sorted(lost, key=lambda found: -found.below_share)[:_SHOWN]:
            share = percent(row.below_share)
            table.add_row(plain(row.name), count(row.below), count(row.nonzero), share)
        console.print(table)


def _file(model: PsbDescription) -> str:
    return plain(Path(model.path).name) if model.path else "the model"


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
        _say(f"and {len(sentences) - _SHOWN} more; the JSON lists all", console)


def print_allocation(result: Allocation, console: Console) -> None:
    """Print the number of samples of each operator, and what is expected of them.

    Args:
        result: of `allocate`.
        console: where to print.

    Example:
        >>> import io
        >>> from reluflow.data import open_data
        >>> from reluflow.evaluation import allocate
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> images = open_data("models/fashion_mnist_test_2000.npz", psb.inputs[:1], limit=8)
        >>> text = io.StringIO()
        >>> print_allocation(allocate(psb, images, 4), Console(file=text, width=80))
        >>> "samples on average" in text.getvalue()
        True
    """
    total = sum(node.products for node in result.nodes)
    errors = sum(node.error for node in result.nodes)
    title = f"{plural(len(result.nodes), 'layer')} at n = {result.samples}"
    table = _table(title, ("layer", "samples", "drawn", "multiplications", "error"))
    for node in result.nodes:
        table.add_row(
            shorten(plain(node.name), _NAME),
            count(node.samples),
            node.sampler,
            percent(node.products / max(1, total)),
            percent(node.error / errors) if errors else "",
        )
    console.print(table)
    _say(result.sentence(), console)
