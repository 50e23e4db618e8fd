"""Networks of Flax, Equinox or plain JAX as ONNX models, checked (through jax2onnx)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reluflow import Model, load, open_session
from reluflow.errors import DataError, EquivalenceError, ModelError, OptionError

BATCH_AXIS = "B"
_TOLERANCE = 1e-4
"""Largest difference of an output, as a share of the largest output."""
_SEED = 0
_TOLD = 300
"""Characters of what jax2onnx says."""


def to_onnx(
    model: Any,
    *inputs: Any,
    variables: Any = None,
    call: Mapping[str, Any] | None = None,
    opset: int = 23,
    dynamic_batch: bool = True,
    vmap: bool = True,
    tolerance: float = _TOLERANCE,
) -> Model:
    """Return a network as an ONNX model that gives the same outputs.

    | `model` | `variables` | how it is called |
    |---|---|---|
    | module of Flax NNX | none | a copy in evaluation mode |
    | module of Flax linen | those of `init` | by `apply`, with `call` |
    | module of Equinox | its `State`, where it has one | in inference mode, for each input alone |
    | function | the weights | `model(variables, *inputs)`, or `model(*inputs)` without any |

    Batch normalisation uses running statistics and dropout is off: NNX and Equinox have a mode for
    it, linen and functions say it by `call`, such as `{"train": False}`. Whatever the exported
    model computes is compared with the network on the inputs, and on the first of them alone where
    the batch axis is dynamic.

    Args:
        model: see the table.
        inputs: of a batch; an array is used for the check, for a shape (`jax.ShapeDtypeStruct`) it
            is filled at random (floats from a normal distribution, whole numbers 0 and 1).
        variables: see the table.
        call: keyword arguments for the network.
        opset: of ONNX.
        dynamic_batch: whether the model takes any number of inputs.
        vmap: whether an Equinox module takes one input; False: it takes a batch.
        tolerance: largest difference, as a share of the largest output.

    Raises:
        OptionError: jax2onnx is not installed, or a linen module comes without variables.
        DataError: no input, or one without a first axis.
        ModelError: jax2onnx cannot export the network.
        EquivalenceError: the exported model gives other outputs.

    Example:
        >>> def forward(weights, x):
        ...     return jax.nn.relu(x @ weights)
        >>> model = to_onnx(forward, jnp.ones((2, 4)), variables=jnp.ones((4, 3)))
        >>> [str(each) for each in model.inputs]
        ['float32 [B, 4]']

    Reference: docs/jax.md.
    """
    if not inputs:
        raise DataError("no input is given; give to_onnx(model, x, ...) a batch or its shape.")
    batch = [_filled(each) for each in inputs]
    if any(each.ndim == 0 for each in batch):
        raise DataError("an input has no axis; give arrays whose first axis counts the inputs.")
    function = _as_function(model, variables, dict(call or {}), vmap)
    proto = _converted(function, batch, opset, dynamic_batch)
    exported = load(proto)
    _check(exported, function, batch, tolerance)
    if dynamic_batch and len(batch[0]) > 1:
        _check(exported, function, [each[:1] for each in batch], tolerance)
    return exported


def export(model: Any, path: str | os.PathLike[str], *inputs: Any, **options: Any) -> Model:
    """Write a network to an ONNX file, checked as `to_onnx` does.

    Args:
        model: as for `to_onnx`.
        path: of the file; it is written completely or not at all.
        inputs: as for `to_onnx`.
        options: keyword arguments of `to_onnx`.

    Returns:
        The model that was written.

    Raises:
        OptionError: as for `to_onnx`.
        DataError: as for `to_onnx`.
        ModelError: as for `to_onnx`.
        EquivalenceError: as for `to_onnx`.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/network.onnx"
        >>> _ = export(lambda x: jax.nn.relu(x - 1.0), path, jnp.ones((2, 4)))
        >>> load(path).n_nodes
        2

    Reference: docs/jax.md.
    """
    exported = to_onnx(model, *inputs, **options)
    exported.save(path)
    return exported


def _filled(value: Any) -> np.ndarray:
    if not isinstance(value, jax.ShapeDtypeStruct):
        return np.asarray(value)
    rng = np.random.default_rng(_SEED)
    is_float = jnp.issubdtype(value.dtype, jnp.floating)
    filled = rng.standard_normal(value.shape) if is_float else rng.integers(0, 2, value.shape)
    return np.asarray(filled, value.dtype)


def _as_function(
    model: Any, variables: Any, call: dict[str, Any], vmap: bool
) -> Callable[..., Any]:
    """Return a function of the inputs, as the network is used after its training."""
    if _is_of(model, "flax.nnx", "Module"):
        return _nnx_function(model, call)
    if _is_of(model, "flax.linen", "Module"):
        if variables is None:
            raise OptionError(
                "variables is None, but a module of Flax linen holds no weights; give "
                "variables=... as init() returned them or the training has left them."
            )
        return lambda *inputs: model.apply(variables, *inputs, **call)
    if _is_of(model, "equinox", "Module"):
        return _equinox_function(model, variables, call, vmap)
    if not callable(model):
        raise OptionError(
            f"model is a {type(model).__name__}; give a module of Flax or Equinox, or a function."
        )
    if variables is None:
        return lambda *inputs: model(*inputs, **call)
    return lambda *inputs: model(variables, *inputs, **call)


def _is_of(model: Any, library: str, name: str) -> bool:
    """Tell whether a model is an instance of a class of a library, without importing that."""
    module = sys.modules.get(library)
    return module is not None and isinstance(model, getattr(module, name))


def _nnx_function(model: Any, call: dict[str, Any]) -> Callable[..., Any]:
    from flax import nnx

    copy: Any = nnx.merge(*nnx.split(model), copy=True)
    copy.eval()
    return lambda *inputs: copy(*inputs, **call)


def _equinox_function(
    model: Any, state: Any, call: dict[str, Any], vmap: bool
) -> Callable[..., Any]:
    import equinox

    fixed = equinox.nn.inference_mode(model)

    def function(*inputs: Any) -> Any:
        one: Callable[..., Any]
        if state is None:
            one = lambda *each: fixed(*each, **call)  # noqa: E731
        else:
            one = lambda *each: fixed(*each, state, **call)[0]  # noqa: E731
        return jax.vmap(one)(*inputs) if vmap else one(*inputs)

    return function


def _converted(
    function: Callable[..., Any], batch: Sequence[np.ndarray], opset: int, dynamic_batch: bool
) -> Any:
    try:
        import jax2onnx
    except ImportError as error:
        raise OptionError(
            f"jax2onnx is needed for the export and cannot be imported ({error}); "
            "pip install 'reluflow[jax]'."
        ) from error
    shape: Any = jax.ShapeDtypeStruct
    axes = [(BATCH_AXIS, *each.shape[1:]) if dynamic_batch else each.shape for each in batch]
    shapes = [shape(each, x.dtype) for each, x in zip(axes, batch, strict=True)]
    try:
        return jax2onnx.to_onnx(function, shapes, model_name="network", opset=opset)
    except Exception as error:
        text = " ".join(str(error).split())[:_TOLD] or type(error).__name__
        raise ModelError(
            f"jax2onnx {version('jax2onnx')} cannot export the network: {text}; where it names an "
            "operation write that in another way, give arguments of layers that it names by "
            "keyword, or try dynamic_batch=False."
        ) from error


def _check(
    exported: Model, function: Callable[..., Any], batch: Sequence[np.ndarray], tolerance: float
) -> None:
    wanted = [np.asarray(each) for each in jax.tree.leaves(function(*map(jnp.asarray, batch)))]
    session = open_session(exported)
    names = [spec.name for spec in exported.inputs]
    if len(names) != len(batch):
        raise EquivalenceError(
            f"the exported model takes {len(names)} inputs, the network {len(batch)}; an input "
            "that no output depends on is left out of it: leave it out of the call too."
        )
    found = session.run(dict(zip(names, batch, strict=True)))
    for place, (one, other) in enumerate(zip(wanted, found, strict=True)):
        scale = float(np.abs(one).max(initial=0.0)) or 1.0
        same = one.shape == other.shape
        difference = float(np.abs(one - other).max(initial=0.0)) / scale if same else np.inf
        if not difference <= tolerance:
            what = (
                f"differs by {difference:.2g} of the largest"
                if same
                else f"has the shape {other.shape}, not {one.shape}"
            )
            raise EquivalenceError(
                f"output {place} of the exported model {what} on {len(batch[0])} inputs; see that "
                "the network is in inference mode (linen: call={'train': False}), that it draws "
                "nothing at random, and its operations in jax2onnx's list of known gaps."
            )
