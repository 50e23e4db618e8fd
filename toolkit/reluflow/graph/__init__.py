"""The only room that knows ONNX: load, find switch sites, rewrite, save."""

from reluflow.graph.annotate import annotate
from reluflow.graph.bake import bake_samples
from reluflow.graph.blocked_taps import blocked_probe, has_convolutions, read_blocked
from reluflow.graph.expose import expose
from reluflow.graph.fold_batchnorm import Folded, FoldResult, fold_batchnorm
from reluflow.graph.hash_taps import HashedTap, HashTapsResult, hash_taps
from reluflow.graph.model import Model, load
from reluflow.graph.prune import Pruned, PruneResult, prune
from reluflow.graph.psb_nodes import PsbNode, Succession, find_psb, find_successions, psb_inputs
from reluflow.graph.psb_options import PsbOptions
from reluflow.graph.refused import Refused
from reluflow.graph.site import SwitchSite
from reluflow.graph.sites import find_sites
from reluflow.graph.tap import Tap, TapResult, tap
from reluflow.graph.to_psb import ConvertedNode, PsbResult, to_psb

__all__ = [
    "ConvertedNode",
    "FoldResult",
    "Folded",
    "HashTapsResult",
    "HashedTap",
    "Model",
    "PruneResult",
    "Pruned",
    "PsbNode",
    "PsbOptions",
    "PsbResult",
    "Refused",
    "Succession",
    "SwitchSite",
    "Tap",
    "TapResult",
    "annotate",
    "bake_samples",
    "blocked_probe",
    "expose",
    "find_psb",
    "find_sites",
    "find_successions",
    "fold_batchnorm",
    "has_convolutions",
    "hash_taps",
    "load",
    "prune",
    "psb_inputs",
    "read_blocked",
    "tap",
    "to_psb",
]
