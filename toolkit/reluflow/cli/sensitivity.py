"""`reluflow sensitivity`: how many patterns one training step would change, for many rates."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from reluflow.cli import _options
from reluflow.cli._progress import progress_bar
from reluflow.data import DataSource, open_data
from reluflow.deployment import batch_size as fitting_size
from reluflow.deployment import read_labels, read_targets
from reluflow.errors import DataError, OptionError
from reluflow.graph import load
from reluflow.report import print_sensitivity, write_sensitivity
from reluflow.temperature import default_rates

_OPTIMIZERS = ("sgd", "adamw")
_LOSSES = ("cross-entropy", "mse")


def sensitivity(
    model: Annotated[Path, typer.Argument(help="ONNX file in floating point.")],
    data: _options.Data = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Right answers; --data's own where .npz.")
    ] = None,
    label_name: Annotated[
        str, typer.Option("--label-name", help="Array of an .npz with the right answers.")
    ] = "label",
    loss: Annotated[str, typer.Option("--loss", help="cross-entropy or mse.")] = _LOSSES[0],
    optimizer: Annotated[str, typer.Option("--optimizer", help="sgd or adamw.")] = _OPTIMIZERS[0],
    momentum: Annotated[float, typer.Option("--momentum", help="Of sgd.")] = 0.0,
    rates: Annotated[
        str, typer.Option("--rates", help="FIRST:LAST:COUNT, evenly spaced in the logarithm.")
    ] = "1e-4:1e2:50",
    batches: Annotated[int, typer.Option("--batches", help="Batches to average over.")] = 1,
    frozen_norm: Annotated[
        bool, typer.Option("--frozen-norm", help="Batch normalisation keeps its statistics.")
    ] = False,
    batch_size: _options.BatchSize = None,
    threads: _options.Threads = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory for picture and JSON.")
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Distance D of one training step over learning rates, with the transition models fitted."""
    if data is None:
        raise OptionError("give the inputs with --data PATH.")
    _check("--loss", loss, _LOSSES)
    _check("--optimizer", optimizer, _OPTIMIZERS)
    grid = default_rates(*_rates(rates))
    if batches < 1:
        raise OptionError(f"--batches is {batches}; give a whole number from 1 on.")
    torch, bridge = _bridge()
    loaded = load(model)
    source = open_data(Path(data), loaded.inputs)
    answers = _answers(labels, data, label_name, loss)
    if threads is not None:
        torch.set_num_threads(threads)
    module = bridge.from_onnx(loaded)
    module = module.logits() if loss == "cross-entropy" else module
    module.train(not frozen_norm)
    steps = _batches(torch, source, answers, batches, batch_size or 128)
    made = _optimizer(torch, module, optimizer, momentum)
    with progress_bar() as progress:
        result = bridge.sensitivity(
            module, made, steps, bridge.LOSSES[loss], grid, progress=progress
        )
    result = replace(result, sites=tuple(map(module.node_of, result.sites)))
    if out is not None:
        write_sensitivity(result, out, model.name)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print_sensitivity(result, str(model), Console())
    return 0


def _bridge() -> tuple[Any, Any]:
    """Return torch and the bridge to it; the toolkit itself needs neither."""
    try:
        return importlib.import_module("torch"), importlib.import_module("reluflow_torch")
    except ImportError as error:
        raise OptionError(
            f"sensitivity takes training steps in torch, which is not there ({error}); "
            "install it with pip install 'reluflow[torch]'"
        ) from error


def _check(option: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise OptionError(f"{option} is {value!r}; accepted are {', '.join(accepted)}.")


def _rates(text: str) -> tuple[int, float, float]:
    try:
        first, last, count = text.split(":")
        return int(count), float(first), float(last)
    except ValueError:
        raise OptionError(
            f"--rates is {text!r}; give FIRST:LAST:COUNT, e.g. 1e-4:1e2:50."
        ) from None


def _answers(labels: Path | None, data: str, name: str, loss: str) -> np.ndarray:
    path = labels or (Path(data) if Path(data).suffix == ".npz" else None)
    if path is None:
        raise OptionError("give the right answers with --labels PATH.")
    return read_labels(path, name) if loss == "cross-entropy" else read_targets(path, name)


def _optimizer(torch: Any, module: Any, name: str, momentum: float) -> Any:
    weights = list(module.parameters())
    if not weights:
        raise OptionError("the model has no weights that training changes; give another model.")
    if name == "adamw":
        return torch.optim.AdamW(weights, lr=1.0)
    return torch.optim.SGD(weights, lr=1.0, momentum=momentum)


def _batches(torch: Any, source: DataSource, answers: np.ndarray, count: int, wanted: int) -> Any:
    size = fitting_size(source, wanted)
    known = source.n_samples
    if known is not None and known != len(answers):
        raise DataError(f"there are {len(answers)} labels for {known} inputs; give one an input")
    for number, batch in enumerate(source.batches(size)):
        target = answers[number * size : (number + 1) * size]
        if number == count:
            return
        inputs = tuple(torch.from_numpy(np.array(batch[spec.name])) for spec in source.inputs)
        yield inputs, torch.from_numpy(target)
