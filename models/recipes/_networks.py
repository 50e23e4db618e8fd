"""What the recipe trains of `reluflow_torch.networks`, for how long, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from _training import Settings
from torch import nn  # a recipe runs outside the toolkit

from reluflow_torch.networks import (
    BasicBlock,
    EightLayers,
    NormalisedSumBlock,
    PlainBlock,
    SeparableNet,
)


@dataclass(frozen=True)
class Network:
    """One choice of `--network`.

    Attributes:
        name: of the file without its ending, of the graph and of the card.
        title: of the file's metadata.
        build: makes it with fresh weights.
        settings: of its training, unless the command says otherwise.
        about: the opening paragraph of the card.
        ships_first_epoch: whether the state after the first epoch is written too.
        recipe: script that the file's metadata names.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    settings: Settings
    about: str
    ships_first_epoch: bool = False
    recipe: str = "models/recipes/train_fashion.py"


MICRO_BLOCKS = ((48, 1), (64, 2), (96, 1), (128, 1))  # width, stride

NETWORKS = {
    "resnet8": Network(
        name="fashion_resnet8",
        title="ResNet-8 for FashionMNIST",
        build=lambda: EightLayers(BasicBlock),
        settings=Settings(epochs=15),
        ships_first_epoch=True,
        recipe="models/recipes/train_fashion_resnet8.py",  # its old name: the bytes must stay
        about="""\
A ResNet-8 for FashionMNIST, small enough to ship and real enough to analyse. The stem is a
3 x 3 convolution; three basic blocks of 16, 32 and 64 channels follow, then a global average
pool and one dense layer. Batch normalisation stays in the file as nodes of its own.""",
    ),
    "convnet8": Network(
        name="fashion_convnet8",
        title="ConvNet-8 for FashionMNIST",
        build=lambda: EightLayers(PlainBlock),
        settings=Settings(epochs=6),
        about="""\
`fashion_resnet8` without its skip connections: a 3 x 3 convolution as stem, six more of 16, 16,
32, 32, 64 and 64 channels, a global average pool and one dense layer. No addition, no 1 x 1
convolution. Batch normalisation stays in the file as nodes of its own.""",
    ),
    "dsconv": Network(
        name="fashion_dsconv",
        title="Depthwise-separable ConvNet for FashionMNIST",
        build=SeparableNet,
        settings=Settings(epochs=6),
        about="""\
A small depthwise-separable network in the manner of MobileNet v1. The stem is a 3 x 3
convolution; five blocks of 32, 64, 64, 128 and 128 channels follow, then a global average pool
and one dense layer. A block is a depthwise 3 x 3 convolution (one filter a channel) and a
pointwise 1 x 1 convolution, each with batch normalisation and ReLU. Batch normalisation stays
in the file as nodes of its own.""",
    ),
    "micro": Network(
        name="fashion_micro",
        title="Depthwise-separable ConvNet for FashionMNIST on microcontrollers",
        build=lambda: SeparableNet(24, 2, MICRO_BLOCKS),
        settings=Settings(epochs=8, max_shift=1, weight_decay=1e-4),
        about="""\
A network for microcontrollers with 16 KB of RAM: `reluflow edge` makes C of it (docs/edge.md). The
stem is a 3 x 3 convolution of stride 2; four depthwise-separable blocks of 48, 64, 96 and 128
channels follow, on 14 x 14 and from the second on 7 x 7 pixels, then a global average pool and one
dense layer. Batch normalisation stays in the file as nodes of its own.""",
    ),
    "resnet8_bn_after_add": Network(
        name="fashion_resnet8_bn_after_add",
        title="ResNet-8 for FashionMNIST, batch normalisation after the addition",
        build=lambda: EightLayers(NormalisedSumBlock),
        settings=Settings(epochs=6),
        about="""\
`fashion_resnet8` with the second batch normalisation of every block after the addition, before
the block's last ReLU, and none on the shortcuts. There it follows no single convolution and
cannot be folded into one: with stochastic weights it is a multiplication of its own, right after
another. Batch normalisation stays in the file as nodes of its own.""",
    ),
}
