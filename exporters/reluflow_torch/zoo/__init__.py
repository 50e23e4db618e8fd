"""The thesis' networks with fresh weights, each as its paper has it."""

from reluflow_torch.zoo.catalogue import NETWORKS, Entry, make_network
from reluflow_torch.zoo.cifar import cifar_resnet, convnet, toynet
from reluflow_torch.zoo.fixup import FixUpUnit, Shift, fixup_resnet
from reluflow_torch.zoo.imagenet import resnet
from reluflow_torch.zoo.layers import ZeroPadded
from reluflow_torch.zoo.pyramid import PyramidUnit, pyramidnet
from reluflow_torch.zoo.small import eight_convs
from reluflow_torch.zoo.units import UnitV1, UnitV2
from reluflow_torch.zoo.vgg import vgg
from reluflow_torch.zoo.waveform import waveform_net

__all__ = [
    "NETWORKS",
    "Entry",
    "FixUpUnit",
    "PyramidUnit",
    "Shift",
    "UnitV1",
    "UnitV2",
    "ZeroPadded",
    "cifar_resnet",
    "convnet",
    "eight_convs",
    "fixup_resnet",
    "make_network",
    "pyramidnet",
    "resnet",
    "toynet",
    "vgg",
    "waveform_net",
]
