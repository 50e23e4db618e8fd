"""Export to ONNX by skl2onnx, checked against scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from reluflow.errors import EquivalenceError, ModelError, OptionError
from reluflow.graph import Model, load
from reluflow.sessions import open_session
from reluflow_sklearn.estimators import ActCoolMLPClassifier, ActCoolMLPRegressor


def export(
    model: Any,
    path: str | os.PathLike[str],
    x: Any,
    *,
    zipmap: bool = False,
    tolerance: float = 1e-4,
) -> Model:
    """Write a fitted model or a whole pipeline to an ONNX file, and compare the outputs.

    The file computes in the type of `x`: float32, or float64 where a training in float64 is to be
    followed to the last sample.

    Args:
        model: a fitted estimator or pipeline, of any kind that skl2onnx converts.
        path: of the file; it is written completely or not at all.
        x: `(samples, features)` float32 or float64, on which the outputs are compared.
        zipmap: whether the probabilities of a classifier leave as dictionaries by class (ZipMap),
            as is usual, instead of an array. Both kinds of file can be analysed.
        tolerance: largest difference that is allowed, of the model's largest output.

    Returns:
        The model that was written.

    Raises:
        OptionError: skl2onnx is not installed, or `x` is not of these types; dictionaries of
            float64 are asked for, which ONNX does not know.
        ModelError: skl2onnx cannot convert the model.
        EquivalenceError: the outputs differ; nothing is written.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.graph import find_sites
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
        >>> mlp = ActCoolMLPClassifier((16,), max_iter=2, random_state=0).fit(x, x[:, 0] > 0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [site.name for site in find_sites(export(mlp, f"{folder}/mlp.onnx", x))]
        ['Relu']

    Reference: docs/scikit-learn.md.
    """
    x = _numbers(x)
    if zipmap and x.dtype == np.float64:
        raise OptionError(
            "zipmap is True and x is float64, but a ZipMap holds float32; give float32, or leave "
            "zipmap out."
        )
    exported = load(_convert(model, x, zipmap))
    _compare(model, x, exported, tolerance)
    exported.save(path)
    return exported


def _numbers(x: Any) -> np.ndarray:
    found = np.asarray(x.toarray() if hasattr(x, "toarray") else x)
    if found.dtype.kind not in "biuf":
        raise OptionError(
            f"x holds {found.dtype.name}, but only numbers can be fed for an analysis; export what "
            "stands behind the encoder: export(model[1:], path, model[:1].transform(x))."
        )
    if found.dtype not in (np.float32, np.float64):
        raise OptionError(f"x is {found.dtype}; give float32 or float64, as x.astype('float32').")
    return found


def _convert(model: Any, x: np.ndarray, zipmap: bool) -> bytes:
    try:
        import skl2onnx
    except ImportError as error:
        raise OptionError(
            "skl2onnx is not installed; run pip install 'reluflow[sklearn]'."
        ) from error
    _register(skl2onnx)
    options = {id(model): {"zipmap": zipmap}} if is_classifier(model) else None
    try:
        made = skl2onnx.to_onnx(model, x[:1], options=options)
    except Exception as error:  # its errors have no common class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(
            f"skl2onnx cannot convert {type(model).__name__}: {reason}; fit it, or export its part "
            "that skl2onnx knows."
        ) from error
    return bytes(made.SerializeToString())


def _register(skl2onnx: Any) -> None:
    """Let skl2onnx convert the steered MLPs as it does their bases."""
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from skl2onnx.operator_converters import multilayer_perceptron

    skl2onnx.update_registered_converter(
        ActCoolMLPClassifier,
        "ReluflowActCoolMLPClassifier",
        calculate_linear_classifier_output_shapes,
        multilayer_perceptron.convert_sklearn_mlp_classifier,
        options={
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
            "nocl": [True, False],
        },
    )
    skl2onnx.update_registered_converter(
        ActCoolMLPRegressor,
        "ReluflowActCoolMLPRegressor",
        calculate_linear_regressor_output_shapes,
        multilayer_perceptron.convert_sklearn_mlp_regressor,
    )


def _compare(model: Any, x: np.ndarray, exported: Model, tolerance: float) -> None:
    """Refuse a file whose outputs are not those of the model."""
    outputs = open_session(exported).run({exported.inputs[0].name: x})
    if not is_classifier(model):
        wanted = np.asarray(model.predict(x) if hasattr(model, "predict") else model.transform(x))
        _check("outputs", wanted, np.asarray(outputs[0]).reshape(wanted.shape), tolerance)
        return
    if not hasattr(model, "predict_proba"):
        wrong = int(np.count_nonzero(np.asarray(outputs[0]) != model.predict(x)))
        if wrong:
            raise EquivalenceError(
                f"{wrong} of {len(x)} labels of the file differ from those of the model; nothing "
                "is written: report it with the model."
            )
        return
    wanted = np.asarray(model.predict_proba(x))
    _check("probabilities", wanted, _array(outputs[1], model.classes_), tolerance)


def _array(probabilities: Any, classes: np.ndarray) -> np.ndarray:
    """Return probabilities as `(samples, classes)`; from a ZipMap they come as dictionaries."""
    if isinstance(probabilities, list) and isinstance(probabilities[0], dict):
        return np.array([[row[key] for key in classes.tolist()] for row in probabilities])
    return np.asarray(probabilities)


def _check(what: str, wanted: np.ndarray, found: np.ndarray, tolerance: float) -> None:
    error = float(np.max(np.abs(wanted - found), initial=0.0))
    allowed = tolerance * float(np.max(np.abs(wanted), initial=0.0))
    if not error <= allowed:
        raise EquivalenceError(
            f"the {what} of the file differ from those of the model by {error:.3g}, more than "
            f"{allowed:.3g}; nothing is written. Give x as the model was trained on, or a higher "
            "tolerance."
        )
