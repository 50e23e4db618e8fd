"""Export to ONNX by Keras itself, checked against the model."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from reluflow.errors import DataError, EquivalenceError, ModelError
from reluflow.graph import Model, load
from reluflow.sessions import open_session


def export(
    model: Any, path: str | os.PathLike[str], x: Any, *, tolerance: float = 1e-4, **options: Any
) -> Model:
    """Write a model to an ONNX file as it is used after its training, and compare the outputs.

    It calls `model.export(format="onnx")`, which takes torch.onnx, tf2onnx or jax2onnx by the
    backend and needs that package.

    Args:
        model: a built Keras model.
        path: of the file; it is written completely or not at all.
        x: inputs on which the outputs are compared: an array, or several in a list or dictionary.
        tolerance: largest difference that is allowed, of the model's largest output.
        options: keyword arguments of `model.export`.

    Returns:
        The model that was written.

    Raises:
        ModelError: Keras cannot export the model.
        DataError: `x` has not as many arrays as the model has inputs.
        EquivalenceError: the outputs differ; nothing is written.
        OutputError: the file cannot be written.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")])
        >>> folder = tempfile.mkdtemp()
        >>> exported = export(network, f"{folder}/dense.onnx", np.ones((5, 4), "float32"))
        >>> [spec.shape[1:] for spec in exported.inputs]
        [(4,)]

    Reference: docs/keras.md.
    """
    wanted = keras.tree.flatten(model.predict(x, verbose=0))
    # Keras exports what has been called; on JAX, predict does not count.
    model(keras.tree.map_structure(lambda each: keras.ops.convert_to_tensor(each[:1]), x))
    exported = _convert(model, options)
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    if len(arrays) != len(exported.inputs):
        raise DataError(
            f"x has {len(arrays)} arrays, but the model has {len(exported.inputs)} inputs; give "
            "one each."
        )
    feeds = {spec.name: each for spec, each in zip(exported.inputs, arrays, strict=True)}
    for one, other in zip(wanted, open_session(exported).run(feeds), strict=True):
        error = float(np.max(np.abs(np.asarray(one) - other), initial=0.0))
        allowed = tolerance * float(np.max(np.abs(one), initial=0.0))
        if not error <= allowed:
            raise EquivalenceError(
                f"the outputs of the file differ from those of the model by {error:.3g}, more than "
                f"{allowed:.3g}; nothing is written. Give inputs of the usual size, or a higher "
                "tolerance."
            )
    exported.save(path)
    return exported


def _convert(model: Any, options: dict[str, Any]) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they warn of shows in the outputs
                model.export(str(file), format="onnx", verbose=False, **options)
        except Exception as error:  # of whatever converts: they have no common class
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise ModelError(
                f"Keras cannot export model {model.name!r} on the backend "
                f"{keras.backend.backend()}: {reason}"
            ) from error
        return load(file.read_bytes())
