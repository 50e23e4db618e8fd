"""The networks that are trained, with fresh weights: for images of 8 x 8 or 28 x 28, or text."""

from __future__ import annotations

from collections.abc import Callable

import torch  # a benchmark of the torch bridge
from torch import Tensor, nn
from training.data import CONTEXT, N_CHARACTERS

from reluflow_torch.networks import BasicBlock, EightLayers, f1

N_CLASSES = 10
DIGITS_SIDE, FASHION_SIDE = 8, 28


def mlp(side: int) -> nn.Module:
    """Two hidden layers of 64 units."""
    return f1(depth=2, width=64, inputs=side * side)


def cnn(side: int, *, norm: bool) -> nn.Module:
    """Convolutions of 16, 32 and 32 channels, the last two of stride 2, then a dense layer."""
    layers: list[nn.Module] = []
    n_in, left = 1, side
    for n_out, stride in ((16, 1), (32, 2), (32, 2)):
        layers.append(nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(n_out)] if norm else []
        layers.append(nn.ReLU())
        n_in, left = n_out, -(-left // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_in * left * left, N_CLASSES))


def resnet8(side: int) -> nn.Module:
    """The residual network of eight layers; large images are halved by its stem."""
    return EightLayers(BasicBlock, stem_stride=1 if side <= DIGITS_SIDE else 2)


def vgg() -> nn.Module:
    """VGG-11 with an eighth of its channels, without normalisation, for images 28 x 28.

    Initialised as torchvision does, since torch's own start lets the signal fade over 11 layers.
    """
    layers: list[nn.Module] = []
    n_in = 1
    for n_outs in ((8,), (16,), (32, 32), (64, 64)):
        for n_out in n_outs:
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
            n_in = n_out
        layers.append(nn.MaxPool2d(2))
    for _ in range(2):
        layers += [nn.Conv2d(n_in, n_in, 3, padding=1), nn.ReLU()]
    layers.append(nn.Flatten())
    for n_out in (64, 64):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(n_in, N_CLASSES))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


class Vit(nn.Module):
    """Vision transformer: 16 patches of 7 x 7, 4 layers with GELU, mean over patches."""

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, 7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, 0.0, nn.GELU(), batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.dense = nn.Linear(width, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Maps `(n, 1, 28, 28)` to `(n, 10)`."""
        x = self.patches(image).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.dense(self.norm(x).mean(1))
        return logits


class RowGru(nn.Module):
    """GRU of 96 units that reads an image row by row, then a layer of 64 ReLU units."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(FASHION_SIDE, 96, batch_first=True)
        self.head = nn.Sequential(nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, N_CLASSES))

    def forward(self, image: Tensor) -> Tensor:
        """Maps `(n, 1, 28, 28)` to `(n, 10)`."""
        states, _ = self.gru(image.squeeze(1))
        logits: Tensor = self.head(states[:, -1])
        return logits


def characters() -> nn.Module:
    """Guesses the next character: 24 values a character, then two layers of 256 ReLU units."""
    return nn.Sequential(
        nn.Embedding(N_CHARACTERS, 24),
        nn.Flatten(),
        nn.Linear(24 * CONTEXT, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, N_CHARACTERS),
    )


GRID: dict[str, Callable[[int], nn.Module]] = {
    "mlp": mlp,
    "cnn": lambda side: cnn(side, norm=False),
    "cnn_bn": lambda side: cnn(side, norm=True),
    "f1": lambda side: f1(inputs=side * side),
    "resnet8": resnet8,
}
"""Networks of the grid by name, made for the side of an image in pixels."""


def has_relu(model: nn.Module) -> bool:
    """Tells whether a network has a ReLU of its own, so that smooth ones need not count."""
    return any(isinstance(module, nn.ReLU) for module in model.modules())
