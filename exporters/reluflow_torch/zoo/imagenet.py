"""ResNet of both versions for large pictures."""

from __future__ import annotations

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.zoo.cifar import UNITS
from reluflow_torch.zoo.layers import conv, he, head, norm_of

UNITS_OF_STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BOTTLENECKS_FROM = 50
"""Depth from which on units are bottlenecks."""
WIDTHS = (64, 128, 256, 512)


def resnet(
    depth: int = 50, *, version: int = 1, channels: int = 3, classes: int = 1000
) -> nn.Sequential:
    """Return a ResNet for large pictures, whose shortcuts have weights where the width changes.

    The picture shrinks 32 times; in a bottleneck the 3 x 3 convolution has the stride.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        version: 1, ReLU behind the sum, or 2, normalisation and ReLU before each convolution.
        channels: of the picture.
        classes: logits.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: no such depth or version.

    Example:
        >>> sum(each.numel() for each in resnet(18).parameters())
        11689512

    Reference: He et al., "Deep Residual Learning" (2015), Table 1; "Identity Mappings in Deep
    Residual Networks" (2016).
    """
    if depth not in UNITS_OF_STAGES or version not in UNITS:
        known = ", ".join(map(str, UNITS_OF_STAGES))
        raise OptionError(
            f"depth is {depth} and version {version}; give a depth of {known} and version 1 or 2."
        )
    at, bottleneck = WIDTHS[0], depth >= BOTTLENECKS_FROM
    net = nn.Sequential(conv(channels, at, 7, 2))
    if version == 1:
        net.extend([norm_of(at, True), nn.ReLU()])
    net.append(nn.MaxPool2d(3, 2, padding=1))
    for stage, (width, count) in enumerate(zip(WIDTHS, UNITS_OF_STAGES[depth], strict=True)):
        for number in range(count):
            stride = 2 if stage and not number else 1
            unit = UNITS[version](at, width, stride, bottleneck=bottleneck, projects=True)
            net.append(unit)
            at = unit.n_out
    if version > 1:
        net.extend([norm_of(at, True), nn.ReLU()])
    net.extend(head(at, classes))
    he(net)
    return net
