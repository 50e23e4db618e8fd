"""The pre-activations of a Keras model, read where its backend computes the switches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src import backend
from keras.src.backend.common import global_state
from keras.src.backend.common.name_scope import current_path

from reluflow.errors import ModelError

SWITCHES = ("relu", "relu6", "leaky_relu")
"""Functions of Keras's backend that compare a value with 0. Layers, activations and `keras.ops` all
end in them, on every backend."""
_BOTH_SIDES = ("ReLU", "PReLU", "LeakyReLU")
"""Layers that may call them twice, for the two sides of one switch."""
_IMAGE_NDIM = 4
"""Axes of a batch of images, whose channels are first or last."""

Found = list[tuple[str, Any]]


@contextmanager
def recording() -> Iterator[Found]:
    """Record every switch that runs inside: the path of its layer and the pre-activations.

    The units are on the last axis of what is recorded.

    Yields:
        A list that fills up while the model runs.

    Example:
        >>> with recording() as found:
        ...     _ = keras.activations.relu(keras.ops.convert_to_tensor([[1.0, -2.0]]))
        >>> keras.ops.convert_to_numpy(found[0][1]).tolist()
        [[1.0, -2.0]]
    """
    found: Found = []
    seen: list[Any] = []
    kept = {name: getattr(backend.nn, name) for name in SWITCHES}

    def tapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def switch(x: Any, *args: Any, **kwargs: Any) -> Any:
            scopes = global_state.get_global_attribute("name_scope_stack") or [None]
            layer = getattr(scopes[-1], "caller", None)
            is_twice = type(layer).__name__ in _BOTH_SIDES and scopes[-1] in seen
            if not is_twice:
                seen.append(scopes[-1])
                found.append((current_path(), _units_last(x, layer)))
            return function(x, *args, **kwargs)

        return switch

    try:
        for name, function in kept.items():
            setattr(backend.nn, name, tapped(function))
        yield found
    finally:
        for name, function in kept.items():
            setattr(backend.nn, name, function)


def _units_last(x: Any, layer: Any) -> Any:
    order = getattr(layer, "data_format", None)
    if order is None and len(x.shape) >= _IMAGE_NDIM:
        order = keras.config.image_data_format()
    return keras.ops.moveaxis(x, 1, -1) if order == "channels_first" else x


@keras.saving.register_keras_serializable("reluflow")
class Tapped(keras.Model):  # type: ignore[misc]
    """A model whose outputs are the pre-activations of another's switches, as in training.

    Args:
        network: the model that is read; any, subclassed as well.

    Raises:
        ModelError: when it runs, the network has no switch.

    Example:
        >>> layer = keras.layers.Dense(3, "relu", name="dense")
        >>> network = keras.Sequential([keras.Input((2,)), layer])
        >>> tapped = Tapped(network)
        >>> {name: values.shape for name, values in tapped.read(np.ones((5, 2), "float32")).items()}
        {'dense': (5, 3)}
    """

    def __init__(self, network: Any) -> None:
        super().__init__(name=network.name)
        self.network = network
        self.sites: list[str] = []

    def call(self, x: Any) -> list[Any]:
        """Return the pre-activations in the order in which they are computed.

        As in training, whatever calls: normalisation by the batch, dropout by the seeds.
        """
        with recording() as found:
            self.network(x, training=True)
        if not found:
            raise ModelError(
                f"model {self.network.name!r} has no switch, so no pattern can change; give a "
                f"model with {', '.join(SWITCHES)} among its layers, activations or keras.ops."
            )
        self.sites = _names([path for path, _ in found], self.network.name)
        return [values for _, values in found]

    def read(self, x: Any) -> dict[str, np.ndarray]:
        """Return the pre-activations of a batch.

        Args:
            x: a batch of inputs, as the network takes them.

        Returns:
            Site -> `(samples, units)`; pixels and tokens are samples.
        """
        values = self.predict_on_batch(x)
        return {
            name: np.asarray(each).reshape(-1, np.shape(each)[-1])
            for name, each in zip(self.sites, values, strict=True)
        }


def _names(paths: list[str], network: str) -> list[str]:
    """Return names of sites: paths below the network, numbered where a layer runs more often."""
    names: list[str] = []
    for path in paths:
        short = path.removeprefix(f"{network}/").removeprefix(f"{network}/") or network
        count = sum(name.split("#")[0] == short for name in names)
        names.append(f"{short}#{count + 1}" if count else short)
    return names
