"""PyramidNet: a residual network that widens by as much in every unit."""

from __future__ import annotations

import math

from torch import Tensor, nn

from reluflow_torch.zoo.cifar import CLASSES, WIDTHS, units_of
from reluflow_torch.zoo.layers import ZeroPadded, conv, he, head

ALPHA = 48
_STAGES = 3


class PyramidUnit(nn.Module):
    """bn(conv(relu(bn(conv(bn(x)))))) + shortcut(x): one ReLU, and none behind the sum.

    Args:
        n_in: channels in.
        n_out: channels out, at least as many.
        stride: of the first convolution; the shortcut takes means over as many pixels.

    Example:
        >>> import torch
        >>> PyramidUnit(16, 21, 2)(torch.zeros(4, 16, 8, 8)).shape
        torch.Size([4, 21, 4, 4])

    Reference: Han et al., "Deep Pyramidal Residual Networks" (2017), Fig. 6 d.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(n_in),
            conv(n_in, n_out, 3, stride),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            conv(n_out, n_out, 3),
            nn.BatchNorm2d(n_out),
        )
        pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.shortcut = nn.Sequential(pool, ZeroPadded(1, n_out - n_in))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        result: Tensor = self.layers(x) + self.shortcut(x)
        return result


def pyramidnet(
    depth: int = 110, alpha: int = ALPHA, *, channels: int = 3, classes: int = CLASSES
) -> nn.Sequential:
    """Return an additive PyramidNet of basic units for small pictures.

    Unit k of N is floor(16 + alpha k / N) channels wide.

    Args:
        depth: layers with weights, 6 n + 2.
        alpha: channels that all units together add.
        channels: of the picture.
        classes: logits.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: no such depth.

    Example:
        >>> [u.layers[1].out_channels for u in pyramidnet(20) if isinstance(u, PyramidUnit)]
        [21, 26, 32, 37, 42, 48, 53, 58, 64]

    Reference: Han et al., "Deep Pyramidal Residual Networks" (2017), eq. 2 and Table 4;
    thesis 3.1.3.
    """
    count = units_of(depth, 6)
    at = WIDTHS[0]
    net = nn.Sequential(conv(channels, at, 3), nn.BatchNorm2d(at))
    for number in range(_STAGES * count):
        width = math.floor(WIDTHS[0] + alpha * (number + 1) / (_STAGES * count))
        net.append(PyramidUnit(at, width, 2 if number and number % count == 0 else 1))
        at = width
    net.extend([nn.BatchNorm2d(at), nn.ReLU()]).extend(head(at, classes))
    he(net)
    return net
