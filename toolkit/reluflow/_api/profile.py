"""The profile of a converted model, as a function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reluflow.data import DataSource, RandomData, open_data
from reluflow.errors import OptionError
from reluflow.evaluation import ProfileOptions, PsbProfile
from reluflow.evaluation import profile as run
from reluflow.graph import Model, load, with_input_defaults


def profile_psb(
    model: Any,
    data: Any = None,
    *,
    float_model: Any = None,
    options: ProfileOptions | None = None,
) -> PsbProfile:
    """Measure where a converted model spends its time, operator by operator, beside float.

    Both models take turns, so that a machine that becomes slower meanwhile slows both. Operators
    are matched by the names of their nodes; what a PSB operator took over counts with it.

    Args:
        model: a converted model: path, bytes or ModelProto.
        data: as for `analyze`; the first batch is run. None: random numbers, where the model gives
            the sizes of its inputs; `RandomData(1, dims={...})` gives the others.
        float_model: what `model` was converted from; None: its PSB operators in floating point
            with the stored weights.
        options: number of samples, of runs and threads, ...

    Returns:
        The operators, the slowest first, with the float model's time for the same work.

    Raises:
        ModelError: the model has no PSB operator, or cannot be run.
        OptionError: the native library is missing, `float_model` is not what `model` was made
            from, or the sizes of the inputs are not known.
        DataError: the data do not fit the models.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert("models/fashion_resnet8.onnx", check=False)
        >>> few = reluflow.ProfileOptions(samples=4, runs=2, threads=1)
        >>> found = reluflow.profile_psb(
        ...     made.result.model, float_model="models/fashion_resnet8.onnx", options=few)
        >>> found.nodes[0].psb, sum(row.ms is not None for row in found.nodes)
        (True, 12)

    Reference: docs/psb.md, where the time goes.
    """
    loaded = load(model)
    ready = with_input_defaults(loaded).model
    floats = None if float_model is None else load(float_model)
    wanted = options or ProfileOptions()
    source = _opened(RandomData(1) if data is None else data, ready, wanted.batch_size)
    found = run(ready, source, float_model=floats, options=wanted)
    return replace(found, path=str(loaded.path) if loaded.path else None)


def _opened(data: Any, model: Model, batch_size: int | None) -> DataSource:
    """Open the data; of random ones as many as one batch needs."""
    source = open_data(data, model.inputs)
    if not isinstance(data, RandomData):
        return source
    idle = source.description.preprocessing.get("ignored", ())
    if idle:
        raise OptionError(
            f"dims has {idle[0]!r}, but no input has a free dimension of this name; leave it out."
        )
    n_inputs = max(data.n_samples, source.fitting_batch_size(batch_size, 1))
    return open_data(replace(data, n_samples=n_inputs), model.inputs)
