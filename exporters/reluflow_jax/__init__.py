"""reluflow for JAX: patterns of any function, and learning rates for optax steered by them."""

from reluflow_jax.exporting import export, to_onnx
from reluflow_jax.sites.curves import crossing_curves
from reluflow_jax.sites.find import LeftOut, Site
from reluflow_jax.sites.patterns import count_patterns, distance, fingerprints
from reluflow_jax.sites.taps import left_out_of, sites_of, taps
from reluflow_jax.training.actcool import ActCool, rate_of
from reluflow_jax.training.state import ActCoolState

__all__ = [
    "ActCool",
    "ActCoolState",
    "LeftOut",
    "Site",
    "count_patterns",
    "crossing_curves",
    "distance",
    "export",
    "fingerprints",
    "left_out_of",
    "rate_of",
    "sites_of",
    "taps",
    "to_onnx",
]
