"""Networks for the 28 x 28 grey images of FashionMNIST."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reluflow_torch.networks.blocks import BasicBlock, SeparableBlock

WIDTHS = (16, 32, 64)
SEPARABLE_BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))  # width, stride
N_CLASSES = 10


class EightLayers(nn.Module):
    """Stem, three two-layer blocks of 16, 32 and 64 channels, global average pool, dense layer.

    The image is taken on the scale [0, 1]; the batch normalisation after the stem
    convolution does what a normalisation of the input would do.

    Args:
        block: class of the blocks, called with input width, output width and stride.
        stem_stride: of the stem; 2 halves the image there, for a quarter of the work.

    Example:
        >>> import torch
        >>> from reluflow_torch.networks import BasicBlock
        >>> EightLayers(BasicBlock)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, block: type[BasicBlock], stem_stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTHS[0], 3, stem_stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.block1 = block(WIDTHS[0], WIDTHS[0], stride=1)
        self.block2 = block(WIDTHS[0], WIDTHS[1], stride=2)
        self.block3 = block(WIDTHS[1], WIDTHS[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(WIDTHS[2], N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Map images `(n, 1, 28, 28)` in [0, 1] to logits `(n, 10)`."""
        x = self.relu(self.bn(self.conv(image)))
        x = self.block3(self.block2(self.block1(x)))
        logits: Tensor = self.dense(self.pool(x).flatten(1))
        return logits


class SeparableNet(nn.Module):
    """Stem, depthwise-separable blocks, global average pool, dense layer.

    Args:
        stem: channels after the first convolution.
        stem_stride: of the first convolution.
        blocks: width and stride of each block.

    Example:
        >>> import torch
        >>> SeparableNet()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        stem: int = WIDTHS[0],
        stem_stride: int = 1,
        blocks: Sequence[tuple[int, int]] = SEPARABLE_BLOCKS,
    ) -> None:
        super().__init__()
        n_channels = stem
        self.conv = nn.Conv2d(1, n_channels, 3, stem_stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(n_channels)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential()
        for number, (width, stride) in enumerate(blocks, start=1):
            self.blocks.add_module(f"block{number}", SeparableBlock(n_channels, width, stride))
            n_channels = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(n_channels, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Map images `(n, 1, 28, 28)` in [0, 1] to logits `(n, 10)`."""
        x = self.blocks(self.relu(self.bn(self.conv(image))))
        logits: Tensor = self.dense(self.pool(x).flatten(1))
        return logits


def f1(
    depth: int = 5, width: int = 512, inputs: int = 784, *, norm: bool = False, bias: bool = True
) -> nn.Sequential:
    """Return the F1 of the thesis: dense layers of one width with ReLU, then a dense layer to 10.

    Args:
        depth: number of hidden layers.
        width: units of each.
        inputs: values of an image.
        norm: whether batch normalisation precedes each ReLU.
        bias: whether the hidden dense layers have biases; batch normalisation replaces them.

    Example:
        >>> len([each for each in f1(norm=True) if isinstance(each, nn.ReLU)])
        5

    Reference: thesis 3.1.3.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    units = inputs
    for _ in range(depth):
        layers.append(nn.Linear(units, width, bias=bias))
        if norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        units = width
    return nn.Sequential(*layers, nn.Linear(units, N_CLASSES))
