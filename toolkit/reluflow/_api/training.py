"""What one training step of a model in a file would change; the steps are taken in torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reluflow._api.lock import locked
from reluflow._api.outputs import keep_inputs_beside
from reluflow.analysis import inspect_model
from reluflow.data import DataSource, check_label_name, open_data, read_labels, read_targets
from reluflow.errors import DataError, OptionError
from reluflow.graph import Model, find_sites, load_apart
from reluflow.progress import Progress
from reluflow.report import SENSITIVITY_FILES, write_sensitivity
from reluflow.sessions import check_threads
from reluflow.temperature import Sensitivity

OPTIMIZERS = ("sgd", "adamw")
METHODS = ("steps", "crossing")
_DEFAULT_BATCH = 128
LOSSES = ("cross-entropy", "binary-cross-entropy", "mse")
_END_OF_LOSS = {"cross-entropy": "Softmax", "binary-cross-entropy": "Sigmoid"}


def sensitivity(
    model: Any,
    data: Any,
    labels: Any = None,
    out: str | os.PathLike[str] | None = None,
    *,
    label_name: str | None = None,
    loss: str = LOSSES[0],
    optimizer: str = OPTIMIZERS[0],
    momentum: float = 0.0,
    rates: ArrayLike | None = None,
    batches: int = 1,
    batch_size: int | None = None,
    frozen_norm: bool = False,
    smooth: bool | None = None,
    method: str = METHODS[0],
    threads: int | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Measure how many patterns one training step would change, for many learning rates.

    Args:
        model: in floating point, as for `analyze`.
        data: as for `analyze`.
        labels: the correct answers: array, or path (.npz, .npy, idx); `data` itself where it is
            an .npz file.
        out: folder for picture and JSON; None writes nothing.
        label_name: array of an .npz with the correct answers; "label" by default.
        loss: "cross-entropy" of class numbers, "binary-cross-entropy" of 0 and 1 (one output per
            input) or "mse" of numbers. A Softmax or Sigmoid at the model's end is left out
            before the first two.
        optimizer: "sgd" or "adamw".
        momentum: of sgd.
        rates: `(n,)` learning rates; 50 from 1e-4 to 1e2 by default.
        batches: number of batches to average over.
        batch_size: inputs per batch; 128 by default.
        frozen_norm: batch normalisation keeps its statistics.
        smooth: count Gelu, Silu, ... as switches at 0 too; None: where the model has no other
            switch, with a note.
        method: "steps" makes a step at every rate; "crossing" about 7 per batch, from which the
            rate at which each sample changes follows.
        threads: of torch; its own choice by default.
        progress: called as progress("measuring", steps tried, None).

    Returns:
        D by rate and site, the fitted transition models and a suggested rate.

    Raises:
        OutputError: a file in `out` would replace an input, or cannot be written.
        ReluflowError: torch is missing, or model, data, labels or options do not fit together.

    Example:
        >>> import reluflow
        >>> images = "models/fashion_mnist_test_2000.npz"
        >>> found = reluflow.sensitivity(
        ...     "models/fashion_resnet8.onnx", images, rates=[1e-3, 1e-1, 1e1], batch_size=32)
        >>> bool(found.mean[0] < found.mean[-1])
        True

    Reference: thesis, section 3.2.3.
    """
    _one_of("loss", loss, LOSSES)
    _one_of("optimizer", optimizer, OPTIMIZERS)
    _one_of("method", method, METHODS)
    if batches < 1:
        raise OptionError(f"batches is {batches}; give a whole number from 1 on.")
    given = _given(labels, data)
    check_label_name(label_name, given if isinstance(given, str | os.PathLike) else None)
    torch, bridge = _bridge()
    loaded = load_apart(model)
    keep_inputs_beside(out, SENSITIVITY_FILES, loaded, data, labels)
    check_threads(threads)
    with locked(out), _threads(torch, threads):
        source = open_data(data, loaded.inputs)
        answers = _answers(given, "label" if label_name is None else label_name, loss)
        module = bridge.from_onnx(loaded)
        if loss in _END_OF_LOSS:
            module = module.logits(_END_OF_LOSS[loss])
        if frozen_norm and not module.has_batch_norm:
            raise OptionError(
                "frozen_norm is set, but the model has no batch normalisation; leave it out."
            )
        module.train(not frozen_norm)
        steps = _batches(torch, source, answers, batches, batch_size)
        made = _optimizer(torch, module, optimizer, momentum)
        wanted, notes = _smooth(loaded, smooth)
        result: Sensitivity = bridge.sensitivity(
            module,
            made,
            steps,
            bridge.LOSSES[loss],
            rates,
            smooth=wanted,
            method=method,
            progress=progress,
        )
        notes += inspect_model(loaded, smooth=bool(smooth)).notes
        result = replace(result, sites=tuple(map(module.node_of, result.sites)), notes=notes)
        if out is not None:
            write_sensitivity(result, out, loaded.path.name if loaded.path else "")
    return result


