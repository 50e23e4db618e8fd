"""The residual networks of He et al. (2015) for images, with 18 and 50 layers."""

from __future__ import annotations

from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 512)
_CLASSES = 10


def _conv(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


class Block(nn.Module):
    """A residual block; its last ReLU follows the sum."""

    def __init__(self, before: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        after = width * expansion
        if expansion == 1:
            layers = [
                _conv(before, width, 3, stride),
                nn.ReLU(inplace=True),
                _conv(width, after, 3),
            ]
        else:
            layers = [
                _conv(before, width, 1),
                nn.ReLU(inplace=True),
                _conv(width, width, 3, stride),
                nn.ReLU(inplace=True),
                _conv(width, after, 1),
            ]
        self.inside = nn.Sequential(*layers)
        is_same = before == after and stride == 1
        self.around = nn.Identity() if is_same else _conv(before, after, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.relu(self.inside(x) + self.around(x))
        return result


def resnet(blocks: tuple[int, int, int, int], expansion: int) -> nn.Sequential:
    """Return a network for `(n, 3, height, width)` images and ten classes."""
    layers: list[nn.Module] = [_conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    before = _WIDTHS[0]
    for stage, (width, count) in enumerate(zip(_WIDTHS, blocks, strict=True)):
        for number in range(count):
            stride = 2 if stage and not number else 1
            layers.append(Block(before, width, stride, expansion))
            before = width * expansion
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, _CLASSES)
    )


def resnet18() -> nn.Sequential:
    """Return ResNet-18: two plain blocks each at four widths."""
    return resnet((2, 2, 2, 2), 1)


def resnet50() -> nn.Sequential:
    """Return ResNet-50: 3, 4, 6 and 3 bottlenecks."""
    return resnet((3, 4, 6, 3), 4)
