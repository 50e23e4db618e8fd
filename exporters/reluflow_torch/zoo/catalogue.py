"""Every network of the zoo by name, with what its paper says of its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from reluflow.errors import OptionError
from reluflow_torch.networks import f1
from reluflow_torch.zoo.cifar import cifar_resnet, convnet, toynet
from reluflow_torch.zoo.fixup import fixup_resnet
from reluflow_torch.zoo.imagenet import resnet
from reluflow_torch.zoo.pyramid import pyramidnet
from reluflow_torch.zoo.small import eight_convs
from reluflow_torch.zoo.vgg import vgg
from reluflow_torch.zoo.waveform import waveform_net

_HE = "He et al. 2015, Table 6"
_HE_V2 = "He et al. 2016"
_VGG = "Simonyan and Zisserman 2014, Table 2"
_TORCHVISION = "torchvision 0.25, num_params"
_TIMM = "timm 1.0, param_count"
_HAN = "Han et al. 2017, Table 4"
_DAI = "Dai et al. 2016, Table 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One network, as `NETWORKS` has it.

    Attributes:
        make: makes it with fresh weights.
        shape: of an input, without the batch axis.
        sites: number of its switch sites.
        documented: weights as the source prints their number, such as "0.27M"; "" where no source
            has it.
        source: which it is.

    Example:
        >>> NETWORKS["ResNet-20 v1"].documented, NETWORKS["ResNet-20 v1"].sites
        ('0.27M', 19)
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    sites: int
    documented: str = ""
    source: str = ""


_SMALL, _LARGE, _SOUND = (3, 32, 32), (3, 224, 224), (1, 8000)


def _cifar(depth: int, version: int, documented: str, source: str) -> Entry:
    return Entry(
        partial(cifar_resnet, depth, version=version), _SMALL, depth - 1, documented, source
    )


def _deep(depth: int, documented: str) -> Entry:
    make = partial(cifar_resnet, depth, bottleneck=True)
    return Entry(make, _SMALL, depth - 1, documented, _HE_V2)


def _large(depth: int, version: int, documented: str, source: str) -> Entry:
    return Entry(partial(resnet, depth, version=version), _LARGE, depth - 1, documented, source)


NETWORKS: dict[str, Entry] = {
    "F1": Entry(f1, (1, 28, 28), 5),
    "ToyNet-20": Entry(toynet, _SMALL, 19),
    "ConvNet-20": Entry(convnet, _SMALL, 19),
    "EightConvs": Entry(eight_convs, _SMALL, 8),
    "ResNet-20 v1": _cifar(20, 1, "0.27M", _HE),
    "ResNet-32 v1": _cifar(32, 1, "0.46M", _HE),
    "ResNet-44 v1": _cifar(44, 1, "0.66M", _HE),
    "ResNet-56 v1": _cifar(56, 1, "0.85M", _HE),
    "ResNet-110 v1": _cifar(110, 1, "1.7M", _HE),
    "ResNet-20 v2": _cifar(20, 2, "0.27M", _HE),
    "ResNet-110 v2": _cifar(110, 2, "1.7M", _HE_V2),
    "ResNet-164 v2": _deep(164, "1.7M"),
    "ResNet-1001 v2": _deep(1001, "10.2M"),
    "PyramidNet-20": Entry(partial(pyramidnet, 20), _SMALL, 10),
    "PyramidNet-110, 48": Entry(pyramidnet, _SMALL, 55, "1.7M", _HAN),
    "PyramidNet-110, 84": Entry(partial(pyramidnet, 110, 84), _SMALL, 55, "3.8M", _HAN),
    "PyramidNet-110, 270": Entry(partial(pyramidnet, 110, 270), _SMALL, 55, "28.3M", _HAN),
    "FixUp-20": Entry(fixup_resnet, _SMALL, 19),
    "FixUp-110": Entry(partial(fixup_resnet, 110), _SMALL, 109),
    "VGG-11": Entry(partial(vgg, 11), _LARGE, 10, "133M", _VGG),
    "VGG-13": Entry(partial(vgg, 13), _LARGE, 12, "133M", _VGG),
    "VGG-16": Entry(partial(vgg, 16), _LARGE, 15, "138M", _VGG),
    "VGG-19": Entry(partial(vgg, 19), _LARGE, 18, "144M", _VGG),
    "VGG-16 + BN": Entry(partial(vgg, 16, norm=True), _LARGE, 15, "138,365,992", _TORCHVISION),
    "ResNet-18 v1": _large(18, 1, "11,689,512", _TORCHVISION),
    "ResNet-34 v1": _large(34, 1, "21,797,672", _TORCHVISION),
    "ResNet-50 v1": _large(50, 1, "25,557,032", _TORCHVISION),
    "ResNet-101 v1": _large(101, 1, "44,549,160", _TORCHVISION),
    "ResNet-152 v1": _large(152, 1, "60,192,808", _TORCHVISION),
    "ResNet-50 v2": _large(50, 2, "25.55M", _TIMM),
    "ResNet-101 v2": _large(101, 2, "44.54M", _TIMM),
    "ResNet-152 v2": _large(152, 2, "60.19M", _TIMM),
    "M3": Entry(partial(waveform_net, "M3", classes=10), _SOUND, 2, "0.2M", _DAI),
    "M5": Entry(partial(waveform_net, "M5", classes=10), _SOUND, 4, "0.5M", _DAI),
    "M11": Entry(partial(waveform_net, "M11", classes=10), _SOUND, 10, "1.8M", _DAI),
    "M18": Entry(partial(waveform_net, "M18", classes=10), _SOUND, 17, "3.7M", _DAI),
}
"""Networks by name, as their papers have them; other sizes come from the functions."""


def make_network(name: str) -> nn.Module:
    """Return a network of `NETWORKS` with fresh weights.

    Args:
        name: a key of it.

    Raises:
        OptionError: there is none of this name.

    Example:
        >>> sum(each.numel() for each in make_network("ResNet-20 v1").parameters())
        269722

    Reference: docs/networks.md.
    """
    if name not in NETWORKS:
        raise OptionError(f"name is {name!r}; give one of {', '.join(NETWORKS)}.")
    return NETWORKS[name].make()