def _smooth(model: Model, smooth: bool | None) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether smooth activations count, and a note where that was not asked for."""
    found = find_sites(model, smooth=True)
    if smooth is not None or not found or not all(site.smooth for site in found):
        return smooth, ()
    ops = ", ".join(dict.fromkeys(site.op for site in found))
    note = f"no ReLU or other switch is in the model: its smooth activations ({ops}) count, at 0."
    return True, (note,)


def _bridge() -> tuple[Any, Any]:
    """Return torch and the bridge to it; the toolkit itself needs neither."""
    try:
        return importlib.import_module("torch"), importlib.import_module("reluflow_torch")
    except ImportError as error:
        raise OptionError(
            f"sensitivity takes training steps in torch, which is not there ({error}); "
            "install torch beside reluflow."
        ) from error


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise OptionError(f"{name} is {value!r}; accepted are {', '.join(accepted)}.")


@contextmanager
def _threads(torch: Any, count: int | None) -> Iterator[None]:
    """Let torch use this many threads for a while; None: its own choice."""
    former = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def _given(labels: Any, data: Any) -> Any:
    """Return the correct answers or their file: that of the inputs where it is an .npz.

    Raises:
        OptionError: there are none.
    """
    if labels is None and isinstance(data, str | os.PathLike) and Path(data).suffix == ".npz":
        return data
    if labels is None:
        raise OptionError("labels are missing; give the right answers, one for each input.")
    return labels


def _answers(labels: Any, name: str, loss: str) -> np.ndarray:
    if isinstance(labels, str | os.PathLike):
        is_class = loss == "cross-entropy"
        return read_labels(labels, name) if is_class else read_targets(labels, name)
    array = np.asarray(labels)
    return array.astype(np.int64 if loss == "cross-entropy" else np.float32)


def _optimizer(torch: Any, module: Any, name: str, momentum: float) -> Any:
    weights = list(module.parameters())
    if not weights:
        raise OptionError("the model has no weights that training changes; give another model.")
    if name == "adamw":
        if momentum != 0:
            raise OptionError(
                f"momentum is {momentum}, which adamw does not use; leave it out, or take sgd."
            )
        return torch.optim.AdamW(weights, lr=1.0)
    if not 0 <= momentum < 1:  # NaN too
        raise OptionError(f"momentum is {momentum}; give a number from 0 to below 1.")
    return torch.optim.SGD(weights, lr=1.0, momentum=momentum)


def _batches(
    torch: Any, source: DataSource, answers: np.ndarray, count: int, wanted: int | None
) -> Iterator[Any]:
    size = source.fitting_batch_size(wanted, _DEFAULT_BATCH)
    known = source.n_samples
    if known is not None and known != len(answers):
        raise DataError(f"there are {len(answers)} labels for {known} inputs; give one an input.")
    _check_count(count, size, known)
    number = -1
    for number, batch in enumerate(source.batches(size)):
        target = answers[number * size : (number + 1) * size]
        if number == count:
            return
        inputs = tuple(torch.from_numpy(np.array(batch[spec.name])) for spec in source.inputs)
        yield inputs, torch.from_numpy(target)
    _check_count(count, size, (number + 1) * size)  # of data that did not know their number


def _check_count(count: int, size: int, n_inputs: int | None) -> None:
    """Refuse more batches than the data have.

    Raises:
        OptionError: there are too few inputs.
    """
    if n_inputs is None or size < 1:  # which is told where batches are read
        return
    held = -(-n_inputs // size)
    if count > max(held, 1):  # that there is none has a sentence of its own
        raise OptionError(
            f"batches is {count}, but the data are {held} of {size} inputs; give {held} at most, "
            "or a smaller batch_size."
        )
