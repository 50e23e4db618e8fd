"""Networks of three stages for small pictures: ResNet of both versions, ConvNet, ToyNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.zoo.layers import conv, he, head, norm_of
from reluflow_torch.zoo.units import UnitV1, UnitV2

WIDTHS = (16, 32, 64)
TOY_WIDTHS = (32, 32, 32)
CLASSES = 10
UNITS = {1: UnitV1, 2: UnitV2}


def cifar_resnet(
    depth: int = 20,
    *,
    version: int = 2,
    bottleneck: bool = False,
    residual: bool = True,
    norm: bool = True,
    widths: Sequence[int] = WIDTHS,
    channels: int = 3,
    classes: int = CLASSES,
) -> nn.Sequential:
    """Return a ResNet for small pictures: 3 x 3 convolution, three stages of units, dense layer.

    The second and the third stage halve the picture. Shortcuts have no weights, except where the
    width changes in a network of bottlenecks.

    Args:
        depth: layers with weights: 6 n + 2, with bottlenecks 9 n + 2, n units a stage.
        version: 1, ReLU behind the sum, or 2, normalisation and ReLU before each convolution.
        bottleneck: units of 1 x 1, 3 x 3 and 1 x 1 convolutions, the last four times as wide.
        residual: whether there are shortcuts.
        norm: whether there is batch normalisation.
        widths: of the 3 x 3 convolutions of the three stages.
        channels: of the picture.
        classes: logits.

    Returns:
        A network that maps `(n, channels, h, w)` to `(n, classes)`.

    Raises:
        OptionError: no such depth, version or number of widths.

    Example:
        >>> import torch
        >>> net = cifar_resnet(20, version=1)
        >>> sum(each.numel() for each in net.parameters()), net(torch.zeros(2, 3, 32, 32)).shape
        (269722, torch.Size([2, 10]))

    Reference: He et al., "Deep Residual Learning" (2015), section 4.2 and Table 6; "Identity
    Mappings in Deep Residual Networks" (2016), Table 4.
    """
    if version not in UNITS:
        raise OptionError(f"version is {version!r}; give 1 or 2.")
    count = units_of(depth, 9 if bottleneck else 6)
    if len(widths) != len(WIDTHS):
        raise OptionError(f"widths are {list(widths)}; give one for each of the three stages.")
    before = version > 1
    at = WIDTHS[0] if bottleneck else widths[0]
    net = nn.Sequential(conv(channels, at, 3, bias=not norm))
    if not before:
        net.extend([norm_of(at, norm), nn.ReLU()])
    for stage, width in enumerate(widths):
        for number in range(count):
            unit = UNITS[version](
                at,
                width,
                2 if stage and not number else 1,
                bottleneck=bottleneck,
                residual=residual,
                norm=norm,
                projects=bottleneck,
            )
            net.append(unit)
            at = unit.n_out
    if before:
        net.extend([norm_of(at, norm), nn.ReLU()])
    net.extend(head(at, classes))
    he(net)
    return net


def convnet(depth: int = 20, *, channels: int = 3, classes: int = CLASSES) -> nn.Sequential:
    """Return the ResNet of version 2 without its shortcuts, the thesis' ConvNet.

    Args:
        depth: layers with weights, 6 n + 2.
        channels: of the picture.
        classes: logits.

    Raises:
        OptionError: no such depth.

    Example:
        >>> sum(each.numel() for each in convnet(20).parameters())
        269722

    Reference: thesis 3.1.3.
    """
    return cifar_resnet(depth, residual=False, channels=channels, classes=classes)


def toynet(
    depth: int = 20, *, norm: bool = True, channels: int = 3, classes: int = CLASSES
) -> nn.Sequential:
    """Return the ConvNet with 32 channels everywhere, the thesis' ToyNet.

    Args:
        depth: layers with weights, 6 n + 2.
        norm: whether there is batch normalisation; Figure 3.17 has it without.
        channels: of the picture.
        classes: logits.

    Raises:
        OptionError: no such depth.

    Example:
        >>> {layer.out_channels for layer in toynet(14).modules() if isinstance(layer, nn.Conv2d)}
        {32}

    Reference: thesis 3.1.3 and Fig. 3.17.
    """
    return cifar_resnet(
        depth, residual=False, norm=norm, widths=TOY_WIDTHS, channels=channels, classes=classes
    )


def units_of(depth: int, layers: int) -> int:
    """Return the units of a stage.

    Args:
        depth: layers with weights.
        layers: of three units, one of each stage.

    Raises:
        OptionError: the depth is not a multiple plus 2.
    """
    count, rest = divmod(depth - 2, layers)
    if count < 1 or rest:
        raise OptionError(
            f"depth is {depth}; give {layers} n + 2, such as {layers + 2} or {3 * layers + 2}."
        )
    return count
