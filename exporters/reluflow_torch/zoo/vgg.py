"""VGG: 3 x 3 convolutions, maximum pools, dense layers."""

from __future__ import annotations

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.zoo.layers import conv, he, norm_of

LAYOUTS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions before each of the five pools, by depth."""
WIDTHS = (64, 128, 256, 512, 512)
DENSE, SIDE = 4096, 7
"""Units of the two hidden dense layers, and pixels each way that they read."""


def vgg(
    depth: int = 16,
    *,
    norm: bool = False,
    dense: bool = True,
    channels: int = 3,
    classes: int = 1000,
) -> nn.Sequential:
    """Return a VGG network.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        norm: whether batch normalisation follows each convolution.
        dense: the three dense layers of the paper, for pictures of 224 x 224; or a mean over all
            pixels and one dense layer, as is usual for small pictures, from 32 x 32 on.
        channels: of the picture.
        classes: logits.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: no such depth.

    Example:
        >>> sum(each.numel() for each in vgg(11, norm=True, dense=False, classes=10).parameters())
        9231114

    Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014), Tables 1 and 2.
    """
    if depth not in LAYOUTS:
        raise OptionError(f"depth is {depth}; give one of {', '.join(map(str, LAYOUTS))}.")
    net, at = nn.Sequential(), channels
    for count, width in zip(LAYOUTS[depth], WIDTHS, strict=True):
        for _ in range(count):
            net.extend([conv(at, width, 3, bias=True), norm_of(width, norm), nn.ReLU()])
            at = width
        net.append(nn.MaxPool2d(2))
    he(net)
    if not dense:
        return net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(at, classes)])
    net.extend([nn.AdaptiveAvgPool2d(SIDE), nn.Flatten()])
    units = at * SIDE**2
    for _ in range(2):
        net.extend([nn.Linear(units, DENSE), nn.ReLU(), nn.Dropout()])
        units = DENSE
    return net.append(nn.Linear(units, classes))
