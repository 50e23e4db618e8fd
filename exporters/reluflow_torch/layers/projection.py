"""The extrinsic projection of the layers of a torch model (thesis A.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reluflow.errors import ModelError
from reluflow.folding import AffineLayer, project_back
from reluflow_torch.layers.extrinsic import ExtrinsicReLU

_LAYERS = (nn.Linear, nn.Conv2d, _BatchNorm, nn.ReLU, nn.Flatten, nn.Identity, nn.Dropout)


def extrinsic_projections(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Return the inputs as each layer of a chain leaves them, projected back into their space.

    The chain consists of Linear, Conv2d, BatchNorm (by running statistics, taken into the weights),
    ReLU, Flatten, Identity and Dropout modules, each fed by the one before it; the model
    runs once in evaluation mode. Extrinsic layers without an added coordinate need no projection:
    their outputs are in the space of the inputs already.

    Args:
        model: such a chain, its state not changed.
        inputs: `(n, ...)`.

    Returns:
        Name of each Linear, Conv2d and ExtrinsicReLU -> `(n, ...)` float64 in the shape of the
        inputs: of its output behind the ReLU that follows it, if one does.

    Raises:
        ModelError: the model is no such chain.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
        >>> with torch.no_grad():
        ...     _ = model[0].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
        >>> x = torch.tensor([[1.0, 1.0], [-3.0, 1.0]])
        >>> extrinsic_projections(model, x)["0"].round(decimals=6).tolist()
        [[1.0, 1.0], [-1.0, 1.0]]

    Reference: thesis A.2, Definition 9; the folded form is that of `reluflow.folding`.
    """
    calls: list[tuple[str, nn.Module, Any, Any]] = []
    with _noted(model, calls), torch.no_grad():
        result = model(inputs)
    layers: list[AffineLayer] = []
    found: dict[str, Tensor] = {}
    last, at = "", inputs
    for name, module, read, made in calls:
        if read is not at:
            raise ModelError(
                f"module {name!r} does not read what the module before it makes; give a chain of "
                "Linear, Conv2d, BatchNorm and ReLU modules."
            )
        at = made
        if isinstance(module, nn.Linear | nn.Conv2d | ExtrinsicReLU):
            last = name
            if not isinstance(module, ExtrinsicReLU):
                layers.append(_affine(module, name, read, made))
        elif isinstance(module, _BatchNorm):
            layers = _normalised(layers, module, name)
        elif isinstance(module, nn.ReLU) and not last:
            raise ModelError(f"ReLU {name!r} follows no layer; give a chain that begins with one.")
        if last:
            back = project_back(made.double().cpu().numpy(), layers)
            found[last] = torch.from_numpy(back)
    if result is not at or not found:
        raise ModelError(
            "the model's output is not that of its last layer; give a chain of Linear, Conv2d, "
            "BatchNorm and ReLU modules, without functions in between."
        )
    return found


@contextmanager
def _noted(model: nn.Module, calls: list[tuple[str, nn.Module, Any, Any]]) -> Iterator[None]:
    """Note every call of a layer while the model is in evaluation mode."""
    handles = []
    modes = [(module, module.training) for module in model.modules()]
    for name, module in model.named_modules():
        if isinstance(module, (*_LAYERS, ExtrinsicReLU)):

            def note(module: nn.Module, args: Any, result: Any, name: str = name) -> None:
                calls.append((name, module, args[0], result))

            handles.append(module.register_forward_hook(note))
    try:
        model.eval()
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode


def _affine(layer: nn.Linear | nn.Conv2d, name: str, x: Tensor, y: Tensor) -> AffineLayer:
    weight = layer.weight.detach().double().cpu().numpy()
    bias = np.zeros(len(weight)) if layer.bias is None else _numbers(layer.bias)
    shapes = tuple(x.shape[1:]), tuple(y.shape[1:])
    if isinstance(layer, nn.Linear):
        return AffineLayer(weight.T, bias, *shapes)
    if layer.groups > 1 or set(layer.dilation) != {1} or not isinstance(layer.padding, tuple):
        raise ModelError(
            f"convolution {name!r} has groups, dilation or computed padding; a projection back "
            "needs one group, dilation 1 and padding in numbers."
        )
    (top, left), (down, along) = layer.padding, layer.stride
    return AffineLayer(weight, bias, *shapes, (down, along), (top, left, top, left))


def _normalised(layers: list[AffineLayer], norm: _BatchNorm, name: str) -> list[AffineLayer]:
    """Return the layers with a normalisation taken into the last one."""
    if not layers or norm.running_mean is None or norm.running_var is None:
        raise ModelError(
            f"normalisation {name!r} follows no layer or has no running statistics, so it cannot "
            "be taken into the weights of the layer before it; leave it out, or give it statistics."
        )
    *before, last = layers
    factor = 1 / np.sqrt(_numbers(norm.running_var) + norm.eps)
    factor = factor if norm.weight is None else factor * _numbers(norm.weight)
    shift = 0.0 if norm.bias is None else _numbers(norm.bias)
    bias = (last.bias - _numbers(norm.running_mean)) * factor + shift
    axes = (1, -1) if last.is_dense else (-1, 1, 1, 1)
    weight = last.weight * factor.reshape(axes)
    return [
        *before,
        AffineLayer(weight, bias, last.in_shape, last.out_shape, last.strides, last.pads),
    ]


def _numbers(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().double().cpu().numpy())
