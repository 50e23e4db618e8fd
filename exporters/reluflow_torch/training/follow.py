"""Watch the training passes of a model since the last step, and their patterns if needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from reluflow_torch.sites.chain import ChainCapture
from reluflow_torch.sites.hooks import WeakHook
from reluflow_torch.sites.patterns import PatternCapture
from reluflow_torch.sites.unwrap import called_module, is_compiled
from reluflow_torch.training.probe import Batch, Capture, Pass, StepProbe, device_of

Inputs = tuple[tuple[Any, ...], ...]


class TrainingPasses:
    """Remember the passes in training mode and with gradients that a step consists of.

    All passes since the last step count: micro-batches whose gradients are accumulated, both
    halves of a siamese pair, real and generated examples.

    Args:
        model: the module that the training loop calls.
        probe: makes the captures; its own passes are not training passes.
        is_wanted: called before each pass that is watched; tells whether the pass is needed.
        examples: called with the inputs of one that is; tells how many first examples of it are
            measured on, None for all. None: all of every one.

    Attributes:
        kept: the passes of the next step, in order; empty where none was needed.
    """

    def __init__(
        self,
        model: nn.Module,
        probe: StepProbe,
        is_wanted: Callable[[], bool],
        examples: Callable[[tuple[Any, ...], dict[str, Any]], int | None] | None = None,
    ) -> None:
        self.kept: list[Pass] = []
        self._inputs: list[Inputs] = []
        self._model = called_module(model)
        self._probe = probe
        self._is_wanted = is_wanted
        self._examples = examples
        self._capture: Capture | None = None
        self._abandoned: PatternCapture | None = None
        self._is_closed = False
        self._handles: list[RemovableHandle] = []
        self._hang()
        self._compiled_call = self._model._compiled_call_impl
        if self._compiled_call is not None:  # compiled in place: its hooks are in the graph
            self._model._compiled_call_impl = _watched(
                WeakHook(self, "_begin"), self._model, self._compiled_call
            )

    @property
    def are_watched(self) -> bool:
        """Whether the next pass will be seen."""
        return bool(self._handles)

    def watch(self, *, is_needed: bool) -> None:
        """Hang hooks on the model where its next pass is needed, else take them off.

        A hook costs more than its own code: with one, torch calls a module the long way.

        Args:
            is_needed: whether it is.
        """
        if is_needed and not self._is_closed:
            self._hang()
        elif self._handles:
            self._take_off()

    def _hang(self) -> None:
        if not self._handles:
            self._handles = [
                self._model.register_forward_pre_hook(WeakHook(self, "_begin"), with_kwargs=True),
                self._model.register_forward_hook(WeakHook(self, "_end"), always_call=True),
            ]

    def _take_off(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def forget(self) -> None:
        """Drop the passes: the weights have changed."""
        self.kept, self._inputs = [], []

    def _detach(self) -> None:
        """Remove what a failed pass left behind."""
        if self._abandoned is not None:
            self._abandoned.detach()
            self._abandoned = None

    def close(self) -> None:
        """Stop watching."""
        self._detach()
        self._take_off()
        self._is_closed = True
        if self._compiled_call is not None:
            self._model._compiled_call_impl = self._compiled_call

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # An evaluation between two steps is no pass of the training: its batch would be measured
        # on.
        is_training = module.training and torch.is_grad_enabled()
        if module is not self._model or self._probe.is_running or not is_training:
            return
        self._detach()
        if not self._is_wanted() or _is_transformed(args, kwargs):
            return
        # Activation checkpointing repeats a pass during backward. Its first run counts already,
        # unless that had no gradients (`use_reentrant=True`).
        inputs = _inputs_of(args, kwargs)
        if torch._C._current_graph_task_id() < 0:
            self._inputs.append(inputs)
        elif inputs in self._inputs:
            return
        examples = None if self._examples is None else self._examples(args, kwargs)
        batch = Batch.now(args, kwargs, device_of(module), examples)
        is_plain = torch._C._functorch.peek_interpreter_stack() is None
        capture = None
        if is_plain and not is_compiled(module) and not self._probe.must_run_alone(batch):
            capture = self._probe.capture_of(batch, values=self._probe.values)
        begun = Pass(batch, weights=None if capture is None else self._probe.marks())
        if not isinstance(capture, ChainCapture):  # a chain draws no random numbers
            begun.random = self._probe.random_state()
        self.kept.append(begun)
        # A compiled model hides its operators: only the batch is kept, and the pass is repeated
        # eagerly where D is wanted.
        if capture is not None:
            self._capture = capture
            capture.__enter__()

    def _end(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        if module is not self._model or self._capture is None or self._probe.is_running:
            return
        capture, self._capture = self._capture, None
        if result is None and sys.exc_info()[0] is not None:  # the pass failed
            # What it caught up to there belongs to no step, and the loop may go on with another
            # batch.
            self.kept.pop()
            if isinstance(capture, PatternCapture):
                self._abandoned = capture
                capture.abandon()
            else:
                capture.__exit__(None, None, None)
        else:
            capture.__exit__(None, None, None)
            self.kept[-1].patterns = capture.take()


def _inputs_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs:
    """Return where the tensors among the inputs are stored, and how they are laid out."""
    return tuple(
        (value.data_ptr(), value.dtype, value.shape, value.stride())
        for value in (*args, *kwargs.values())
        if type(value) is Tensor
    )


def _is_transformed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether inputs belong to a `vmap` or `grad` of torch.func and end with it."""
    return any(
        isinstance(value, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(value)
        for value in (*args, *kwargs.values())
    )


def _watched(
    begin: Callable[..., Any], module: nn.Module, call: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a compiled call that reports its batch before it starts."""

    def watched(*args: Any, **kwargs: Any) -> Any:
        begin(module, args, kwargs)
        return call(*args, **kwargs)

    return watched
