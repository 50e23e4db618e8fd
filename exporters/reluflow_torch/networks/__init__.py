"""Small networks for grey images and speech: of shipped models and of training comparisons.

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
from reluflow_torch.networks.speech import KeywordNet

__all__ = [
    "BasicBlock",
    "EightLayers",
    "KeywordNet",
    "NormalisedSumBlock",
    "PlainBlock",
    "SeparableBlock",
    "SeparableNet",
    "f1",
]
