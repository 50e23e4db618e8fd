"""FixUp: a residual network without normalisation that starts as its shortcuts alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reluflow_torch.zoo.cifar import CLASSES, WIDTHS, units_of
from reluflow_torch.zoo.layers import ZeroPadded, conv, head


class Shift(nn.Module):
    """Adds one number that is learnt.

    Example:
        >>> Shift()(torch.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map any tensor to one of its shape."""
        return x + self.value


class FixUpUnit(nn.Module):
    """relu(scale conv(relu(conv(x + a) + b) + c) + d + shortcut(x)) with single numbers.

    The first convolution starts `units` ** -0.5 as large as He's, the second at 0.

    Args:
        n_in: channels in.
        n_out: channels out, at least as many.
        stride: of the first convolution.
        units: of the whole network.

    Example:
        >>> x = torch.rand(1, 16, 4, 4)
        >>> bool((FixUpUnit(16, 16, 1, units=9)(x) == x).all())
        True

    Reference: Zhang et al. 2019 (arXiv:1901.09321), section 3 and Fig. 1.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, *, units: int) -> None:
        super().__init__()
        widening, last = conv(n_in, n_out, 3, stride), conv(n_out, n_out, 3)
        self.first = nn.Sequential(Shift(), widening, Shift(), nn.ReLU())
        self.second = nn.Sequential(Shift(), last)
        self.scale, self.shift = nn.Parameter(torch.ones(1)), Shift()
        self.shortcut = ZeroPadded(stride, n_out - n_in)
        self.relu = nn.ReLU()
        nn.init.kaiming_normal_(widening.weight, mode="fan_out", nonlinearity="relu")
        with torch.no_grad():
            widening.weight.mul_(units**-0.5)
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        branch = self.shift(self.second(self.first(x)) * self.scale)
        result: Tensor = self.relu(branch + self.shortcut(x))
        return result


def fixup_resnet(depth: int = 20, *, channels: int = 3, classes: int = CLASSES) -> nn.Sequential:
    """Return the FixUp ResNet for small pictures.

    Beside the convolutions of the ResNet of this depth it has five numbers a unit and two more,
    where that has two for each normalised channel.

    Args:
        depth: layers with weights, 6 n + 2.
        channels: of the picture.
        classes: logits, all 0 at the start.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: no such depth.

    Example:
        >>> sum(each.numel() for each in fixup_resnet(20).parameters())
        268393

    Reference: Zhang et al. 2019 (arXiv:1901.09321); thesis 3.1.3.
    """
    count = units_of(depth, 6)
    at = WIDTHS[0]
    first = conv(channels, at, 3)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    net = nn.Sequential(first, Shift(), nn.ReLU())
    for stage, width in enumerate(WIDTHS):
        for number in range(count):
            stride = 2 if stage and not number else 1
            net.append(FixUpUnit(at, width, stride, units=3 * count))
            at = width
    pool, flat, dense = head(at, classes)
    for weight in dense.parameters():
        nn.init.zeros_(weight)
    return net.extend([pool, flat, Shift(), dense])
