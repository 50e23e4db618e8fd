"""Entropy of patterns as a loss, extrinsic layers, and projections back (thesis, appendix A)."""

from reluflow_torch.layers.entropy import RELAXATIONS, PatternEntropy, pattern_entropy
from reluflow_torch.layers.extrinsic import ExtrinsicReLU
from reluflow_torch.layers.projection import extrinsic_projections

__all__ = [
    "RELAXATIONS",
    "ExtrinsicReLU",
    "PatternEntropy",
    "extrinsic_projections",
    "pattern_entropy",
]
