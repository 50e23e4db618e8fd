"""The format of bytes for every activation of a model, by its error on data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.run import Runner
from reluflow.evaluation.signal_error import to_decibels
from reluflow.graph import Activation, Model, expose, find_activations, find_psb
from reluflow.psb import MAX_EXPONENT
from reluflow.psb.fixed import FixedFormat, squared_error, widest_format
from reluflow.sessions import open_session

MOST_FINER = 5
"""Formats tried that are finer than the one that holds all values: halved so often, the range of
an activation ends at a thirty-second of its maximum, far inside what any network uses."""
_AT_ONCE = 1 << 28
"""Bytes of activations in memory at a time, unless a single input needs more."""
_MOST_INPUTS = 64
_SIGNED = 128


@dataclass(frozen=True, slots=True)
class MeasuredFormat:
    """The format of one activation and its error on the data; `measure_formats` returns them.

    Attributes:
        form: the chosen format.
        widest: the finest format that clamps none of the values.
        signal: sum of the squares of all values.
        noise: sum of the squared errors in the chosen format.
    """

    form: FixedFormat
    widest: FixedFormat
    signal: float
    noise: float

    @property
    def sqnr_db(self) -> float:
        """10 log10 (signal / noise); infinite without noise."""
        return to_decibels(self.signal, self.noise)


def find_formats(
    model: Model,
    source: DataSource,
    *,
    by: Literal["error", "maximum"] = "error",
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> dict[str, FixedFormat]:
    """Return a format of bytes for every activation of a model: what chains of bytes need.

    Of the finest format that holds all values of the data and the five next finer ones, the one
    with the least sum of squared errors: what the finer steps gain is weighed against the values
    that they clamp. The zero point is 0 where the operators exclude negative values, else 128.

    Args:
        model: a float model, or a converted one, which runs in nearest mode.
        source: representative inputs, read twice.
        by: "error" as above; "maximum" takes the format that clamps nothing, and reads once.
        size: inputs per run; by default as many as keep the activations below 256 MiB.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.

    Returns:
        Tensor -> format, for every activation of `find_activations`.

    Raises:
        OptionError: `by` is not accepted.
        DataError: the data can be read only once, or make a tensor NaN or infinite.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> data = open_data(np.array([[0.5, -1], [3, 2]], np.float32), model.inputs)
        >>> find_formats(model, data)
        {'x': FixedFormat(exponent=5, zero=128), 'y': FixedFormat(exponent=6, zero=0)}

    Reference: docs/psb-ops.md, chains.
    """
    found = measure_formats(model, source, by=by, size=size, threads=threads, native=native)
    return {tensor: each.form for tensor, each in found.items()}


def measure_formats(
    model: Model,
    source: DataSource,
    *,
    by: Literal["error", "maximum"] = "error",
    size: int | None = None,
    threads: int | None = None,
    native: bool | None = None,
) -> dict[str, MeasuredFormat]:
    """Return the formats of `find_formats` with their errors.

    Args:
        model: as for `find_formats`.
        source: as for `find_formats`; read twice for the errors whatever `by` is.
        by: as for `find_formats`; "maximum" measures the error of that one format.
        size: as for `find_formats`.
        threads: as for `find_formats`.
        native: as for `find_formats`.

    Raises:
        OptionError: `by` is not accepted.
        DataError: the data can be read only once, or make a tensor NaN or infinite.

    Example:
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> model = load("models/fashion_resnet8.onnx")
        >>> images = open_data("models/fashion_mnist_test_2000.npz", model.inputs, limit=4)
        >>> all(each.sqnr_db > 25 for each in measure_formats(model, images).values())
        True
    """
    if by not in ("error", "maximum"):
        raise OptionError(f"by={by!r} is not accepted; give 'error' or 'maximum'.")
    source.check_rereadable()
    activations = find_activations(model)
    if not activations:
        return {}
    runs = ActivationRuns(model, activations, source, size, threads, native)
    sums = {each.tensor: _Sums(each) for each in activations}
    for name, values in runs:
        sums[name].look(values)
    finer = MOST_FINER if by == "error" else 0
    for each in sums.values():
        each.propose(finer)
    for name, values in runs:
        sums[name].add(values)
    return {name: each.result() for name, each in sums.items()}


class ActivationRuns:
    """The values of activations on all inputs, as often as they are asked for.

    Iterating gives each activation with its values of a batch. A converted model runs in nearest
    mode.

    Args:
        model: in floating point, or converted.
        activations: of `find_activations`.
        source: the inputs.
        size: inputs per run; None: as many as keep the activations below 256 MiB.
        threads: of ONNX Runtime.
        native: run the native library: always (True), never (False), or where it is available.
    """

    def __init__(
        self,
        model: Model,
        activations: Sequence[Activation],
        source: DataSource,
        size: int | None,
        threads: int | None,
        native: bool | None,
    ) -> None:
        self._source = source
        self._inputs = {spec.name for spec in model.inputs}
        self._tensors = dict.fromkeys(each.tensor for each in activations)
        inner = [name for name in self._tensors if name not in self._inputs]
        shown = expose(model, inner).model
        self._extra: Mapping[str, NDArray[np.int64]] = {}
        if find_psb(model):
            self._session, self._extra = Runner(shown, threads, native).at(0, 0)
        else:
            self._session = open_session(shown, threads=threads)
        self._size = self._fitting(size)

    def _fitting(self, size: int | None) -> int:
        """Return how many inputs run at once, by the activations of one."""
        one = self._source.fitting_batch_size(size, default=1)
        if size is not None or one != 1:
            return one
        first = self._source.first()
        values = [] if first is None else self._session.run({**first, **self._extra})
        needed = sum(array.nbytes for array in values if isinstance(array, np.ndarray))
        most = max(1, min(_MOST_INPUTS, _AT_ONCE // max(1, needed)))
        return self._source.fitting_batch_size(None, default=most)

    def __iter__(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for batch in self._source.batches(self._size):
            made = self._session.run({**batch, **self._extra})
            found = batch | dict(zip(self._session.outputs, made, strict=True))
            for name, values in found.items():
                if name in self._tensors:
                    yield name, values


class _Sums:
    """The range of one activation, then the errors of some formats."""

    def __init__(self, activation: Activation) -> None:
        self.tensor = activation.tensor
        self._zero = 0 if activation.never_negative else _SIGNED
        self._lowest = self._highest = self._signal = 0.0
        self._noise: dict[FixedFormat, float] = {}

    def look(self, values: NDArray[np.float32]) -> None:
        """Take in a batch for the range."""
        lowest = float(np.min(values, initial=0.0))
        highest = float(np.max(values, initial=0.0))
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise DataError(
                f"the calibration data make {self.tensor!r} NaN or infinite; give data without "
                "such values, as they will come."
            )
        self._lowest = min(self._lowest, lowest)
        self._highest = max(self._highest, highest)

    def propose(self, finer: int) -> None:
        """Set the formats whose errors are summed, the widest first."""
        self._widest = widest_format(self._lowest, self._highest, self._zero)
        most = min(finer, MAX_EXPONENT - self._widest.exponent)
        self._noise = {
            FixedFormat(self._widest.exponent + more, self._zero): 0.0 for more in range(most + 1)
        }

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in a batch for the errors."""
        values = np.ascontiguousarray(values, np.float32)
        flat = values.reshape(-1).astype(np.float64)
        self._signal += float(np.dot(flat, flat))
        for form in self._noise:
            self._noise[form] += squared_error(values, form)

    def result(self) -> MeasuredFormat:
        """Return the format with the least error; of equal ones the widest."""
        form = min(self._noise, key=lambda each: self._noise[each])
        return MeasuredFormat(form, self._widest, self._signal, self._noise[form])
