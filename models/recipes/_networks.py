"""The small networks for 28 x 28 grey images that the recipe trains, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn  # a recipe runs outside the toolkit

WIDTHS = (16, 32, 64)
SEPARABLE_BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))  # width, stride
N_CLASSES = 10


class BasicBlock(nn.Module):
    """Post-activation residual block: relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)).

    The shortcut is x itself, or a 1 x 1 convolution with batch normalisation where the
    block changes width or size.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        self.shortcut = self._make_shortcut(n_in, n_out, stride)

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> nn.Module | None:
        if stride == 1 and n_in == n_out:
            return None
        return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        skip = x if self.shortcut is None else self.shortcut(x)
        return self.relu2(residual + skip)


class PlainBlock(BasicBlock):
    """The two layers of a basic block and no shortcut: relu(bn(conv(relu(bn(conv(x))))))."""

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> None:
        return None

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


class NormalisedSumBlock(BasicBlock):
    """Residual block that normalises the sum: relu(bn(conv(relu(bn(conv(x)))) + shortcut(x))).

    The shortcut is x itself, or a bare 1 x 1 convolution where the block changes width or
    size. The second batch normalisation follows no single convolution, so it cannot be
    folded into one.
    """

    @staticmethod
    def _make_shortcut(n_in: int, n_out: int, stride: int) -> nn.Module | None:
        if stride == 1 and n_in == n_out:
            return None
        return nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        residual = self.conv2(self.relu1(self.bn1(self.conv1(x))))
        skip = x if self.shortcut is None else self.shortcut(x)
        return self.relu2(self.bn2(residual + skip))


class EightLayers(nn.Module):
    """Stem, three two-layer blocks of 16, 32 and 64 channels, global average pool, dense layer.

    The image is taken on the scale [0, 1]; the batch normalisation after the stem
    convolution does what a normalisation of the input would do.

    Args:
        block: class of the blocks, called with input width, output width and stride.
    """

    def __init__(self, block: type[BasicBlock]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.block1 = block(WIDTHS[0], WIDTHS[0], stride=1)
        self.block2 = block(WIDTHS[0], WIDTHS[1], stride=2)
        self.block3 = block(WIDTHS[1], WIDTHS[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(WIDTHS[2], N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Maps images `(n, 1, 28, 28)` in [0, 1] to logits `(n, 10)`."""
        x = self.relu(self.bn(self.conv(image)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(self.pool(x).flatten(1))


class SeparableBlock(nn.Module):
    """Depthwise 3 x 3, then pointwise 1 x 1, each with batch normalisation and ReLU."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, padding=1, groups=n_in, bias=False)
        self.bn1 = nn.BatchNorm2d(n_in)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(n_in, n_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        x = self.relu1(self.bn1(self.depthwise(x)))
        return self.relu2(self.bn2(self.pointwise(x)))


class SeparableNet(nn.Module):
    """Stem, five depthwise-separable blocks, global average pool, dense layer."""

    def __init__(self) -> None:
        super().__init__()
        n_channels = WIDTHS[0]
        self.conv = nn.Conv2d(1, n_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(n_channels)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential()
        for number, (width, stride) in enumerate(SEPARABLE_BLOCKS, start=1):
            self.blocks.add_module(f"block{number}", SeparableBlock(n_channels, width, stride))
            n_channels = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(n_channels, N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Maps images `(n, 1, 28, 28)` in [0, 1] to logits `(n, 10)`."""
        x = self.blocks(self.relu(self.bn(self.conv(image))))
        return self.dense(self.pool(x).flatten(1))


@dataclass(frozen=True)
class Network:
    """One choice of `--network`.

    Attributes:
        name: of the file without its ending, of the graph and of the card.
        title: of the file's metadata.
        build: makes it with fresh weights.
        epochs: passes over the training images, unless the command says otherwise.
        about: the opening paragraph of the card.
        ships_first_epoch: whether the state after the first epoch is written too.
        recipe: script that the file's metadata names.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    epochs: int
    about: str
    ships_first_epoch: bool = False
    recipe: str = "models/recipes/train_fashion.py"


NETWORKS = {
    "resnet8": Network(
        name="fashion_resnet8",
        title="ResNet-8 for FashionMNIST",
        build=lambda: EightLayers(BasicBlock),
        epochs=15,
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
        epochs=6,
        about="""\
`fashion_resnet8` without its skip connections: a 3 x 3 convolution as stem, six more of 16, 16,
32, 32, 64 and 64 channels, a global average pool and one dense layer. No addition, no 1 x 1
convolution. Batch normalisation stays in the file as nodes of its own.""",
    ),
    "dsconv": Network(
        name="fashion_dsconv",
        title="Depthwise-separable ConvNet for FashionMNIST",
        build=SeparableNet,
        epochs=6,
        about="""\
A small depthwise-separable network in the manner of MobileNet v1. The stem is a 3 x 3
convolution; five blocks of 32, 64, 64, 128 and 128 channels follow, then a global average pool
and one dense layer. A block is a depthwise 3 x 3 convolution (one filter a channel) and a
pointwise 1 x 1 convolution, each with batch normalisation and ReLU. Batch normalisation stays
in the file as nodes of its own.""",
    ),
    "resnet8_bn_after_add": Network(
        name="fashion_resnet8_bn_after_add",
        title="ResNet-8 for FashionMNIST, batch normalisation after the addition",
        build=lambda: EightLayers(NormalisedSumBlock),
        epochs=6,
        about="""\
`fashion_resnet8` with the second batch normalisation of every block after the addition, before
the block's last ReLU, and none on the shortcuts. There it follows no single convolution and
cannot be folded into one: with stochastic weights it is a multiplication of its own, right after
another. Batch normalisation stays in the file as nodes of its own.""",
    ),
}
