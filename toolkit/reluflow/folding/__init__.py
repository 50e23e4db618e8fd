"""What a ReLU does to the space of inputs: projections of activations back into it."""

from reluflow.folding.chain import Projection, extrinsic_projections
from reluflow.folding.layers import AffineLayer, project_back

__all__ = ["AffineLayer", "Projection", "extrinsic_projections", "project_back"]
