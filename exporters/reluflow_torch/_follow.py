"""Watch the training passes of a model: the batch of the last one, and its patterns if wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from reluflow_torch._chain import ChainCapture
from reluflow_torch._hooks import WeakHook
from reluflow_torch._snapshot import RandomState
from reluflow_torch._unwrap import called_module, is_compiled
from reluflow_torch.patterns import PatternCapture, Patterns
from reluflow_torch.probe import Batch, StepProbe, device_of


class TrainingPasses:
    """Remember the last pass in training mode and with gradients.

    Args:
        model: the module that the training loop calls.
        probe: whose passes are not training passes; makes the captures.
        is_wanted: asked before each pass whether its patterns are wanted.

    Attributes:
        batch: inputs of the last training pass; None where nothing was wanted of it.
        patterns: its patterns; None where nothing was wanted or the model is compiled.
        random: random generators at its start; None where nothing was wanted.
    """

    def __init__(self, model: nn.Module, probe: StepProbe, is_wanted: Callable[[], bool]) -> None:
        self.batch: Batch | None = None
        self.patterns: Patterns | None = None
        self.random: RandomState | None = None
        self._model = called_module(model)
        self._probe = probe
        self._is_wanted = is_wanted
        self._capture: PatternCapture | ChainCapture | None = None
        self._handles = [
            self._model.register_forward_pre_hook(WeakHook(self, "_begin"), with_kwargs=True),
            self._model.register_forward_hook(WeakHook(self, "_end"), always_call=True),
        ]
        self._compiled_call = self._model._compiled_call_impl
        if self._compiled_call is not None:  # compiled in place: its hooks are in the graph
            self._model._compiled_call_impl = _watched(
                WeakHook(self, "_begin"), self._model, self._compiled_call
            )

    def forget(self) -> None:
        """Drop the batch and its patterns: the weights have moved on."""
        self.batch = self.patterns = self.random = None

    def close(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        if self._compiled_call is not None:
            self._model._compiled_call_impl = self._compiled_call

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        is_training = module.training and torch.is_grad_enabled()
        if module is not self._model or self._probe.is_running or not is_training:
            return
        self.forget()
        if self._is_wanted():
            self.batch = Batch.now(args, kwargs, device_of(module))
            capture = None if is_compiled(module) else self._probe.capture_of(self.batch)
            if not isinstance(capture, ChainCapture):  # a chain draws no random numbers
                self.random = self._probe.random_state()
            if capture is not None:
                self._capture = capture
                capture.__enter__()

    def _end(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        if module is self._model and self._capture is not None and not self._probe.is_running:
            capture, self._capture = self._capture, None
            capture.__exit__(None, None, None)
            self.patterns = capture.take(with_nans=False)


def _watched(
    begin: Callable[..., Any], module: nn.Module, call: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a compiled call that tells of its batch before it starts."""

    def watched(*args: Any, **kwargs: Any) -> Any:
        begin(module, args, kwargs)
        return call(*args, **kwargs)

    return watched
