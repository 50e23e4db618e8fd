"""Training with the weights that stochastic shift-adds draw, and back to files (thesis 4.2.2)."""

from reluflow_torch.psb.drawing import drawn_weights
from reluflow_torch.psb.training import PsbTraining

__all__ = ["PsbTraining", "drawn_weights"]
