"""The networks of the thesis' figures, small: for images of 14 x 14 pixels (thesis 3.1.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch  # a benchmark of the torch bridge
from torch import Tensor, nn
from training import nets

from reluflow_torch.networks import f1

SIDE = 14
N_CLASSES = 10
STAGES = 3
WIDTHS = (8, 16, 32)
TOY_WIDTH = 16


class Block(nn.Module):
    """Two convolutions with ReLU; with a shortcut without weights, or without any.

    Args:
        n_in: channels in.
        n_out: channels out.
        stride: of the first convolution.
        residual: whether the input is added before the last ReLU.
        norm: whether batch normalisation follows each convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, *, residual: bool, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=not norm)
        self.norm1 = nn.BatchNorm2d(n_out) if norm else nn.Identity()
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=not norm)
        self.norm2 = nn.BatchNorm2d(n_out) if norm else nn.Identity()
        self.relu2 = nn.ReLU()
        self.residual, self.stride, self.more = residual, stride, n_out - n_in

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        result: Tensor = self.relu2(branch + self.shortcut(x) if self.residual else branch)
        return result

    def shortcut(self, x: Tensor) -> Tensor:
        """Leave out pixels, and add channels of zeros."""
        return nn.functional.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)
        )


class FixUpBlock(Block):
    """Residual block without normalisation: biases, a scale, and a branch that starts at 0.

    Args:
        n_in: channels in.
        n_out: channels out.
        stride: of the first convolution.
        blocks: of the whole network, which scale the first convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, *, blocks: int) -> None:
        super().__init__(n_in, n_out, stride, residual=True, norm=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.biases = nn.Parameter(torch.zeros(2))
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        with torch.no_grad():
            self.conv1.weight.mul_(blocks**-0.5)
        for weight in (self.conv2.weight, self.conv1.bias, self.conv2.bias):
            assert weight is not None
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        branch = self.relu1(self.conv1(x + self.biases[0]))
        branch = self.conv2(branch + self.biases[1]) * self.scale
        result: Tensor = self.relu2(branch + self.shortcut(x))
        return result


def _stack(
    widths: Sequence[int],
    block: Callable[[int, int, int], nn.Module],
    *,
    norm: bool = True,
) -> nn.Sequential:
    """Return a stem and one block per width; every stage but the first halves the image."""
    layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 3, padding=1, bias=not norm)]
    layers += [nn.BatchNorm2d(widths[0])] if norm else []
    layers.append(nn.ReLU())
    stage, n_in = len(widths) // STAGES, widths[0]
    for number, n_out in enumerate(widths):
        layers.append(block(n_in, n_out, 2 if number and number % stage == 0 else 1))
        n_in = n_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, N_CLASSES))


def _he(net: nn.Module) -> nn.Module:
    """Initialise as He et al. do, so that the signal keeps its size over the layers."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net


def cifar(
    blocks: int = 2,
    widths: Sequence[int] = WIDTHS,
    *,
    residual: bool = True,
    norm: bool = True,
) -> nn.Module:
    """Return a network of three stages of equal blocks, 6 blocks + 2 layers deep."""
    each = [width for width in widths for _ in range(blocks)]
    return _he(_stack(each, lambda *at: Block(*at, residual=residual, norm=norm), norm=norm))


def pyramid(blocks: int = 2) -> nn.Module:
    """Return the residual network whose width grows by as much in every block."""
    count, low, high = STAGES * blocks, WIDTHS[0], WIDTHS[-1]
    widths = [round(low + (high - low) * number / (count - 1)) for number in range(count)]
    return _he(_stack(widths, lambda *at: Block(*at, residual=True, norm=True)))


def fixup(blocks: int = 2) -> nn.Module:
    """Return the residual network without normalisation that starts at the identity."""
    each = [width for width in WIDTHS for _ in range(blocks)]
    return _stack(each, lambda *at: FixUpBlock(*at, blocks=len(each)), norm=False)


def toy(blocks: int) -> nn.Module:
    """Return the network of one width, without shortcuts and without normalisation."""
    return cifar(blocks, (TOY_WIDTH,) * STAGES, residual=False, norm=False)


NETS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-14": cifar,
    "ConvNet-14": lambda: cifar(residual=False),
    "PyramidNet-14": pyramid,
    "FixUp-14": fixup,
    "F1 + BN": lambda: f1(inputs=SIDE * SIDE, width=256, norm=True, bias=False),
    "ToyNet-8": lambda: toy(1),
    "ToyNet-14": lambda: toy(2),
    "ToyNet-20": lambda: toy(3),
    "ResNet-14, half as wide": lambda: cifar(widths=(4, 8, 16)),
    "ResNet-14, twice as wide": lambda: cifar(widths=(16, 32, 64)),
    "ResNet-14 without BN": lambda: cifar(norm=False),
    "VGG-11 without BN": nets.vgg,
}
"""Networks by name; VGG-11 takes images of 28 x 28."""
