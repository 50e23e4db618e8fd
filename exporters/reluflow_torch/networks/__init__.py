"""Small networks for grey images: those of the shipped models and of the training comparisons.

Recipes, benchmarks and tests share them, with fresh weights; trained weights are in the ONNX files
of the model folder.
"""

from reluflow_torch.networks.blocks import (
    BasicBlock,
    NormalisedSumBlock,
    PlainBlock,
    SeparableBlock,
)
from reluflow_torch.networks.fashion import EightLayers, SeparableNet, f1

__all__ = [
    "BasicBlock",
    "EightLayers",
    "NormalisedSumBlock",
    "PlainBlock",
    "SeparableBlock",
    "SeparableNet",
    "f1",
]
