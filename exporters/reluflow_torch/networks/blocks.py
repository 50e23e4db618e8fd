"""Blocks of two layers, with batch normalisation."""

from __future__ import annotations

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Post-activation residual block: relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)).

    The shortcut is x itself, or a 1 x 1 convolution with batch normalisation where the
    block changes width or size.

    Args:
        n_in: channels in.
        n_out: channels out.
        stride: of the first convolution.

    Example:
        >>> import torch
        >>> BasicBlock(16, 32, stride=2)(torch.zeros(4, 16, 14, 14)).shape
        torch.Size([4, 32, 7, 7])
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        self.shortcut = self._make_shortcut(n_in, n_out, stride)

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> nn.Module | None:
        if stride == 1 and n_in == n_out:
            return None
        return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        skip = x if self.shortcut is None else self.shortcut(x)
        result: Tensor = self.relu2(residual + skip)
        return result


class PlainBlock(BasicBlock):
    """The two layers of a basic block without shortcut: relu(bn(conv(relu(bn(conv(x)))))).

    Example:
        >>> PlainBlock(16, 16, stride=1).shortcut is None
        True
    """

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> None:
        return None

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        result: Tensor = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        return result


class NormalisedSumBlock(BasicBlock):
    """Residual block that normalises the sum: relu(bn(conv(relu(bn(conv(x)))) + shortcut(x))).

    The shortcut is x itself, or a bare 1 x 1 convolution where the block changes width or
    size. The second batch normalisation follows no single convolution, so it cannot be
    folded into one.

    Example:
        >>> NormalisedSumBlock(16, 16, stride=1).shortcut is None
        True
    """

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> nn.Module | None:
        if stride == 1 and n_in == n_out:
            return None
        return nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        residual = self.conv2(self.relu1(self.bn1(self.conv1(x))))
        skip = x if self.shortcut is None else self.shortcut(x)
        result: Tensor = self.relu2(self.bn2(residual + skip))
        return result


class SeparableBlock(nn.Module):
    """Depthwise 3 x 3, then pointwise 1 x 1, each with batch normalisation and ReLU.

    Args:
        n_in: channels in.
        n_out: channels out.
        stride: of the depthwise convolution.

    Example:
        >>> import torch
        >>> SeparableBlock(16, 32, stride=2)(torch.zeros(4, 16, 14, 14)).shape
        torch.Size([4, 32, 7, 7])
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, padding=1, groups=n_in, bias=False)
        self.bn1 = nn.BatchNorm2d(n_in)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(n_in, n_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        x = self.relu1(self.bn1(self.depthwise(x)))
        result: Tensor = self.relu2(self.bn2(self.pointwise(x)))
        return result
