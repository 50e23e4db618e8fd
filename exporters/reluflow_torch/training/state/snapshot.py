"""Save the state of a training run in reusable memory, and restore it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reluflow_torch.sites.modules import all_modules

_PLAIN = (int, float, bool, str, bytes, type(None), complex)


class RandomState:
    """The random generators that a forward pass may use, torch's and the host's.

    Args:
        device: that of the model; its generator is saved in addition to that of the CPU.
        with_host: whether Python's and numpy's global generators are saved too; that of numpy takes
            longer than all the rest.
    """

    def __init__(self, device: torch.device, *, with_host: bool = True) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._accelerator = None
        if device.type != "cpu" and hasattr(torch, device.type):
            self._accelerator = getattr(torch, device.type).get_rng_state(device)
        self._host = _host_state() if with_host else None

    def restore(self) -> None:
        """Restore the generators."""
        torch.set_rng_state(self._cpu)
        if self._accelerator is not None:
            getattr(torch, self._device.type).set_rng_state(self._accelerator, self._device)
        if self._host is not None:
            random.setstate(self._host[0])
            np.random.set_state(self._host[1])

    def host_has_moved(self) -> bool:
        """Tell whether Python's or numpy's generator has been used since."""
        if self._host is None:
            return False
        now = _host_state()
        is_same = np.array_equal(now[1][1], self._host[1][1]) and now[1][2:] == self._host[1][2:]
        return not is_same or now[0] != self._host[0]


def _host_state() -> tuple[Any, tuple[Any, ...]]:
    return random.getstate(), tuple(np.random.get_state())


class TensorStore:
    """Copies of tensors in buffers that are allocated once and reused."""

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._tensors: list[Tensor] = []

    def save(self, tensors: Iterable[Tensor]) -> None:
        """Copy the values of some tensors."""
        self._tensors = [tensor.detach() for tensor in tensors]
        fits = len(self._buffers) == len(self._tensors) and all(
            _alike(buffer, tensor)
            for buffer, tensor in zip(self._buffers, self._tensors, strict=True)
        )
        if not fits:
            self._buffers = [torch.empty_like(tensor) for tensor in self._tensors]
        _copy_all(self._buffers, self._tensors)

    @property
    def copies(self) -> list[Tensor]:
        """The copies, in the order of the tensors."""
        return self._buffers

    def restore(self) -> None:
        """Copy the values back into the same tensors."""
        _copy_all(self._tensors, self._buffers)

    def clear(self) -> None:
        """Release the memory."""
        self._buffers, self._tensors = [], []


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device


def _copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy lists of tensors, one call per kind: mixed lists would take the slow path."""
    groups: dict[tuple[torch.dtype, torch.device], tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        into, out = groups.setdefault((target.dtype, target.device), ([], []))
        into.append(target)
        out.append(source)
    with torch.no_grad():
        for into, out in groups.values():
            torch._foreach_copy_(into, out)


def can_stand_in(parameters: Sequence[Tensor], model: nn.Module) -> bool:
    """Tell whether a pass of a model sees other values where parameters hold other tensors.

    Weights that are views of what the optimiser moves, or live on several devices, keep to what
    they were made of; and on a device recurrent layers want their weights side by side.

    Args:
        parameters: that the optimiser moves.
        model: that reads them.
    """
    own = {id(w) for module in all_modules(model) for w in module._parameters.values()}
    return all(
        type(w) is nn.Parameter and w.device.type == "cpu" and w._base is None and id(w) in own
        for w in parameters
    )


@contextmanager
def standing_in(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Let parameters hold other tensors, without a copy; afterwards they hold their own again.

    Args:
        parameters: see `can_stand_in`.
        values: one for each, of its shape and type.
    """
    own = [w.data for w in parameters]
    try:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data = value
        yield
    finally:
        for parameter, value in zip(parameters, own, strict=True):
            parameter.data = value


class BufferSnapshot:
    """The buffers of a model: what a forward pass may change."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._store = TensorStore()
        self._buffers: list[tuple[dict[str, Tensor | None], dict[str, Tensor | None]]] = []

    def save(self) -> None:
        """Save all buffers, including those that a pass may replace."""
        self._buffers = [
            (m._buffers, dict(m._buffers)) for m in all_modules(self._model) if m._buffers
        ]
        found = {id(b): b for _, kept in self._buffers for b in kept.values() if b is not None}
        if found:
            self._store.save(found.values())

    def restore(self) -> None:
        """Restore them."""
        for live, kept in self._buffers:
            live.update(kept)
        if self._buffers:
            self._store.restore()


class StepSnapshot:
    """What an optimiser step may change: parameters, gradients, state, group entries.

    State that the step creates is removed again, so a first step stays a first step.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._store = TensorStore()
        self._state: dict[Any, dict[str, Any]] = {}
        self._groups: list[dict[str, Any]] = []
        self._attributes: dict[str, Any] = {}
        self._gradients: list[tuple[Tensor, Tensor | None]] = []

    def save(self) -> None:
        """Save everything."""
        optimizer = self._optimizer
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._gradients = [(p, p.grad) for p in parameters]
        self._attributes = {
            name: value for name, value in vars(optimizer).items() if isinstance(value, _PLAIN)
        }
        tensors: list[Tensor] = [*parameters]
        tensors += [p.grad for p in parameters if p.grad is not None]
        self._groups = [
            {name: _hold(value, tensors) for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        self._state = {
            key: {name: _hold(value, tensors) for name, value in kept.items()}
            if isinstance(kept, dict)
            else _hold(kept, tensors)
            for key, kept in optimizer.state.items()
        }
        self._store.save({id(tensor): tensor for tensor in tensors}.values())

    def restore(self) -> None:
        """Restore everything, bit for bit and into the same tensors."""
        optimizer = self._optimizer
        for group, kept in zip(optimizer.param_groups, self._groups, strict=True):
            for name in [name for name in group if name != "params" and name not in kept]:
                del group[name]
            group.update({name: _release(value) for name, value in kept.items()})
        for key in [key for key in optimizer.state if key not in self._state]:
            del optimizer.state[key]
        for key, kept in self._state.items():
            optimizer.state[key] = _release(kept)
        for name, value in self._attributes.items():
            setattr(optimizer, name, value)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        self._store.restore()

    def clear(self) -> None:
        """Discard everything and release the memory.

        Copies kept for a whole training run would also make the C heap return memory to the system
        and request it again at every backward pass.
        """
        self._state, self._groups, self._gradients = {}, [], []
        self._store.clear()


def _hold(value: Any, tensors: list[Tensor]) -> Any:
    """Return a value to keep: tensors by identity (listed for the store), the rest copied."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value
    if isinstance(value, dict):
        return {key: _hold(item, tensors) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_hold(item, tensors) for item in value)
    return value if isinstance(value, _PLAIN) else copy.deepcopy(value)


def _release(value: Any) -> Any:
    """Return a kept value as fresh containers, so that it can be released again."""
    if isinstance(value, Tensor) or isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {key: _release(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_release(item) for item in value)
    return copy.deepcopy(value)
