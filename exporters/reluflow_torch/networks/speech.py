"""A network for a second of speech."""

from __future__ import annotations

from torch import Tensor, nn

from reluflow_torch.networks.blocks import SeparableBlock

_WIDTH, _BLOCKS, _CLASSES = 64, 4, 12


class KeywordNet(nn.Module):
    """DS-CNN, as MLPerf Tiny has it: stem, four depthwise-separable blocks, pool, dense layer.

    Args:
        width: channels of all layers.

    Example:
        >>> import torch
        >>> KeywordNet()(torch.zeros(2, 1, 49, 10)).shape
        torch.Size([2, 12])

    Reference: Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers" (2017).
    """

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, (10, 4), 2, padding=(5, 1), bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential(*(SeparableBlock(width, width, 1) for _ in range(_BLOCKS)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(width, _CLASSES)

    def forward(self, cepstra: Tensor) -> Tensor:
        """Map cepstral coefficients `(n, 1, 49, 10)` to logits `(n, 12)`."""
        x = self.blocks(self.relu(self.bn(self.conv(cepstra))))
        logits: Tensor = self.dense(self.pool(x).flatten(1))
        return logits
