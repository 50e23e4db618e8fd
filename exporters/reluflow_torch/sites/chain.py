"""Probe plain chains of layers without watching every operator, which slows small models down."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as torch_module
from torch.utils.hooks import RemovableHandle

from reluflow_torch.sites.hooks import WeakHook
from reluflow_torch.sites.patterns import Part, Patterns, Site, numbered, read_site

_LAYERS = frozenset((nn.Linear, nn.ReLU, nn.Flatten, nn.Identity, nn.BatchNorm1d))


class Chain:
    """The layers of an `nn.Sequential` whose every operator is known.

    Its sites are its ReLUs and it draws no random numbers, so hooks on the ReLUs capture what a
    `PatternCapture` would, and a probe does not need the layers after the last ReLU.

    Attributes:
        layers: in the order in which they run, with their paths.
    """

    def __init__(self, layers: list[tuple[str, nn.Module]]) -> None:
        self.layers = layers

    @classmethod
    def of(cls, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Chain | None:
        """Return a model as a chain, as far as these inputs show; None where it may be more.

        Foreign hooks, modes, autocast, other layers or subclasses of these, and inputs that would
        not be `(examples, units)` at the ReLUs are all left to the capture.
        """
        x = args[0] if len(args) == 1 and not kwargs else None
        if type(x) is not Tensor or x.requires_grad or not x.is_floating_point():
            return None
        layers: list[tuple[str, nn.Module]] = []
        if (
            type(model) is not nn.Sequential
            or _is_watched(x.device)
            or not _collect(model, "", layers)
        ):
            return None
        first = layers[0][1] if layers else None
        is_flat = type(first) is nn.Flatten and first.start_dim == 1 and first.end_dim == -1
        if x.numel() == 0 or x.dim() < 2 or (x.dim() > 2 and not is_flat):
            return None
        # Behind the last ReLU nothing can be a site: the probe need not compute it.
        while layers and type(layers[-1][1]) is not nn.ReLU:
            layers.pop()
        return cls(layers) if layers else None

    def patterns(self, x: Tensor, max_samples: int, *, values: bool = False) -> Patterns:
        """Return the patterns on an input; the layers run as in training.

        Args:
            x: the input.
            max_samples: bound on the samples per site.
            values: whether to keep the pre-activations too.
        """
        sites: list[Site] = []
        own, layers = False, self.fed_by()
        for path, layer in self.layers:
            if isinstance(layer, nn.Linear):
                x, own = functional.linear(x, layer.weight, layer.bias), True
            elif isinstance(layer, nn.ReLU):
                if values:
                    sites.append(_site(path, x, max_samples, with_values=True))
                # In place only on what was made here: the input, and views of it, are the caller's.
                x = x.relu_() if own else x.relu()
                if not values:
                    sites.append(_site(path, x, max_samples))
            else:
                x, own = layer(x), own or isinstance(layer, nn.BatchNorm1d)
        return _patterns(sites, layers)

    def fed_by(self) -> list[str]:
        """Return for each ReLU the path of the layer that feeds it, "" where none does."""
        found, last = [], ""
        for path, layer in self.layers:
            if type(layer) is nn.ReLU:
                found.append(last)
                last = ""
            elif type(layer) is nn.Linear:
                last = path
            elif type(layer) is nn.BatchNorm1d:
                last = last or path
        return found


class ChainCapture:
    """Captures the patterns of a chain while it runs; replaces a `PatternCapture`."""

    def __init__(
        self, chain: Chain, max_samples: int, *, values: bool = False, part: Part | None = None
    ) -> None:
        self._layers = chain.layers
        self._fed_by = chain.fed_by()
        self._max_samples = max_samples
        self._with_values = values
        self._part = part
        self._sites: list[Site] = []
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> ChainCapture:
        paths = {layer: path for path, layer in self._layers if type(layer) is nn.ReLU}
        for layer, path in paths.items():

            def note(layer: nn.Module, args: Any, result: Tensor, path: str = path) -> None:
                self._sites.append(_site(path, result, self._max_samples, part=self._part))

            def keep(layer: nn.Module, args: tuple[Tensor], path: str = path) -> None:
                self._sites.append(
                    _site(path, args[0], self._max_samples, with_values=True, part=self._part)
                )

            self._handles.append(
                layer.register_forward_pre_hook(keep)
                if self._with_values
                else layer.register_forward_hook(note)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def take(self) -> Patterns:
        """Return what was captured."""
        return _patterns(self._sites, self._fed_by)


def _is_watched(device: torch.device) -> bool:
    """Tell whether anything observes or changes what operators do."""
    return bool(
        torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch.is_autocast_enabled(device.type)
    )


def _collect(parent: nn.Module, prefix: str, layers: list[tuple[str, nn.Module]]) -> bool:
    """Collect the layers of a Sequential; False where one is unknown or has hooks."""
    if not _is_plain(parent):
        return False
    # A layer that stands in two places is one module, which torch names by its first.
    known = {layer: path for path, layer in layers}
    for name, layer in parent._modules.items():
        if type(layer) is nn.Sequential:
            if not _collect(layer, f"{prefix}{name}.", layers):
                return False
        elif layer is None or type(layer) not in _LAYERS or not _is_plain(layer):
            return False
        else:
            layers.append((known.setdefault(layer, prefix + name), layer))
    return True


def _is_plain(layer: nn.Module) -> bool:
    """Tell whether calling a layer does exactly what its class defines."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)
    return (
        "forward" not in layer.__dict__
        and layer._compiled_call_impl is None
        and not layer._backward_pre_hooks
        and all(type(hook) is WeakHook for kind in hooks for hook in kind.values())
    )


def _site(
    path: str,
    x: Tensor,
    max_samples: int,
    *,
    with_values: bool = False,
    part: Part | None = None,
) -> Site:
    """Read the output of a ReLU, or its input if its values are wanted."""
    return read_site(
        path,
        "relu",
        x,
        -1,
        max_samples,
        is_switched=not with_values,
        with_values=with_values,
        part=part,
    )


def _patterns(sites: list[Site], layers: list[str]) -> Patterns:
    names = numbered(site.name for site in sites)
    named = zip(names, sites, layers, strict=False)  # a pass may have failed
    return Patterns(site.named(name, layer) for name, site, layer in named)
