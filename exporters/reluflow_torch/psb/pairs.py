"""Which batch normalisation a conversion folds into which product, seen in one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers whose weights a conversion takes as they are, output channels first."""
_OTHERS = (nn.Conv3d, nn.modules.conv._ConvTransposeNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
_LOOKS = frozenset(("__get__", "size", "dim", "stride", "numel", "is_contiguous", "ndimension"))
"""What reads a tensor's form, not its numbers."""


@dataclass
class Products:
    """The products of a model.

    Attributes:
        norms: name of each product to be trained -> that of the normalisation folded into it, or
            None.
        left_out: name of a module that stays in floating point -> why.
    """

    norms: dict[str, str | None] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class _Uses(TorchFunctionMode):
    """Counts how often functions of torch read each tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self.kept: list[Any] = []  # so that no identity is used twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ not in _LOOKS:
            self.counts.update(id(each) for each in _tensors([args, kwargs]))
        result = func(*args, **(kwargs or {}))
        self.kept.append(result)
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


class _Watch:
    """The calls of products and normalisations in one forward pass."""

    def __init__(self) -> None:
        self.calls: Counter[nn.Module] = Counter()
        self.reads: dict[nn.Module, Any] = {}
        self.makes: dict[nn.Module, Any] = {}

    def __call__(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """Note a call, as a forward hook."""
        self.calls[module] += 1
        self.reads[module], self.makes[module] = (args[0] if args else None), result


def find_products(model: nn.Module, inputs: tuple[Any, ...]) -> Products:
    """Return the products of a model with the normalisation that directly follows each.

    The model runs once in evaluation mode, without gradients; its state stays as it is.

    Args:
        model: of any layers.
        inputs: of its forward pass.
    """
    watch, uses = _Watch(), _Uses()
    watched = [m for m in model.modules() if isinstance(m, (*PRODUCTS, _BatchNorm))]
    handles = [module.register_forward_hook(watch) for module in watched]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad(), uses:
            uses.kept.append(model(*inputs))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    return _paired(model, watch, uses.counts)


def _paired(model: nn.Module, watch: _Watch, uses: Counter[int]) -> Products:
    found, names = Products(), {module: name for name, module in model.named_modules()}
    made = {id(watch.makes[m]): m for m in watch.calls if isinstance(m, PRODUCTS)}
    for module, name in names.items():
        if isinstance(module, _OTHERS):
            what = f"{type(module).__name__} is not trained with draws"
            found.left_out[name] = f"{what}; only Linear, Conv1d and Conv2d are"
        elif isinstance(module, PRODUCTS) and module not in watch.calls:
            found.left_out[name] = "it did not run as a layer on the given inputs"
        elif isinstance(module, PRODUCTS):
            found.norms[name] = None
    for norm in (m for m in names if isinstance(m, _BatchNorm) and m in watch.calls):
        read = watch.reads[norm]
        product = made.get(id(read))
        reason = _why_apart(watch, uses, product, norm)
        if product is None or reason:
            found.left_out[names[norm]] = reason
        else:
            found.norms[names[product]] = names[norm]
    for front, behind in _in_front(watch):
        if names[front] in found.left_out and found.norms.pop(names[behind], "") is None:
            found.left_out[names[behind]] = (
                f"a conversion may fold {names[front]!r}, which stands in front of it, into its "
                "weights"
            )
    return found


def _in_front(watch: _Watch) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Give normalisations with the products that read their output."""
    made = {id(watch.makes[m]): m for m in watch.calls if isinstance(m, _BatchNorm)}
    for product in (m for m in watch.calls if isinstance(m, PRODUCTS)):
        norm = made.get(id(watch.reads[product]))
        if norm is not None:
            yield norm, product


def _why_apart(
    watch: _Watch, uses: Counter[int], product: nn.Module | None, norm: _BatchNorm
) -> str:
    """Return why a conversion does not fold a normalisation into the product before it."""
    if product is None:
        return "it follows no single product, and becomes a shift-add with draws of its own"
    if norm.running_var is None:
        return "it has no running statistics"
    if watch.calls[norm] > 1 or watch.calls[product] > 1:
        return "it or the product before it runs more than once"
    read = watch.reads[norm]
    if uses[id(read)] > 1:
        return "the output of the product before it has other readers"
    if isinstance(product, nn.Linear) and read.dim() != 2:
        return "it follows a Linear over more than two axes"
    return ""
