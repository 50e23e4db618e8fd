"""Which module of a model is running: gives sites their readable names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

_ACTIVATIONS = nn.modules.activation.__name__


def all_modules(model: nn.Module) -> Iterator[nn.Module]:
    """Yield a model and all modules in it, faster than `modules()`; a shared one may repeat."""
    yield model
    for child in model._modules.values():
        if child is not None:
            yield from all_modules(child)


class ModuleStack:
    """Follow the calls of the modules of a model while attached.

    Args:
        model: whose modules are followed, under the paths of `named_modules`.

    Attributes:
        called: paths of the activation modules, in the order of their calls.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.called: list[str] = []
        self._running: list[tuple[str, bool]] = []
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Hook every module; the hooks stay until `detach`."""
        for path, module in self._model.named_modules():
            is_activation = type(module).__module__ == _ACTIVATIONS

            def enter(
                module: nn.Module, args: Any, entry: tuple[str, bool] = (path, is_activation)
            ) -> None:
                self._running.append(entry)
                if entry[1]:
                    self.called.append(entry[0])

            self._handles.append(module.register_forward_pre_hook(enter))
            self._handles.append(module.register_forward_hook(self._leave, always_call=True))

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        if self._running:
            self._running.pop()

    def detach(self) -> None:
        """Remove all hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._running.clear()

    @property
    def path(self) -> str:
        """Path of the module that is running."""
        return self._running[-1][0] if self._running else ""

    def name(self, op: str) -> str:
        """Return the name of the site that is running, without the number of its call."""
        path, is_activation = self._running[-1] if self._running else ("", False)
        if is_activation and path:
            return path
        return f"{path}/{op}" if path else op
