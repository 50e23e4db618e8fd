"""Networks for raw waveforms: M3, M5, M11 and M18."""

from __future__ import annotations

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.zoo.layers import he

LAYOUTS = {
    "M3": (256, ((256, 1),)),
    "M5": (128, ((128, 1), (256, 1), (512, 1))),
    "M11": (64, ((64, 2), (128, 2), (256, 3), (512, 2))),
    "M18": (64, ((64, 4), (128, 4), (256, 4), (512, 4))),
}
"""Channels of the first convolution, then channels and convolutions between the pools."""
FIRST, FIRST_STRIDE = 80, 4
"""Samples of a filter of the first convolution, and between its places."""
POOL = 4
POOLED = 3
"""Groups of convolutions that a pool follows, from the first on."""


def waveform_net(name: str = "M5", *, channels: int = 1, classes: int = 35) -> nn.Sequential:
    """Return a network of one-dimensional convolutions, each with batch normalisation and ReLU.

    Args:
        name: "M3", "M5", "M11" or "M18", by the number of layers with weights.
        channels: of the sound.
        classes: logits; Speech Commands has 35 words.

    Returns:
        A network that maps `(n, channels, samples)`, 8,000 a second, to `(n, classes)`.

    Raises:
        OptionError: no such name.

    Example:
        >>> import torch
        >>> waveform_net()(torch.zeros(2, 1, 8000)).shape
        torch.Size([2, 35])

    Reference: Dai et al., "Very Deep Convolutional Neural Networks for Raw Waveforms" (2016),
    Table 1; thesis 2.1.1.
    """
    if name not in LAYOUTS:
        raise OptionError(f"name is {name!r}; give one of {', '.join(LAYOUTS)}.")
    first, stages = LAYOUTS[name]
    net = nn.Sequential(*_layer(channels, first, FIRST, FIRST_STRIDE), nn.MaxPool1d(POOL))
    at = first
    for number, (width, count) in enumerate(stages, start=1):
        for _ in range(count):
            net.extend(_layer(at, width, 3, 1))
            at = width
        if number <= POOLED:
            net.append(nn.MaxPool1d(POOL))
    net.extend([nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(at, classes)])
    he(net)
    return net


def _layer(n_in: int, n_out: int, size: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv1d(n_in, n_out, size, stride, padding=(size - 1) // 2)
    return [conv, nn.BatchNorm1d(n_out), nn.ReLU()]
