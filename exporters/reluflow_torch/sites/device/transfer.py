"""Bring numbers from a device to the host together: waiting for it costs more than they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Answer = Callable[[], "NDArray[Any]"]


def waits_for(device: torch.device) -> bool:
    """Tell whether reading a number from a device makes the host wait for all that runs there."""
    return device.type != "cpu"


class Transfer:
    """Numbers that are asked for one by one and brought to the host together.

    The first answer that is read brings all that were asked for up to there.

    Example:
        >>> transfer = Transfer()
        >>> norm, counts = transfer.ask(torch.ones(3).norm() ** 2), transfer.ask(torch.arange(3))
        >>> round(float(norm())), counts().tolist()
        (3, [0, 1, 2])
    """

    def __init__(self) -> None:
        self._asked: list[Tensor] = []
        self._found: list[NDArray[Any]] = []

    def ask(self, tensor: Tensor) -> Answer:
        """Return a function that gives the values of a tensor.

        Args:
            tensor: of any shape, of a type that numpy has; not written to before it is read.
        """
        place = len(self._found) + len(self._asked)
        self._asked.append(tensor.detach())

        def answer() -> NDArray[Any]:
            if place >= len(self._found):
                asked, self._asked = self._asked, []
                self._found += to_host(asked)
            return self._found[place]

        return answer


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Return the values of some tensors; the host waits once, or never where all are there.

    Args:
        tensors: of any shape and of types that numpy has; their values are not copied where they
            are on the host.

    Example:
        >>> [value.tolist() for value in to_host([torch.tensor(2), torch.tensor([0.5, 1.0])])]
        [2, [0.5, 1.0]]
    """
    away = [place for place, tensor in enumerate(tensors) if waits_for(tensor.device)]
    found: dict[int, NDArray[Any]] = {}
    if away:
        values = _unpacked([tensors[place] for place in away])
        found = dict(zip(away, values, strict=True))
    return [
        found[place] if place in found else tensor.numpy() for place, tensor in enumerate(tensors)
    ]


def _unpacked(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Return the values of tensors on a device, all as the bytes of one tensor on the way."""
    device = tensors[0].device
    rows = [tensor.to(device, non_blocking=True).reshape(-1) for tensor in tensors]
    packed = torch.cat([row.view(torch.uint8) for row in rows]).cpu().numpy().tobytes()
    found, start = [], 0
    for tensor, row in zip(tensors, rows, strict=True):
        kind = np.dtype(str(tensor.dtype).removeprefix("torch."))
        values = np.frombuffer(packed, kind, row.numel(), start)
        found.append(values.reshape(tuple(tensor.shape)))
        start += row.numel() * row.element_size()
    return found
