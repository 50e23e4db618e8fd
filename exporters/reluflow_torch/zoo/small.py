"""Eight 3 x 3 convolutions, the network that shift-add training starts from."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.zoo.cifar import CLASSES
from reluflow_torch.zoo.layers import conv, he, head

LAYERS = 8
WIDTHS = (32, 32, 32, 64, 64, 64, 128, 128)


def eight_convs(
    widths: Sequence[int] = WIDTHS, *, channels: int = 3, classes: int = CLASSES
) -> nn.Sequential:
    """Return eight 3 x 3 convolutions with batch normalisation and ReLU, a mean and a dense layer.

    A convolution that widens halves the picture. The thesis gives no widths; the usual ones here
    are ours.

    Args:
        widths: of the eight convolutions.
        channels: of the picture.
        classes: logits.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: there are not eight widths.

    Example:
        >>> sum(isinstance(each, nn.Conv2d) for each in eight_convs())
        8

    Reference: thesis 4.2.2.
    """
    if len(widths) != LAYERS:
        raise OptionError(f"widths are {list(widths)}; give one for each of eight convolutions.")
    net, at = nn.Sequential(), channels
    for number, width in enumerate(widths):
        stride = 2 if number and width > at else 1
        net.extend([conv(at, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU()])
        at = width
    net.extend(head(at, classes))
    he(net)
    return net
